#include "hub/upstream/provider_reader.h"

#include "hub/call_id.h"

namespace hearth::hub {

ProviderReader::ProviderReader(const advisor::WireFormat& wire, const StreamLimits& limits, OnPiece on_piece)
    : on_piece_(std::move(on_piece)),
      reader_(wire, {.text_bytes_max = limits.text_bytes_max, .calls_max = limits.calls_max},
              [this](advisor::AnswerPiece piece) { take(std::move(piece)); }) {}

void ProviderReader::take(advisor::AnswerPiece piece) {
  UpstreamPiece out{.reasoning = std::move(piece.reasoning), .text = std::move(piece.text)};
  for (advisor::AnswerCall& call : piece.calls) {
    if (!call.name.empty()) {  // A call's first piece.
      if (call.id.empty()) call.id = make_call_id();
      call_ids_.push_back(call.id);
    }
    out.calls.push_back({.index = call.index,
                         .id = std::move(call.id),
                         .name = std::move(call.name),
                         .arguments = std::move(call.arguments)});
  }
  on_piece_(std::move(out));
}

std::vector<std::pair<std::string, std::string>> ProviderReader::carried() const {
  std::vector<std::pair<std::string, std::string>> all;
  for (std::size_t i = 0; i < call_ids_.size(); ++i) {
    std::string state = reader_.carried(static_cast<std::uint32_t>(i));
    if (!state.empty()) all.emplace_back(call_ids_[i], std::move(state));
  }
  return all;
}

}  // namespace hearth::hub
