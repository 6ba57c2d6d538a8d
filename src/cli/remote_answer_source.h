// Answers from a hub that runs, over its own OpenAI-compatible API.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cli/answer_source.h"
#include "net/http_client.h"

namespace hearth::cli {

class RemoteAnswerSource final : public AnswerSource {
 public:
  // `url` without a path: "http://127.0.0.1:8642".  The key, if the hub wants one, comes from
  // $HEARTH_API_KEY.
  static Result<std::unique_ptr<AnswerSource>> open(const std::string& url);

  Result<Answer> answer(const std::vector<hub::Message>& messages, const AnswerOptions& options,
                        const AnswerListener& listener) override;

 private:
  RemoteAnswerSource(std::string url, std::unique_ptr<net::HttpClient> client);
  net::HttpPost post_of(const std::string& path, const nlohmann::json& body) const;

  std::string url_;
  std::unique_ptr<net::HttpClient> client_;
};

}  // namespace hearth::cli
