#include "compute/device_kernel.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <optional>
#include <span>
#include <system_error>

#include "base/file.h"
#include "base/fixed_text.h"
#include "compute/builtin/device_plan.h"
#include "compute/cuda/nvrtc.h"
#include "compute/source_check.h"
#include "sandbox/jailed_command.h"
#include "sandbox/private_folder.h"
#include "sandbox/program.h"

namespace hearth::compute {
namespace {

constexpr std::size_t kBinaryBytesMax = std::size_t{16} << 20;
constexpr std::string_view kCompilerLine = "hearth: compiler ";
constexpr std::size_t kCompilerBytesMax = 80;

struct LanguageTerms {
  Dialect dialect;
  std::string_view source_name;
  sandbox::DeviceKind kind;
  sandbox::WorkerKind worker;
  const char* mode;  // Of the device program.
};

const LanguageTerms& terms_of(Language language) {
  static constexpr LanguageTerms kOpenCl{Dialect::kOpenCl, "kernel.cl",
                                         sandbox::DeviceKind::kOpenCl,
                                         sandbox::WorkerKind::kOpenCl, "build-opencl"};
  static constexpr LanguageTerms kCuda{Dialect::kCuda, "kernel.cu", sandbox::DeviceKind::kCuda,
                                       sandbox::WorkerKind::kCuda, "build-cuda"};
  return language == Language::kCuda ? kCuda : kOpenCl;
}

// What no source may say, so that none reads a file or learns what day it is.
constexpr std::string_view kPoison =
    "#pragma GCC poison __has_include __has_include_next __DATE__ __TIME__ __FILE__\n";

// The attribute is inherited by the definition that follows: drivers compile for one size of groups.
std::string first_declaration(const Contract& contract) {
  const std::string declaration = device_declaration(contract);
  if (contract.language == Language::kCuda) return declaration + ";\n";
  std::array<std::uint32_t, 3> group{1, 1, 1};
  std::ranges::copy(contract.group, group.begin());
  return fmt::format("__attribute__((reqd_work_group_size({}))) {};\n", fmt::join(group, ", "),
                     declaration);
}

sandbox::DeviceArgumentKind kind_of(const Parameter& parameter) {
  using Kind = sandbox::DeviceArgumentKind;
  if (parameter.is_tensor()) return parameter.is_written() ? Kind::kWritten : Kind::kRead;
  switch (parameter.type) {
    case ElementType::kF32:
      return Kind::kF32;
    case ElementType::kF64:
      return Kind::kF64;
    case ElementType::kI32:
      return Kind::kI32;
    default:
      return Kind::kI64;
  }
}

// The libraries that compile, the best first: OpenCL's loader, or what there may be of NVRTC.
std::vector<std::string> compiler_libraries(Language language) {
  if (language != Language::kCuda) return {"libOpenCL.so.1"};
  std::vector<std::string> libraries = nvrtc_candidates();
  std::erase_if(libraries, [](const std::string& library) {
    std::error_code error;
    return library.starts_with('/') && !std::filesystem::exists(library, error);
  });
  return libraries;
}

// The device program in a folder that may be run but not written, the driver's cache in one that may
// be written but not run.
sandbox::JailedCommand command_for(const Contract& contract, const Unit& unit,
                                   const sandbox::DeviceIdentity& device,
                                   const std::filesystem::path& program,
                                   const std::filesystem::path& scratch) {
  sandbox::JailedCommand command;
  command.program = program;
  command.arguments = {terms_of(contract.language).mode, "out=" + (scratch / "binary").string(),
                       "name=" + contract.name, fmt::format("target={}", device.target)};
  command.readable = sandbox::toolchain_paths();
  for (const std::string& library : compiler_libraries(contract.language)) {
    command.arguments.push_back("library=" + library);
    if (library.starts_with('/'))
      command.readable.push_back(std::filesystem::path(library).parent_path());
  }
  command.readable.push_back(program.parent_path());
  std::error_code error;
  for (const char* const path :
       {"/etc/OpenCL", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system"}) {
    if (std::filesystem::exists(path, error)) command.readable.emplace_back(path);
  }
  command.writable = {scratch};
  command.working_folder = scratch;
  command.environment = {"PATH=/usr/bin:/bin",
                         "LC_ALL=C",
                         "HOME=" + scratch.string(),
                         "TMPDIR=" + scratch.string(),
                         "POCL_CACHE_DIR=" + scratch.string(),
                         "POCL_MAX_PTHREAD_COUNT=1",
                         "POCL_WORK_GROUP_SPECIALIZATION=0"};
  command.input = unit.text;
  return command;
}

std::string_view last_line(std::string_view text) {
  const std::size_t end = text.find_last_not_of('\n');
  text = text.substr(0, end == std::string_view::npos ? 0 : end + 1);
  return text.substr(text.rfind('\n') + 1);
}

Error why_not(const sandbox::CommandOutcome& outcome, const Unit& unit,
              const sandbox::JailLimits& limits) {
  using sandbox::BuildEnd;
  const auto end = static_cast<BuildEnd>(outcome.exit_code);
  if (end == BuildEnd::kNoDevice)
    return {Code::kUnsupported, sandbox::clean_sentence(last_line(outcome.output))};
  std::string reason;
  const std::vector<std::string> lines =
      own_diagnostics(outcome.output, unit.n_source_lines, unit.source_name);
  // LLVM has a handler of its own for SIGXCPU, and dies of something else.
  const bool has_burnt = outcome.cpu_us >= std::uint64_t{limits.cpu_s} * 1'000'000;
  if (outcome.timed_out || has_burnt) {
    reason = fmt::format("compiling it takes longer than {} s",
                         outcome.timed_out ? limits.wall_ms / 1000 : limits.cpu_s);
  } else if (outcome.signal == SIGXFSZ) {
    reason = fmt::format("its image is larger than {} bytes", limits.file_bytes);
  } else if (!lines.empty()) {
    reason = fmt::format("{}", fmt::join(lines, "\n"));
  } else if (end == BuildEnd::kNoKernel) {
    reason = fmt::format("it does not define {}", unit.declaration);
  } else {
    reason = fmt::format(
        "the driver's compiler refuses it, or takes more than {} bytes of memory, and says nothing "
        "of its lines",
        limits.address_space_bytes);
  }
  return {Code::kInvalidArgument, reason};
}

// What the compiler calls itself, if it does: the last thing that is printed.
std::string compiler_of(const sandbox::CommandOutcome& outcome,
                        const sandbox::DeviceIdentity& device) {
  const std::string_view line = last_line(outcome.output);
  if (!line.starts_with(kCompilerLine)) return device.driver;
  return sandbox::clean_sentence(line.substr(kCompilerLine.size(), kCompilerBytesMax));
}

}  // namespace

std::string device_prelude_text(Language language) {
  return std::string(device_prelude(terms_of(language).dialect));
}

std::string device_declaration(const Contract& contract) {
  std::vector<std::string> parts;
  for (const Parameter& parameter : contract.signature.parameters) {
    const std::string_view type = type_info(parameter.type).name;
    parts.push_back(parameter.is_scalar
                        ? fmt::format("{} {}", type, parameter.name)
                        : fmt::format("GLOBAL {}{}* restrict {}",
                                      parameter.is_written() ? "" : "const ", type, parameter.name));
  }
  const Signature& signature = contract.signature;
  for (std::size_t i = signature.n_scalar_symbols; i < signature.symbols.size(); ++i)
    parts.push_back(fmt::format("i64 {}", signature.symbols[i]));
  return fmt::format("KERNEL {}({})", contract.name, fmt::join(parts, ", "));
}

Result<Unit> device_unit(const Contract& contract, std::string_view source) {
  const LanguageTerms& language = terms_of(contract.language);
  HEARTH_TRY(const std::string checked, check_device_source(source, language.source_name));
  Unit unit;
  unit.declaration = device_declaration(contract);
  unit.source_name = language.source_name;
  unit.n_source_lines = static_cast<std::size_t>(std::ranges::count(checked, '\n')) + 1;
  // NVRTC knows no poison, and has no files to find: its jail gives it none.
  const bool is_cuda = contract.language == Language::kCuda;
  unit.text = fmt::format("{}{}{}#line 1 \"{}\"\n{}", device_prelude(language.dialect),
                          is_cuda ? "" : kPoison, first_declaration(contract),
                          language.source_name, checked);
  return unit;
}

// In the order of device_declaration().
sandbox::DeviceImageHeader device_header(const Contract& contract,
                                         const sandbox::DeviceIdentity& device) {
  sandbox::DeviceImageHeader header{};
  std::ranges::copy(sandbox::kDeviceImageMagic, header.magic);
  header.kind = terms_of(contract.language).kind;
  header.n_dimensions = static_cast<std::uint32_t>(contract.range.size());
  std::ranges::copy(contract.group, header.group);
  put_text(header.name, contract.name);
  header.made_for = device;
  std::uint8_t buffer = 0, integer = 0, real = 0;
  const auto add = [&](sandbox::DeviceArgumentKind kind, std::uint8_t index) {
    header.arguments[header.n_arguments++] = {kind, index};
  };
  for (const Parameter& parameter : contract.signature.parameters) {
    const bool is_float = type_info(parameter.type).is_float;
    add(kind_of(parameter), parameter.is_tensor() ? buffer++ : is_float ? real++ : integer++);
  }
  const Signature& signature = contract.signature;
  for (std::size_t i = signature.n_scalar_symbols; i < signature.symbols.size(); ++i)
    add(sandbox::DeviceArgumentKind::kI64, integer++);
  return header;
}

sandbox::JailLimits device_compile_limits() {
  return {.address_space_bytes = std::uint64_t{6} << 30, .n_processes = 16};  // Threads count.
}

sandbox::WorkerKind worker_kind(Language language) {
  return is_for_device(language) ? terms_of(language).worker : sandbox::WorkerKind::kProcessor;
}

Result<sandbox::DeviceIdentity> device_here(Language language) {
  static std::mutex mutex;
  static std::array<std::optional<Result<sandbox::DeviceIdentity>>, 3> known;
  const std::lock_guard lock(mutex);
  auto& found = known[static_cast<std::size_t>(language)];
  if (found && (*found || found->error().code == Code::kUnsupported)) return *found;
  const auto worker = sandbox::Worker::start({.kind = worker_kind(language)});
  found.emplace(worker ? Result<sandbox::DeviceIdentity>(worker->device())
                       : std::unexpected(worker.error()));
  return *found;
}

Result<Image> compile_for_device(const Contract& contract, const Unit& unit,
                                 const sandbox::DeviceIdentity& device,
                                 const sandbox::JailLimits& limits) {
  HEARTH_TRY(const sandbox::PrivateFolder program, sandbox::PrivateFolder::create());
  HEARTH_TRY(const sandbox::PrivateFolder scratch, sandbox::PrivateFolder::create());
  const std::filesystem::path file = program.path() / "hearth_device";
  HEARTH_TRY_VOID(sandbox::write_program(sandbox::Program::kDevice, file));
  sandbox::JailedCommand command = command_for(contract, unit, device, file, scratch.path());
  command.limits = limits;
  HEARTH_TRY(const sandbox::CommandOutcome outcome, sandbox::run_jailed(command));
  if (!outcome.succeeded()) return std::unexpected(why_not(outcome, unit, command.limits));
  HEARTH_TRY(const std::string binary, read_file(scratch.path() / "binary", kBinaryBytesMax));
  const sandbox::DeviceImageHeader header = device_header(contract, device);
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  HEARTH_TRY(Image image, image_from(bytes + binary));
  image.compiler = compiler_of(outcome, device);
  image.flags = {fmt::format("target={}", device.target)};
  image.compile_us = static_cast<std::int64_t>(outcome.wall_us);
  return image;
}

}  // namespace hearth::compute
