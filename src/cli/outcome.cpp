#include "cli/outcome.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "advisor/gate/calibration.h"
#include "advisor/memory/advice_store.h"
#include "cli/paths.h"
#include "hub/receipt_json.h"
#include "ledger/ledger.h"

namespace hearth::cli {
namespace {

// Advice that led to a bad answer is not given again.
Result<> forget_advice_of(const hub::Receipt& receipt) {
  if (receipt.advice != hub::AdviceOutcome::kAdvised || !std::filesystem::exists(advice_file())) return {};
  HEARTH_TRY(const auto store, advisor::AdviceStore::open({.file = advice_file()}));
  const std::string& id = receipt.advice_remembered.empty() ? receipt.id : receipt.advice_remembered;
  HEARTH_TRY([[maybe_unused]] const std::int64_t n, store->forget(id));
  return {};
}

}  // namespace

Result<NotedOutcome> note_outcome(const std::string& receipt_id, bool is_good) {
  HEARTH_TRY(const auto book, ledger::Ledger::open(ledger_file(), ledger::Ledger::Mode::kReadOnly));
  HEARTH_TRY(const ledger::ReceiptRow row, book->receipt(receipt_id));
  HEARTH_TRY(hub::Receipt receipt, hub::receipt_from_json(row.json));
  if (!receipt.upstream.empty() || receipt.p_wrong_before <= 0) {
    return fail(Code::kUnsupported,
                fmt::format("the answer of {} was not one that advice could be asked for: nothing is to be learned from it", receipt.id));
  }
  const advisor::gate::Experienced outcome = {.kind = receipt.kind,
                                              .p_wrong = static_cast<double>(receipt.p_wrong_before),
                                              .was_advised = receipt.advice == hub::AdviceOutcome::kAdvised,
                                              .is_good = is_good};
  const advisor::gate::ModelKey model = {receipt.model, receipt.quantisation};
  HEARTH_TRY_VOID(append_outcome(outcomes_file(calibration_folder(), model), outcome));
  if (!is_good) HEARTH_TRY_VOID(forget_advice_of(receipt));
  return NotedOutcome{std::move(receipt), outcome};
}

std::string outcome_json(const NotedOutcome& noted) {
  return nlohmann::ordered_json{{"receipt", noted.receipt.id},
                                {"model", noted.receipt.model},
                                {"kind", noted.outcome.kind},
                                {"advised", noted.outcome.was_advised},
                                {"good", noted.outcome.is_good}}
      .dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace hearth::cli
