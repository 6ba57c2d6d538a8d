// The key with which this machine signs receipts and knows its own files again.
//
// One Ed25519 key in a file that nobody but its owner may read, made when it is first needed.  Who
// has the file can sign as this machine: a signature says that a receipt was not changed since, by
// anybody without it.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>

#include "base/digest.h"
#include "base/result.h"

namespace hearth::compute {

using PublicKey = std::array<std::uint8_t, 32>;
using SignatureBytes = std::array<std::uint8_t, 64>;

// Threading: const; any thread.
class MachineKey {
 public:
  // Opens `file`, or makes it.  kPermissionDenied for a file that others may read; kCorrupt for one
  // that holds no key.
  static Result<std::shared_ptr<const MachineKey>> open(const std::filesystem::path& file);
  ~MachineKey();
  MachineKey(const MachineKey&) = delete;
  MachineKey& operator=(const MachineKey&) = delete;

  const PublicKey& public_key() const { return public_key_; }
  SignatureBytes sign(std::string_view text) const;
  // A keyed digest that only this machine can make: quicker than a signature, 20 us for a kernel.
  Sha256 seal(std::string_view bytes) const;

 private:
  explicit MachineKey(const std::array<std::uint8_t, 32>& secret);
  std::array<std::uint8_t, 32> secret_;
  PublicKey public_key_{};
};

// Whether the owner of `key` signed `text`.
bool is_signed_by(const PublicKey& key, std::string_view text, const SignatureBytes& signature);

}  // namespace hearth::compute
