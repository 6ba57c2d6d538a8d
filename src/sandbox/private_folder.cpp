#include "sandbox/private_folder.h"

#include <errno.h>
#include <stdlib.h>

#include <string>
#include <system_error>

#include "base/file.h"

namespace hearth::sandbox {

Result<PrivateFolder> PrivateFolder::create() {
  std::error_code error;
  const std::filesystem::path parent = std::filesystem::temp_directory_path(error);
  std::string name = (error ? std::filesystem::path("/tmp") : parent) / "hearth-kernel-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr)
    return std::unexpected(file_error("can't make a folder", name, errno));
  return PrivateFolder(name);
}

PrivateFolder::~PrivateFolder() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

}  // namespace hearth::sandbox
