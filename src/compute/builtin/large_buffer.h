// Scratch in large pages where the system gives them: a copied block of b is a thousand small pages, and a
// virtual machine walks two page tables for each that its processor has forgotten.
#pragma once

#include <stdlib.h>
#include <sys/mman.h>

#include <cstddef>
#include <memory>
#include <new>

namespace hearth::compute {

template <class T>
class LargeBuffer {
 public:
  // At least n elements from a page's beginning; what was in it is lost if it grows.
  T* ensure(std::size_t n) {
    if (n <= size_) return data_.get();
    data_.reset();
    const std::size_t bytes = (n * sizeof(T) + kPageBytes - 1) / kPageBytes * kPageBytes;
    data_.reset(static_cast<T*>(::operator new(bytes, std::align_val_t{kPageBytes})));
    ::madvise(data_.get(), bytes, MADV_HUGEPAGE);  // A wish: without it small ones serve.
    size_ = bytes / sizeof(T);
    return data_.get();
  }

 private:
  static constexpr std::size_t kPageBytes = std::size_t{2} << 20;
  struct Free {
    void operator()(T* p) const { ::operator delete(p, std::align_val_t{kPageBytes}); }
  };
  std::unique_ptr<T, Free> data_;
  std::size_t size_ = 0;
};

}  // namespace hearth::compute
