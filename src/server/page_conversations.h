// Conversations that a person had the page keep on the hub: a file each, for its owner's eyes alone.
//
// A file holds the head on its first line and the conversation below it, so that a list reads a few hundred bytes
// of each.  It is written beside its place and renamed over it: a crash leaves the old one or the new one.
// Where the hub has keys, each key's name has a folder of its own: who uses another key sees none of it.
#pragma once

#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "api/hearth/conversations.h"
#include "base/result.h"

namespace hearth::server {

// Threading: any thread.  All wait for the disk.
class ConversationFolder {
 public:
  explicit ConversationFolder(std::filesystem::path root) : root_(std::move(root)) {}

  // Where `owner`'s lie; "" where the hub has no keys.
  std::filesystem::path folder(std::string_view owner) const;

  // The newest first.  What is none of ours is skipped.
  std::vector<api::hearth::ConversationHead> list(std::string_view owner) const;
  // As it was put.  kNotFound; kCorrupt.
  Result<std::string> get(std::string_view owner, std::string_view id) const;
  // Folders are made for their owner alone (0700), files 0600.  kOutOfBudget: there are too many already,
  // or they are too large.
  Result<> put(std::string_view owner, const api::hearth::ConversationHead& head, std::string_view body);
  Result<> drop(std::string_view owner, std::string_view id);  // kNotFound.

 private:
  Result<std::filesystem::path> file_of(std::string_view owner, std::string_view id) const;
  Result<> check_room(std::string_view owner, const std::filesystem::path& replaced, std::uint64_t bytes) const;

  const std::filesystem::path root_;
  std::mutex writing_;  // So that the limits hold.
};

}  // namespace hearth::server
