// A bounded walk through folders, for files with a given suffix.
//
// Follows links to folders, but enters each folder once (by device and inode), so loops end;
// goes kFolderDepthMax deep and looks at kFolderEntriesMax entries at most over its lifetime.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hearth::store {

class FolderWalk {
 public:
  using Visit = std::function<void(const std::filesystem::path& file)>;

  // `notes` gets a sentence for each folder that can't be read and each limit that was met; it must
  // outlive the walk.
  explicit FolderWalk(std::vector<std::string>& notes) : notes_(notes) {}

  // Calls visit(path) for each file under `root` whose name ends in `suffix` (any case; "" is every
  // file), in the order of names.  A root that does not exist is no error.
  void files(const std::filesystem::path& root, std::string_view suffix, const Visit& visit);

 private:
  void enter(const std::filesystem::path& folder, int depth, std::string_view suffix,
             const Visit& visit);
  bool first_visit(const std::filesystem::path& folder);

  std::vector<std::string>& notes_;
  std::set<std::pair<std::uint64_t, std::uint64_t>> entered_;
  std::size_t n_entries_ = 0;
};

}  // namespace hearth::store
