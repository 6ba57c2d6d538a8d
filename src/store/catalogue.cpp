#include "store/catalogue.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/ascii.h"
#include "base/digest.h"
#include "store/adapters.h"
#include "store/places.h"
#include "store/pulled.h"

namespace hearth::store {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kNamesInErrorMax = 20;

// A file is one model however many links lead to it; in Ollama, though, each name is a model.
bool is_seen(const Candidate& candidate, const std::optional<FileKey>& key,
             std::set<std::pair<std::uint64_t, std::uint64_t>>& seen) {
  if (!key || candidate.source == "ollama") return false;
  return !seen.emplace(key->device, key->inode).second;
}

// A GGUF file that could be read and holds a language model, but not one that the engine knows.
bool is_foreign(const CatalogueEntry& entry, const Candidate& candidate, const Head& head) {
  const bool is_model = !head.architecture.empty() && head.architecture != "clip" &&
                        !head.quantization.empty() && head.shape.n_layers > 0;
  return !entry.problem.empty() && candidate.problem.empty() && is_model && entry.source != "store";
}

// The candidate as an entry, with what its head says.
CatalogueEntry make_entry(const Candidate& candidate, const std::optional<FileKey>& key,
                          const Head& head, const std::vector<std::string>& architectures) {
  CatalogueEntry entry;
  entry.name = candidate.name;
  entry.path = candidate.path;
  entry.source = candidate.source;
  entry.bytes = candidate.bytes != 0 ? candidate.bytes : key ? key->bytes : 0;
  entry.version = key ? hash64(std::as_bytes(std::span(&*key, 1))) : 0;
  entry.architecture = head.architecture;
  entry.quantization = head.quantization;
  entry.n_context = head.n_context;
  entry.shape = head.shape;
  entry.base = head.base;
  entry.tags = head.tags;
  if (head.is_adapter) {
    entry.name = adapter_name(entry.name);
    entry.problem = !candidate.problem.empty() ? candidate.problem : head.problem;
    return entry;
  }
  entry.problem = !candidate.problem.empty() ? candidate.problem
                  : !head.problem.empty()    ? head.problem
                                             : architecture_problem(entry.path, head, architectures);
  entry.is_foreign = is_foreign(entry, candidate, head);
  return entry;
}

// Names are unique: the first of equal ones keeps it (sources come in a fixed order), the
// others get their source behind it, and a number if that is not enough.
void make_names_unique(std::vector<CatalogueEntry>& entries) {
  std::set<std::string> taken;
  for (auto& entry : entries) {
    std::string name = entry.name;
    if (taken.contains(name)) name = fmt::format("{}-{}", entry.name, entry.source);
    const std::string with_source = name;
    for (int n = 2; taken.contains(name); ++n) name = fmt::format("{}-{}", with_source, n);
    taken.insert(name);
    entry.name = std::move(name);
  }
}

// "a, b, c and 17 more".
std::string list_names(const std::vector<const CatalogueEntry*>& entries) {
  std::vector<std::string_view> names;
  for (const auto* entry : entries) {
    if (names.size() < kNamesInErrorMax) names.push_back(entry->name);
  }
  std::string list = fmt::format("{}", fmt::join(names, ", "));
  if (entries.size() > names.size())
    list += fmt::format(" and {} more", entries.size() - names.size());
  return list;
}

Result<CatalogueEntry> usable(const CatalogueEntry& entry) {
  if (entry.problem.empty()) return entry;
  return fail(Code::kUnsupported,
              fmt::format("model '{}' can't run: {}", entry.name, entry.problem));
}

}  // namespace

Catalogue Catalogue::scan(const CatalogueOptions& options, const Catalogue* previous) {
  FoundFiles found = find_files(options);
  Catalogue made;
  made.notes_ = std::move(found.notes);
  made.architectures_ = options.architectures;
  made.pulled_ = options.pulled.value_or("");
  const HeadMap kept = options.heads_file ? read_heads(*options.heads_file) : HeadMap{};
  const HeadMap nothing;
  const HeadMap* const known[] = {&made.heads_, previous != nullptr ? &previous->heads_ : &nothing,
                                  &kept};

  std::set<std::pair<std::uint64_t, std::uint64_t>> seen;
  for (const Candidate& candidate : found.candidates) {
    const std::optional<FileKey> key =
        file_key(candidate.is_peft ? candidate.path / kPeftWeights : candidate.path);
    if (is_seen(candidate, key, seen) || (key && found.imported.contains(*key))) continue;
    Head head;
    if (candidate.is_peft) {
      head = read_peft_head(candidate.path);
    } else if (candidate.problem.empty()) {
      head = made.head_of(candidate.path, key, known);
    }
    auto& list = head.is_adapter ? made.adapters_ : made.entries_;
    list.push_back(make_entry(candidate, key, head, options.architectures));
  }
  for (auto* list : {&made.entries_, &made.adapters_}) {
    make_names_unique(*list);
    std::ranges::sort(*list, {}, &CatalogueEntry::name);
  }
  if (options.heads_file && made.heads_ != kept) write_heads(*options.heads_file, made.heads_);
  return made;
}

// As another scan found it where the file is the same, else from the file.  The words of a problem
// name the path that it was read by.
Head Catalogue::head_of(const fs::path& path, const std::optional<FileKey>& key,
                        std::span<const HeadMap* const> known) {
  if (!key) return read_head(path);  // Says what is wrong with it.
  for (const HeadMap* heads : known) {
    const auto found = heads->find(*key);
    if (found == heads->end()) continue;
    const KnownHead head = found->second;
    if (!head.head.problem.empty() && head.path != path) continue;
    heads_.insert_or_assign(*key, head);
    return head.head;
  }
  Head head = read_head(path);
  heads_.insert_or_assign(*key, KnownHead{head, head.problem.empty() ? "" : path.string()});
  return head;
}

Result<CatalogueEntry> Catalogue::find(std::string_view name) const {
  HEARTH_TRY(const CatalogueEntry entry, find_any(name));
  return usable(entry);
}

Result<CatalogueEntry> Catalogue::find_any(std::string_view name) const {
  // A name in full, as listed or as Ollama shortens it.
  for (const std::string& full : {std::string(name), fmt::format("{}:latest", name)}) {
    const auto found = std::ranges::lower_bound(entries_, full, {}, &CatalogueEntry::name);
    if (found != entries_.end() && found->name == full) return *found;
  }
  if (const CatalogueEntry* const pulled = find_pulled(name)) return *pulled;
  if (name.ends_with(".gguf")) return find_path(name);
  auto found = find_prefix(name);
  std::error_code error;
  if (!found && fs::is_directory(name, error)) {
    return fail(Code::kInvalidArgument,
                fmt::format("'{}' is a folder: name a .gguf file in it, or make one of it with "
                            "`hearth models quantize`",
                            name));
  }
  return found;
}

// "hf.co/ORG/REPO:Q8_0", as it was said to pull it: the first that fits.
const CatalogueEntry* Catalogue::find_pulled(std::string_view name) const {
  const auto fits = [&](const CatalogueEntry& entry) {
    return entry.source == kPulledSource && is_pulled_as(name, entry.path.lexically_relative(pulled_));
  };
  const auto found = std::ranges::find_if(entries_, fits);
  return found == entries_.end() ? nullptr : &*found;
}

Result<CatalogueEntry> Catalogue::find_path(const fs::path& path) const {
  std::error_code error;
  for (const auto& entry : entries_) {
    if (fs::equivalent(entry.path, path, error) && !error) return entry;
  }
  const auto key = file_key(path);
  if (!key) {
    // "NAME.gguf" may also be a name with a suffix too much.
    if (!path.has_parent_path() && path.has_stem()) {
      if (auto found = find_prefix(path.stem().string())) return found;
    }
    return fail(Code::kNotFound, fmt::format("there is no model file '{}'", path.string()));
  }
  const Candidate candidate{path.stem().string(), path, "path", {}, 0};
  const Head head = read_head(path);
  if (head.is_adapter) {
    return fail(Code::kInvalidArgument,
                fmt::format("'{0}' is an adapter: name it behind its base, as MODEL@{0}",
                            path.string()));
  }
  return make_entry(candidate, key, head, architectures_);
}

Result<CatalogueEntry> Catalogue::find_prefix(std::string_view name) const {
  const std::string prefix = lower(name);
  std::vector<const CatalogueEntry*> all, matching;
  for (const auto& entry : entries_) {
    all.push_back(&entry);
    const std::string candidate = lower(entry.name);
    if (candidate == prefix) return entry;
    if (!prefix.empty() && candidate.starts_with(prefix)) matching.push_back(&entry);
  }
  if (std::ranges::any_of(matching, [](const auto* entry) { return entry->problem.empty(); })) {
    std::erase_if(matching, [](const auto* entry) { return !entry->problem.empty(); });
  }
  if (matching.size() == 1) return *matching.front();
  if (matching.size() > 1) {
    return fail(Code::kInvalidArgument,
                fmt::format("model '{}' is ambiguous: {}", name, list_names(matching)));
  }
  if (std::ranges::find(adapters_, name, &CatalogueEntry::name) != adapters_.end()) {
    return fail(Code::kInvalidArgument,
                fmt::format("'{0}' is an adapter: name it behind its base, as MODEL@{0}", name));
  }
  if (all.empty()) {
    return fail(
        Code::kNotFound,
        fmt::format("there is no model '{}', and no other model was found on this machine", name));
  }
  return fail(Code::kNotFound,
              fmt::format("there is no model '{}'; there {} {}", name,
                          all.size() == 1 ? "is" : "are", list_names(all)));
}

}  // namespace hearth::store
