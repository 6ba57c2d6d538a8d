#include "convert/json_reader.h"

#include <fmt/format.h>

#include <cmath>

#include "base/file.h"

namespace hearth::convert {

Result<Json> read_json(const std::filesystem::path& path, std::size_t bytes_max) {
  HEARTH_TRY(const std::string text, read_file(path, bytes_max));
  Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!value.is_discarded()) return value;
  return fail(Code::kCorrupt,
              fmt::format("'{}' is no JSON: get the model from its source again", path.string()));
}

const Json* member(const Json* object, std::string_view key) {
  if (object == nullptr || !object->is_object()) return nullptr;
  const auto found = object->find(key);
  return found == object->end() || found->is_null() ? nullptr : &*found;
}

std::optional<std::string> as_text(const Json* value) {
  const auto* const text = value == nullptr ? nullptr : value->get_ptr<const Json::string_t*>();
  if (text == nullptr) return std::nullopt;
  return *text;
}

std::optional<bool> as_bool(const Json* value) {
  const auto* const flag = value == nullptr ? nullptr : value->get_ptr<const Json::boolean_t*>();
  if (flag == nullptr) return std::nullopt;
  return *flag;
}

std::optional<double> as_number(const Json* value) {
  if (value == nullptr || !value->is_number()) return std::nullopt;
  const double number = value->get<double>();
  if (!std::isfinite(number)) return std::nullopt;
  return number;
}

std::optional<std::uint64_t> as_count(const Json* value) {
  if (value == nullptr || !value->is_number_integer()) return std::nullopt;
  if (!value->is_number_unsigned() && value->get<std::int64_t>() < 0) return std::nullopt;
  return value->get<std::uint64_t>();
}

std::optional<std::uint32_t> as_count32(const Json* value) {
  const auto count = as_count(value);
  if (!count || *count > 0xFFFF'FFFFU) return std::nullopt;
  return static_cast<std::uint32_t>(*count);
}

const Json::array_t& elements(const Json* value) {
  static const Json::array_t kNone;
  const auto* const array = value == nullptr ? nullptr : value->get_ptr<const Json::array_t*>();
  return array == nullptr ? kNone : *array;
}

}  // namespace hearth::convert
