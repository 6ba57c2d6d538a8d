#include "gguf/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <type_traits>

namespace hearth::gguf {
namespace {

static_assert(std::is_trivially_copyable_v<ManifestHead> && sizeof(ManifestHead) % 8 == 0);

constexpr std::size_t kAlignment = 64;

std::size_t aligned(std::size_t n) { return (n + kAlignment - 1) / kAlignment * kAlignment; }

std::unexpected<Error> refuse(Code code, std::string_view file, std::string_view what) {
  return fail(code, fmt::format("the manifest '{}' {}: import the model again", file, what));
}

bool is_within(const Place& place, std::size_t size) {
  return place.offset % 8 == 0 && place.offset <= size && place.bytes <= size - place.offset;
}

template <class T>
std::span<const T> as_array(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
}

}  // namespace

bool Manifest::is_manifest(std::span<const std::byte> head) {
  std::uint64_t magic = 0;
  if (head.size() >= sizeof magic) std::memcpy(&magic, head.data(), sizeof magic);
  return magic == kManifestMagic;
}

Result<Manifest> Manifest::open(const std::filesystem::path& path) {
  HEARTH_TRY(MappedFile file, MappedFile::open(path));
  HEARTH_TRY(Manifest manifest, parse(file.bytes(), path.string()));
  manifest.file_ = std::move(file);
  return manifest;
}

Result<Manifest> Manifest::parse(std::span<const std::byte> bytes, std::string name) {
  Manifest manifest;
  manifest.file_name_ = std::move(name);
  HEARTH_TRY_VOID(manifest.read(bytes));
  return manifest;
}

Result<> Manifest::read(std::span<const std::byte> bytes) {
  if (!is_manifest(bytes)) return refuse(Code::kCorrupt, file_name_, "does not begin as one");
  // The version comes before everything that a version may change.
  constexpr std::size_t kHeadBytesMin = 16;
  if (bytes.size() < kHeadBytesMin) return refuse(Code::kCorrupt, file_name_, "is cut off");
  std::uint32_t version = 0;
  std::memcpy(&version, bytes.data() + sizeof(std::uint64_t), sizeof version);
  if (version != kStoreVersion) {
    return refuse(Code::kUnsupported, file_name_,
                  fmt::format("is of another version of Hearth ({}, this one reads {})", version,
                              kStoreVersion));
  }
  if (bytes.size() < sizeof(ManifestHead)) return refuse(Code::kCorrupt, file_name_, "is cut off");
  bytes_ = bytes;
  head_ = reinterpret_cast<const ManifestHead*>(bytes.data());
  if (head_->file_bytes != bytes.size()) {
    return refuse(Code::kCorrupt, file_name_,
                  fmt::format("has {} bytes, {} expected", bytes.size(), head_->file_bytes));
  }
  if (sum_of(*head_, bytes.subspan(sizeof(ManifestHead))) != head_->sum) {
    return refuse(Code::kCorrupt, file_name_, "is damaged: its checksum does not match");
  }
  for (const Place& place : {head_->header, head_->refs, head_->packs, head_->name,
                             head_->source_path, head_->quantization}) {
    if (!is_within(place, bytes.size())) {
      return refuse(Code::kCorrupt, file_name_, "has a section outside of it");
    }
  }
  refs_ = as_array<TensorRef>(part(head_->refs));
  packs_ = as_array<PackRef>(part(head_->packs));
  return check_refs();
}

Result<> Manifest::check_refs() const {
  if (refs_.size() > kObjectsMax || packs_.size() > kPacksMax) {
    return refuse(Code::kCorrupt, file_name_, "names more than a store holds");
  }
  for (const TensorRef& ref : refs_) {
    if (ref.pack >= packs_.size()) {
      return refuse(Code::kCorrupt, file_name_, "names a pack that it does not list");
    }
    const std::uint64_t room = packs_[ref.pack].file_bytes;
    if (ref.offset % kObjectAlignment != 0 || ref.offset > room || ref.bytes > room - ref.offset) {
      return refuse(Code::kCorrupt, file_name_, "names bytes outside of a pack");
    }
  }
  return {};
}

std::uint64_t Manifest::identity() const {
  std::uint64_t hash = hash64(header());
  hash = hash64(std::as_bytes(std::span(head_->vocab)), hash);
  for (const TensorRef& ref : refs_) hash = hash64(std::as_bytes(std::span(ref.key)), hash);
  return hash;
}

std::string_view Manifest::text(const Place& place) const {
  const auto bytes = part(place);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string write_manifest(const ManifestDraft& draft) {
  std::string out(sizeof(ManifestHead), '\0');
  ManifestHead head = draft.head;
  const auto append = [&out](const void* data, std::size_t bytes) {
    out.resize(aligned(out.size()));
    const Place place{out.size(), bytes};
    out.append(static_cast<const char*>(data), bytes);
    return place;
  };
  head.header = append(draft.header.data(), draft.header.size());
  head.refs = append(draft.refs.data(), draft.refs.size() * sizeof(TensorRef));
  head.packs = append(draft.packs.data(), draft.packs.size() * sizeof(PackRef));
  head.name = append(draft.name.data(), draft.name.size());
  head.source_path = append(draft.source_path.data(), draft.source_path.size());
  head.quantization = append(draft.quantization.data(), draft.quantization.size());
  out.resize(aligned(out.size()));
  head.file_bytes = out.size();
  head.sum = sum_of(head, std::as_bytes(std::span(out)).subspan(sizeof head));
  std::memcpy(out.data(), &head, sizeof head);
  return out;
}

std::filesystem::path StorePaths::pack(const Sha256& id) const {
  return packs() / fmt::format("{}{}", to_hex(id), kPackSuffix);
}

std::filesystem::path StorePaths::vocab_source(const Sha256& key) const {
  return vocab() / fmt::format("{}.gguf", to_hex(key));
}

namespace {

std::string file_of(std::string_view name) {
  std::string file;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    const bool is_plain = std::isalnum(byte) != 0 || byte >= 0x80 ||
                          (std::string_view("._-:@+ ").contains(c) && !file.empty());
    if (is_plain) {
      file += c;
    } else {
      file += fmt::format("%{:02X}", byte);
    }
  }
  return file;
}

}  // namespace

std::filesystem::path StorePaths::manifest(std::string_view name) const {
  return models() / (file_of(name) + std::string(kManifestSuffix));
}

std::filesystem::path StorePaths::adapter(std::string_view name) const {
  return adapters() / (file_of(name) + ".gguf");
}

StorePaths StorePaths::of_manifest(const std::filesystem::path& manifest) {
  return {manifest.parent_path().parent_path()};
}

}  // namespace hearth::gguf
