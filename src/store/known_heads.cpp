#include "store/known_heads.h"

#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "base/digest.h"
#include "base/file.h"

namespace hearth::store {
namespace {

// Raised with every change of what heads say, so that a newer build reads files again.
constexpr std::string_view kMagic = "hearth heads 4\n";
constexpr std::size_t kFileBytesMax = std::size_t{64} << 20;

class Writer {
 public:
  template <class T>
  void number(T value) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    out.append(bytes, sizeof value);
  }
  void text(std::string_view value) {
    number(static_cast<std::uint32_t>(value.size()));
    out.append(value);
  }
  std::string out;
};

// Each read fails for good once the bytes are spent.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : left_(bytes) {}

  template <class T>
  T number() {
    T value{};
    const std::string_view bytes = take(sizeof value);
    if (bytes.size() == sizeof value) std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  std::string text() { return std::string(take(number<std::uint32_t>())); }
  bool failed() const { return failed_; }
  bool is_done() const { return failed_ || left_.empty(); }

 private:
  std::string_view take(std::size_t n) {
    if (n > left_.size()) failed_ = true;
    if (failed_) return {};
    const std::string_view taken = left_.substr(0, n);
    left_.remove_prefix(n);
    return taken;
  }
  std::string_view left_;
  bool failed_ = false;
};

}  // namespace

HeadMap read_heads(const std::filesystem::path& path) {
  const auto file = read_file(path, kFileBytesMax);
  std::uint64_t sum = 0;
  if (!file || !file->starts_with(kMagic) || file->size() < kMagic.size() + sizeof sum) return {};
  std::memcpy(&sum, file->data() + kMagic.size(), sizeof sum);
  const std::string_view body = std::string_view(*file).substr(kMagic.size() + sizeof sum);
  if (hash64(body) != sum) return {};
  HeadMap heads;
  for (Reader in(body); !in.is_done();) {
    FileKey key;
    KnownHead known;
    key.device = in.number<std::uint64_t>();
    key.inode = in.number<std::uint64_t>();
    key.bytes = in.number<std::uint64_t>();
    key.changed_ns = in.number<std::int64_t>();
    known.head.architecture = in.text();
    known.head.quantization = in.text();
    known.head.n_context = in.number<std::uint32_t>();
    known.head.problem = in.text();
    known.head.base = in.text();
    known.head.is_adapter = in.number<std::uint32_t>() != 0;
    known.head.shape.d_model = in.number<std::uint32_t>();
    known.head.shape.d_ff = in.number<std::uint32_t>();
    known.head.shape.n_layers = in.number<std::uint32_t>();
    for (auto n_tags = in.number<std::uint32_t>(); n_tags > 0 && !in.failed(); --n_tags) {
      known.head.tags.push_back(in.text());
    }
    known.path = in.text();
    if (in.failed()) return {};
    heads.emplace(key, std::move(known));
  }
  return heads;
}

void write_heads(const std::filesystem::path& path, const HeadMap& heads) {
  Writer body;
  for (const auto& [key, known] : heads) {
    body.number(key.device);
    body.number(key.inode);
    body.number(key.bytes);
    body.number(key.changed_ns);
    body.text(known.head.architecture);
    body.text(known.head.quantization);
    body.number(known.head.n_context);
    body.text(known.head.problem);
    body.text(known.head.base);
    body.number(std::uint32_t{known.head.is_adapter});
    body.number(known.head.shape.d_model);
    body.number(known.head.shape.d_ff);
    body.number(known.head.shape.n_layers);
    body.number(static_cast<std::uint32_t>(known.head.tags.size()));
    for (const std::string& tag : known.head.tags) body.text(tag);
    body.text(known.path);
  }
  Writer file;
  file.out = kMagic;
  file.number(hash64(std::string_view(body.out)));
  // Where it can't be kept, the next start is slower and nothing else.
  (void)write_file_atomic(path, file.out + body.out);
}

}  // namespace hearth::store
