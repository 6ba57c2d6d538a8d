#include "server/page_conversations.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <optional>

#include "base/digest.h"
#include "base/file.h"

namespace hearth::server {
namespace {

namespace fs = std::filesystem;
using api::hearth::ConversationHead;

constexpr std::string_view kEnding = ".json";
constexpr std::size_t kHeadBytesMax = 8 * api::hearth::kConversationTitleBytesMax;  // A byte may take six escaped.
constexpr std::size_t kOwnerDigits = 16;

// The files of a folder that may be conversations, with their sizes.
template <class See>
void each_file(const fs::path& folder, See see) {
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (at->path().extension() == kEnding && at->is_regular_file(ignored)) see(at->path(), at->file_size(ignored));
  }
}

std::optional<ConversationHead> read_head(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::string line(kHeadBytesMax, '\0');
  in.read(line.data(), static_cast<std::streamsize>(line.size()));
  line.resize(static_cast<std::size_t>(in.gcount()));
  const std::size_t end = line.find('\n');
  if (end == std::string::npos) return std::nullopt;
  auto head = api::hearth::parse_head_line(std::string_view(line).substr(0, end));
  if (!head || head->id + std::string(kEnding) != file.filename().string()) return std::nullopt;
  std::error_code ignored;
  head->bytes = fs::file_size(file, ignored) - end - 1;
  return *std::move(head);
}

std::unexpected<Error> not_kept(std::string_view id) {
  return fail(Code::kNotFound, fmt::format("no conversation '{}' is kept here", id));
}

Result<> make_private_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error) fs::permissions(folder, fs::perms::owner_all, error);
  if (error) return std::unexpected(file_error("create", folder, error.value()));
  return {};
}

}  // namespace

fs::path ConversationFolder::folder(std::string_view owner) const {
  return owner.empty() ? root_ : root_ / to_hex(sha256(owner)).substr(0, kOwnerDigits);
}

Result<fs::path> ConversationFolder::file_of(std::string_view owner, std::string_view id) const {
  if (!api::hearth::is_conversation_id(id)) return not_kept(id);
  return folder(owner) / (std::string(id) + std::string(kEnding));
}

std::vector<ConversationHead> ConversationFolder::list(std::string_view owner) const {
  std::vector<ConversationHead> heads;
  each_file(folder(owner), [&](const fs::path& file, std::uintmax_t) {
    if (auto head = read_head(file)) heads.push_back(*std::move(head));
  });
  std::ranges::sort(heads, std::ranges::greater(), &ConversationHead::updated_at_ms);
  return heads;
}

Result<std::string> ConversationFolder::get(std::string_view owner, std::string_view id) const {
  HEARTH_TRY(const fs::path file, file_of(owner, id));
  auto text = read_file(file, kHeadBytesMax + api::hearth::kConversationBytesMax);
  if (!text && text.error().code == Code::kNotFound) return not_kept(id);
  if (!text) return std::unexpected(text.error());
  const std::size_t end = text->find('\n');
  if (end == std::string::npos) return fail(Code::kCorrupt, fmt::format("'{}' is no kept conversation", file.string()));
  text->erase(0, end + 1);
  return *std::move(text);
}

Result<> ConversationFolder::check_room(std::string_view owner, const fs::path& replaced, std::uint64_t bytes) const {
  std::size_t n = 1;
  each_file(folder(owner), [&](const fs::path& file, std::uintmax_t size) {
    if (file == replaced) return;
    ++n;
    bytes += size;
  });
  if (n <= api::hearth::kConversationsMax && bytes <= api::hearth::kConversationsBytesMax) return {};
  return fail(Code::kOutOfBudget,
              fmt::format("{} conversations of {} bytes would be kept in '{}', at most {} of {} are: delete some", n, bytes,
                          folder(owner).string(), api::hearth::kConversationsMax, api::hearth::kConversationsBytesMax));
}

Result<> ConversationFolder::put(std::string_view owner, const ConversationHead& head, std::string_view body) {
  HEARTH_TRY(const fs::path file, file_of(owner, head.id));
  const std::lock_guard lock(writing_);
  HEARTH_TRY_VOID(check_room(owner, file, body.size()));
  HEARTH_TRY_VOID(make_private_folder(root_));
  HEARTH_TRY_VOID(make_private_folder(folder(owner)));
  return write_file_atomic(file, api::hearth::render_head_line(head) + std::string(body));
}

Result<> ConversationFolder::drop(std::string_view owner, std::string_view id) {
  HEARTH_TRY(const fs::path file, file_of(owner, id));
  const std::lock_guard lock(writing_);
  std::error_code error;
  if (!fs::remove(file, error)) {
    if (error) return std::unexpected(file_error("delete", file, error.value()));
    return not_kept(id);
  }
  sync_folder(folder(owner));
  return {};
}

}  // namespace hearth::server
