// Reads answers in the words of a provider (advisor/wire) for the hub's clients: calls without an id get one,
// and what the provider wants back with a call is kept by that id.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "advisor/wire/answer_reader.h"
#include "hub/upstream/upstream_reader.h"

namespace hearth::hub {

// Threading: externally synchronised.
class ProviderReader final : public UpstreamReader {
 public:
  ProviderReader(const advisor::WireFormat& wire, const StreamLimits& limits, OnPiece on_piece);

  bool feed(std::string_view bytes) override { return reader_.feed(bytes); }
  void finish() override { reader_.finish(); }
  std::vector<std::string> finish_reasons() const override { return {reader_.finish_reason()}; }
  const advisor::TokenUse& use() const override { return reader_.use(); }
  const advisor::ProviderError& error() const override { return reader_.error(); }
  std::uint64_t content_bytes() const override { return reader_.content_bytes(); }
  bool is_complete() const override { return reader_.is_complete(); }
  bool is_cut() const override { return reader_.is_cut(); }
  bool is_garbled() const override { return reader_.is_garbled(); }
  std::vector<std::pair<std::string, std::string>> carried() const override;

 private:
  void take(advisor::AnswerPiece piece);

  OnPiece on_piece_;
  std::vector<std::string> call_ids_;
  advisor::AnswerReader reader_;  // Last: it calls take().
};

}  // namespace hearth::hub
