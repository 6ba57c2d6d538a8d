#include "cli/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "base/file.h"
#include "cli/config_key.h"

namespace hearth::cli {
namespace {

// clang-format off
constexpr std::string_view kRuleModes = "off|capped|forced";
#define FIELD(type, path) [](Config& c) -> type& { return c.path; }
using Key = ConfigKey<Config>;
const std::array kKeys = {
    Key{"server", "host", "Address the hub listens on. Anything but a loopback address needs api_keys_file.",
              Text<Config>{FIELD(std::string, server.host)}},
    Key{"server", "port", "TCP port the hub listens on.",
              Integer<Config>{FIELD(std::int64_t, server.port), 1, 65535}},
    Key{"server", "api_keys_file", "File with one API key a line, as NAME KEY or NAME KEY admin; only its owner may read it. A key sees the receipts of its own requests, an admin's key those of all.",
              Text<Config>{FIELD(std::string, server.api_keys_file)}},
    Key{"server", "host_names", "Host names beside loopback by which clients may call the hub.",
              List<Config>{FIELD(Strings, server.host_names)}},
    Key{"server", "origins", "Origins of web pages that may call the hub, as https://NAME:PORT.",
              List<Config>{FIELD(Strings, server.origins)}},
    Key{"models", "folders", "Folders that are searched for *.gguf files, besides those of other programs.",
              List<Config>{FIELD(Strings, models.folders)}},
    Key{"models", "default", "Model that 'auto' and 'local' mean; empty lets the hub choose.",
              Text<Config>{FIELD(std::string, models.default_model)}},
    Key{"models", "scan", "Look where Ollama, LM Studio, llama.cpp and Hugging Face keep models.",
              Switch<Config>{FIELD(bool, models.scan)}},
    Key{"models", "memory_mib", "Most memory for loaded weights, in MiB; 0 means what the machine has.",
              Integer<Config>{FIELD(std::int64_t, models.memory_mib), 0, 1 << 30}},
    Key{"models", "drop_cache", "What that leaves no room for leaves the page cache, too, so that other programs have the memory at once.",
              Switch<Config>{FIELD(bool, models.drop_cache)}},
    Key{"models", "pinned", "Models that are loaded at the start and never dropped, by name.",
              List<Config>{FIELD(Strings, models.pinned)}},
    Key{"models", "preload", "Models that are loaded at the start, by name.",
              List<Config>{FIELD(Strings, models.preload)}},
    Key{"models", "pack", "Copy weights into the kernels' layout at load: faster answers, slower loading, twice the memory.",
              Switch<Config>{FIELD(bool, models.pack)}},
    Key{"models", "drafts", "Smaller models of the same vocabulary that draft for others, as NAME=DRAFT; answers stay the same.",
              List<Config>{FIELD(Strings, models.drafts)}},
    Key{"models", "task_margin", "By how much the probability of a task must exceed the next one's for 'auto' to take its model.",
        Number<Config>{FIELD(double, models.task_margin), 0, 1}},
    Key{"models", "pull", "Let clients have the hub pull models from Hugging Face and Ollama's registry, and delete what was pulled (POST /api/pull, DELETE /api/delete).",
        Switch<Config>{FIELD(bool, models.pull)}},
    Key{"adapters", "folders", "Folders that are searched for LoRA adapters, besides those of models.",
              List<Config>{FIELD(Strings, adapters.folders)}},
    Key{"adapters", "memory_mib", "Most memory for adapters that stay loaded, in MiB; 0 means a quarter of the machine's.",
              Integer<Config>{FIELD(std::int64_t, adapters.memory_mib), 0, 1 << 30}},
    Key{"llama_server", "path", "llama.cpp's llama-server, which runs the models that Hearth can't: a path, or a name in the PATH; empty: never used.",
        Text<Config>{FIELD(std::string, llama_server.path)}},
    Key{"llama_server", "arguments", "Arguments for it, behind those that Hearth sets (--model, --alias, --host, --port, --jinja).",
        List<Config>{FIELD(Strings, llama_server.arguments)}},
    Key{"llama_server", "start_timeout_s", "Seconds within which it must be ready.",
        Integer<Config>{FIELD(std::int64_t, llama_server.start_timeout_s), 1, 86'400}},
    Key{"llama_server", "idle_stop_s", "Seconds without a request after which it is stopped.",
        Integer<Config>{FIELD(std::int64_t, llama_server.idle_stop_s), 1, 1 << 30}},
    Key{"advisor", "base_url", "Address of the adviser, as https://HOST/v1; empty: where its wire's maker serves it, or, if wire is empty too, no adviser.",
              Text<Config>{FIELD(std::string, advisor.base_url)}},
    Key{"advisor", "wire", "How the adviser is spoken to: chat, openai, hearth, responses, anthropic or gemini; empty: by its host, else chat.",
              Text<Config>{FIELD(std::string, advisor.wire)}},
    Key{"advisor", "model", "Model that is asked for advice.",
              Text<Config>{FIELD(std::string, advisor.model)}},
    Key{"advisor", "provider", "Name of the provider in receipts and the ledger.",
              Text<Config>{FIELD(std::string, advisor.provider)}},
    Key{"advisor", "key_env", "Environment variable that holds the adviser's API key.",
              Text<Config>{FIELD(std::string, advisor.key_env)}},
    Key{"advisor", "key_file", "File that holds the adviser's API key; only its owner may read it.",
              Text<Config>{FIELD(std::string, advisor.key_file)}},
    Key{"advisor", "price_in_usd_per_mtok", "Price of a million input tokens in US dollars; below 0: as [[prices]] or Hearth's own list say, else unknown, and nothing is asked.",
              Number<Config>{FIELD(double, advisor.price_in_usd_per_mtok), -1, 10'000}},
    Key{"advisor", "price_out_usd_per_mtok", "Price of a million output tokens in US dollars; below 0: as for input.",
              Number<Config>{FIELD(double, advisor.price_out_usd_per_mtok), -1, 10'000}},
    Key{"advisor", "threshold", "The adviser is asked when the local answer's confidence is below this.",
              Number<Config>{FIELD(double, advisor.threshold), 0, 1}},
    Key{"advisor", "mode", "When the adviser may be asked if a request does not say.",
              Text<Config>{FIELD(std::string, advisor.mode), "never|auto|always"}},
    Key{"advisor", "max_output_tokens", "Most tokens of advice that are paid for.",
              Integer<Config>{FIELD(std::int64_t, advisor.max_output_tokens), 1, 1 << 20}},
    Key{"advisor", "timeout_s", "Seconds after which the local answer is given without advice.",
              Integer<Config>{FIELD(std::int64_t, advisor.timeout_s), 1, 3600}},
    Key{"privacy", "policy", "File with the rules of what may leave; empty: policy.toml beside this file if it is there, else private text leaves with placeholders alone.",
              Text<Config>{FIELD(std::string, privacy.policy)}},
    Key{"privacy", "dictionaries", "Files with words that must not leave, a line each: TYPE: word or phrase.",
              List<Config>{FIELD(Strings, privacy.dictionaries)}},
    Key{"privacy", "consent_timeout_s", "Seconds that a call waits for consent, where the policy says ask; then it stays here.",
              Integer<Config>{FIELD(std::int64_t, privacy.consent_timeout_s), 1, 3600}},
    Key{"advice", "low_confidence", "Ask when confidence is below advisor.threshold: off; capped, where the expected gain is worth the price; or forced.",
              Text<Config>{FIELD(std::string, advice.low_confidence), kRuleModes}},
    Key{"advice", "refusal", "Ask when the local answer refuses or says that it does not know.",
              Text<Config>{FIELD(std::string, advice.refusal), kRuleModes}},
    Key{"advice", "tool_errors", "Ask when tools failed several times in a row.",
              Text<Config>{FIELD(std::string, advice.tool_errors), kRuleModes}},
    Key{"advice", "tool_errors_min", "How many failures in a row are several.",
              Integer<Config>{FIELD(std::int64_t, advice.tool_errors_min), 1, 100}},
    Key{"advice", "before_done", "Ask before an answer that ends work in which tools were used.",
              Text<Config>{FIELD(std::string, advice.before_done), kRuleModes}},
    Key{"advice", "risky_tools", "Ask before a call of a tool that risky_tool_names names.",
              Text<Config>{FIELD(std::string, advice.risky_tools), kRuleModes}},
    Key{"advice", "risky_tool_names", "Tools whose calls are risky; * stands for any text, as in delete_*.",
              List<Config>{FIELD(Strings, advice.risky_tool_names)}},
    Key{"advice", "wrong_max", "Ask whenever the local answer is wrong with a probability above this; 1: no bound.",
              Number<Config>{FIELD(double, advice.wrong_max), 0, 1}},
    Key{"advice", "value_usd", "What a right answer instead of a wrong one is worth, in US dollars: a capped rule asks where P(local wrong) x P(adviser right) x this exceeds the expected price.",
              Number<Config>{FIELD(double, advice.value_usd), 0, 1'000}},
    Key{"advice", "second_model", "Another local model, small or pinned, that answers the same questions: whether it agrees is a signal; empty: none.",
              Text<Config>{FIELD(std::string, advice.second_model)}},
    Key{"advice", "disagreement", "Ask when the second model answers otherwise.",
              Text<Config>{FIELD(std::string, advice.disagreement), kRuleModes}},
    Key{"advice", "ask_early", "Ask as soon as an answer is unsure, while the local model writes on: its answer stands if the advice says the same, else it is dropped.",
              Switch<Config>{FIELD(bool, advice.ask_early)}},
    Key{"advice", "memory", "Remember advice on this machine, and answer the same question from there without a call.",
              Switch<Config>{FIELD(bool, advice.memory)}},
    Key{"advice", "memory_likeness", "How like a question must be to be answered by remembered advice: 1 lets articles, politeness, punctuation and ways of asking differ alone, and less takes many other questions for it; words with digits, names and negations must be the same in any case.",
              Number<Config>{FIELD(double, advice.memory_likeness), 0.5, 1}},
    Key{"advice", "memory_days", "Days after which remembered advice is forgotten.",
              Integer<Config>{FIELD(std::int64_t, advice.memory_days), 1, 3'650}},
    Key{"advice", "memory_max", "Most pieces of advice that are remembered; the oldest go first.",
              Integer<Config>{FIELD(std::int64_t, advice.memory_max), 1, 1'000'000}},
    Key{"advice", "defer", "Keep questions for which no adviser could be reached, for `hearth advisor deferred ask`.",
              Switch<Config>{FIELD(bool, advice.defer)}},
    Key{"budget", "usd_per_day", "Most US dollars spent on advice in a UTC day.",
              Number<Config>{FIELD(double, budget.usd_per_day), 0, 1'000'000}},
    Key{"budget", "usd_per_request", "Most US dollars spent on advice for one request.",
              Number<Config>{FIELD(double, budget.usd_per_request), 0, 1'000'000}},
    Key{"engine", "threads", "Threads of the engine; 0 means one per core.",
              Integer<Config>{FIELD(std::int64_t, engine.threads), 0, 1024}},
    Key{"engine", "kv_mib", "Memory for keys and values of all conversations, in MiB.",
              Integer<Config>{FIELD(std::int64_t, engine.kv_mib), 16, 1 << 30}},
    Key{"engine", "kv_type", "How keys and values are stored: q8_0 holds nearly twice as many tokens as f16 with all but equal answers, q4_0 nearly four times with coarser ones.",
              Text<Config>{FIELD(std::string, engine.kv_type), "f16|q8_0|q4_0"}},
    Key{"engine", "context", "Most tokens of one conversation; 0 means the model's own limit.",
              Integer<Config>{FIELD(std::int64_t, engine.context), 0, 1 << 24}},
    Key{"engine", "speculation", "Draft tokens from an answer's own text; the answer stays the same.",
              Switch<Config>{FIELD(bool, engine.speculation)}},
    Key{"compute", "bridge", "Run kernels for this user's programs (libhearth, Python, Julia) over a Unix socket.",
              Switch<Config>{FIELD(bool, compute.bridge)}},
    Key{"compute", "socket", "Path of that socket; empty means hearth/bridge.sock where the system keeps a user's sockets, else among Hearth's data.",
              Text<Config>{FIELD(std::string, compute.socket)}},
    Key{"compute", "memory_mib", "Most memory for tensors of all programs, in MiB; 0 means a quarter of the machine's.",
              Integer<Config>{FIELD(std::int64_t, compute.memory_mib), 0, 1 << 30}},
    Key{"compute", "run_seconds_max", "Seconds after which a compiled kernel's run is ended.",
              Integer<Config>{FIELD(std::int64_t, compute.run_seconds_max), 1, 86'400}},
    Key{"compute", "clients_max", "Most programs that are connected at a time.",
              Integer<Config>{FIELD(std::int64_t, compute.clients_max), 1, 1024}},
    Key{"compute", "threads", "Threads of kernels; 0 means one per core.",
              Integer<Config>{FIELD(std::int64_t, compute.threads), 0, 256}},
    Key{"snapshots", "enabled", "Keep what models computed of prompts and answers on disk, so that a restart computes nothing twice.",
              Switch<Config>{FIELD(bool, snapshots.enabled)}},
    Key{"snapshots", "disk_mib", "Most disk space for them, in MiB; the least valuable go first.",
              Integer<Config>{FIELD(std::int64_t, snapshots.disk_mib), 1, 1 << 30}},
    Key{"snapshots", "min_tokens", "Prompts and conversations shorter than this are not kept.",
              Integer<Config>{FIELD(std::int64_t, snapshots.min_tokens), 32, 1 << 24}},
    Key{"snapshots", "unstored", "Keep them also for requests that say store: false, as some clients always do.",
              Switch<Config>{FIELD(bool, snapshots.unstored)}},
    Key{"snapshots", "folder", "Where they lie, for their owner alone; empty means snapshots in Hearth's cache folder.",
              Text<Config>{FIELD(std::string, snapshots.folder)}},
};
#undef FIELD

#define FIELD(type, path) [](Config::Upstream& u) -> type& { return u.path; }
using U = Config::Upstream;
using UpstreamKey = ConfigKey<U>;
const std::array kUpstreamKeys = {
    UpstreamKey{"upstreams", "name", "What requests put before its models' names, as NAME/MODEL.",
                Text<U>{FIELD(std::string, name)}},
    UpstreamKey{"upstreams", "url", "Address of the server, as http://127.0.0.1:11434/v1; empty: where its wire's maker serves it.",
                Text<U>{FIELD(std::string, url)}},
    UpstreamKey{"upstreams", "wire", "How it is spoken to: chat, openai, hearth, responses, anthropic or gemini; empty: by its host, else chat.",
                Text<U>{FIELD(std::string, wire)}},
    UpstreamKey{"upstreams", "key_env", "Environment variable that holds its API key.",
                Text<U>{FIELD(std::string, key_env)}},
    UpstreamKey{"upstreams", "key_file", "File that holds its API key; only its owner may read it.",
                Text<U>{FIELD(std::string, key_file)}},
    UpstreamKey{"upstreams", "local", "Whether its address counts as this machine; left out: if it is a loopback address. Models that it has elsewhere never do.",
                Maybe<U>{FIELD(std::optional<bool>, local)}},
    UpstreamKey{"upstreams", "models", "Its models to list; empty: all that a server of this machine names.",
                List<U>{FIELD(Strings, models)}},
    UpstreamKey{"upstreams", "price_in_usd_per_mtok", "Price of a million input tokens in US dollars, for what leaves this machine; below 0: as [[prices]] or Hearth's own list say, else unknown, and nothing leaves.",
                Number<U>{FIELD(double, price_in_usd_per_mtok), -1, 10'000}},
    UpstreamKey{"upstreams", "price_out_usd_per_mtok", "Price of a million output tokens in US dollars; below 0: as for input.",
                Number<U>{FIELD(double, price_out_usd_per_mtok), -1, 10'000}},
    UpstreamKey{"upstreams", "max_output_tokens", "Most tokens that are paid for where a request sets no limit.",
                Integer<U>{FIELD(std::int64_t, max_output_tokens), 1, 1 << 20}},
    UpstreamKey{"upstreams", "attempts", "How often a request is tried before its first token.",
                Integer<U>{FIELD(std::int64_t, attempts), 1, 10}},
    UpstreamKey{"upstreams", "connect_timeout_s", "Seconds to wait for a connection.",
                Integer<U>{FIELD(std::int64_t, connect_timeout_s), 1, 600}},
    UpstreamKey{"upstreams", "first_byte_timeout_s", "Seconds to wait for an answer to begin.",
                Integer<U>{FIELD(std::int64_t, first_byte_timeout_s), 1, 86'400}},
    UpstreamKey{"upstreams", "idle_timeout_s", "Seconds to wait between two pieces of an answer.",
                Integer<U>{FIELD(std::int64_t, idle_timeout_s), 1, 86'400}},
};
#undef FIELD

#define FIELD(type, path) [](Config::Adviser& a) -> type& { return a.path; }
using A = Config::Adviser;
using AdviserKey = ConfigKey<A>;
const std::array kAdviserKeys = {
    AdviserKey{"advisers", "provider", "Name of the provider in receipts and the ledger.",
               Text<A>{FIELD(std::string, provider)}},
    AdviserKey{"advisers", "wire", "How it is spoken to: chat, openai, hearth, responses, anthropic or gemini; empty: by its host, else chat.",
               Text<A>{FIELD(std::string, wire)}},
    AdviserKey{"advisers", "base_url", "Its address, as https://HOST/v1; empty: where its wire's maker serves it.",
               Text<A>{FIELD(std::string, base_url)}},
    AdviserKey{"advisers", "model", "Model that is asked for advice.",
               Text<A>{FIELD(std::string, model)}},
    AdviserKey{"advisers", "key_env", "Environment variable that holds its API key.",
               Text<A>{FIELD(std::string, key_env)}},
    AdviserKey{"advisers", "key_file", "File that holds its API key; only its owner may read it.",
               Text<A>{FIELD(std::string, key_file)}},
    AdviserKey{"advisers", "max_output_tokens", "Most tokens of advice that are paid for.",
               Integer<A>{FIELD(std::int64_t, max_output_tokens), 1, 1 << 20}},
    AdviserKey{"advisers", "attempts", "How often it is tried, if it is the last that can be asked.",
               Integer<A>{FIELD(std::int64_t, attempts), 1, 10}},
};
#undef FIELD

#define FIELD(type, path) [](Config::Price& p) -> type& { return p.path; }
using P = Config::Price;
using PriceKey = ConfigKey<P>;
const std::array kPriceKeys = {
    PriceKey{"prices", "provider", "Whose price it is: the provider of an adviser or the name of an upstream.",
             Text<P>{FIELD(std::string, provider)}},
    PriceKey{"prices", "model", "The model, as the provider calls it.",
             Text<P>{FIELD(std::string, model)}},
    PriceKey{"prices", "in_usd_per_mtok", "Price of a million input tokens in US dollars; it must be named, as the next.",
             Number<P>{FIELD(double, in_usd_per_mtok), -1, 10'000}},
    PriceKey{"prices", "out_usd_per_mtok", "Price of a million output tokens in US dollars, thinking included.",
             Number<P>{FIELD(double, out_usd_per_mtok), -1, 10'000}},
    PriceKey{"prices", "cached_usd_per_mtok", "Price of a million input tokens found in a cache; below 0: as other input.",
             Number<P>{FIELD(double, cached_usd_per_mtok), -1, 10'000}},
    PriceKey{"prices", "cache_write_usd_per_mtok", "Price of a million input tokens written to a cache; below 0: the most that the wire's providers ask.",
             Number<P>{FIELD(double, cache_write_usd_per_mtok), -1, 10'000}},
    PriceKey{"prices", "long_prompt_tokens", "A prompt of more tokens makes the whole call dearer; 0: none does.",
             Integer<P>{FIELD(std::int64_t, long_prompt_tokens), 0, 1 << 30}},
    PriceKey{"prices", "long_in_factor", "How much dearer its input is, of each kind.",
             Number<P>{FIELD(double, long_in_factor), 1, 10}},
    PriceKey{"prices", "long_out_factor", "How much dearer its output is.",
             Number<P>{FIELD(double, long_out_factor), 1, 10}},
};
#undef FIELD

#define FIELD(type, path) [](Config::Task& t) -> type& { return t.path; }
using T = Config::Task;
using TaskKey = ConfigKey<T>;
const std::array kTaskKeys = {
    TaskKey{"tasks", "name", "What receipts call the task.",
            Text<T>{FIELD(std::string, name)}},
    TaskKey{"tasks", "model", "Model that 'auto' means for it, as requests name it, MODEL@ADAPTER and UPSTREAM/MODEL included; empty: by tags, else the default.",
            Text<T>{FIELD(std::string, model)}},
    TaskKey{"tasks", "tags", "Words that models of this kind call themselves.",
            List<T>{FIELD(Strings, tags)}},
    TaskKey{"tasks", "examples", "Requests of this kind, as people write them; ten or more.",
            List<T>{FIELD(Strings, examples)}},
    TaskKey{"tasks", "examples_file", "File with more of them, one a line.",
            Text<T>{FIELD(std::string, examples_file)}},
};
#undef FIELD
// clang-format on

// Levenshtein distance, for "did you mean".
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

template <class Keys>
std::string nearest_key(const Keys& keys, const std::string& unknown) {
  return std::min_element(keys.begin(), keys.end(),
                          [&](const auto& a, const auto& b) {
                            return edit_distance(a.full_name(), unknown) <
                                   edit_distance(b.full_name(), unknown);
                          })
      ->full_name();
}

Error config_error(const std::string& name, const toml::node& node, const std::string& what) {
  return Error{Code::kInvalidArgument,
               fmt::format("{}, line {}: {}", name, node.source().begin.line, what)};
}

template <class Keys, class C>
Result<> assign_section(const Keys& keys, const std::string& name, std::string_view section,
                        const toml::table& table, C& config) {
  for (const auto& [key_name, node] : table) {
    const std::string full = fmt::format("{}.{}", section, key_name.str());
    const auto key =
        std::find_if(keys.begin(), keys.end(), [&](const auto& k) { return k.full_name() == full; });
    if (key == keys.end()) {
      return std::unexpected(config_error(
          name, node, fmt::format("unknown key '{}'; did you mean '{}'?", full, nearest_key(keys, full))));
    }
    if (!assign(*key, node, config)) {
      return std::unexpected(
          config_error(name, node, fmt::format("'{}' must be {}", full, type_text(*key))));
    }
  }
  return {};
}

// A section that may be there several times: [[NAME]].
template <class Keys, class C>
Result<> assign_list(const Keys& keys, const std::string& name, std::string_view section,
                     const toml::node& node, std::vector<C>& entries) {
  const toml::array* const tables = node.as_array();
  if (tables == nullptr || !tables->is_array_of_tables()) {
    return std::unexpected(
        config_error(name, node, fmt::format("'{0}' is a list: each entry begins with [[{0}]]", section)));
  }
  for (const toml::node& table : *tables) {  // Checked above: each is one.
    HEARTH_TRY_VOID(assign_section(keys, name, section, *table.as_table(), entries.emplace_back()));
  }
  return {};
}

bool is_section(std::string_view name) {
  return std::any_of(kKeys.begin(), kKeys.end(),
                     [&](const auto& key) { return key.section == name; });
}

// "[server], [models], ..., [[tasks]]".
std::string section_names() {
  std::string names;
  std::string_view last;
  for (const Key& key : kKeys) {
    if (std::exchange(last, key.section) != key.section) names += fmt::format("[{}], ", key.section);
  }
  return names + fmt::format("[[{}]], [[{}]], [[{}]], [[{}]]", kUpstreamKeys.front().section, kAdviserKeys.front().section,
                             kPriceKeys.front().section, kTaskKeys.front().section);
}

}  // namespace

Result<Config> parse_config(std::string_view text, const std::string& name) {
  const Result<toml::table> parsed = parse_toml(text);
  if (!parsed) return fail(Code::kInvalidArgument, fmt::format("{}, {}", name, parsed.error().message));
  Config config;
  for (const auto& [section, node] : *parsed) {
    if (section.str() == "upstreams") {
      HEARTH_TRY_VOID(assign_list(kUpstreamKeys, name, section.str(), node, config.upstreams));
      continue;
    }
    if (section.str() == "tasks") {
      HEARTH_TRY_VOID(assign_list(kTaskKeys, name, section.str(), node, config.tasks));
      continue;
    }
    if (section.str() == "advisers") {
      HEARTH_TRY_VOID(assign_list(kAdviserKeys, name, section.str(), node, config.advisers));
      continue;
    }
    if (section.str() == "prices") {
      HEARTH_TRY_VOID(assign_list(kPriceKeys, name, section.str(), node, config.prices));
      continue;
    }
    const toml::table* table = node.as_table();
    if (table == nullptr || !is_section(section.str())) {
      return std::unexpected(config_error(
          name, node, fmt::format("unknown section '{}'; there are {}", section.str(), section_names())));
    }
    HEARTH_TRY_VOID(assign_section(kKeys, name, section.str(), *table, config));
  }
  return config;
}

Result<Config> load_config(const std::filesystem::path& path) {
  auto text = read_file(path, std::size_t{1} << 20);
  if (!text && text.error().code != Code::kNotFound) return std::unexpected(text.error());
  HEARTH_TRY(Config config, parse_config(text ? *text : std::string(), path.string()));
  const std::filesystem::path policy = path.parent_path() / "policy.toml";
  std::error_code error;
  if (config.privacy.policy.empty() && std::filesystem::exists(policy, error)) config.privacy.policy = policy.string();
  return config;
}

namespace {

template <class Keys, class C>
void explain_keys(const Keys& keys, const std::string& header, const C& config,
                  std::vector<ConfigKeyText>& rows) {
  for (const auto& key : keys) {
    const std::string title = header.empty() ? fmt::format("[{}]", key.section) : header;
    rows.push_back({key.full_name(), toml_value(key, config), toml_value(key, C{}), type_text(key),
                    std::string(key.explanation), title});
  }
}

// Of each entry; of an empty list, what an entry could say.
template <class Keys, class C>
void explain_list(const Keys& keys, const std::vector<C>& entries, std::vector<ConfigKeyText>& rows) {
  const std::string section(keys.front().section);
  if (entries.empty()) return explain_keys(keys, fmt::format("# [[{}]]", section), C{}, rows);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    explain_keys(keys, fmt::format("[[{}]]{}", section, i == 0 ? "" : fmt::format("  # {}", i + 1)),
                 entries[i], rows);
  }
}

}  // namespace

std::vector<ConfigKeyText> explain_config(const Config& config) {
  std::vector<ConfigKeyText> rows;
  explain_keys(kKeys, "", config, rows);
  explain_list(kUpstreamKeys, config.upstreams, rows);
  explain_list(kAdviserKeys, config.advisers, rows);
  explain_list(kPriceKeys, config.prices, rows);
  explain_list(kTaskKeys, config.tasks, rows);
  return rows;
}

}  // namespace hearth::cli
