// What tests of kernels share: contracts in few words, a machine key of their own, a build with a
// fixed seed. Header-only, so that no product binary carries it.
#pragma once

#include <filesystem>
#include <string>
#include <utility>

#include "base/temp_folder_for_test.h"
#include "compute/kernel.h"
#include "sandbox/jailed_command.h"

namespace hearth::compute {

using TestFolder = TempFolder;

inline const MachineKey& test_key() {
  static const TestFolder folder;
  static const auto key = MachineKey::open(folder.path() / "kernel.key");
  return **key;
}

struct TestKernel {
  std::string signature;
  std::string body;           // Of the kernel.
  std::string oracle;         // The oracle's body; empty: the kernel's.
  std::string settings = {};  // More keys of the contract; tables last.
  std::string helpers = {};   // Before the kernel.
  bool is_timed = false;      // Times say little where tests run.
};

inline Result<Contract> contract_of(const TestKernel& test, const std::string& oracle_declaration) {
  const std::string& body = test.oracle.empty() ? test.body : test.oracle;
  const std::string oracle =
      "oracle = '''\nHEARTH_ORACLE k(" + oracle_declaration + ") {\n" + body + "\n}\n'''\n";
  return parse_contract(
      "name = \"k\"\nsignature = \"" + test.signature + "\"\n" + oracle + test.settings, "test");
}

// "(...)" of a declaration, without its parentheses.
inline std::string parameters_of(const std::string& declaration) {
  const std::size_t open = declaration.find('(');
  return declaration.substr(open + 1, declaration.rfind(')') - open - 1);
}

// Verifies a kernel from its body; the parameters' names are those of the signature.
inline Result<std::shared_ptr<const Kernel>> build_for_test(const TestKernel& test,
                                                            VerifyOptions options = {}) {
  Contract shape;
  shape.name = "k";
  HEARTH_TRY(shape.signature, parse_signature(test.signature));
  HEARTH_TRY(const Contract contract, contract_of(test, parameters_of(oracle_declaration(shape))));
  options.deadline = std::chrono::milliseconds(500);
  options.limits = {.bytes_max = std::int64_t{1} << 20, .work_max = 2'000'000};
  options.bench_bytes = std::int64_t{1} << 20;
  options.is_timed = test.is_timed;
  HEARTH_TRY(Oracle oracle, Oracle::create(contract, options.deadline));
  HEARTH_TRY([[maybe_unused]] const auto findings, check_contract(contract, oracle, options));
  const std::string source = test.helpers + "\nHEARTH_KERNEL k(" +
                             parameters_of(kernel_declaration(contract)) + ") {\n" + test.body +
                             "\n}\n";
  return make_kernel(contract, source, oracle, test_key(), options);
}

#define HEARTH_SKIP_WITHOUT_JAIL()                              \
  if (const auto works = hearth::sandbox::jail_works(); !works) \
    GTEST_SKIP() << works.error().message;                      \
  if (!std::filesystem::exists("/usr/bin/g++")) GTEST_SKIP() << "there is no g++"

}  // namespace hearth::compute
