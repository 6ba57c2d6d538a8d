// The compiled kernel of the bridge's tests, as a hub would find it on its shelf.
#pragma once

#include <memory>
#include <string>

#include "base/file.h"
#include "compute/bridge/services.h"
#include "sandbox/owned_fd.h"

namespace hearth::client {

inline constexpr const char* kTestSignature = "out f64[n], in f64[n], what i64";
inline constexpr const char* kTouchSignature = "out f64[1], in f64[n], what i64";  // For kTouch.

// What it is asked to do (test_support/kernel.cpp).
enum TestTask : std::int64_t { kDouble = 0, kDeafLoop = 1, kLoop = 2, kWriteBehind = 3, kWriteInput = 4, kTouch = 5 };

inline Result<std::shared_ptr<const compute::bridge::JailedKernel>> test_kernel(const char* signature = kTestSignature) {
  auto kernel = std::make_shared<compute::bridge::JailedKernel>();
  kernel->name = "test";
  kernel->key = "0123";
  kernel->receipt = "{}";
  kernel->is_verified = true;
  HEARTH_TRY(kernel->signature, compute::parse_signature(signature));
  kernel->cost = [](const compute::Bindings& bound) -> Result<compute::Cost> {
    return compute::Cost{bound.tensors[0].n_elements(), 16 * bound.tensors[0].n_elements()};
  };
  HEARTH_TRY(const std::string image, read_file(HEARTH_TEST_KERNEL));
  HEARTH_TRY(kernel->image, sandbox::make_sealed_memory("test kernel", std::as_bytes(std::span(image))));
  return std::shared_ptr<const compute::bridge::JailedKernel>(std::move(kernel));
}

}  // namespace hearth::client
