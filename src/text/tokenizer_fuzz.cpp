// Fuzzes tokenizers with a made-up vocabulary and a text, both from the input.
//
// First byte: family and flags; second: the pre-tokenizer.  Then tokens, each a byte of length and
// type and its text, up to an empty one; the rest is the text.  A byte-level vocabulary has
// all 256 bytes in front and merges the first tokens in pairs.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/utf8.h"
#include "text/byte_alphabet.h"
#include "text/pre_tokenizer.h"
#include "text/tokenizer.h"

namespace hearth::text {
namespace {

constexpr std::size_t kTokensMax = 64;

// Takes bytes from the front of the input; zeros once it is spent.
class Input {
 public:
  explicit Input(std::string_view bytes) : bytes_(bytes) {}
  std::uint8_t byte() {
    const std::string_view taken = take(1);
    return taken.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(taken[0]);
  }
  std::string_view take(std::size_t n) {
    const std::string_view taken = bytes_.substr(0, n);
    bytes_.remove_prefix(taken.size());
    return taken;
  }
  std::string_view rest() const { return bytes_; }

 private:
  std::string_view bytes_;
};

void add_token(VocabSpec& spec, std::string text, TokenType type, float score) {
  spec.tokens.push_back(std::move(text));
  spec.types.push_back(type);
  spec.scores.push_back(score);
}

// Adds byte tokens, in each family's spelling.
void add_bytes(VocabSpec& spec) {
  constexpr char kHex[] = "0123456789ABCDEF";
  const bool is_bpe = spec.model == "gpt2";
  for (unsigned byte = 0; byte < 256; ++byte) {
    add_token(spec,
              is_bpe ? std::string(byte_to_letter(static_cast<std::uint8_t>(byte)))
                     : std::string("<0x") + kHex[byte >> 4] + kHex[byte & 15] + ">",
              is_bpe ? TokenType::kNormal : TokenType::kByte, 0);
  }
}

VocabSpec read_spec(Input& input) {
  VocabSpec spec;
  const std::uint8_t flags = input.byte();
  const char* const marked = (flags & 128) != 0 ? "gemma4" : "llama";
  spec.model = (flags & 1) != 0 ? "gpt2" : (flags & 64) != 0 ? "bert" : marked;
  if (spec.model == "bert") {
    for (const char* text : {"[CLS]", "[SEP]", "[UNK]"}) add_token(spec, text, TokenType::kControl, 0);
  }
  const auto known = known_pre_tokenizers();
  spec.pre = known[input.byte() % known.size()];
  spec.add_space_prefix = (flags & 2) != 0;
  spec.add_bos = (flags & 4) != 0;
  if ((flags & 8) == 0) add_bytes(spec);
  for (std::size_t i = 0; i < kTokensMax; ++i) {
    const std::uint8_t head = input.byte();
    const std::string_view bytes = input.take(head & 15);
    if (bytes.empty()) break;
    std::string text(bytes);
    if (spec.model == "gpt2" && (head >> 4) % 7 == 1) {
      text.clear();
      append_letters(text, bytes);
    }
    // Types past the last are not valid, and must be harmless.
    add_token(spec, std::move(text), static_cast<TokenType>((head >> 4) % 8),
              static_cast<float>(head) - 100);
  }
  if (spec.model == "gpt2" || spec.model == "gemma4") {
    for (std::size_t i = 0; i + 1 < spec.tokens.size() && i < 400; i += 2) {
      const std::string left = spec.tokens[(i * 7) % spec.tokens.size()];
      const std::string right = spec.tokens[(i * 13 + 1) % spec.tokens.size()];
      if ((flags & 16) == 0) add_token(spec, left + right, TokenType::kNormal, 0);
      spec.merges.push_back(left + " " + right);
    }
  }
  if ((flags & 32) != 0) spec.bos = spec.eos = static_cast<TokenId>(input.byte());
  return spec;
}

void require(bool holds) {
  if (!holds) std::abort();
}

void check(const Tokenizer& tokenizer, std::string_view text, const EncodeOptions& options,
           bool has_all_bytes) {
  const auto ids = tokenizer.encode(text, options);
  StreamDecoder stream(tokenizer, true, true);
  std::string streamed;
  for (const TokenId id : ids) {
    require(id >= 0 && static_cast<std::uint32_t>(id) < tokenizer.n_vocab());
    const std::string part = stream.push(id);
    require(is_valid_utf8(part));
    streamed += part;
  }
  streamed += stream.flush();
  const std::string decoded = tokenizer.decode(ids, true);
  require(streamed == sanitize_utf8(decoded));
  if (has_all_bytes) require(decoded == text);
}

}  // namespace
}  // namespace hearth::text

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth::text;
  Input input(std::string_view(reinterpret_cast<const char*>(data), size));
  VocabSpec spec = read_spec(input);
  // Only byte-level vocabularies promise the exact text back: SentencePiece drops a leading space
  // and takes U+2581 for a space.
  const bool exact = spec.model == "gpt2" && spec.tokens.size() >= 256 && spec.tokens[0] == "Ā" &&
                     spec.tokens[255] == "ÿ";
  const auto tokenizer = Tokenizer::create(std::move(spec));
  if (!tokenizer) return 0;
  check(**tokenizer, input.rest(), {}, exact);
  check(**tokenizer, input.rest(), {.parse_special = true}, exact);
  check(**tokenizer, input.rest(), {.add_special = true}, false);
  return 0;
}
