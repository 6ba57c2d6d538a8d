// A bump allocator: everything that one compilation or one render makes, freed at once.
//
// Why: template values are small, plentiful and short-lived, and all of them die with the
// render.  Bump allocation makes them trivially copyable (no reference counts, hence no
// atomics between threads and no cycles to leak through namespaces) and gives the memory of
// an untrusted template one number to check.
//
// `allocate` never fails: callers that make something large ask Runtime::reserve first, and
// the interpreter compares `bytes_reserved` with its limit at every step.
//
// Threading: externally synchronised.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace hearth::text::jinja {

class Arena {
 public:
  void* allocate(std::size_t bytes, std::size_t alignment) {
    const std::size_t start = (used_ + alignment - 1) & ~(alignment - 1);
    if (start + bytes <= size_) {
      used_ = start + bytes;
      return block_ + start;
    }
    return allocate_block(bytes);
  }

  // The arena runs no destructors.
  template <class T, class... Args>
  T* make(Args&&... args) {
    static_assert(std::is_trivially_destructible_v<T>);
    return ::new (allocate(sizeof(T), alignof(T))) T{std::forward<Args>(args)...};
  }

  // Uninitialised room for `count` trivially copyable elements.
  template <class T>
  T* make_array(std::size_t count) {
    static_assert(std::is_trivially_copyable_v<T>);
    return static_cast<T*>(allocate(count * sizeof(T), alignof(T)));
  }

  template <class T>
  std::span<const T> copy(std::span<const T> items) {
    T* out = make_array<T>(items.size());
    if (!items.empty()) std::memcpy(static_cast<void*>(out), items.data(), items.size_bytes());
    return {out, items.size()};
  }

  std::string_view copy(std::string_view text) {
    char* out = make_array<char>(text.size());
    if (!text.empty()) std::memcpy(out, text.data(), text.size());
    return {out, text.size()};
  }

  // `left` followed by `right`.  Long results get room behind them, and where `left` is the newest
  // end of such a text it grows in place: a template that gathers its output in a variable
  // stays linear.  Texts are views with a length, so whoever holds `left` does not see the bytes
  // behind it.
  std::string_view append(std::string_view left, std::string_view right) {
    const std::size_t size = left.size() + right.size();
    for (Growable& growable : growables_) {
      const bool is_newest = growable.end && left.data() + left.size() == growable.end;
      if (!is_newest || right.size() > static_cast<std::size_t>(growable.limit - growable.end)) {
        continue;
      }
      if (!right.empty()) std::memmove(growable.end, right.data(), right.size());
      growable.end += right.size();
      return {left.data(), size};
    }
    const std::size_t capacity = size < kGrowableBytesMin ? size : size * 2;
    char* out = make_array<char>(capacity);
    if (!left.empty()) std::memcpy(out, left.data(), left.size());
    if (!right.empty()) std::memcpy(out + left.size(), right.data(), right.size());
    if (capacity > size) growables_[next_growable_++ % kGrowables] = {out + size, out + capacity};
    return {out, size};
  }

  std::size_t bytes_reserved() const { return bytes_reserved_; }

 private:
  static constexpr std::size_t kFirstBlockBytes = std::size_t{16} << 10;
  static constexpr std::size_t kBlockBytesMax = std::size_t{1} << 20;

  // A text that may go on growing: where it ends now and how far its room reaches.
  struct Growable {
    char* end = nullptr;
    char* limit = nullptr;
  };
  static constexpr std::size_t kGrowables = 4;
  static constexpr std::size_t kGrowableBytesMin = 256;

  // Blocks are aligned for everything.  A large request gets a block of its own, so that what is
  // left of the current one is not lost.
  char* allocate_block(std::size_t bytes) {
    std::size_t size = size_ == 0 ? kFirstBlockBytes : std::min(size_ * 2, kBlockBytesMax);
    const bool is_large = bytes > size / 4;
    if (is_large) size = bytes;
    blocks_.push_back(std::make_unique_for_overwrite<char[]>(size));
    bytes_reserved_ += size;
    if (is_large) return blocks_.back().get();
    block_ = blocks_.back().get();
    size_ = size;
    used_ = bytes;
    return block_;
  }

  std::vector<std::unique_ptr<char[]>> blocks_;
  char* block_ = nullptr;
  std::size_t size_ = 0;
  std::size_t used_ = 0;
  std::size_t bytes_reserved_ = 0;
  std::array<Growable, kGrowables> growables_;
  std::size_t next_growable_ = 0;
};

}  // namespace hearth::text::jinja
