#include "gguf/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/utf8.h"
#include "base/utf8_bounds.h"
#include "tensor/dtype.h"

namespace hearth::gguf {
namespace {

// `text` cut to `bytes_max`, never inside a character, with what a terminal would act on escaped.
std::string printable(std::string_view text, std::size_t bytes_max) {
  const bool is_cut = text.size() > bytes_max;
  if (is_cut) text = text.substr(0, utf8_bound_up_to(text, bytes_max));
  std::string out;
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    const bool is_control = c.code_point < 0x20 || (c.code_point >= 0x7F && c.code_point < 0xA0) ||
                            (c.code_point >= 0x202A && c.code_point <= 0x202E) ||
                            (c.code_point >= 0x2066 && c.code_point <= 0x2069);
    if (c.code_point == '\n') {
      out += "\\n";
    } else if (c.code_point == '\t') {
      out += "\\t";
    } else if (!c.valid || is_control) {
      out += fmt::format("\\x{{{:x}}}",
                         c.valid ? static_cast<unsigned>(c.code_point)
                                 : static_cast<unsigned>(static_cast<unsigned char>(text[0])));
    } else {
      out += text.substr(0, c.length);
    }
    text.remove_prefix(c.length);
  }
  return is_cut ? out + "..." : out;
}

std::string type_text(const Value& value) {
  if (!value.is_array()) return std::string(value_type_name(value.type()));
  return fmt::format("array of {}", value_type_name(value.element_type()));
}

std::string number_text(std::optional<std::int64_t> whole, std::optional<std::uint64_t> natural,
                        std::optional<double> real) {
  if (whole) return fmt::format("{}", *whole);
  if (natural) return fmt::format("{}", *natural);
  if (real) return fmt::format("{:g}", *real);
  return "?";
}

std::string array_text(const Value& value, const SummaryLimits& limits) {
  std::string text = "[";
  std::size_t shown = 0;
  const auto add = [&](const std::string& item) {
    text += shown++ == 0 ? "" : ", ";
    text += item;
  };
  if (const auto strings = value.as_strings()) {
    for (auto it = strings->begin(); it != strings->end() && shown < limits.array_items_max; ++it) {
      add(fmt::format("\"{}\"", printable(*it, limits.text_bytes_max)));
    }
  } else {
    for (std::size_t i = 0; i < value.count() && shown < limits.array_items_max; ++i) {
      add(number_text(value.i64_at(i), value.u64_at(i), value.f64_at(i)));
    }
  }
  return text + (shown < value.count() ? ", ...]" : "]");
}

std::string value_text(const Value& value, const SummaryLimits& limits) {
  if (value.is_array()) return array_text(value, limits);
  if (const auto text = value.as_string()) return printable(*text, limits.text_bytes_max);
  if (const auto flag = value.as_bool()) return *flag ? "true" : "false";
  return number_text(value.as_i64(), value.as_u64(), value.as_f64());
}

std::vector<TypeSummary> types_of(const std::vector<TensorSummary>& tensors) {
  std::map<std::string, TypeSummary> by_name;
  for (const auto& tensor : tensors) {
    TypeSummary& type = by_name[tensor.type];
    type.type = tensor.type;
    ++type.n_tensors;
    type.n_elements += tensor.n_elements;
    type.bytes += tensor.bytes;
  }
  std::vector<TypeSummary> types;
  for (auto& [name, type] : by_name) types.push_back(std::move(type));
  std::ranges::sort(types, std::ranges::greater(), &TypeSummary::bytes);
  return types;
}

}  // namespace

Summary summarize(const GgufFile& file, const SummaryLimits& limits) {
  Summary made;
  made.name = printable(file.name(), file.name().size());
  made.version = file.version();
  made.alignment = file.alignment();
  made.file_bytes = file.bytes().size();
  for (const auto& next : file.rest()) made.file_bytes += next->bytes().size();
  made.header_bytes = file.header().size();
  for (const auto& [key, value] : file.metadata()) {
    made.metadata.push_back({printable(key, limits.text_bytes_max), type_text(value),
                             value_text(value, limits), value.is_array() ? value.count() : 1});
  }
  for (const auto& tensor : file.tensors()) {
    made.tensors.push_back({printable(tensor.name, limits.text_bytes_max),
                            std::string(tensor::dtype_info(tensor.type).name), tensor.shape_text(),
                            tensor.n_elements(), tensor.data.size(), tensor.offset});
    made.n_parameters += tensor.n_elements();
  }
  made.types = types_of(made.tensors);
  return made;
}

std::string to_text(const Summary& summary) {
  std::string out =
      fmt::format("{}\n  GGUF {}, {} bytes (header {}), alignment {}, {} tensors, {} parameters\n",
                  summary.name, summary.version, summary.file_bytes, summary.header_bytes,
                  summary.alignment, summary.tensors.size(), summary.n_parameters);

  std::size_t key_width = 0, name_width = 0;
  for (const auto& entry : summary.metadata) key_width = std::max(key_width, entry.key.size());
  for (const auto& tensor : summary.tensors) name_width = std::max(name_width, tensor.name.size());

  out += fmt::format("\nmetadata ({})\n", summary.metadata.size());
  for (const auto& entry : summary.metadata) {
    const std::string count =
        entry.type.starts_with("array") ? fmt::format(" ({})", entry.count) : "";
    out +=
        fmt::format("  {:<{}}  {}{} = {}\n", entry.key, key_width, entry.type, count, entry.text);
  }
  out += fmt::format("\ntensors ({})\n", summary.tensors.size());
  for (const auto& tensor : summary.tensors) {
    out += fmt::format("  {:<{}}  {:<6} {:<20} {:>14} bytes at {}\n", tensor.name, name_width,
                       tensor.type, tensor.shape, tensor.bytes, tensor.offset);
  }
  out += "\nbytes by type\n";
  for (const auto& type : summary.types) {
    out +=
        fmt::format("  {:<6} {:>14} bytes in {} tensors\n", type.type, type.bytes, type.n_tensors);
  }
  return out;
}

}  // namespace hearth::gguf
