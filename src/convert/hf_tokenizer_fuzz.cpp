// Any JSON as tokenizer.json: an error that names the file, or a vocabulary whose lists agree.
#include <cstddef>
#include <cstdint>

#include "convert/hf_tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth;
  const convert::Json tokenizer = convert::Json::parse(data, data + size, nullptr, false);
  if (tokenizer.is_discarded()) return 0;
  auto spec = convert::vocab_of_tokenizer_json(tokenizer, "fuzz/tokenizer.json");
  if (!spec) {
    HEARTH_CHECK(spec.error().message.find("fuzz/tokenizer.json") != std::string::npos);
    return 0;
  }
  HEARTH_CHECK(!spec->tokens.empty() && spec->types.size() == spec->tokens.size());
  HEARTH_CHECK(spec->scores.empty() || spec->scores.size() == spec->tokens.size());
  (void)text::Tokenizer::create(std::move(*spec));
  return 0;
}
