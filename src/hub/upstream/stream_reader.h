// Reads what another server answers in the words of OpenAI's chat to a chat or a plain completion, as it arrives: a stream of
// events, one JSON object from servers that ignore "stream", or an error in either form.
//
// Nothing in an answer is trusted: sizes and counts are bounded, invalid UTF-8 becomes U+FFFD, wrong types
// and unknown members are passed over, calls are numbered anew.  What comes out is what a client may
// be shown.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "advisor/pricing.h"
#include "advisor/provider_json.h"
#include "hub/upstream/upstream_reader.h"
#include "net/sse.h"

namespace hearth::hub {

// Threading: externally synchronised.
class StreamReader final : public UpstreamReader {
 public:
  StreamReader(StreamLimits limits, OnPiece on_piece);
  StreamReader(const StreamReader&) = delete;
  StreamReader& operator=(const StreamReader&) = delete;

  bool feed(std::string_view bytes) override;
  void finish() override;
  std::vector<std::string> finish_reasons() const override { return finish_reasons_; }
  const advisor::TokenUse& use() const override { return use_; }
  const advisor::ProviderError& error() const override { return error_; }
  std::uint64_t content_bytes() const override { return content_bytes_; }
  bool is_complete() const override;
  bool is_cut() const override { return is_cut_; }
  bool is_garbled() const override { return is_garbled_; }
  const std::string& model() const { return model_; }  // That answers, as it says.

 private:
  enum class Form : std::uint8_t { kUnknown, kEvents, kObject };
  using Json = advisor::Json;

  // A choice's calls: which of the server's numbers and ids each one had.
  struct CallNames {
    std::int64_t index = -1;
    std::string id;
  };

  void take_event(const net::SseEvent& event);
  void take_answer(std::string_view json, const char* message_key);
  void take_choice(const Json& choice, std::uint32_t number, const char* message_key);
  void take_call(const Json& call, UpstreamPiece& piece);
  std::string take_text(const Json& value);

  static constexpr std::size_t kObjectBytesMax = std::size_t{64} << 20;
  static constexpr std::size_t kEventBytesMax = std::size_t{4} << 20;

  const StreamLimits limits_;
  OnPiece on_piece_;
  net::SseParser events_;
  Form form_ = Form::kUnknown;
  std::string object_;
  std::vector<std::string> finish_reasons_;
  std::vector<std::vector<CallNames>> calls_;
  advisor::TokenUse use_;
  advisor::ProviderError error_;
  std::string model_;
  std::uint64_t content_bytes_ = 0;
  bool has_content_ = false;
  bool is_done_ = false;
  bool is_cut_ = false;
  bool is_garbled_ = false;
};

}  // namespace hearth::hub
