// A folder that is one task's own, in the system's folder for temporary files, gone with its owner.
#pragma once

#include <filesystem>
#include <utility>

#include "base/result.h"

namespace hearth::sandbox {

// Threading: externally synchronised.
class PrivateFolder {
 public:
  // Nobody else may look into it.  An error of the file system's, with the folder's name.
  static Result<PrivateFolder> create();

  PrivateFolder(PrivateFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  PrivateFolder& operator=(PrivateFolder&&) = delete;
  ~PrivateFolder();

  const std::filesystem::path& path() const { return path_; }

 private:
  explicit PrivateFolder(std::filesystem::path path) : path_(std::move(path)) {}

  std::filesystem::path path_;
};

}  // namespace hearth::sandbox
