// llama-server's looks at a model's text side: /tokenize, /detokenize, /apply-template.
//
//   {"model", "content", "add_special": false, "parse_special": true, "with_pieces": false}
//       -> {"tokens": [1, 2]} or {"tokens": [{"id": 1, "piece": "Hello"}]}; a piece that is no UTF-8 is an array of bytes
//   {"model", "tokens": [1, 2]}   -> {"content": "Hello"}
//   {"model", "messages", ...}    -> {"prompt": "..."}; what else a chat may say of its layout (tools, chat_template_kwargs)
//
// Without "model" it is what "auto" means, as clients of a server with one model expect.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/request_values.h"
#include "text/tokenizer.h"

namespace hearth::api::tokens {

inline constexpr std::size_t kTokensMax = std::size_t{1} << 20;  // That /detokenize takes.

struct TokenizeRequest {
  std::string model = "auto";
  std::string content;
  text::EncodeOptions options{.add_special = false, .parse_special = true};
  bool with_pieces = false;
};

struct DetokenizeRequest {
  std::string model = "auto";
  std::vector<text::TokenId> tokens;
};

// Threading: any thread.
Parsed<TokenizeRequest> parse_tokenize(std::string_view body);
Parsed<DetokenizeRequest> parse_detokenize(std::string_view body);

std::string render_tokenize(const TokenizeRequest& request, const text::Tokenizer& tokenizer);
// Refuses ids that the vocabulary does not have.
Parsed<std::string> render_detokenize(const DetokenizeRequest& request, const text::Tokenizer& tokenizer);
std::string render_prompt(std::string_view prompt);

}  // namespace hearth::api::tokens
