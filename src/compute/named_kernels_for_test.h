// Tests by the names of kernels: honest ones, and cheats with what they are caught by.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <ostream>
#include <string>

#include "compute/kernels_for_test.h"

namespace hearth::compute {

struct NamedKernel {
  const char* name;
  TestKernel kernel;
  const char* caught = "";  // Of a cheat: a part of the sentence that it ends with.
};
inline std::string name_of(const testing::TestParamInfo<NamedKernel>& test) {
  return test.param.name;
}
inline void PrintTo(const NamedKernel& kernel, std::ostream* out) { *out << kernel.name; }

// `built` is what became of `cheat`.
inline void expect_caught(const NamedKernel& cheat,
                          const Result<std::shared_ptr<const Kernel>>& built) {
  ASSERT_FALSE(built) << "the cheat passed";
  EXPECT_EQ(built.error().code, Code::kInvalidArgument) << built.error().message;
  EXPECT_THAT(built.error().message, testing::HasSubstr(cheat.caught));
  EXPECT_THAT(built.error().message, testing::Not(testing::HasSubstr("root:")))
      << "a file of this machine would go back";
}

}  // namespace hearth::compute
