// Anonymous memory in large pages where the system gives them: it begins at one, which a mapping of its own
// need not do, and what lies in small ones costs a virtual machine two walks of page tables for each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace hearth {

// Whether the system counts all of it at once, and refuses what it can't hold, or what is touched.
enum class Reserve : std::uint8_t { kAll, kTouched };

class LargeMemory {
 public:
  LargeMemory() = default;
  // Zeros, that the system gives page by page as they are touched.  Holds nothing if the system refuses, or
  // for no bytes.
  explicit LargeMemory(std::size_t bytes, Reserve reserve = Reserve::kAll);
  ~LargeMemory();
  LargeMemory(LargeMemory&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  LargeMemory& operator=(LargeMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  explicit operator bool() const { return data_ != nullptr; }
  std::byte* data() const { return data_; }
  std::size_t size() const { return bytes_; }  // In whole small pages; at least what was asked for.

  // Gives back the large pages that lie wholly behind the first `bytes`.
  void keep(std::size_t bytes);
  // From now on nobody can write here.
  void seal();

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace hearth
