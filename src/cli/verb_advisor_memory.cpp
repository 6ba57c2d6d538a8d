// `hearth advisor memory` and `hearth advisor deferred`: what advice is remembered, and which questions
// wait for an adviser that can be reached.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "advisor/memory/advice_store.h"
#include "api/openai/request.h"
#include "base/clock.h"
#include "base/utf8_bounds.h"
#include "cli/answer_source.h"
#include "cli/interrupt.h"
#include "cli/open_hub.h"
#include "cli/paths.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "cli/word_diff.h"

namespace hearth::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kCellBytes = 60;

std::string json_text(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

// A text's first line, cut to a table's cell.
std::string cell(const std::string& text) {
  std::string line = text.substr(0, text.find('\n'));
  if (line.size() <= kCellBytes) return line;
  return line.substr(0, utf8_bound_up_to(line, kCellBytes)) + "…";
}

Result<std::unique_ptr<advisor::AdviceStore>> open_store(const Context& context) {
  return advisor::AdviceStore::open(advice_store_options(context.config.advice));
}

// What a deferred question was, as the verb asks again.
Result<std::vector<hub::Message>> messages_of(const advisor::DeferredQuestion& question) {
  auto request = api::openai::parse_request(api::openai::Endpoint::kChat, question.request);
  if (!request) return fail(Code::kCorrupt, fmt::format("{}: {}", question.id, request.error().message));
  return std::move(request->chat.messages);
}

std::string question_text(const advisor::DeferredQuestion& question) {
  const auto messages = messages_of(question);
  return messages && !messages->empty() ? messages->back().content : "";
}

// Asks one again, with advice; what advice made of it.
Result<Json> ask_again(AnswerSource& source, const advisor::DeferredQuestion& question) {
  HEARTH_TRY(const std::vector<hub::Message> messages, messages_of(question));
  AnswerOptions options{.model = question.model, .advice = "always"};
  AnswerListener listener = terminal_listener(/*hide_thinking=*/true);
  listener.on_text = [](const std::string&) {};
  HEARTH_TRY(const Answer answer, source.answer(messages, options, listener));
  return Json{{"id", question.id},
              {"question", messages.back().content},
              {"advice", hub::advice_outcome_name(answer.receipt.advice)},
              {"advice_detail", answer.receipt.advice_detail},
              {"adviser", answer.receipt.adviser},
              {"cost_usd_micro", answer.receipt.cost_usd_micro},
              {"receipt", answer.receipt.id},
              {"before", question.draft},
              {"after", answer.text},
              {"common", common_words(question.draft, answer.text)},
              {"difference", word_diff(question.draft, answer.text)}};
}

std::string told(const Json& asked) {
  if (asked["advice"] != "advised") {
    return fmt::format("{}  {}\nstill unadvised: {}\n\n", asked["id"].get<std::string>(), asked["question"].get<std::string>(),
                       asked["advice_detail"].get<std::string>());
  }
  const double common = asked["common"];
  const std::string what = common == 1 ? "advice would have changed nothing"
                                       : fmt::format("advice of {} would have changed {:.0f} % of the answer",
                                                     asked["adviser"].get<std::string>(), 100 * (1 - common));
  return fmt::format("{}  {}\n{} ({}):\n{}\n\n", asked["id"].get<std::string>(), asked["question"].get<std::string>(), what,
                     format_usd(asked["cost_usd_micro"].get<std::int64_t>()), asked["difference"].get<std::string>());
}

// Drops what each id names; "all" may be nothing.
Result<> drop_each(const Context& context, const std::vector<std::string>& ids,
                   Result<std::int64_t> (advisor::AdviceStore::*drop)(std::string_view id), const char* done) {
  HEARTH_TRY(const auto store, open_store(context));
  std::int64_t n = 0;
  for (const std::string& id : ids) {
    HEARTH_TRY(const std::int64_t dropped, ((*store).*drop)(id));
    if (dropped == 0 && id != "all") return fail(Code::kNotFound, fmt::format("there is no '{}'", id));
    n += dropped;
  }
  print_out(context.json ? json_text({{done, n}}) : fmt::format("{}: {}\n", done, n));
  return {};
}

}  // namespace

Result<> advisor_memory_list(const Context& context, const AdvisorMemoryOptions& options) {
  HEARTH_TRY(const auto store, open_store(context));
  HEARTH_TRY(const auto remembered, store->remembered(options.n));
  Json list = Json::array();
  std::vector<std::vector<std::string>> table = {{"ID", "WHEN", "ADVISER", "QUESTION", "ADVICE"}};
  for (const advisor::RememberedAdvice& advice : remembered) {
    const std::string when = format_iso8601(advice.at_unix_us);
    list.push_back({{"id", advice.id}, {"at", when}, {"receipt", advice.receipt}, {"adviser", advice.adviser},
                    {"question", advice.question}, {"draft", advice.draft}, {"advice", advice.advice}});
    table.push_back({advice.id, when.substr(0, 16), advice.adviser, cell(advice.question), cell(advice.advice)});
  }
  print_out(context.json ? json_text(list) : format_table(table));
  return {};
}

Result<> advisor_memory_forget(const Context& context, const AdvisorMemoryOptions& options) {
  return drop_each(context, options.ids, &advisor::AdviceStore::forget, "forgotten");
}

Result<> advisor_deferred_list(const Context& context, const AdvisorDeferredOptions&) {
  HEARTH_TRY(const auto store, open_store(context));
  HEARTH_TRY(const auto deferred, store->deferred());
  Json list = Json::array();
  std::vector<std::vector<std::string>> table = {{"ID", "WHEN", "MODEL", "QUESTION", "WHY"}};
  for (const advisor::DeferredQuestion& question : deferred) {
    const std::string when = format_iso8601(question.at_unix_us), text = question_text(question);
    list.push_back({{"id", question.id}, {"at", when}, {"receipt", question.receipt}, {"model", question.model},
                    {"question", text}, {"answer", question.draft}, {"why", question.why}});
    table.push_back({question.id, when.substr(0, 16), question.model, cell(text), cell(question.why)});
  }
  print_out(context.json ? json_text(list) : format_table(table));
  return {};
}

Result<> advisor_deferred_ask(const Context& context, const AdvisorDeferredOptions& options) {
  HEARTH_TRY(const auto store, open_store(context));
  HEARTH_TRY(const auto deferred, store->deferred());
  AnswerOptions where;
  where.hub = options.hub;
  HEARTH_TRY(const auto source, AnswerSource::open(context, where));
  watch_interrupts();
  Json list = Json::array();
  for (const advisor::DeferredQuestion& question : deferred) {
    const bool is_meant = options.ids.empty() || std::ranges::find(options.ids, question.id) != options.ids.end();
    if (!is_meant) continue;
    HEARTH_TRY(const Json asked, ask_again(*source, question));
    if (!context.json) print_out(told(asked));
    if (asked["advice"] == "advised") HEARTH_TRY_VOID(store->drop_deferred(question.id));
    list.push_back(asked);
  }
  if (context.json) print_out(json_text(list));
  if (list.empty() && !context.json) print_note("nothing waits for an adviser");
  return {};
}

Result<> advisor_deferred_drop(const Context& context, const AdvisorDeferredOptions& options) {
  return drop_each(context, options.ids, &advisor::AdviceStore::drop_deferred, "dropped");
}

}  // namespace hearth::cli
