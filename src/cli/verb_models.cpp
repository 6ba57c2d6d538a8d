// `hearth models`: what is on this machine, from whom, and whether it can run.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "cli/open_catalogue.h"
#include "cli/paths.h"
#include "cli/terminal.h"
#include "cli/upstreams.h"
#include "cli/verbs.h"
#include "gguf/manifest.h"
#include "hub/upstream/child_process.h"
#include "store/adapters.h"
#include "store/delta_base.h"
#include "store/inventory.h"

namespace hearth::cli {
namespace {

nlohmann::ordered_json to_json(const store::CatalogueEntry& entry, const char* kind) {
  return {{"name", entry.name},
          {"kind", kind},
          {"path", entry.path.string()},
          {"source", entry.source},
          {"bytes", entry.bytes},
          {"architecture", entry.architecture},
          {"quantization", entry.quantization},
          {"context_tokens", entry.n_context},
          {"base", entry.base},
          {"problem", entry.problem}};
}

// Of a model that is kept as a difference of another one, and of one that is the base of others.
void add_delta_rows(const gguf::Manifest& manifest, std::vector<std::vector<std::string>>& rows) {
  if (const std::string base = store::delta_base_of(manifest); !base.empty()) {
    std::uint64_t bytes = 0, n = 0;
    for (const gguf::TensorRef& ref : manifest.refs()) {
      if (!gguf::is_delta(ref.layout)) continue;
      bytes += ref.bytes;
      ++n;
    }
    rows.push_back({"difference of", fmt::format("{}: {} tensors in {}", base, n, format_bytes(bytes))});
  }
  const auto deltas = store::deltas_of({store_folder()}, manifest.name());
  if (!deltas.empty()) rows.push_back({"base of", fmt::format("{}", fmt::join(deltas, ", "))});
}

// Whence an imported model came, and what of it other imported models have as well.
void add_store_rows(const std::filesystem::path& path, std::vector<std::vector<std::string>>& rows) {
  const auto manifest = gguf::Manifest::open(path);
  if (!manifest) return;
  const store::Inventory inventory = store::Inventory::read({store_folder()});
  std::uint64_t shared = 0;
  for (const gguf::TensorRef& ref : manifest->refs()) {
    const auto named = inventory.named.find({manifest->packs()[ref.pack].id, ref.offset});
    if (named != inventory.named.end() && named->second > 1) shared += ref.bytes;
  }
  rows.push_back({"imported from", std::string(manifest->source_path())});
  rows.push_back({"tensors", fmt::format("{} in {} packs", manifest->refs().size(), manifest->packs().size())});
  rows.push_back({"shared", format_bytes(shared)});
  add_delta_rows(*manifest, rows);
}

// "store: 3 models, 1.2 GB on disk, 0.1 GB spared by sharing"; nothing without imported models.
void print_store_usage() {
  const store::StoreUsage usage = store::usage_of(store::Inventory::read({store_folder()}));
  if (usage.n_models == 0 && usage.n_packs == 0) return;
  print_note(fmt::format("store: {} models, {} on disk, {} spared by sharing{}", usage.n_models,
                         format_bytes(usage.file_bytes), format_bytes(usage.shared_bytes),
                         usage.unnamed_bytes == 0
                             ? ""
                             : fmt::format(", {} for `hearth models gc`", format_bytes(usage.unnamed_bytes))));
}

// The names of the models that an adapter looks as if it were made for.
std::string bases_of(const store::CatalogueEntry& adapter, const store::Catalogue& catalogue) {
  constexpr std::size_t kNamedMax = 3;
  std::vector<std::string> names;
  for (const auto& model : catalogue.entries()) {
    if (model.problem.empty() && store::may_fit(adapter, model)) names.push_back(model.name);
  }
  if (names.empty()) return adapter.base.empty() ? "" : fmt::format("{} (not here)", adapter.base);
  const std::size_t n_more = names.size() - std::min(names.size(), kNamedMax);
  names.resize(names.size() - n_more);
  return fmt::format("{}{}", fmt::join(names, ", "), n_more == 0 ? "" : fmt::format(" and {} more", n_more));
}

void print_adapters(const store::Catalogue& catalogue) {
  std::vector<std::vector<std::string>> table = {{"ADAPTER", "SIZE", "TYPE", "ARCHITECTURE", "FROM", "FOR"}};
  for (const auto& entry : catalogue.adapters()) {
    table.push_back({entry.name, format_bytes(entry.bytes), entry.quantization, entry.architecture, entry.source,
                     entry.problem.empty() ? bases_of(entry, catalogue) : "can't be used: " + entry.problem});
  }
  if (table.size() > 1) print_out("\n" + format_table(table));
}

// What was asked for by an adapter's name, alone or behind its base.
const store::CatalogueEntry* find_adapter(const store::Catalogue& catalogue, std::string_view name) {
  name.remove_prefix(name.rfind('@') == name.npos ? 0 : name.rfind('@') + 1);
  for (const auto& entry : catalogue.adapters()) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

void show_adapter(const store::CatalogueEntry& entry, const store::Catalogue& catalogue, bool json) {
  if (json) {
    print_out(to_json(entry, "adapter").dump(2) + "\n");
    return;
  }
  print_out(format_table({{"adapter", entry.name},
                          {"file", entry.path.string()},
                          {"from", entry.source},
                          {"size", format_bytes(entry.bytes)},
                          {"architecture", entry.architecture},
                          {"type", entry.quantization},
                          {"for", bases_of(entry, catalogue)},
                          {"can be used", entry.problem.empty() ? "yes, as MODEL@" + entry.name : "no: " + entry.problem}}));
}

nlohmann::ordered_json to_json(const hub::ModelEntry& entry) {
  return {{"name", entry.name},
          {"kind", "upstream"},
          {"path", entry.path},
          {"source", entry.upstream},
          {"bytes", entry.bytes},
          {"architecture", entry.architecture},
          {"quantization", entry.quantization},
          {"context_tokens", entry.n_context},
          {"place", entry.place},
          {"leaves_this_machine", entry.is_egress},
          {"problem", entry.problem}};
}

std::string state_of(const store::CatalogueEntry& entry, bool has_llama) {
  const bool is_delta = entry.source == "store" && !entry.base.empty();
  if (entry.problem.empty()) return is_delta ? "difference of " + entry.base : "";
  return entry.is_foreign && has_llama ? "runs in llama-server" : "can't run: " + entry.problem;
}

void print_upstreams(const UpstreamReport& report) {
  std::vector<std::vector<std::string>> table = {{"UPSTREAM MODEL", "SIZE", "TYPE", "CONTEXT", "RUNS AT"}};
  for (const auto& entry : report.models) {
    table.push_back({entry.name, entry.bytes == 0 ? "" : format_bytes(entry.bytes), entry.quantization,
                     entry.n_context == 0 ? "" : fmt::format("{}", entry.n_context),
                     entry.place + (entry.problem.empty() ? "" : "; can't be asked: its prices are unknown")});
  }
  if (table.size() > 1) print_out("\n" + format_table(table));
  for (const auto& state : report.states) {
    if (!state.problem.empty()) print_note(fmt::format("upstream '{}' at {}: {}", state.name, state.url, state.problem));
  }
}

}  // namespace

Result<> models_list(const Context& context) {
  HEARTH_TRY(const store::Catalogue catalogue, open_catalogue(context.config));
  HEARTH_TRY(const UpstreamReport upstreams, report_upstreams(context.config));
  if (context.json) {
    nlohmann::ordered_json models = nlohmann::ordered_json::array();
    for (const auto& entry : catalogue.entries()) models.push_back(to_json(entry, "model"));
    for (const auto& entry : catalogue.adapters()) models.push_back(to_json(entry, "adapter"));
    for (const auto& entry : upstreams.models) models.push_back(to_json(entry));
    print_out(models.dump(2) + "\n");
    return {};
  }
  const bool has_llama = !hub::find_program(context.config.llama_server.path).empty();
  std::vector<std::vector<std::string>> table = {{"NAME", "SIZE", "TYPE", "CONTEXT", "ARCHITECTURE", "FROM", ""}};
  for (const auto& entry : catalogue.entries()) {
    table.push_back({entry.name, format_bytes(entry.bytes), entry.quantization,
                     entry.n_context == 0 ? "" : fmt::format("{}", entry.n_context), entry.architecture,
                     entry.source, state_of(entry, has_llama)});
  }
  print_out(format_table(table));
  print_store_usage();
  print_adapters(catalogue);
  print_upstreams(upstreams);
  return {};
}

Result<> models_show(const Context& context, const ModelsShowOptions& options) {
  HEARTH_TRY(const store::Catalogue catalogue, open_catalogue(context.config));
  auto found = catalogue.find(options.name);
  // A model that can't run is still worth showing: its problem is what was asked for.
  for (const auto& entry : catalogue.entries()) {
    if (!found && entry.name == options.name) found = entry;
  }
  if (const auto* const adapter = found ? nullptr : find_adapter(catalogue, options.name)) {
    show_adapter(*adapter, catalogue, context.json);
    return {};
  }
  if (!found) return std::unexpected(found.error());
  if (context.json) {
    print_out(to_json(*found, "model").dump(2) + "\n");
    return {};
  }
  std::vector<std::vector<std::string>> rows = {
      {"name", found->name},
      {"file", found->path.string()},
      {"from", found->source},
      {"size", format_bytes(found->bytes)},
      {"architecture", found->architecture},
      {"quantization", found->quantization},
      {"context", fmt::format("{} tokens", found->n_context)},
      {"can run", found->problem.empty() ? "yes" : "no: " + found->problem}};
  if (found->source == "store") add_store_rows(found->path, rows);
  print_out(format_table(rows));
  return {};
}

}  // namespace hearth::cli
