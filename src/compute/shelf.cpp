#include "compute/shelf.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <mutex>
#include <system_error>

#include "base/file.h"
#include "base/log.h"
#include "compute/device_kernel.h"
#include "sandbox/kernel_abi.h"

namespace hearth::compute {
namespace {

// An entry: kMagic, the seal of all that follows, the sizes of the four parts, the parts.
constexpr std::string_view kMagic = "HEARTHK1";
constexpr std::size_t kParts = 4;
constexpr std::size_t kSealAt = 8, kSizesAt = kSealAt + 32, kPartsAt = kSizesAt + kParts * 8;
constexpr std::string_view kSuffix = ".kernel";
constexpr std::size_t kNameDigitsMin = 8;  // Of a key that stands for a name.

// What an image that was built with -march=native runs on.
std::string target_here() {
  const std::vector<std::string> marches = marches_here();
  std::string text = fmt::format("abi {}", HEARTH_KERNEL_ABI);
#if defined(__x86_64__)
  for (const std::string& march : marches) text += " " + march;
  const auto add = [&](const char* name, int has) {
    text += has != 0 ? std::string(" ") + name : "";
  };
  add("avx512vnni", __builtin_cpu_supports("avx512vnni"));
  add("avx512bf16", __builtin_cpu_supports("avx512bf16"));
  add("avx512vbmi2", __builtin_cpu_supports("avx512vbmi2"));
  add("gfni", __builtin_cpu_supports("gfni"));
  text += __builtin_cpu_is("amd") != 0 ? " amd" : " other";
#endif
  return to_hex(sha256(text)).substr(0, 8);
}

// The same of a device; its letter is no digit of target_here()'s.
std::string target_of(const sandbox::DeviceIdentity& device) {
  const std::string text = fmt::format("abi {} {} {} {}", HEARTH_KERNEL_ABI, device.device,
                                       device.driver, device.target);
  return "x" + to_hex(sha256(text)).substr(0, 8);
}

std::string write_entry(const Kernel& kernel, const MachineKey& key) {
  const std::string parts[kParts] = {to_toml(kernel.contract), kernel.source, kernel.image.bytes,
                                     kernel.receipt};
  std::string body(kParts * 8, '\0');
  for (std::size_t i = 0; i < kParts; ++i) {
    const std::uint64_t size = parts[i].size();
    std::memcpy(body.data() + i * 8, &size, 8);
    body += parts[i];
  }
  const Sha256 seal = key.seal(body);
  return std::string(kMagic) +
         std::string(reinterpret_cast<const char*>(seal.data()), seal.size()) + body;
}

// Its parts, if it is whole and this machine sealed it.
std::optional<std::array<std::string_view, kParts>> read_entry(std::string_view entry,
                                                               const MachineKey& key) {
  if (entry.size() < kPartsAt || !entry.starts_with(kMagic)) return std::nullopt;
  const Sha256 seal = key.seal(entry.substr(kSizesAt));
  if (std::memcmp(seal.data(), entry.data() + kSealAt, seal.size()) != 0) return std::nullopt;
  std::array<std::string_view, kParts> parts;
  std::string_view rest = entry.substr(kPartsAt);
  for (std::size_t i = 0; i < kParts; ++i) {
    std::uint64_t size = 0;
    std::memcpy(&size, entry.data() + kSizesAt + i * 8, 8);
    if (size > rest.size()) return std::nullopt;
    parts[i] = rest.substr(0, size);
    rest.remove_prefix(size);
  }
  return rest.empty() ? std::optional(parts) : std::nullopt;
}

std::optional<Sha256> key_from_hex(std::string_view text) {
  Sha256 key;
  if (text.size() < 2 * key.size()) return std::nullopt;
  for (std::size_t i = 0; i < key.size(); ++i) {
    const auto [stop, error] =
        std::from_chars(text.data() + 2 * i, text.data() + 2 * i + 2, key[i], 16);
    if (error != std::errc{} || stop != text.data() + 2 * i + 2) return std::nullopt;
  }
  return key;
}

}  // namespace

KernelShelf::KernelShelf(std::filesystem::path folder, std::shared_ptr<const MachineKey> key)
    : folder_(std::move(folder)), key_(std::move(key)), target_(target_here()) {}

std::filesystem::path KernelShelf::path_on_processor(const Sha256& contract_key) const {
  return folder_ / fmt::format("{}-{}{}", to_hex(contract_key), target_, kSuffix);
}

std::filesystem::path KernelShelf::path_of(const Kernel& kernel) const {
  if (!kernel.image.device) return path_on_processor(kernel.key);
  return folder_ / fmt::format("{}-{}{}", to_hex(kernel.key), target_of(*kernel.image.device), kSuffix);
}

// Which of both a contract is for, its key does not say.  Devices are asked for only where there is
// an entry for some.
std::filesystem::path KernelShelf::find_path(const Sha256& contract_key) const {
  const std::filesystem::path usual = path_on_processor(contract_key);
  std::error_code error;
  if (std::filesystem::exists(usual, error)) return usual;
  const std::string begin = to_hex(contract_key) + "-x";
  bool has_some = false;
  for (std::filesystem::directory_iterator at(folder_, error), end; !error && at != end;
       at.increment(error)) {
    has_some |= at->path().filename().string().starts_with(begin);
  }
  for (const Language language : {Language::kOpenCl, Language::kCuda}) {
    if (!has_some) break;
    const auto device = device_here(language);
    if (!device) continue;
    const std::filesystem::path path =
        folder_ / fmt::format("{}-{}{}", to_hex(contract_key), target_of(*device), kSuffix);
    if (std::filesystem::exists(path, error)) return path;
  }
  return usual;
}

Result<std::shared_ptr<const Kernel>> KernelShelf::load(const std::filesystem::path& path) const {
  HEARTH_TRY(const std::string entry, read_file(path, kShelfEntryBytesMax));
  const auto parts = read_entry(entry, *key_);
  if (!parts)
    return fail(Code::kCorrupt,
                fmt::format("the kernel '{}' is damaged, or another machine's", path.string()));
  HEARTH_TRY(Contract contract, parse_contract((*parts)[0], path.string()));
  HEARTH_TRY(Image image, image_from(std::string((*parts)[2])));
  auto kernel = std::make_shared<Kernel>();
  kernel->key = contract_key(contract);
  kernel->contract = std::move(contract);
  kernel->source = (*parts)[1];
  kernel->image = std::move(image);
  kernel->receipt = (*parts)[3];
  return kernel;
}

Result<std::shared_ptr<const Kernel>> KernelShelf::find(const Sha256& contract_key) {
  {
    const std::shared_lock lock(mutex_);
    if (const auto found = kernels_.find(contract_key); found != kernels_.end())
      return found->second;
  }
  const std::filesystem::path path = find_path(contract_key);
  auto loaded = load(path);
  const bool is_other = loaded && (*loaded)->key != contract_key;  // Renamed by hand.
  if (is_other || (!loaded && loaded.error().code != Code::kNotFound)) {
    log_warn("compute", fmt::format("dropping '{}': {}", path.string(),
                                    loaded ? "it is another contract's" : loaded.error().message));
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
  }
  if (!loaded || is_other)
    return fail(Code::kNotFound, fmt::format("no kernel was verified for the contract {}",
                                             to_hex(contract_key).substr(0, 12)));
  const std::unique_lock lock(mutex_);
  return kernels_.emplace(contract_key, *std::move(loaded)).first->second;
}

Result<std::vector<std::shared_ptr<const Kernel>>> KernelShelf::all() {
  std::vector<std::shared_ptr<const Kernel>> kernels;
  std::error_code error;
  std::vector<Sha256> keys;
  for (std::filesystem::directory_iterator at(folder_, error), end; !error && at != end;
       at.increment(error)) {
    const std::string name = at->path().filename().string();
    const auto key = key_from_hex(name);
    const bool is_for_some_device = name.substr(std::min(name.size(), 2 * sizeof(Sha256))).starts_with("-x");
    if (key && (is_for_some_device || name.ends_with(fmt::format("-{}{}", target_, kSuffix))))
      keys.push_back(*key);
  }
  std::ranges::sort(keys);
  keys.erase(std::ranges::unique(keys).begin(), keys.end());
  for (const Sha256& key : keys) {
    if (auto kernel = find(key)) kernels.push_back(*std::move(kernel));
  }
  std::ranges::sort(kernels, {}, [](const auto& kernel) {
    return std::pair(kernel->contract.name, kernel->key);
  });
  return kernels;
}

Result<std::shared_ptr<const Kernel>> KernelShelf::find_named(std::string_view name) {
  HEARTH_TRY(const auto kernels, all());
  std::shared_ptr<const Kernel> found;
  for (const auto& kernel : kernels) {
    const bool is_key = name.size() >= kNameDigitsMin && to_hex(kernel->key).starts_with(name);
    if (!is_key && kernel->contract.name != name) continue;
    if (found != nullptr) {
      return fail(
          Code::kInvalidArgument,
          fmt::format("several kernels are called '{}': name one by its key ({}, {}, ...)", name,
                      to_hex(found->key).substr(0, 12), to_hex(kernel->key).substr(0, 12)));
    }
    found = kernel;
  }
  if (found == nullptr)
    return fail(
        Code::kNotFound,
        fmt::format("there is no kernel '{}': `hearth kernel list` shows those that there are",
                    name));
  return found;
}

Result<> KernelShelf::put(std::shared_ptr<const Kernel> kernel) {
  HEARTH_TRY_VOID(write_file_atomic(path_of(*kernel), write_entry(*kernel, *key_)));
  const std::unique_lock lock(mutex_);
  kernels_[kernel->key] = std::move(kernel);
  return {};
}

Result<> KernelShelf::drop(const Sha256& contract_key) {
  std::error_code error;
  const bool was_there = std::filesystem::remove(find_path(contract_key), error);
  const std::unique_lock lock(mutex_);
  const bool was_known = kernels_.erase(contract_key) > 0;
  if (was_there || was_known) return {};
  return fail(Code::kNotFound, fmt::format("no kernel was verified for the contract {}",
                                           to_hex(contract_key).substr(0, 12)));
}

Result<> KernelShelf::remember(const Sha256& request, const Sha256& contract_key) {
  return write_file_atomic(folder_ / "asked" / to_hex(request), to_hex(contract_key) + "\n");
}

std::optional<Sha256> KernelShelf::recall(const Sha256& request) const {
  const auto text = read_file(folder_ / "asked" / to_hex(request), 128);
  return text ? key_from_hex(*text) : std::nullopt;
}

}  // namespace hearth::compute
