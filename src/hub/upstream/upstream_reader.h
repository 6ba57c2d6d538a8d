// What reads another server's answer, in whichever words it comes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "advisor/pricing.h"
#include "advisor/provider_json.h"
#include "engine/engine.h"
#include "hub/chat.h"

namespace hearth::hub {

// A part of one choice's answer.
struct UpstreamPiece {
  std::uint32_t choice = 0;
  std::string reasoning;
  std::string text;
  std::vector<engine::TokenEvent> tokens;  // Of the text, with log-probabilities, where they came.
  std::vector<ToolCallPiece> calls;

  bool is_empty() const { return reasoning.empty() && text.empty() && tokens.empty() && calls.empty(); }
};

struct StreamLimits {
  std::uint32_t n_choices = 1;
  std::uint64_t text_bytes_max = std::uint64_t{64} << 20;  // Of text, thinking and arguments together.
  std::uint32_t calls_max = 128;                           // Of a choice.
  std::uint32_t n_top_logprobs_max = 20;
};

// Threading: externally synchronised.
class UpstreamReader {
 public:
  using OnPiece = std::function<void(UpstreamPiece)>;

  virtual ~UpstreamReader() = default;

  // False once nothing more is wanted: the stream is done, over its limit, or makes no sense.
  virtual bool feed(std::string_view bytes) = 0;
  // After the last byte: reads what came as one JSON object.
  virtual void finish() = 0;

  // In the words of OpenAI's chat, for each choice; empty: not yet.
  virtual std::vector<std::string> finish_reasons() const = 0;
  virtual const advisor::TokenUse& use() const = 0;
  virtual const advisor::ProviderError& error() const = 0;
  virtual std::uint64_t content_bytes() const = 0;
  virtual bool is_complete() const = 0;
  virtual bool is_cut() const = 0;      // At text_bytes_max.
  virtual bool is_garbled() const = 0;  // It was neither form.
  // What the server wants back with calls that it made, by their ids.
  virtual std::vector<std::pair<std::string, std::string>> carried() const { return {}; }
};

}  // namespace hearth::hub
