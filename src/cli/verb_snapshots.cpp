// `hearth snapshots`: what of prompts and answers lies on disk, and how to be rid of it.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "cli/paths.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "engine/snapshot_folder.h"

namespace hearth::cli {
namespace {

using nlohmann::ordered_json;

engine::SnapshotFolderOptions folder_options(const Context& context) {
  const Config::Snapshots& config = context.config.snapshots;
  return {.folder = config.folder.empty() ? snapshot_folder() : std::filesystem::path(config.folder),
          .bytes_max = static_cast<std::uint64_t>(config.disk_mib) << 20};
}

// Files of one model.
struct Kept {
  std::uint64_t files = 0, tokens = 0, bytes = 0;
  std::uint32_t longest = 0;
  std::int64_t used_unix_s = 0;
};

ordered_json file_json(const engine::SnapshotInfo& info) {
  return {{"file", info.file},
          {"model", info.label},
          {"tokens", info.n_tokens},
          {"prefix_tokens", info.n_prefix_tokens},
          {"bytes", info.bytes},
          {"used", format_iso8601(info.used_unix_s * 1'000'000)},
          {"logits", info.has_logits},
          {"usable", info.is_of_this_build}};
}

}  // namespace

Result<> snapshots_list(const Context& context) {
  engine::SnapshotFolder folder(folder_options(context));
  const std::vector<engine::SnapshotInfo> all = folder.list();
  if (context.json) {
    ordered_json files = ordered_json::array();
    for (const engine::SnapshotInfo& info : all) files.push_back(file_json(info));
    print_out(files.dump(2) + "\n");
    return {};
  }
  std::map<std::string, Kept> models;
  std::uint64_t bytes = 0, other_builds = 0;
  for (const engine::SnapshotInfo& info : all) {
    Kept& kept = models[info.label];
    ++kept.files;
    kept.tokens += info.n_tokens;
    kept.bytes += info.bytes;
    kept.longest = std::max(kept.longest, info.n_prefix_tokens);
    kept.used_unix_s = std::max(kept.used_unix_s, info.used_unix_s);
    bytes += info.bytes;
    other_builds += info.is_of_this_build ? 0 : 1;
  }
  std::vector<std::vector<std::string>> table = {{"MODEL", "FILES", "TOKENS", "LONGEST", "SIZE", "LAST USE (UTC)"}};
  for (const auto& [name, kept] : models) {
    table.push_back({name, fmt::format("{}", kept.files), fmt::format("{}", kept.tokens),
                     fmt::format("{}", kept.longest), format_bytes(kept.bytes),
                     format_iso8601(kept.used_unix_s * 1'000'000).substr(0, 19)});
  }
  print_out(format_table(table));
  print_note(fmt::format("{} of at most {}{}", format_bytes(bytes),
                         format_bytes(static_cast<std::uint64_t>(context.config.snapshots.disk_mib) << 20),
                         context.config.snapshots.enabled ? "" : "; snapshots.enabled is false: nothing is added or used"));
  if (other_builds > 0) {
    print_note(fmt::format("{} files are of other builds of Hearth: not used, and the first to go", other_builds));
  }
  return {};
}

Result<> snapshots_drop(const Context& context) {
  engine::SnapshotFolder folder(folder_options(context));
  HEARTH_TRY(const std::uint64_t n_dropped, folder.drop_all());
  if (context.json) {
    print_out(ordered_json{{"dropped", n_dropped}}.dump() + "\n");
  } else {
    print_note(fmt::format("{} files dropped", n_dropped));
  }
  return {};
}

}  // namespace hearth::cli
