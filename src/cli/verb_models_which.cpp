// `hearth models which`: which model "auto" means for a text, and why.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/open_catalogue.h"
#include "cli/tasks.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "hub/model_shelf.h"
#include "hub/tasks/model_tags.h"

namespace hearth::cli {
namespace {

// What "auto" means without tasks.
std::string default_model(const Config& config, const std::vector<store::CatalogueEntry>& candidates) {
  if (!config.models.default_model.empty()) return config.models.default_model;
  return candidates.empty() ? "nothing: there is no model that can run here" : candidates.front().name;
}

}  // namespace

Result<> models_which(const Context& context, const ModelsWhichOptions& options) {
  HEARTH_TRY(const store::Catalogue catalogue, open_catalogue(context.config));
  HEARTH_TRY(hub::TaskRouterOptions tasks, task_options(context.config));
  const auto candidates = hub::auto_candidates(catalogue.entries());
  std::string text;
  for (const std::string& word : options.text) text += (text.empty() ? "" : " ") + word;

  std::string model = default_model(context.config, candidates);
  std::string why = "there are no [[tasks]] in the configuration: this is the default";
  std::vector<std::pair<std::string, float>> scores;
  if (!tasks.tasks.empty()) {
    HEARTH_TRY(const hub::TaskRouter router, hub::TaskRouter::create(std::move(tasks)));
    scores = router.scores(text);
    hub::TaskChoice choice = router.choose(text, [&](const std::vector<std::string>& tags) {
      return hub::find_tagged(candidates, catalogue.adapters(), tags);
    });
    if (!choice.model.empty()) model = choice.model;
    why = choice.why;
  }
  if (context.json) {
    nlohmann::ordered_json json = {{"model", model}, {"why", why}, {"tasks", nlohmann::ordered_json::object()}};
    for (const auto& [name, probability] : scores) json["tasks"][name] = probability;
    print_out(json.dump(2) + "\n");
    return {};
  }
  print_out(fmt::format("{}\n", model));
  print_note(why);
  std::vector<std::vector<std::string>> table;
  for (const auto& [name, probability] : scores) table.push_back({name, fmt::format("{:.3f}", probability)});
  if (!table.empty()) print_out(format_table(table));
  return {};
}

}  // namespace hearth::cli
