// A folder that goes with the test.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

namespace hearth {

class TempFolder {
 public:
  explicit TempFolder(std::string_view purpose = "test") {
    std::string name = std::filesystem::temp_directory_path() / "hearth-";
    name.append(purpose).append("-XXXXXX");
    path_ = ::mkdtemp(name.data());
  }
  ~TempFolder() { remove(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

  // Also what a writer puts there, or takes away, meanwhile.  Whether it is gone.
  static bool remove(const std::filesystem::path& folder) {
    constexpr int kTriesMax = 1000;
    std::error_code error;
    for (int i = 0; i < kTriesMax; ++i) {
      std::filesystem::remove_all(folder, error);
      if (!error) return true;
    }
    return false;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace hearth
