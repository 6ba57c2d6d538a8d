#include "api/openai/embeddings.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <span>
#include <utility>

#include "api/chat_fields.h"
#include "api/json_writer.h"
#include "base/result.h"

namespace hearth::api::openai {
namespace {

constexpr const char* kInputKinds =
    "a string, an array of strings, an array of tokens, or an array of arrays of tokens";

// ---- Fields ----

Parsed<> read_model(dom::object body, EmbeddingsRequest& request) {
  const auto value = member(body, "model");
  if (!value) return missing("model");
  HEARTH_TRY(const std::string_view name, as_string("model", *value));
  if (name.empty()) return missing("model");
  if (name.size() > kModelNameBytesMax) {
    return refuse("string_above_max_length", "model",
                  fmt::format("Invalid 'model': expected at most {} bytes, but got {} instead.",
                              kModelNameBytesMax, name.size()));
  }
  request.model = request.work.model = name;
  return {};
}

Parsed<hub::EmbeddingInput> read_text(std::string_view text) {
  if (!text.empty()) return std::string(text);
  return refuse("invalid_value", "input", "Invalid 'input': a text must not be empty.");
}

Parsed<hub::EmbeddingInput> read_tokens(dom::array values) {
  std::vector<text::TokenId> tokens;
  for (const dom::element value : values) {
    std::int64_t id = 0;
    if (value.get_int64().get(id) != simdjson::SUCCESS)
      return wrong_type("input", kInputKinds, value);
    if (id < 0 || id > std::numeric_limits<text::TokenId>::max()) {
      return refuse("invalid_value", "input", fmt::format("Invalid 'input': {} is no token.", id));
    }
    if (tokens.size() == hub::kEmbeddingTokensMax) {
      return refuse(
          "array_above_max_length", "input",
          fmt::format("Invalid 'input': expected at most {} tokens.", hub::kEmbeddingTokensMax));
    }
    tokens.push_back(static_cast<text::TokenId>(id));
  }
  if (!tokens.empty()) return tokens;
  return refuse("invalid_value", "input", "Invalid 'input': an array of tokens must not be empty.");
}

Parsed<hub::EmbeddingInput> read_one(dom::element value) {
  std::string_view text;
  if (value.get_string().get(text) == simdjson::SUCCESS) return read_text(text);
  dom::array tokens;
  if (value.get_array().get(tokens) == simdjson::SUCCESS) return read_tokens(tokens);
  return wrong_type("input", kInputKinds, value);
}

Parsed<> read_input(dom::object body, std::string_view param, EmbeddingsRequest& request) {
  const auto value = member(body, param);
  if (!value) return missing(param);
  auto& inputs = request.work.inputs;
  dom::array list;
  // A string, or an array of tokens: one text.
  const bool is_list = value->get_array().get(list) == simdjson::SUCCESS;
  if (!is_list || (list.size() > 0 && list.at(0).is_number())) {
    HEARTH_TRY(hub::EmbeddingInput one, read_one(*value));
    inputs.push_back(std::move(one));
    return {};
  }
  for (const dom::element each : list) {
    if (inputs.size() == hub::kEmbeddingTextsMax) {
      return refuse("array_above_max_length", "input",
                    fmt::format("Invalid 'input': too many entries. Expected at most {}.",
                                hub::kEmbeddingTextsMax));
    }
    HEARTH_TRY(hub::EmbeddingInput one, read_one(each));
    inputs.push_back(std::move(one));
  }
  if (!inputs.empty()) return {};
  return refuse("empty_array", "input", "Invalid 'input': the array must not be empty.");
}

Parsed<> read_format(dom::object body, EmbeddingsRequest& request) {
  const auto value = member(body, "encoding_format");
  if (!value) return {};
  HEARTH_TRY(const std::string_view name, as_string("encoding_format", *value));
  request.is_base64 = name == "base64";
  if (request.is_base64 || name == "float") return {};
  return refuse("invalid_value", "encoding_format",
                fmt::format("Invalid value: '{}' for 'encoding_format'. Supported values are: "
                            "'float' and 'base64'.",
                            name.substr(0, 40)));
}

Parsed<> read_dimensions(dom::object body, EmbeddingsRequest& request) {
  const auto value = member(body, "dimensions");
  if (!value) return {};
  std::int64_t n = 0;
  if (value->get_int64().get(n) != simdjson::SUCCESS) {
    return wrong_type("dimensions", "an integer", *value);
  }
  if (n >= 1 && n <= static_cast<std::int64_t>(kEmbeddingDimensionsMax)) {
    request.dimensions = static_cast<std::uint32_t>(n);
    return {};
  }
  return refuse("invalid_value", "dimensions",
                fmt::format("Invalid 'dimensions': expected 1 to {}, but got {} instead.",
                            kEmbeddingDimensionsMax, n));
}

// ---- Vectors ----

static_assert(std::endian::native == std::endian::little);  // The wire's order is ours.

void append_base64(std::string& out, std::span<const std::byte> bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
    unsigned bits = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      bits = bits << 8 | (j < n ? std::to_integer<unsigned>(bytes[i + j]) : 0U);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      out += j <= n ? kDigits[bits >> (18 - 6 * j) & 63] : '=';
    }
  }
}

void write_vector(JsonWriter& json, const std::vector<float>& vector, bool is_base64) {
  if (is_base64) {
    std::string text;
    append_base64(text, std::as_bytes(std::span(vector)));
    json.value(text);
    return;
  }
  json.begin_array();
  for (const float number : vector) json.value(number);
  json.end_array();
}

// The first `n` numbers, at length 1 again.
void shorten(std::vector<float>& vector, std::size_t n) {
  vector.resize(n);
  double square = 0;
  for (const float number : vector) square += double{number} * double{number};
  if (square == 0) return;
  const auto scale = static_cast<float>(1 / std::sqrt(square));
  for (float& number : vector) number *= scale;
}

}  // namespace

std::expected<EmbeddingsRequest, ApiError> parse_embeddings(std::string_view body) {
  dom::parser parser;
  HEARTH_TRY(const dom::object object, parse_body(parser, body));
  return parse_embeddings(object, "input");
}

std::expected<EmbeddingsRequest, ApiError> parse_embeddings(dom::object body, std::string_view input_param) {
  EmbeddingsRequest request;
  HEARTH_TRY_VOID(read_model(body, request));
  HEARTH_TRY_VOID(read_input(body, input_param, request));
  HEARTH_TRY_VOID(read_format(body, request));
  HEARTH_TRY_VOID(read_dimensions(body, request));
  return request;
}

std::expected<void, ApiError> fit_dimensions(const EmbeddingsRequest& request, hub::Embeddings& made) {
  if (!request.dimensions) return {};
  for (std::vector<float>& vector : made.vectors) {
    if (*request.dimensions > vector.size()) {
      return refuse("invalid_value", "dimensions",
                    fmt::format("Invalid 'dimensions': the model '{}' has {}, and {} were asked "
                                "for.",
                                request.model, vector.size(), *request.dimensions));
    }
    if (*request.dimensions < vector.size()) shorten(vector, *request.dimensions);
  }
  return {};
}

std::expected<std::string, ApiError> render_embeddings(const EmbeddingsRequest& request,
                                                       hub::Embeddings made) {
  HEARTH_TRY_VOID(fit_dimensions(request, made));
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("object").value("list").key("data").begin_array();
  for (std::size_t i = 0; i < made.vectors.size(); ++i) {
    json.begin_object().key("object").value("embedding").key("index").value(i).key("embedding");
    write_vector(json, made.vectors[i], request.is_base64);
    json.end_object();
  }
  json.end_array().key("model").value(request.model).key("usage").begin_object();
  json.key("prompt_tokens").value(made.prompt_tokens);
  json.key("total_tokens").value(made.prompt_tokens);
  json.end_object().end_object();
  return out;
}

ApiError embeddings_error(const Error& error) {
  ApiError made = api_error(error);
  if (error.code == Code::kInvalidArgument) {
    made.param = error.message.starts_with("input ") ? "input" : "model";
  }
  return made;
}

}  // namespace hearth::api::openai
