#include "store/folder_walk.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/ascii.h"
#include "store/places.h"

namespace hearth::store {
namespace {

namespace fs = std::filesystem;

}  // namespace

void FolderWalk::files(const fs::path& root, std::string_view suffix, const Visit& visit) {
  std::error_code error;
  if (!fs::exists(root, error) && (!error || error == std::errc::no_such_file_or_directory)) return;
  enter(root, 0, suffix, visit);
}

void FolderWalk::enter(const fs::path& folder, int depth, std::string_view suffix,
                       const Visit& visit) {
  if (depth > kFolderDepthMax) {
    notes_.push_back(fmt::format("'{}' was not searched: it lies more than {} folders deep",
                                 folder.string(), kFolderDepthMax));
    return;
  }
  if (!first_visit(folder)) return;

  // Names first, so that the order does not depend on the file system.
  std::error_code error;
  std::vector<std::pair<fs::path, bool>> folders_and_files;  // True for a folder.
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (++n_entries_ > kFolderEntriesMax) {
      if (n_entries_ == kFolderEntriesMax + 1) {
        notes_.push_back(fmt::format("the search stopped in '{}' after {} files and folders",
                                     folder.string(), kFolderEntriesMax));
      }
      break;
    }
    std::error_code ignored;  // A link that leads nowhere is no folder, but has a name.
    if (it->is_directory(ignored)) {
      folders_and_files.emplace_back(it->path(), true);
    } else if (ends_with_ignoring_case(it->path().filename().native(), suffix)) {
      folders_and_files.emplace_back(it->path(), false);
    }
  }
  if (error)
    notes_.push_back(fmt::format("'{}' can't be read: {}", folder.string(), error.message()));
  std::ranges::sort(folders_and_files);

  for (const auto& [path, is_folder] : folders_and_files) {
    if (is_folder) {
      enter(path, depth + 1, suffix, visit);
    } else {
      visit(path);
    }
  }
}

bool FolderWalk::first_visit(const fs::path& folder) {
  struct stat info{};
  if (::stat(folder.c_str(), &info) != 0) return true;  // The iterator will say why.
  return entered_.emplace(info.st_dev, info.st_ino).second;
}

}  // namespace hearth::store
