// Fuzzes the template interpreter: the input is a template, and behind a line "---" the JSON
// object of its variables.
//
// Limits are small, so that an input which merely runs long ends soon; what counts is that
// every template and every context ends in text or in an error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "base/utf8.h"
#include "text/chat_template.h"

namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kSeparator = "\n---\n";
constexpr std::size_t kInputBytesMax = std::size_t{1} << 16;

Json parse_context(std::string_view text) {
  Json context = Json::parse(text, nullptr, false);
  return context.is_object() ? context : Json::object();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > kInputBytesMax) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t split = input.find(kSeparator);
  const std::string_view source = input.substr(0, split);
  const std::string_view json =
      split == std::string_view::npos ? "{}" : input.substr(split + kSeparator.size());

  const auto compiled = hearth::text::ChatTemplate::compile(std::string(source));
  if (!compiled) return 0;
  hearth::text::RenderLimits limits;
  limits.output_bytes_max = std::size_t{1} << 18;
  limits.memory_bytes_max = std::size_t{8} << 20;
  limits.steps_max = 100'000;
  const auto out = (*compiled)->render(parse_context(json), 1'700'000'000, limits);
  // Whatever comes in, what goes out is valid UTF-8 within the limit.
  if (out && (!hearth::is_valid_utf8(*out) || out->size() > limits.output_bytes_max)) std::abort();
  return 0;
}
