#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/temp_folder_for_test.h"
#include "device/cpu.h"
#include "device/kept_roofs.h"
#include "device/roofs.h"
#include "device/temperatures.h"

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

void put(const std::filesystem::path& file, const char* text) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file) << text;
}

TEST(RoofKeeperTest, KeepsWhatThisProcessorMeasured) {
  const TempFolder folder;
  const auto file = folder / "roofs";
  RoofKeeper keeper(file, 1);
  EXPECT_FALSE(keeper.kept());
  const std::string mine = "hearth roofs 1\n" + cpu_info().model_name + "\n1700000000 2\n";
  constexpr const char* kFigures = "read_gb_s 12.5\nint8_gop_s 900\nf32_gop_s 170\nf64_gop_s 85\nstream_gb_s 9\n";
  put(file, (mine + kFigures).c_str());
  const auto kept = keeper.kept();
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->roofs.read_gb_s, 12.5);
  EXPECT_EQ(kept->roofs.stream_gb_s, 9);
  EXPECT_EQ(kept->roofs.n_threads, 2U);
  EXPECT_EQ(kept->at_unix_s, 1'700'000'000);
  for (const std::string& wrong : {std::string(), mine, mine + "read_gb_s -1\n", mine + "other 1\n", "x" + mine + kFigures,
                                   "hearth roofs 1\nAnother CPU\n1 2\n" + std::string(kFigures)}) {
    put(file, wrong.c_str());
    EXPECT_FALSE(keeper.kept()) << wrong;
  }
}

TEST(TemperaturesTest, AreReadOfMonitorsElseOfZones) {
  const TempFolder temporary;
  const auto& folder = temporary.path();
  EXPECT_THAT(temperatures(folder), IsEmpty());
  put(folder / "thermal/thermal_zone0/type", "x86_pkg_temp\n");
  put(folder / "thermal/thermal_zone0/temp", "51000\n");
  put(folder / "thermal/thermal_zone1/type", "broken\n");
  put(folder / "thermal/thermal_zone1/temp", "-274000\n");
  put(folder / "thermal/cooling_device0/type", "Fan\n");
  ASSERT_EQ(temperatures(folder).size(), 1U);
  EXPECT_EQ(temperatures(folder)[0].sensor, "x86_pkg_temp");
  EXPECT_EQ(temperatures(folder)[0].celsius, 51);
  put(folder / "hwmon/hwmon0/name", "coretemp\n");
  put(folder / "hwmon/hwmon0/temp1_input", "48500\n");
  put(folder / "hwmon/hwmon0/temp1_label", "Package id 0\n");
  put(folder / "hwmon/hwmon0/temp2_input", "nonsense\n");
  put(folder / "hwmon/hwmon1/name", "nvme\n");
  put(folder / "hwmon/hwmon1/temp1_input", "36000\n");
  const auto all = temperatures(folder);
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].sensor, "coretemp Package id 0");
  EXPECT_EQ(all[0].celsius, 48.5);
  EXPECT_EQ(all[1].sensor, "nvme temp1");
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
