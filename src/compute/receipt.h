// A kernel's receipt: what was verified, how, and what came of it; signed by this machine's key,
// and enough to do it all again.
//
//   {
//     "statement": {"kernel": "scale", "contract": HEX, "source_sha256": HEX, "seed": 1, ...},
//     "key": HEX,
//     "signature": HEX
//   }
//
// The signature (Ed25519) is over the statement in compact JSON.  `replay` of the same source with
// the same compiler, flags, instruction set and seed gives the same `results_sha256`: the bits of
// all results.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/result.h"
#include "compute/compile.h"
#include "compute/contract.h"
#include "compute/machine_key.h"
#include "compute/verify.h"

namespace hearth::compute {

// What a receipt states, and a reader may want to use.
struct Statement {
  std::string kernel;
  std::string contract_key, source_sha256, image_sha256, results_sha256;  // Hexadecimal.
  std::string compiler, cpu, isa;
  std::string device, driver, target;  // Of a kernel for a device; else empty.
  std::vector<std::string> flags;
  std::uint64_t seed = 0;
  DrawLimits limits;  // With the seed: which cases were drawn.
  int n_mixed = 0;
  std::string determinism;
  double max_units = 0;
  Speed speed;
  std::string verified_at;
  std::string json;  // The whole.
};

// Everything that `report` says, signed.
std::string write_receipt(const Contract& contract, std::string_view source, const Image& image,
                          const VerifyReport& report, const MachineKey& key);

// kCorrupt where the text is no receipt or its signature does not fit its statement.
Result<Statement> read_receipt(std::string_view text);

}  // namespace hearth::compute
