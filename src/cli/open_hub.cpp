#include "cli/open_hub.h"

#include <fmt/format.h>

#include <cmath>

#include "cli/advisers.h"
#include "cli/kernels.h"
#include "cli/open_catalogue.h"
#include "cli/paths.h"
#include "cli/privacy.h"
#include "cli/tasks.h"
#include "cli/upstreams.h"
#include "hub/create_hub.h"

namespace hearth::cli {
namespace {

hub::AdviceMode advice_mode(const std::string& name) {
  if (name == "never") return hub::AdviceMode::kNever;
  return name == "always" ? hub::AdviceMode::kAlways : hub::AdviceMode::kAuto;
}

advisor::gate::RuleMode rule_mode(const std::string& name) {
  if (name == "off") return advisor::gate::RuleMode::kOff;
  return name == "forced" ? advisor::gate::RuleMode::kForced : advisor::gate::RuleMode::kCapped;
}

advisor::gate::AskPolicy ask_policy(const Config::Advice& config) {
  return {.low_confidence = rule_mode(config.low_confidence),
          .refusal = rule_mode(config.refusal),
          .tool_errors = rule_mode(config.tool_errors),
          .before_done = rule_mode(config.before_done),
          .risky_tools = rule_mode(config.risky_tools),
          .disagreement = rule_mode(config.disagreement),
          .risky_tool_names = config.risky_tool_names,
          .tool_errors_min = static_cast<std::uint32_t>(config.tool_errors_min),
          .wrong_max = config.wrong_max,
          .value_usd_micro = std::llround(config.value_usd * 1e6)};
}

// "NAME=DRAFT", each.
Result<std::vector<std::pair<std::string, std::string>>> drafts_of(const Config::Models& config) {
  std::vector<std::pair<std::string, std::string>> drafts;
  for (const std::string& text : config.drafts) {
    const std::size_t at = text.find('=');
    if (at == 0 || at == std::string::npos || at + 1 == text.size()) {
      return fail(Code::kInvalidArgument,
                  fmt::format("models.drafts holds '{}': NAME=DRAFT expected", text));
    }
    drafts.emplace_back(text.substr(0, at), text.substr(at + 1));
  }
  return drafts;
}

engine::SnapshotOptions snapshot_options(const Config::Snapshots& config) {
  engine::SnapshotOptions options;
  if (config.enabled) {
    options.folder = config.folder.empty() ? snapshot_folder() : std::filesystem::path(config.folder);
  }
  options.bytes_max = static_cast<std::uint64_t>(config.disk_mib) << 20;
  options.tokens_min = static_cast<std::uint32_t>(config.min_tokens);
  return options;
}

}  // namespace

Result<hub::PrivacyOptions> privacy_options(const Config::Privacy& config) {
  hub::PrivacyOptions options;
  HEARTH_TRY(options.policy, load_policy(config.policy));
  HEARTH_TRY(options.dictionary, load_dictionaries(config.dictionaries));
  const std::vector<std::string> problems = options.policy.check();
  if (problems.empty()) return options;
  return fail(Code::kInvalidArgument, fmt::format("the policy '{}' does not hold: {}; see `hearth policy check`",
                                                  config.policy, problems.front()));
}

advisor::AdviceStoreOptions advice_store_options(const Config::Advice& config) {
  return {.file = advice_file(),
          .likeness_min = config.memory_likeness,
          .days_max = static_cast<std::uint32_t>(config.memory_days),
          .entries_max = static_cast<std::uint32_t>(config.memory_max)};
}

Result<std::unique_ptr<hub::Hub>> open_hub(const Config& config,
                                           std::shared_ptr<advisor::ConsentDesk> consents) {
  hub::HubOptions options;
  HEARTH_TRY(options.catalogue, catalogue_options(config));
  HEARTH_TRY(options.advisers, adviser_options(config));
  HEARTH_TRY(options.upstreams, upstream_options(config));
  HEARTH_TRY(options.privacy, privacy_options(config.privacy));
  options.consent = consent_options(config.privacy);
  options.consents = std::move(consents);
  HEARTH_TRY(options.tasks, task_options(config));
  options.llama_server = {.program = config.llama_server.path,
                          .arguments = config.llama_server.arguments,
                          .start_timeout = std::chrono::seconds(config.llama_server.start_timeout_s),
                          .idle_stop = std::chrono::seconds(config.llama_server.idle_stop_s)};
  options.default_model = config.models.default_model;
  options.models_bytes_max = static_cast<std::uint64_t>(config.models.memory_mib) << 20;
  options.give_back = config.models.drop_cache ? GiveBack::kToDisk : GiveBack::kToCache;
  HEARTH_TRY(options.drafts, drafts_of(config.models));
  options.pinned_models = config.models.pinned;
  options.preloaded_models = config.models.preload;
  options.adapters_bytes_max = static_cast<std::uint64_t>(config.adapters.memory_mib) << 20;
  options.load.pack = config.models.pack;
  options.load.image_folder = cache_folder() / "vocab";
  options.load.kv_type = model::kv_type_from_name(config.engine.kv_type).value();  // A choice.
  options.engine.speculation = config.engine.speculation;
  options.engine.n_threads = static_cast<unsigned>(config.engine.threads);
  options.engine.kv_bytes_max = static_cast<std::uint64_t>(config.engine.kv_mib) << 20;
  options.engine.n_context_max = static_cast<std::uint32_t>(config.engine.context);
  options.engine.snapshots = snapshot_options(config.snapshots);
  options.snapshots_of_unstored = config.snapshots.unstored;
  options.ask = ask_policy(config.advice);
  options.learned_folder = calibration_folder();
  options.advice_store = advice_store_options(config.advice);
  options.second_model = config.advice.second_model;
  options.asks_early = config.advice.ask_early;
  options.remembers_advice = config.advice.memory;
  options.defers_questions = config.advice.defer;
  options.default_advice = advice_mode(config.advisor.mode);
  options.ledger_path = ledger_file();
  return hub::create_hub(std::move(options));
}

}  // namespace hearth::cli
