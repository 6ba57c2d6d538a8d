// The file PATH.head beside a ledger: number and hash of its last row, so that rows cut
// off the database's tail leave a witness outside of it.
//
// One line of fixed length, overwritten in place: "SEQ HASH\n" with SEQ in 20 digits and HASH in
// 64 hexadecimal ones.  It is written after the database's commit, so it may lag behind a crash,
// but a durable row that it names must exist.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "base/digest.h"
#include "base/result.h"

namespace hearth::ledger {

struct ChainHead {
  std::int64_t seq = 0;  // 0: no row yet.
  Sha256 hash{};

  bool operator==(const ChainHead&) const = default;
};

// Threading: externally synchronised.
class HeadFile {
 public:
  explicit HeadFile(const std::filesystem::path& ledger_path);
  ~HeadFile();
  HeadFile(const HeadFile&) = delete;
  HeadFile& operator=(const HeadFile&) = delete;

  // nullopt if there is no file; kCorrupt if it holds something else.
  Result<std::optional<ChainHead>> read() const;
  Result<> write(const ChainHead& head);

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  int fd_ = -1;
};

}  // namespace hearth::ledger
