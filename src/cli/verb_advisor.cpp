// `hearth advisor`: what Hearth has learned of when asking pays, and what that is worth.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "advisor/gate/calibration.h"
#include "advisor/gate/evaluate.h"
#include "base/file.h"
#include "cli/outcome.h"
#include "cli/paths.h"
#include "cli/progress_bar.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

namespace hearth::cli {
namespace {

using advisor::gate::PairRow;

struct Recorded {
  advisor::gate::ModelKey model;
  std::vector<PairRow> rows;
};

// The file's rows, which are of one local model, and what that is called here.
Result<Recorded> read_rows(const AdvisorFileOptions& options) {
  HEARTH_TRY(const std::string text, read_file(options.file, advisor::gate::kPairFileBytesMax));
  auto rows = advisor::gate::parse_pair_rows(text);
  if (!rows) {
    return fail(rows.error().code, fmt::format("'{}': {}", options.file, rows.error().message));
  }
  if (rows->empty()) return fail(Code::kInvalidArgument, fmt::format("'{}' has no rows", options.file));
  std::set<std::string> models;
  for (const PairRow& row : *rows) models.insert(row.local_model);
  if (models.size() > 1 && options.model.empty()) {
    return fail(Code::kInvalidArgument,
                fmt::format("'{}' has answers of {} local models, '{}' and '{}' among them; a calibration is of one: split "
                            "the file, or say --model NAME to take them as one",
                            options.file, models.size(), *models.begin(), *models.rbegin()));
  }
  return Recorded{{options.model.empty() ? *models.begin() : options.model, options.quantisation}, *std::move(rows)};
}

}  // namespace

Result<> advisor_calibrate(const Context& context, const AdvisorFileOptions& options) {
  HEARTH_TRY(const Recorded recorded, read_rows(options));
  std::vector<const PairRow*> rows;
  advisor::gate::Calibration made{.model = recorded.model};
  for (const PairRow& row : recorded.rows) {
    rows.push_back(&row);
    made.learned.insert(row.key);
  }
  HEARTH_TRY(made.gate, advisor::gate::GateModel::fit(rows));
  HEARTH_TRY_VOID(store_calibration(calibration_folder(), made));
  const std::string path = calibration_file(calibration_folder(), made.model).string();
  if (context.json) {
    print_out(nlohmann::ordered_json{{"model", made.model.model},
                                     {"quantisation", made.model.quantisation},
                                     {"rows", rows.size()},
                                     {"file", path}}
                  .dump(2) +
              "\n");
  } else {
    print_out(fmt::format("calibrated for '{}' on {} rows: {}\n", made.model.model, rows.size(), path));
  }
  return {};
}

Result<> advisor_eval(const Context& context, const AdvisorFileOptions& options) {
  HEARTH_TRY(const Recorded recorded, read_rows(options));
  HEARTH_TRY(const auto calibration, advisor::gate::load_calibration(calibration_folder(), recorded.model));
  ProgressBar bar(!context.json);
  HEARTH_TRY(const advisor::gate::Evaluation found,
             advisor::gate::evaluate(recorded.rows, calibration.gate, calibration.learned, [&](double done) {
               bar.show(static_cast<std::uint64_t>(done * 100), 100, "fitting on one half, judging the other");
             }));
  if (context.json) {
    nlohmann::ordered_json json = {{"model", recorded.model.model}, {"quantisation", recorded.model.quantisation}};
    json.update(to_json(found));
    print_out(json.dump(2) + "\n");
    return {};
  }
  print_out(fmt::format("{} rows of '{}', {}{}: local {:.1f} % right, adviser {:.1f} %\n\n", found.n_rows,
                        recorded.model.model, method_name(found.method),
                        found.n_left_out > 0 ? fmt::format(" ({} left out, calibrated on)", found.n_left_out) : "",
                        100 * found.local_quality, 100 * found.adviser_quality));
  std::vector<std::vector<std::string>> table = {{"", "APGR", "CPT50", "CPT80", "AUROC"}};
  const auto cell = [](const advisor::gate::Figure& figure) {
    return fmt::format("{:.3f} ({:.3f} to {:.3f})", figure.value, figure.interval.low, figure.interval.high);
  };
  table.push_back({"gate", cell(found.apgr), cell(found.cpt50), cell(found.cpt80), cell(found.auroc)});
  for (const auto& baseline : found.baselines) {
    const auto& figures = baseline.figures;
    table.push_back({baseline.name, fmt::format("{:.3f}", figures.apgr), fmt::format("{:.3f}", figures.cpt50),
                     fmt::format("{:.3f}", figures.cpt80), ""});
  }
  print_out(format_table(table));
  return {};
}

Result<> advisor_outcome(const Context& context, const AdvisorOutcomeOptions& options) {
  HEARTH_TRY(const NotedOutcome noted, note_outcome(options.receipt, options.outcome == "good"));
  if (context.json) {
    print_out(outcome_json(noted) + "\n");
  } else {
    print_out(fmt::format("noted: an {} answer of '{}' was {}\n", noted.outcome.was_advised ? "advised" : "unadvised",
                          noted.receipt.model, options.outcome));
  }
  return {};
}

}  // namespace hearth::cli
