// Fuzzes what a client may send to the MCP desk: whatever the bytes are, each message is answered at most once,
// answers are JSON in one line, and a request that was understood gets one.
//
// The first line of the input is the headers (revision, method, name, separated by '|'), the rest a message; it
// is taken twice, as HTTP brings it and as a line.
#include <simdjson.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "api/mcp/desk.h"
#include "base/result.h"

namespace {

using hearth::Code;
using hearth::Result;
namespace mcp = hearth::api::mcp;
namespace hub = hearth::hub;

class NoHub final : public hub::Hub {
 public:
  Result<hub::RequestId> chat(hub::ChatRequest request, std::shared_ptr<hub::ChatSink>) override {
    HEARTH_CHECK(!request.messages.empty() && !request.model.empty());
    return hearth::fail(Code::kNotFound, "no model named '" + request.model + "'");
  }
  Result<> embed(hub::EmbeddingRequest, hub::EmbeddingDone) override { return hearth::fail(Code::kNotFound, "none"); }
  Result<> rerank(hub::RerankRequest, hub::RerankDone) override { return hearth::fail(Code::kNotFound, "none"); }
  void cancel(hub::RequestId) override {}
  std::vector<hub::ModelEntry> models() const override { return {}; }
  hub::HubStats stats() const override { return {}; }
  Result<> health() override { return {}; }
  void shutdown(std::chrono::milliseconds) override {}
};

void check_json(const std::string& text) {
  HEARTH_CHECK(text.find_first_of("\r\n") == std::string::npos);
  simdjson::dom::parser parser;
  simdjson::dom::object root;
  HEARTH_CHECK(parser.parse(text).get_object().get(root) == simdjson::SUCCESS);
  std::string_view version;
  HEARTH_CHECK(root["jsonrpc"].get_string().get(version) == simdjson::SUCCESS && version == "2.0");
}

class Outlet final : public mcp::Outlet {
 public:
  void notify(const std::string& message) override {
    HEARTH_CHECK(n_ends == 0);
    check_json(message);
  }
  void finish(const std::string& answer, unsigned status) override {
    ++n_ends;
    HEARTH_CHECK(status >= 200 && status < 600);
    if (!answer.empty()) check_json(answer);
  }
  void abandon() override { ++n_ends; }

  int n_ends = 0;
};

std::string_view take_field(std::string_view& rest, char end) {
  const std::size_t at = std::min(rest.find(end), rest.size());
  const std::string_view field = rest.substr(0, at);
  rest.remove_prefix(std::min(at + 1, rest.size()));
  return field;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static NoHub hub;
  static hub::KernelDesk kernels({.open_shelf = [] { return Result<std::unique_ptr<hearth::compute::KernelShelf>>(hearth::fail(Code::kNotFound, "no shelf")); }, .n_threads = 1, .run_bytes_max = std::uint64_t{1} << 20});
  static mcp::Desk desk({.hub = hub, .kernels = &kernels, .submit = [](const std::function<void()>& task) { return task(), true; }}, "0");
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  std::string_view head = take_field(rest, '\n');
  mcp::Headers headers;
  headers.protocol_version = take_field(head, '|');
  headers.method = take_field(head, '|');
  headers.name = head;

  const auto posted = std::make_shared<Outlet>();
  desk.take(rest, headers, {.client = "fuzz", .headers = {}}, posted, [](const auto&) {});
  HEARTH_CHECK(posted->n_ends == 1);

  mcp::Session line;
  line.revision = mcp::kNewestWithSessions;
  const auto written = std::make_shared<Outlet>();
  desk.take_line(rest, line, {.client = "fuzz", .headers = {}}, written);
  HEARTH_CHECK(written->n_ends == 1);
  HEARTH_CHECK(line.calls->is_empty());

  const auto decoded = mcp::decode_header(headers.name);
  if (decoded) HEARTH_CHECK(mcp::decode_header(mcp::encode_header(*decoded)) == *decoded);
  return 0;
}
