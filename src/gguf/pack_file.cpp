#include "gguf/pack_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "base/file.h"

namespace hearth::gguf {
namespace {

// Packs that are mapped, by what they are and not by what they are called.
struct Mapped {
  std::mutex mutex;
  std::map<std::pair<dev_t, ino_t>, std::weak_ptr<const PackFile>> packs;
};

Mapped& mapped() {
  static Mapped all;
  return all;
}

std::unexpected<Error> corrupt(const std::filesystem::path& path, std::string_view what) {
  return fail(Code::kCorrupt,
              fmt::format("the pack '{}' {}: run `hearth models verify`, and import what it lists "
                          "again",
                          path.string(), what));
}

// Address space for `size` bytes that begins at a multiple of a large page.
void* reserve(std::size_t size) {
  const std::size_t room = size + kExtentAlignment;
  void* const base =
      ::mmap(nullptr, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return base;
  const auto begin = reinterpret_cast<std::uintptr_t>(base);
  const std::uintptr_t start =
      (begin + kExtentAlignment - 1) / kExtentAlignment * kExtentAlignment;
  const std::uintptr_t page = 4096, end = (start + size + page - 1) / page * page;
  if (start > begin) ::munmap(base, start - begin);
  if (begin + room > end) ::munmap(reinterpret_cast<void*>(end), begin + room - end);  // NOLINT
  return reinterpret_cast<void*>(start);                                               // NOLINT
}

}  // namespace

Result<std::shared_ptr<const PackFile>> PackFile::open(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return std::unexpected(file_error("open the pack", path, errno));
  struct stat info {};
  Result<std::shared_ptr<const PackFile>> pack;
  if (::fstat(fd, &info) != 0) {
    pack = std::unexpected(file_error("stat the pack", path, errno));
  } else if (!S_ISREG(info.st_mode) || info.st_size < static_cast<off_t>(sizeof(PackHead))) {
    pack = corrupt(path, "is cut off");
  } else {
    const std::pair key(info.st_dev, info.st_ino);
    const auto size = static_cast<std::size_t>(info.st_size);
    const std::lock_guard lock(mapped().mutex);
    auto& known = mapped().packs[key];
    const auto shared = known.lock();
    // One that was damaged, or has another size now, is not what it was.
    if (shared != nullptr && shared->size_ == size && !shared->is_damaged()) {
      pack = shared;
    } else {
      pack = map(path, fd, size);
      if (pack) known = *pack;
    }
  }
  ::close(fd);
  return pack;
}

Result<std::shared_ptr<const PackFile>> PackFile::map(const std::filesystem::path& path, int fd,
                                                      std::size_t size) {
  void* const at = reserve(size);
  if (at == MAP_FAILED) return std::unexpected(file_error("map the pack", path, errno));
  if (::mmap(at, size, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
    const int error = errno;
    ::munmap(at, size);
    return std::unexpected(file_error("map the pack", path, error));
  }
  const std::shared_ptr<PackFile> pack(new PackFile());
  pack->path_ = path;
  pack->data_ = static_cast<const std::byte*>(at);
  pack->size_ = size;
  pack->guard_ = FaultGuard(pack->bytes());
  HEARTH_TRY_VOID(pack->check());
  return pack;
}

Result<> PackFile::check() {
  PackHead head;
  std::memcpy(&head, data_, sizeof head);
  if (head.magic != kPackMagic) return corrupt(path_, "does not begin as one");
  if (head.version != kStoreVersion) {
    return fail(Code::kUnsupported,
                fmt::format("the pack '{}' has version {}, this build reads {}: import its models "
                            "again with this build",
                            path_.string(), head.version, kStoreVersion));
  }
  if (head.file_bytes != size_) {
    return corrupt(path_, fmt::format("has {} bytes, {} expected", size_, head.file_bytes));
  }
  if (head.n_objects > kObjectsMax || head.n_objects > (size_ - sizeof head) / sizeof(PackObject)) {
    return corrupt(path_, fmt::format("claims {} objects", head.n_objects));
  }
  const auto table = bytes().subspan(sizeof head, head.n_objects * sizeof(PackObject));
  if (sum_of(head, table) != head.sum) return corrupt(path_, "has a damaged table");
  objects_ = {reinterpret_cast<const PackObject*>(table.data()), head.n_objects};
  for (const PackObject& object : objects_) {
    if (object.offset > size_ || object.bytes > size_ - object.offset) {
      return corrupt(path_, "has objects outside of it");
    }
  }
  return {};
}

PackFile::~PackFile() {
  guard_ = {};  // Before its addresses can become another mapping's.
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace hearth::gguf
