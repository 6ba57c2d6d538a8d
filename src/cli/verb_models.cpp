// `hearth models`: what is on this machine, from whom, and whether it can run.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/open_catalogue.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

namespace hearth::cli {
namespace {

nlohmann::ordered_json to_json(const store::CatalogueEntry& entry) {
  return {{"name", entry.name},
          {"path", entry.path.string()},
          {"source", entry.source},
          {"bytes", entry.bytes},
          {"architecture", entry.architecture},
          {"quantization", entry.quantization},
          {"context_tokens", entry.n_context},
          {"problem", entry.problem}};
}

}  // namespace

Result<> models_list(const Context& context) {
  HEARTH_TRY(const store::Catalogue catalogue, open_catalogue(context.config));
  if (context.json) {
    nlohmann::ordered_json models = nlohmann::ordered_json::array();
    for (const auto& entry : catalogue.entries()) models.push_back(to_json(entry));
    print_out(models.dump(2) + "\n");
    return {};
  }
  std::vector<std::vector<std::string>> table = {{"NAME", "SIZE", "TYPE", "CONTEXT", "ARCHITECTURE", "FROM", ""}};
  for (const auto& entry : catalogue.entries()) {
    table.push_back({entry.name, format_bytes(entry.bytes), entry.quantization,
                     entry.n_context == 0 ? "" : fmt::format("{}", entry.n_context), entry.architecture,
                     entry.source, entry.problem.empty() ? "" : "can't run: " + entry.problem});
  }
  print_out(format_table(table));
  return {};
}

Result<> models_show(const Context& context, const ModelsShowOptions& options) {
  HEARTH_TRY(const store::Catalogue catalogue, open_catalogue(context.config));
  auto found = catalogue.find(options.name);
  // A model that can't run is still worth showing: its problem is what was asked for.
  for (const auto& entry : catalogue.entries()) {
    if (!found && entry.name == options.name) found = entry;
  }
  if (!found) return std::unexpected(found.error());
  if (context.json) {
    print_out(to_json(*found).dump(2) + "\n");
    return {};
  }
  print_out(format_table({{"name", found->name},
                          {"file", found->path.string()},
                          {"from", found->source},
                          {"size", format_bytes(found->bytes)},
                          {"architecture", found->architecture},
                          {"quantization", found->quantization},
                          {"context", fmt::format("{} tokens", found->n_context)},
                          {"can run", found->problem.empty() ? "yes" : "no: " + found->problem}}));
  return {};
}

}  // namespace hearth::cli
