// `hearth redact`: what the hub would hide in a text before it leaves, without a hub.
#include <fmt/format.h>

#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cli/privacy.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "privacy/placeholders.h"
#include "privacy/redactor.h"

namespace hearth::cli {
namespace {

std::string spans_json(const privacy::Spans& spans) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const privacy::Span& span : spans) {
    list.push_back({{"type", span.type},
                    {"start", span.begin},
                    {"end", span.end},
                    {"detector", span.detector}});
  }
  return nlohmann::ordered_json{{"spans", std::move(list)}}.dump() + "\n";
}

}  // namespace

Result<> redact(const Context& context, const RedactOptions& options) {
  std::vector<std::string> files = context.config.privacy.dictionaries;
  files.insert(files.end(), options.dictionaries.begin(), options.dictionaries.end());
  HEARTH_TRY(privacy::Dictionary dictionary, load_dictionaries(files));

  // Weights that lie in a file must live as long as the tagger that reads them.
  std::string weights;
  std::unique_ptr<privacy::Tagger> tagger;
  if (!options.tagger.empty()) {
    HEARTH_TRY(weights, read_file(options.tagger));
    HEARTH_TRY(tagger, privacy::Tagger::create(std::as_bytes(std::span(weights))));
  }
  const privacy::Redactor redactor(std::move(dictionary),
                                   tagger != nullptr ? *tagger : privacy::Tagger::built_in());

  const std::string text{std::istreambuf_iterator<char>(std::cin), {}};
  if (text.size() > privacy::kTextBytesMax) {
    return fail(Code::kInvalidArgument, fmt::format("the text has {} bytes, at most {} are looked at: send it in parts",
                                                    text.size(), privacy::kTextBytesMax));
  }
  const privacy::Spans spans = redactor.find(text);
  if (context.json) {
    print_out(spans_json(spans));
  } else {
    print_out(privacy::Placeholders().redact(text, spans));
  }
  return {};
}

}  // namespace hearth::cli
