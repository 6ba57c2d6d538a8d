#include "compute/kernel.h"

#include <fmt/format.h>

#include "compute/device_kernel.h"
#include "compute/receipt.h"

namespace hearth::compute {
namespace {

Result<Unit> unit_of(const Contract& contract, std::string_view source) {
  return is_for_device(contract.language) ? device_unit(contract, source)
                                          : kernel_unit(contract, source);
}

Result<Image> compile(const Contract& contract, const Unit& unit) {
  if (is_for_device(contract.language)) {
    HEARTH_TRY(const sandbox::DeviceIdentity device, device_here(contract.language));
    return compile_for_device(contract, unit, device);
  }
  HEARTH_TRY(Image image, compile_unit(unit, build_flags(contract)));
  HEARTH_TRY(image.compiler, compiler_version());
  return image;
}

}  // namespace

Result<std::shared_ptr<const Kernel>> make_kernel(const Contract& contract, std::string source,
                                                  Oracle& oracle, const MachineKey& key,
                                                  const VerifyOptions& options) {
  if (options.progress) options.progress(0, 1, kCompilingStep);
  HEARTH_TRY(const Unit unit, unit_of(contract, source));
  auto image = compile(contract, unit);
  if (!image && image.error().code == Code::kInvalidArgument) {
    return fail(Code::kInvalidArgument,
                fmt::format("the kernel does not compile: {}", image.error().message));
  }
  if (!image) return std::unexpected(std::move(image).error());
  HEARTH_TRY(const VerifyReport report, verify(contract, unit, *image, oracle, options));
  std::string receipt = write_receipt(contract, source, *image, report, key);
  Contract terms = contract;
  terms.source.clear();
  return std::make_shared<const Kernel>(Kernel{.contract = std::move(terms),
                                               .key = contract_key(contract),
                                               .source = std::move(source),
                                               .image = *std::move(image),
                                               .receipt = std::move(receipt)});
}

Result<VerifyReport> verify_again(const Kernel& kernel, const VerifyOptions& options) {
  HEARTH_TRY(Oracle oracle, Oracle::create(kernel.contract, options.deadline));
  HEARTH_TRY(const Unit unit, unit_of(kernel.contract, kernel.source));
  return verify(kernel.contract, unit, kernel.image, oracle, options);
}

Result<Replay> replay(const Kernel& kernel, const VerifyOptions& options) {
  HEARTH_TRY(const Statement statement, read_receipt(kernel.receipt));
  if (statement.source_sha256 != to_hex(sha256(kernel.source)) ||
      statement.contract_key != to_hex(contract_key(kernel.contract))) {
    return fail(Code::kCorrupt, fmt::format("the receipt of '{}' is of another source or contract",
                                            kernel.contract.name));
  }
  HEARTH_TRY(Oracle oracle, Oracle::create(kernel.contract, options.deadline));
  HEARTH_TRY(const Unit unit, unit_of(kernel.contract, kernel.source));
  HEARTH_TRY(const Image image, compile(kernel.contract, unit));
  VerifyOptions seeded = options;
  seeded.seed = statement.seed;
  seeded.limits = statement.limits;
  seeded.n_mixed = statement.n_mixed;
  Replay again;
  HEARTH_TRY(again.report, verify(kernel.contract, unit, image, oracle, seeded));
  again.same_results = to_hex(again.report.results) == statement.results_sha256;
  again.same_build = image.compiler == statement.compiler && image.flags == statement.flags &&
                     to_hex(sha256(image.bytes)) == statement.image_sha256;
  return again;
}

}  // namespace hearth::compute
