#include "gguf/gguf_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "base/file.h"

namespace hearth::gguf {
namespace {

template <class T>
void append(std::string& out, T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof value);
}

void append_string(std::string& out, std::string_view text) {
  append(out, std::uint64_t{text.size()});
  out.append(text);
}

template <class T>
void append_array(std::string& out, ValueType type, std::span<const T> values) {
  append(out, static_cast<std::uint32_t>(type));
  append(out, std::uint64_t{values.size()});
  out.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
}

// Gathers bytes into pieces of kPieceBytes and writes them to a descriptor: large aligned
// writes give the page cache large folios, which later maps in a fraction of the time.
class PieceWriter {
 public:
  static constexpr std::size_t kPieceBytes = std::size_t{4} << 20;

  explicit PieceWriter(int fd) : fd_(fd) { piece_.reserve(kPieceBytes); }

  // Returns an errno, 0 for success.
  int append(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const std::size_t n = std::min(bytes.size(), kPieceBytes - piece_.size());
      const auto part = bytes.first(n);
      piece_.insert(piece_.end(), part.begin(), part.end());
      bytes = bytes.subspan(n);
      if (piece_.size() < kPieceBytes) continue;
      if (const int error = flush(); error != 0) return error;
    }
    return 0;
  }

  int flush() {
    std::span<const std::byte> left(piece_);
    while (!left.empty()) {
      const ssize_t n = ::write(fd_, left.data(), left.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return errno;
      left = left.subspan(static_cast<std::size_t>(n));
    }
    piece_.clear();
    return 0;
  }

 private:
  int fd_;
  std::vector<std::byte> piece_;
};

}  // namespace

GgufWriter::GgufWriter(std::uint32_t alignment) : alignment_(alignment) {
  HEARTH_CHECK(std::has_single_bit(alignment) && alignment >= 8);
  if (alignment != 32) set_u32("general.alignment", alignment);
}

void GgufWriter::append_key(std::string_view key, ValueType type) {
  HEARTH_CHECK(!key.empty() && std::ranges::find(keys_, key) == keys_.end());
  keys_.emplace_back(key);
  ++n_metadata_;
  append_string(metadata_, key);
  append(metadata_, static_cast<std::uint32_t>(type));
}

void GgufWriter::set_u32(std::string_view key, std::uint32_t value) {
  append_key(key, ValueType::kU32);
  append(metadata_, value);
}

void GgufWriter::set_u64(std::string_view key, std::uint64_t value) {
  append_key(key, ValueType::kU64);
  append(metadata_, value);
}

void GgufWriter::set_i32(std::string_view key, std::int32_t value) {
  append_key(key, ValueType::kI32);
  append(metadata_, value);
}

void GgufWriter::set_f32(std::string_view key, float value) {
  append_key(key, ValueType::kF32);
  append(metadata_, value);
}

void GgufWriter::set_bool(std::string_view key, bool value) {
  append_key(key, ValueType::kBool);
  append(metadata_, static_cast<std::uint8_t>(value));
}

void GgufWriter::set_string(std::string_view key, std::string_view value) {
  append_key(key, ValueType::kString);
  append_string(metadata_, value);
}

void GgufWriter::set_strings(std::string_view key, std::span<const std::string> values) {
  append_key(key, ValueType::kArray);
  append(metadata_, static_cast<std::uint32_t>(ValueType::kString));
  append(metadata_, std::uint64_t{values.size()});
  for (const std::string& value : values) append_string(metadata_, value);
}

void GgufWriter::set_f32s(std::string_view key, std::span<const float> values) {
  append_key(key, ValueType::kArray);
  append_array(metadata_, ValueType::kF32, values);
}

void GgufWriter::set_i32s(std::string_view key, std::span<const std::int32_t> values) {
  append_key(key, ValueType::kArray);
  append_array(metadata_, ValueType::kI32, values);
}

void GgufWriter::set_value(std::string_view key, const Value& value) {
  append_key(key, value.type());
  if (value.is_array()) {
    append(metadata_, static_cast<std::uint32_t>(value.element_type()));
    append(metadata_, std::uint64_t{value.count()});
  } else if (value.type() == ValueType::kString) {
    append(metadata_, std::uint64_t{value.payload().size()});
  }
  metadata_.append(reinterpret_cast<const char*>(value.payload().data()), value.payload().size());
}

void GgufWriter::add_tensor(std::string_view name, tensor::DType type,
                            std::span<const std::uint64_t> dims, Source source) {
  HEARTH_CHECK(!name.empty() && !dims.empty() && dims.size() <= 4);
  std::size_t bytes = tensor::row_bytes(type, dims[0]);
  for (const std::uint64_t dim : dims.subspan(1)) bytes *= dim;
  tensors_.push_back(
      {std::string(name), type, {dims.begin(), dims.end()}, bytes, std::move(source)});
}

void GgufWriter::add_tensor(std::string_view name, tensor::DType type,
                            std::span<const std::uint64_t> dims, std::span<const std::byte> bytes) {
  add_tensor(name, type, dims, [bytes](std::span<std::byte> out) {
    HEARTH_CHECK(bytes.size() == out.size());
    std::ranges::copy(bytes, out.begin());
  });
}

std::string GgufWriter::header() const {
  std::string out = "GGUF";
  append(out, std::uint32_t{3});
  append(out, std::uint64_t{tensors_.size()});
  append(out, n_metadata_);
  out += metadata_;
  std::uint64_t offset = 0;
  for (const Tensor& tensor : tensors_) {
    append_string(out, tensor.name);
    append(out, static_cast<std::uint32_t>(tensor.dims.size()));
    for (const std::uint64_t dim : tensor.dims) append(out, dim);
    append(out, static_cast<std::uint32_t>(tensor.type));
    append(out, offset);
    offset += tensor.bytes;
    offset += padding(offset);
  }
  out.append(padding(out.size()), '\0');
  return out;
}

std::string GgufWriter::to_bytes() const {
  std::string out = header();
  for (const Tensor& tensor : tensors_) {
    const std::size_t at = out.size();
    out.resize(at + tensor.bytes + padding(tensor.bytes));
    tensor.source(std::as_writable_bytes(std::span(out)).subspan(at, tensor.bytes));
  }
  return out;
}

Result<> GgufWriter::write(const std::filesystem::path& path,
                           const std::function<bool()>& goes_on) const {
  std::string temporary = path.string() + ".XXXXXX";
  const int fd = ::mkostemp(temporary.data(), O_CLOEXEC);
  if (fd < 0) return std::unexpected(file_error("create", path, errno));

  PieceWriter out(fd);
  const std::string head = header();
  int error = out.append(std::as_bytes(std::span(head)));
  std::vector<std::byte> data;
  bool stopped = false;
  for (const Tensor& tensor : tensors_) {
    if (error != 0 || stopped) break;
    data.assign(tensor.bytes + padding(tensor.bytes), std::byte{0});
    tensor.source(std::span(data).first(tensor.bytes));
    stopped = goes_on && !goes_on();
    error = out.append(data);
  }
  if (stopped) {
    ::close(fd);
    ::unlink(temporary.c_str());
    return fail(Code::kCancelled, fmt::format("writing '{}' was stopped", path.string()));
  }
  if (error == 0) error = out.flush();
  if (error == 0 && ::fchmod(fd, 0644) != 0) error = errno;
  if (error == 0 && ::fsync(fd) != 0) error = errno;
  if (::close(fd) != 0 && error == 0) error = errno;
  if (error == 0 && ::rename(temporary.c_str(), path.c_str()) != 0) error = errno;
  if (error == 0) return {};
  ::unlink(temporary.c_str());
  return std::unexpected(file_error("write", path, error));
}

}  // namespace hearth::gguf
