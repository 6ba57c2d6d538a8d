// Replays tests/conformance/*.http: requests as they go over the wire, and what the answers
// must hold.  The hub behind the server is scripted (server/test_support/fake_hub.h).  In `clients`
// is what real clients sent (tests/clients/recorder.py).
//
// A file is a conversation on one connection:
//   # a comment
//   >>>                     a request follows, line by line; "Content-Length: auto" is counted
//   POST /v1/... HTTP/1.1
//   ...
//   <<< 200                 its answer's status; then a text per line that the answer must hold,
//   Content-Type: ...       or must not, after a "!"
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "net/http_test_client.h"
#include "server/server.h"
#include "server/test_support/fake_hub.h"

namespace hearth {
namespace {

struct Exchange {
  std::vector<std::string> request;  // Lines, an empty one between head and body.
  int status = 0;
  std::vector<std::string> expected;
};

std::vector<Exchange> read_conversation(const std::filesystem::path& path) {
  std::vector<Exchange> exchanges;
  std::ifstream in(path);
  bool in_request = false;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("#")) continue;
    if (line.starts_with(">>>")) {
      exchanges.emplace_back();
      in_request = true;
    } else if (line.starts_with("<<< ")) {
      exchanges.back().status = std::stoi(line.substr(4));
      in_request = false;
    } else if (in_request) {
      exchanges.back().request.push_back(line);
    } else if (!line.empty()) {
      exchanges.back().expected.push_back(line);
    }
  }
  return exchanges;
}

std::string wire_bytes(const std::vector<std::string>& lines) {
  const auto gap = std::ranges::find(lines, std::string());
  std::string body;
  for (auto line = gap; line != lines.end(); ++line) {
    if (line != gap) body += *line + "\n";
  }
  std::string head;
  for (auto line = lines.begin(); line != gap; ++line) {
    head += (*line == "Content-Length: auto" ? fmt::format("Content-Length: {}", body.size()) : *line) +
            "\r\n";
  }
  return head + "\r\n" + body;
}

TEST(Conformance, Conversations) {
  server::FakeHub hub;
  server::ServerOptions options;
  options.origins = {"https://notes.example"};
  const auto server = server::Server::create(options, hub);
  ASSERT_TRUE(server.has_value());
  int count = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(HEARTH_SOURCE_DIR "/tests/conformance")) {
    if (file.path().extension() != ".http") continue;
    net::TestClient client((*server)->port());
    for (const Exchange& exchange : read_conversation(file.path())) {
      SCOPED_TRACE(fmt::format("{}: {}", file.path().filename().string(), exchange.request.at(0)));
      const bool head_only = exchange.request[0].starts_with("HEAD") || exchange.status == 204;
      ASSERT_TRUE(client.send(wire_bytes(exchange.request)));
      const net::TestResponse response = client.read_response(head_only);
      EXPECT_EQ(response.status, exchange.status) << response.body;
      const std::string all = response.head + response.body;
      for (const std::string& text : exchange.expected) {
        const bool wanted = !text.starts_with("!");
        EXPECT_EQ(all.find(wanted ? text : text.substr(1)) != std::string::npos, wanted)
            << text << "\nin\n" << all;
      }
      ++count;
    }
  }
  EXPECT_GE(count, 20);
}

}  // namespace
}  // namespace hearth
