// Digests: SHA-256 where someone may want to forge a collision (ledger, content
// addresses), XXH3 where nobody does (cache keys).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace hearth {

using Sha256 = std::array<std::uint8_t, 32>;

// Hashes a byte stream piece by piece (OpenSSL's EVP underneath).
//
// Threading: externally synchronised.
class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  Sha256Stream(const Sha256Stream&) = delete;
  Sha256Stream& operator=(const Sha256Stream&) = delete;

  void update(std::span<const std::byte> bytes);
  void update(std::string_view text);
  Sha256 finish();  // Once; the stream is spent afterwards.

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Sha256 sha256(std::string_view bytes);

// Lower-case hexadecimal.
std::string to_hex(std::span<const std::uint8_t> bytes);

// XXH3, 64 bits.  Fast, not cryptographic: for tables and caches only.
std::uint64_t hash64(std::span<const std::byte> bytes, std::uint64_t seed = 0);
std::uint64_t hash64(std::string_view text, std::uint64_t seed = 0);

}  // namespace hearth
