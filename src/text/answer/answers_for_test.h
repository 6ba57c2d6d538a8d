// Helpers of the answer parsers' tests: parse a text whole or cut, and put events together.
#pragma once

#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "text/answer/answer_parser.h"

namespace hearth::text {

inline void PrintTo(const AnswerEvent& event, std::ostream* out) {
  constexpr const char* kNames[] = {"text", "reasoning", "call", "arguments", "end"};
  *out << kNames[static_cast<int>(event.kind)] << '(' << event.text << ')';
}

struct Collected {
  std::string text, reasoning;
  std::vector<std::pair<std::string, std::string>> calls;  // Name and arguments.
  int n_ended = 0;
};

inline Collected collect(const std::vector<AnswerEvent>& events) {
  Collected all;
  for (const AnswerEvent& event : events) {
    switch (event.kind) {
      case AnswerEventKind::kText: all.text += event.text; break;
      case AnswerEventKind::kReasoning: all.reasoning += event.text; break;
      case AnswerEventKind::kCallStart: all.calls.emplace_back(event.text, ""); break;
      case AnswerEventKind::kArguments: all.calls.back().second += event.text; break;
      case AnswerEventKind::kCallEnd: ++all.n_ended; break;
    }
  }
  return all;
}

// Neighbours of one kind as one event, as if they had come at once.
inline std::vector<AnswerEvent> merged(const std::vector<AnswerEvent>& events) {
  std::vector<AnswerEvent> out;
  for (const AnswerEvent& event : events) {
    const bool is_mark =
        event.kind == AnswerEventKind::kCallStart || event.kind == AnswerEventKind::kCallEnd;
    if (!is_mark && !out.empty() && out.back().kind == event.kind) out.back().text += event.text;
    else out.push_back(event);
  }
  return out;
}

inline std::vector<AnswerEvent> parse_pieces(const AnswerFormat& format, const AnswerParserOptions& options,
                                             const std::vector<std::string>& pieces,
                                             bool is_cut = false) {
  const auto parser = AnswerParser::create(format, options);
  std::vector<AnswerEvent> events;
  for (const std::string& piece : pieces) parser->push(piece, events);
  parser->finish(is_cut, events);
  return merged(events);
}

inline std::vector<AnswerEvent> parse_whole(const AnswerFormat& format, const AnswerParserOptions& options,
                                            const std::string& text, bool is_cut = false) {
  return parse_pieces(format, options, {text}, is_cut);
}

inline std::vector<AnswerEvent> parse_in_bytes(const AnswerFormat& format,
                                               const AnswerParserOptions& options,
                                               const std::string& text, bool is_cut = false) {
  std::vector<std::string> bytes;
  for (const char byte : text) bytes.emplace_back(1, byte);
  return parse_pieces(format, options, bytes, is_cut);
}

// A vocabulary without any of the formats' tokens.
inline std::unique_ptr<const Tokenizer> empty_tokenizer() {
  VocabSpec spec;
  spec.model = "llama";
  spec.tokens = {"<unk>", "a"};
  spec.types = {TokenType::kUnknown, TokenType::kNormal};
  spec.scores = {0, 0};
  spec.unk = 0;
  return *Tokenizer::create(std::move(spec));
}

}  // namespace hearth::text
