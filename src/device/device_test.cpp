#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "device/cpu.h"
#include "device/roofs.h"

namespace hearth::device {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::string file_with(const char* name, const char* text) {
  std::string path = testing::TempDir() + name;
  std::ofstream(path) << text;
  return path;
}

TEST(CpuTest, ReadsTheFirstProcessor) {
  const auto path = file_with("cpuinfo",
                              "processor\t: 0\nmodel name\t: Some CPU @ 2:50GHz\n"
                              "flags\t\t: fpu avx2 fma avx512f nonsense\n\n"
                              "processor\t: 1\nmodel name\t: Other\nflags\t\t: avx\n");
  CpuInfo info;
  read_cpuinfo(path, info);
  EXPECT_EQ(info.model_name, "Some CPU @ 2:50GHz");
  EXPECT_THAT(info.features, ElementsAre("avx2", "fma", "avx512f"));
}

TEST(CpuTest, MissingFilesLeaveTheRestUnknown) {
  CpuInfo info;
  read_cpuinfo("/no/such/file", info);
  EXPECT_THAT(info.features, IsEmpty());
  EXPECT_EQ(read_meminfo("/no/such/file").total_bytes, 0U);
}

TEST(CpuTest, ReadsMemoryInKib) {
  const auto path = file_with("meminfo",
                              "MemTotal:       16384 kB\nMemFree: 5 kB\nMemAvailable:    1000 kB\n"
                              "Broken\nHugePages_Total:       x\n");
  EXPECT_EQ(read_meminfo(path).total_bytes, 16384U * 1024);
  EXPECT_EQ(read_meminfo(path).available_bytes, 1000U * 1024);
}

TEST(CpuTest, ThisMachine) {
  const CpuInfo info = cpu_info();
  EXPECT_FALSE(info.model_name.empty());
  EXPECT_GE(info.n_cores_online, 1U);
  EXPECT_GE(info.n_cores_usable, 1U);
  EXPECT_FALSE(info.kernels.empty());
  const MemoryInfo memory = memory_info();
  EXPECT_GT(memory.total_bytes, 0U);
  EXPECT_LE(memory.available_bytes, memory.total_bytes);
}

TEST(RoofsTest, AreOfTheRightOrder) {
  ThreadPool pool(1);
  const Roofs roofs = measure_roofs(pool);
  EXPECT_EQ(roofs.n_threads, 1U);
  // From an overloaded emulator to the fastest core there is.
  EXPECT_GT(roofs.read_gb_s, 0.05);
  EXPECT_LT(roofs.read_gb_s, 500);
  EXPECT_GT(roofs.int8_gop_s, 0.05);
  EXPECT_LT(roofs.int8_gop_s, 5000);
  EXPECT_GT(roofs.f32_gop_s, 0.05);
  EXPECT_LT(roofs.f32_gop_s, 1000);
  EXPECT_GT(roofs.f64_gop_s, 0.05);
  EXPECT_LT(roofs.f64_gop_s, 1000);
  EXPECT_GT(roofs.stream_gb_s, 0.05);
  EXPECT_LT(roofs.stream_gb_s, 500);
  RecordProperty("read_gb_s", std::to_string(roofs.read_gb_s));
  RecordProperty("int8_gop_s", std::to_string(roofs.int8_gop_s));
  RecordProperty("f32_gop_s", std::to_string(roofs.f32_gop_s));
}

}  // namespace
}  // namespace hearth::device
