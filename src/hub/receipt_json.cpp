#include "hub/receipt_json.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

namespace hearth::hub {
namespace {

using Json = nlohmann::ordered_json;

struct OutcomeRow {
  AdviceOutcome outcome;
  const char* name;
};

constexpr OutcomeRow kOutcomes[] = {
    {AdviceOutcome::kNotNeeded, "not_needed"},
    {AdviceOutcome::kAdvised, "advised"},
    {AdviceOutcome::kNotConfigured, "not_configured"},
    {AdviceOutcome::kNotAllowed, "not_allowed"},
    {AdviceOutcome::kOverBudget, "over_budget"},
    {AdviceOutcome::kUnknownPrice, "unknown_price"},
    {AdviceOutcome::kNotWorthIt, "not_worth_it"},
    {AdviceOutcome::kFailed, "failed"},
};

AdviceOutcome outcome_of(const std::string& name) {
  const auto row =
      std::ranges::find_if(kOutcomes, [&](const OutcomeRow& r) { return r.name == name; });
  return row == std::end(kOutcomes) ? AdviceOutcome::kFailed : row->outcome;
}

}  // namespace

const char* advice_outcome_name(AdviceOutcome outcome) {
  for (const OutcomeRow& row : kOutcomes) {
    if (row.outcome == outcome) return row.name;
  }
  return "failed";
}

std::string receipt_to_json(const Receipt& receipt) {
  const Json json = {
      {"id", receipt.id},
      {"at_unix_us", receipt.at_unix_us},
      {"model", receipt.model},
      {"adapter", receipt.adapter},
      {"end", receipt.end},
      {"usage",
       {{"prompt_tokens", receipt.usage.prompt_tokens},
        {"cached_tokens", receipt.usage.cached_tokens},
        {"restored_tokens", receipt.usage.restored_tokens},
        {"completion_tokens", receipt.usage.completion_tokens}}},
      {"queue_ms", receipt.queue_ms},
      {"ready_ms", receipt.ready_ms},
      {"first_token_ms", receipt.first_token_ms},
      {"total_ms", receipt.total_ms},
      {"tokens_per_second", receipt.tokens_per_second},
      {"confidence", receipt.confidence},
      {"quantisation", receipt.quantisation},
      {"kind", receipt.kind},
      {"p_wrong", receipt.p_wrong},
      {"p_wrong_before", receipt.p_wrong_before},
      {"p_helps", receipt.p_helps},
      {"advice", advice_outcome_name(receipt.advice)},
      {"advice_detail", receipt.advice_detail},
      {"advice_rule", receipt.advice_rule},
      {"adviser", receipt.adviser},
      {"advice_relayed", receipt.advice_relayed},
      {"advice_remembered", receipt.advice_remembered},
      {"second_model", receipt.second_model},
      {"second_agrees", receipt.second_agrees},
      {"bytes_out", receipt.bytes_out},
      {"cost_usd_micro", receipt.cost_usd_micro},
      {"choice", receipt.choice},
      {"upstream", receipt.upstream},
      {"place", receipt.place},
      {"left_out", receipt.left_out},
      {"client", receipt.client},
  };
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<Receipt> receipt_from_json(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return fail(Code::kCorrupt, "a receipt that is no JSON object");
  try {
    const Json usage = json.value("usage", Json::object());
    return Receipt{
        .id = json.value("id", ""),
        .at_unix_us = json.value("at_unix_us", std::int64_t{0}),
        .model = json.value("model", ""),
        .adapter = json.value("adapter", ""),
        .usage = {.prompt_tokens = usage.value("prompt_tokens", 0U),
                  .cached_tokens = usage.value("cached_tokens", 0U),
                  .restored_tokens = usage.value("restored_tokens", 0U),
                  .completion_tokens = usage.value("completion_tokens", 0U)},
        .queue_ms = json.value("queue_ms", 0.0),
        .ready_ms = json.value("ready_ms", 0.0),
        .first_token_ms = json.value("first_token_ms", 0.0),
        .total_ms = json.value("total_ms", 0.0),
        .tokens_per_second = json.value("tokens_per_second", 0.0),
        .confidence = json.value("confidence", 0.0F),
        .quantisation = json.value("quantisation", ""),
        .kind = json.value("kind", ""),
        .p_wrong = json.value("p_wrong", 0.0F),
        .p_helps = json.value("p_helps", 0.0F),
        .p_wrong_before = json.value("p_wrong_before", 0.0F),
        .advice = outcome_of(json.value("advice", "")),
        .advice_detail = json.value("advice_detail", ""),
        .advice_rule = json.value("advice_rule", ""),
        .adviser = json.value("adviser", ""),
        .bytes_out = json.value("bytes_out", std::uint64_t{0}),
        .cost_usd_micro = json.value("cost_usd_micro", std::int64_t{0}),
        .end = json.value("end", ""),
        .advice_relayed = json.value("advice_relayed", false),
        .advice_remembered = json.value("advice_remembered", ""),
        .second_model = json.value("second_model", ""),
        .second_agrees = json.value("second_agrees", false),
        .choice = json.value("choice", ""),
        .upstream = json.value("upstream", ""),
        .place = json.value("place", ""),
        .left_out = json.value("left_out", ""),
        .client = json.value("client", ""),
    };
  } catch (const Json::exception& error) {
    return fail(Code::kCorrupt, std::string("a receipt with a wrong type: ") + error.what());
  }
}

ledger::ReceiptRow receipt_row(const Receipt& receipt) {
  return {.id = receipt.id,
          .at_unix_us = receipt.at_unix_us,
          .model = receipt.model,
          .advice = advice_outcome_name(receipt.advice),
          .bytes_out = static_cast<std::int64_t>(receipt.bytes_out),
          .cost_usd_micro = receipt.cost_usd_micro,
          .json = receipt_to_json(receipt),
          .client = receipt.client};
}

}  // namespace hearth::hub
