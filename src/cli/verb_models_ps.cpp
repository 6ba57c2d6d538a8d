// `hearth models ps`: which models are in memory, and what keeps them there.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/api_keys.h"
#include "cli/background.h"
#include "cli/open_catalogue.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "net/http_get.h"
#include "store/residency.h"

namespace hearth::cli {
namespace {

using nlohmann::ordered_json;

Result<ordered_json> ask_hub(const std::string& url) {
  constexpr std::size_t kReportBytesMax = std::size_t{16} << 20;
  const net::HttpGet request{.url = url + "/hearth/v1/memory", .bearer_token = own_api_key()};
  HEARTH_TRY(const std::string body, net::http_get_text(request, kReportBytesMax));
  auto report = ordered_json::parse(body, nullptr, false);
  if (report.is_object() && report.value("models", ordered_json()).is_array()) return report;
  return fail(Code::kCorrupt, fmt::format("'{}' sent what no hub sends", url));
}

// Without a hub: what the page cache holds.
Result<ordered_json> ask_kernel(const Context& context) {
  HEARTH_TRY(const store::Catalogue catalogue, open_catalogue(context.config));
  ordered_json report = {{"bytes_max", 0}, {"bytes_used", 0}, {"models", ordered_json::array()}};
  for (const store::CatalogueEntry& entry : catalogue.entries()) {
    const auto cached = store::residency_of(entry.path);
    if (!cached || !entry.problem.empty()) continue;
    const bool is_cached = (cached->bytes - cached->cached_bytes) * 10 <= cached->bytes;
    report["models"].push_back({{"name", entry.name},
                                {"state", is_cached ? "cached" : "cold"},
                                {"bytes", cached->bytes},
                                {"cached_bytes", cached->cached_bytes},
                                {"loaded", false},
                                {"leases", 0},
                                {"uses", 0},
                                {"load_ms", 0.0}});
  }
  return report;
}

// Other servers, as the running hub sees them.
void print_upstreams(const ordered_json& report) {
  std::vector<std::vector<std::string>> table = {{"UPSTREAM", "KIND", "MODELS", "RUNNING", "REQUESTS", "FAILURES", "CIRCUIT", "URL", ""}};
  for (const auto& upstream : report.value("upstreams", ordered_json::array())) {
    table.push_back({upstream.value("name", ""), upstream.value("kind", ""), fmt::format("{}", upstream.value("models", 0)),
                     fmt::format("{}", upstream.value("running", 0)), fmt::format("{}", upstream.value("requests", 0)),
                     fmt::format("{}", upstream.value("failures", 0)), upstream.value("circuit", ""),
                     upstream.value("url", ""), upstream.value("problem", "")});
  }
  if (table.size() > 1) print_out("\n" + format_table(table));
}

std::uint64_t number(const ordered_json& object, const char* key) {
  return object.value(key, std::uint64_t{0});
}

std::string percent(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? "" : fmt::format("{} %", 100 * part / whole);
}

// How much of a model is there, and how far a stream of it is.
std::vector<std::string> row_of(const ordered_json& model) {
  const std::uint64_t bytes = number(model, "bytes"), ready = number(model, "ready_bytes");
  const std::uint64_t wanted = number(model, "wanted_bytes");
  std::string state = model.value("state", "");
  if (wanted > 0) state += " " + percent(ready, ready + wanted);
  std::vector<std::string> row{model.value("name", ""), state, format_bytes(bytes),
                               format_bytes(number(model, "cached_bytes"))};
  if (!model.value("loaded", false)) return row.resize(10), row;
  row.push_back(percent(ready, bytes));
  row.push_back(percent(number(model, "large_page_bytes"), number(model, "mapped_bytes")));
  row.push_back(fmt::format("{}", number(model, "leases")));
  row.push_back(fmt::format("{}", number(model, "uses")));
  row.push_back(fmt::format("{:.1f} ms", model.value("load_ms", 0.0)));
  row.push_back(fmt::format("{:.1f} ms", model.value("waited_ms", 0.0)));
  return row;
}

std::string summary_of(const ordered_json& report) {
  std::string text = fmt::format("{} of {} for weights", format_bytes(number(report, "bytes_used")),
                                 format_bytes(number(report, "bytes_max")));
  if (number(report, "guesses") == 0) return text;
  return text + fmt::format("; {} of {} foreseen switches came, {} read ahead, {} of it in vain",
                            number(report, "guess_hits"), number(report, "guesses"),
                            format_bytes(number(report, "guessed_bytes")),
                            format_bytes(number(report, "wasted_bytes")));
}

}  // namespace

Result<> models_ps(const Context& context) {
  const auto hub = find_running();
  HEARTH_TRY(const ordered_json report, hub ? ask_hub(hub->url) : ask_kernel(context));
  if (context.json) {
    print_out(report.dump(2) + "\n");
    return {};
  }
  std::vector<std::vector<std::string>> table = {{"NAME", "STATE", "SIZE", "CACHED", "READY", "LARGE PAGES", "LEASES", "USES", "LOAD", "WAITED"}};
  for (const auto& model : report["models"]) {
    table.push_back(row_of(model));
  }
  print_out(format_table(table));
  print_upstreams(report);
  if (hub) {
    if (const auto snapshots = report.value("snapshots", ordered_json::object()); !snapshots.empty()) {
      print_note(fmt::format("{} of snapshots on disk; {} prompt tokens were restored from them",
                             format_bytes(snapshots.value("bytes", std::uint64_t{0})),
                             snapshots.value("restored_tokens", std::uint64_t{0})));
    }
    print_note(summary_of(report));
  } else {
    print_note("no hub runs here: this is what the page cache holds");
  }
  return {};
}

}  // namespace hearth::cli
