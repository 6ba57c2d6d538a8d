// Memory that only grows, aligned to a cache line and not initialised: scratch of the kernels.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace hearth::tensor {

template <class T>
class AlignedBuffer {
 public:
  // At least n elements; what was in it is lost if it grows.
  T* ensure(std::size_t n) {
    if (n > size_) {
      data_.reset();
      data_.reset(static_cast<T*>(::operator new(n * sizeof(T), kAlignment)));
      size_ = n;
    }
    return data_.get();
  }
  T* data() const { return data_.get(); }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Free {
    void operator()(T* p) const { ::operator delete(p, kAlignment); }
  };
  std::unique_ptr<T, Free> data_;
  std::size_t size_ = 0;
};

}  // namespace hearth::tensor
