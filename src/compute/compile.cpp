#include "compute/compile.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <signal.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <optional>
#include <span>
#include <system_error>

#include "base/file.h"
#include "base/utf8.h"
#include "base/utf8_bounds.h"
#include "sandbox/jailed_command.h"
#include "sandbox/private_folder.h"

namespace hearth::compute {
namespace {

constexpr const char* kCompiler = "/usr/bin/g++";
constexpr int kErrorNumbers = 134;  // Of Linux.
constexpr std::size_t kImageFileBytesMax = std::size_t{16} << 20;

std::vector<std::string> flag_list(const BuildFlags& flags) {
  std::vector<std::string> list = {
      "-std=c++20", flags.is_quick ? "-O1" : "-O3", fmt::format("-march={}", flags.march),
      // What it computes: never fast, only without errno and traps, which no kernel has.
      "-fno-fast-math", "-fno-math-errno", "-fno-trapping-math",
      flags.contracts ? "-ffp-contract=fast" : "-ffp-contract=off",
      // What it may rely on: nothing.
      "-ffreestanding", "-nostdinc", "-nostdlib", "-fno-exceptions", "-fno-rtti",
      "-fno-threadsafe-statics", "-fno-stack-protector", "-fcf-protection=none",
      "-fno-asynchronous-unwind-tables", "-fvisibility=hidden", "-fPIC", "-shared", "-g0", "-w",
      "-pipe", "-fno-ident", "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-Wl,-Bsymbolic",
      "-Wl,--hash-style=gnu", "-Wl,-s", "-fmax-errors=8", "-fno-diagnostics-show-caret",
      "-fdiagnostics-color=never", "-ftemplate-depth=64", "-fconstexpr-depth=64",
      "-fconstexpr-loop-limit=65536", "-fconstexpr-ops-limit=1000000",
      // The main file is the first level: what a file that is included would be is never looked up.
      "-fmax-include-depth=1"};
  // A vector width of its own: g++ takes 256 bits of 512 unless it is told.
  if (flags.march != "x86-64-v2" && flags.march != "x86-64-v3")
    list.emplace_back("-mprefer-vector-width=512");
  return list;
}

sandbox::JailedCommand command_of(std::vector<std::string> arguments,
                                  const std::filesystem::path& folder) {
  sandbox::JailedCommand command;
  command.program = kCompiler;
  command.arguments = std::move(arguments);
  command.readable = sandbox::toolchain_paths();
  command.writable = {folder};
  command.working_folder = folder;
  command.environment = {"PATH=/usr/bin:/bin", "LC_ALL=C", "TMPDIR=" + folder.string()};
  command.limits.cpu_s = 20;
  return command;
}

std::string reason_of(const sandbox::CommandOutcome& outcome, const Unit& unit,
                      const sandbox::JailLimits& limits) {
  if (outcome.timed_out)
    return fmt::format("compiling it takes longer than {} s", limits.wall_ms / 1000);
  if (outcome.signal == SIGXCPU)
    return fmt::format("compiling it takes more than {} s of processor time", limits.cpu_s);
  if (outcome.signal == SIGXFSZ)
    return fmt::format("its image is larger than {} bytes", limits.file_bytes);
  const std::vector<std::string> lines = own_diagnostics(outcome.output, unit.n_source_lines);
  if (!lines.empty()) return fmt::format("{}", fmt::join(lines, "\n"));
  if (outcome.output.find("entry:") != std::string::npos)
    return fmt::format("it does not define {}", unit.declaration);
  if (outcome.output.find("Killed") != std::string::npos ||
      outcome.output.find("virtual memory") != std::string::npos ||
      outcome.output.find("out of memory") != std::string::npos) {
    return fmt::format("compiling it takes more memory than {} bytes, or more time than {} s",
                       limits.address_space_bytes, limits.cpu_s);
  }
  return "the assembler or the linker refuses what the compiler made of it: a kernel has no "
         "assembly, files or libraries";
}

Result<> check_compiler() {
  std::error_code error;
  if (std::filesystem::exists(kCompiler, error)) return {};
  return fail(
      Code::kUnsupported,
      fmt::format("kernels are compiled by '{}', which is not installed: install g++", kCompiler));
}

// Whether a message says what became of a file, in the system's words ("Permission denied") or the
// compiler's.  Which of them it is would tell what there is on this machine, so all are one.
bool is_about_a_file(std::string_view line) {
  static const std::vector<std::string> kEndings = [] {
    std::vector<std::string> endings;
    for (int number = 1; number < kErrorNumbers; ++number)
      endings.push_back(fmt::format(
          ": {}", ::strerrordesc_np(number) == nullptr ? "?" : ::strerrordesc_np(number)));
    return endings;
  }();
  return line.find("#include nested depth") != std::string_view::npos ||
         line.find(" file not found") != std::string_view::npos ||
         line.find("could not open source file") != std::string_view::npos ||
         std::ranges::any_of(kEndings,
                             [&](const std::string& ending) { return line.ends_with(ending); });
}

}  // namespace

std::vector<std::string> own_diagnostics(std::string_view output, std::size_t n_source_lines,
                                         std::string_view source_name) {
  constexpr std::string_view kError = "error: ";
  std::vector<std::string> lines;
  while (!output.empty() && lines.size() < kDiagnosticLinesMax) {
    const std::size_t end = std::min(output.find('\n'), output.size());
    std::string_view line = output.substr(0, end);
    output.remove_prefix(std::min(end + 1, output.size()));
    if (line.starts_with(kError)) line.remove_prefix(kError.size());
    if (!line.starts_with(source_name)) continue;
    const std::string_view rest = line.substr(source_name.size());
    if (!rest.starts_with(':') && !rest.starts_with('(')) continue;
    std::size_t number = 0;
    const char* const digits = rest.data() + 1;
    const auto [stop, error] = std::from_chars(digits, line.data() + line.size(), number);
    if (error != std::errc{} || number == 0 || number > n_source_lines ||
        stop == line.data() + line.size() || (*stop != ':' && *stop != ')'))
      continue;
    if (is_about_a_file(line)) {
      lines.push_back(fmt::format(
          "{}:{}: a kernel reads no files: the prelude is there already, and there are no headers",
          source_name, number));
      continue;
    }
    lines.push_back(sanitize_utf8(line.substr(0, utf8_bound_up_to(line, kDiagnosticBytesMax))));
  }
  return lines;
}

Result<Image> image_from(std::string bytes) {
  Image image;
  sandbox::DeviceImageHeader header;
  if (bytes.size() > sizeof header &&
      std::memcmp(bytes.data(), sandbox::kDeviceImageMagic, sizeof header.magic) == 0) {
    std::memcpy(&header, bytes.data(), sizeof header);
    image.device = header.made_for;
  }
  HEARTH_TRY(image.fd,
             sandbox::make_sealed_memory("hearth-kernel", std::as_bytes(std::span(bytes))));
  image.bytes = std::move(bytes);
  return image;
}

Result<Image> compile_unit(const Unit& unit, const BuildFlags& flags) {
  HEARTH_TRY_VOID(check_compiler());
  HEARTH_TRY(const sandbox::PrivateFolder folder, sandbox::PrivateFolder::create());
  const std::filesystem::path out = folder.path() / "kernel.so";
  const std::vector<std::string> list = flag_list(flags);
  std::vector<std::string> arguments = list;
  arguments.insert(arguments.end(), {"-x", "c++", "-", "-o", out.string()});
  sandbox::JailedCommand command = command_of(std::move(arguments), folder.path());
  command.input = unit.text;
  HEARTH_TRY(const sandbox::CommandOutcome outcome, sandbox::run_jailed(command));
  if (!outcome.succeeded())
    return fail(Code::kInvalidArgument, reason_of(outcome, unit, command.limits));
  HEARTH_TRY(std::string bytes, read_file(out, kImageFileBytesMax));
  HEARTH_TRY(Image image, image_from(std::move(bytes)));
  image.flags = list;
  image.compile_us = static_cast<std::int64_t>(outcome.wall_us);
  return image;
}

Result<std::string> compiler_version() {
  static std::mutex mutex;
  static std::optional<std::string> known;
  const std::lock_guard lock(mutex);
  if (known) return *known;
  HEARTH_TRY_VOID(check_compiler());
  HEARTH_TRY(const sandbox::PrivateFolder folder, sandbox::PrivateFolder::create());
  HEARTH_TRY(sandbox::CommandOutcome outcome,
             sandbox::run_jailed(command_of({"-dumpfullversion"}, folder.path())));
  while (outcome.output.ends_with('\n')) outcome.output.pop_back();
  if (!outcome.succeeded() || outcome.output.empty())
    return fail(Code::kInternal, fmt::format("'{}' does not tell its version", kCompiler));
  known = "g++ " + outcome.output;
  return *known;
}

std::vector<std::string> marches_here() {
  std::vector<std::string> marches;
#if defined(__x86_64__)
  const auto has = [](auto... features) { return (features && ...); };
  if (has(__builtin_cpu_supports("sse4.2") != 0, __builtin_cpu_supports("popcnt") != 0))
    marches.emplace_back("x86-64-v2");
  if (has(__builtin_cpu_supports("avx2") != 0, __builtin_cpu_supports("fma") != 0,
          __builtin_cpu_supports("bmi2") != 0))
    marches.emplace_back("x86-64-v3");
  if (has(__builtin_cpu_supports("avx512f") != 0, __builtin_cpu_supports("avx512bw") != 0,
          __builtin_cpu_supports("avx512cd") != 0, __builtin_cpu_supports("avx512dq") != 0,
          __builtin_cpu_supports("avx512vl") != 0)) {
    marches.emplace_back("x86-64-v4");
  }
#endif
  return marches;
}

}  // namespace hearth::compute
