#include "gguf/foreign_file.h"

#include <algorithm>
#include <array>

namespace hearth::gguf {
namespace {

struct Signature {
  std::string_view prefix;
  std::size_t offset;
  std::string_view clause;
};

// The first match wins.  Safetensors files open with a u64 length and then a JSON object.
constexpr std::array kSignatures = std::to_array<Signature>({
    {"version https://git-lfs", 0,
     "it is a Git LFS pointer to the model: run 'git lfs pull' in its folder"},
    {"HERTMODL", 0, "it is a model that was imported: name the file that it was imported from"},
    {"HERTPACK", 0, "it is a pack of Hearth's store: name a model of `hearth models list`"},
    {"<!DOCTYPE", 0, "it is a web page, probably a login or error page: download the file again"},
    {"<!doctype", 0, "it is a web page, probably a login or error page: download the file again"},
    {"<html", 0, "it is a web page, probably a login or error page: download the file again"},
    {"FUGG", 0, "it has GGUF's magic backwards: convert it on a little-endian machine"},
    {"tjgg", 0, "it is in the GGML format that GGUF replaced: get the model as GGUF"},
    {"lmgg", 0, "it is in the GGML format that GGUF replaced: get the model as GGUF"},
    {"fmgg", 0, "it is in the GGML format that GGUF replaced: get the model as GGUF"},
    {"PK\x03\x04", 0, "it is a zip archive or a PyTorch checkpoint: convert the model to GGUF"},
    {"\x1f\x8b", 0, "it is compressed with gzip: unpack it first"},
    {"{\"", 8, "it looks like a safetensors file: convert the model to GGUF"},
});

bool is_text(std::span<const std::byte> head) {
  return std::ranges::all_of(head, [](std::byte b) {
    const auto c = static_cast<unsigned char>(b);
    return c >= 0x20 || c == '\n' || c == '\r' || c == '\t';
  });
}

}  // namespace

std::string_view describe_foreign_file(std::span<const std::byte> head) {
  constexpr std::size_t kProbeBytes = 256;
  head = head.first(std::min(head.size(), kProbeBytes));
  if (head.empty()) return "it is empty: download it again";
  const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
  for (const Signature& s : kSignatures) {
    if (text.size() >= s.offset && text.substr(s.offset).starts_with(s.prefix)) return s.clause;
  }
  if (is_text(head)) return "it is a text file: give the path of the model's .gguf file";
  return "it does not begin with 'GGUF': give the path of a model in GGUF format";
}

}  // namespace hearth::gguf
