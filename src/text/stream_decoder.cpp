#include <utility>

#include "base/utf8.h"
#include "text/tokenizer.h"

namespace hearth::text {

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool special, bool at_start)
    : tokenizer_(tokenizer),
      special_(special),
      drop_space_(at_start && tokenizer.adds_space_prefix()) {}

std::string StreamDecoder::push(TokenId id, bool special) {
  const std::string piece = tokenizer_.piece(id, special);
  if (piece.empty()) return {};
  const bool drop = std::exchange(drop_space_, false) && piece.front() == ' ';
  held_.append(piece, drop ? 1 : 0);

  const std::size_t complete = complete_utf8_prefix(held_);
  std::string out = sanitize_utf8(std::string_view(held_).substr(0, complete));
  held_.erase(0, complete);
  return out;
}

std::string StreamDecoder::flush() { return sanitize_utf8(std::exchange(held_, {})); }

}  // namespace hearth::text
