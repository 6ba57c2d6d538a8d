// What the head of a GGUF file says about the model in it.
#pragma once

#include <compare>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace hearth::store {

// A file as it was when it was read: another size or time of change means another content.
struct FileKey {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t bytes = 0;
  std::int64_t changed_ns = 0;
  auto operator<=>(const FileKey&) const = default;
};

// Absent for what is no readable regular file.
std::optional<FileKey> file_key(const std::filesystem::path& path);

// Numbers by which an adapter and its base are told to belong together; 0: not known.
struct Shape {
  std::uint32_t d_model = 0;
  std::uint32_t d_ff = 0;
  std::uint32_t n_layers = 0;  // Of an adapter: at least.
  bool operator==(const Shape&) const = default;
};

struct Head {
  std::string architecture;
  std::string quantization;  // The type that most weight bytes have.
  std::uint32_t n_context = 0;
  Shape shape;
  bool is_adapter = false;  // Not a model, but a change to one.
  // Of an adapter: what its makers called the model; of a stored model that is kept as a difference of
  // another one, that one's name.
  std::string base;
  std::vector<std::string> tags;  // What its makers call it (GGUF general.tags), in lower case.
  std::string problem;  // Why no model can be run from this file; empty if one may.
  bool operator==(const Head&) const = default;
};

// Maps the file and reads metadata and tensor table; never the weights.
Head read_head(const std::filesystem::path& path);

// The problem of a model at `path` of this architecture where only `supported` ones run; empty if
// none.
std::string architecture_problem(const std::filesystem::path& path, const Head& head,
                                 std::span<const std::string> supported);

}  // namespace hearth::store
