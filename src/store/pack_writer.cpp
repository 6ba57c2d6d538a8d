#include "store/pack_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/file.h"
#include "store/object_key.h"
#include "store/store_lock.h"

namespace hearth::store {
namespace {

using gguf::PackObject;

constexpr std::size_t kPieceBytes = std::size_t{8} << 20;
// An extent that holds so much is followed by the next: of 16 MiB, at most an eighth is padding.
constexpr std::uint64_t kExtentBytes = std::uint64_t{16} << 20;

std::uint64_t aligned(std::uint64_t n, std::uint64_t alignment) {
  return (n + alignment - 1) / alignment * alignment;
}

std::uint64_t head_bytes(std::size_t n_objects) {
  return aligned(sizeof(gguf::PackHead) + n_objects * sizeof(PackObject), gguf::kExtentAlignment);
}

}  // namespace

Result<PackWriter> PackWriter::create(const gguf::StorePaths& store, std::size_t n_objects_max,
                                      std::uint64_t bytes_max) {
  PackWriter writer;
  writer.store_ = store;
  writer.n_objects_max_ = n_objects_max;
  writer.temporary_ = (store.packs() / (std::string(kTemporaryPrefix) + "XXXXXX")).string();
  writer.fd_ = ::mkostemp(writer.temporary_.data(), O_CLOEXEC);
  if (writer.fd_ < 0) {
    return std::unexpected(file_error("create a pack in", store.packs(), errno));
  }
  const std::uint64_t head = head_bytes(n_objects_max);
  const std::uint64_t padding =
      n_objects_max * gguf::kObjectAlignment +
      (bytes_max / kExtentBytes + 1) * gguf::kExtentAlignment;
  // Some file systems can't take room ahead; then writing finds out whether there is enough.
  const auto wanted = static_cast<off_t>(head + bytes_max + padding);
  if (::fallocate(writer.fd_, 0, 0, wanted) != 0 && (errno == ENOSPC || errno == EDQUOT)) {
    return fail(Code::kOutOfBudget,
                fmt::format("the disk of '{}' has no {} MB left for the model: free some, or choose "
                            "another place with XDG_DATA_HOME",
                            store.root.string(), wanted / 1'000'000));
  }
  writer.extent_begin_ = writer.end_ = writer.written_ = head;
  writer.piece_.reserve(kPieceBytes);
  return writer;
}

PackWriter::PackWriter(PackWriter&& other) noexcept
    : store_(std::move(other.store_)),
      temporary_(std::exchange(other.temporary_, {})),
      fd_(std::exchange(other.fd_, -1)),
      n_objects_max_(other.n_objects_max_),
      extent_begin_(other.extent_begin_),
      end_(other.end_),
      written_(other.written_),
      piece_(std::move(other.piece_)),
      objects_(std::move(other.objects_)) {}

PackWriter::~PackWriter() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Result<PackObject> PackWriter::append(PackObject object, std::span<const std::byte> bytes) {
  HEARTH_CHECK(objects_.size() < n_objects_max_);
  std::uint64_t at = aligned(end_, gguf::kObjectAlignment);
  if (at - extent_begin_ >= kExtentBytes) {
    at = aligned(at, gguf::kExtentAlignment);
    extent_begin_ = at;
  }
  object.offset = at;
  object.bytes = bytes.size();
  object.sum = hash64(bytes);
  for (std::uint64_t gap = at - end_; gap > 0;) {
    static constexpr std::byte kZeros[4096]{};
    const std::uint64_t n = std::min<std::uint64_t>(gap, sizeof kZeros);
    HEARTH_TRY_VOID(fill(std::span(kZeros).first(n)));
    gap -= n;
  }
  HEARTH_TRY_VOID(fill(bytes));
  end_ = at + bytes.size();
  objects_.push_back(object);
  return object;
}

Result<> PackWriter::fill(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::size_t n = std::min(bytes.size(), kPieceBytes - piece_.size());
    piece_.insert(piece_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
    bytes = bytes.subspan(n);
    if (piece_.size() == kPieceBytes) HEARTH_TRY_VOID(flush());
  }
  return {};
}

Result<> PackWriter::flush() {
  HEARTH_TRY_VOID(write_at(written_, piece_));
  written_ += piece_.size();
  piece_.clear();
  return {};
}

Result<> PackWriter::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::unexpected(file_error("write a pack in", store_.packs(), errno));
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

Result<gguf::PackRef> PackWriter::commit() {
  HEARTH_TRY_VOID(flush());
  gguf::PackHead head;
  head.n_objects = static_cast<std::uint32_t>(objects_.size());
  head.file_bytes = end_;
  const auto table = std::as_bytes(std::span(objects_));
  head.sum = gguf::sum_of(head, table);
  HEARTH_TRY_VOID(write_at(0, std::as_bytes(std::span(&head, 1))));
  HEARTH_TRY_VOID(write_at(sizeof head, table));

  const gguf::PackRef ref{pack_id(objects_), end_};
  const std::filesystem::path path = store_.pack(ref.id);
  const bool is_done = ::ftruncate(fd_, static_cast<off_t>(end_)) == 0 &&
                       ::fchmod(fd_, 0444) == 0 && ::fsync(fd_) == 0 &&
                       ::rename(temporary_.c_str(), path.c_str()) == 0;
  if (!is_done) return std::unexpected(file_error("finish the pack", path, errno));
  temporary_.clear();
  sync_folder(store_.packs());
  return ref;
}

}  // namespace hearth::store
