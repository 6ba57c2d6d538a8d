// `hearth policy`: whether the rules of what may leave hold, and what they make of a request.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <nlohmann/json.hpp>

#include "advisor/consent.h"
#include "api/hearth/policy_report.h"
#include "api/openai/request.h"
#include "base/clock.h"
#include "base/file.h"
#include "cli/paths.h"
#include "cli/privacy.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "hub/privacy_sources.h"

namespace hearth::cli {
namespace {

std::string policy_name(const Context& context) {
  const std::string& file = context.config.privacy.policy;
  return file.empty() ? "the standard policy" : fmt::format("the policy '{}'", file);
}

std::string counts_text(const std::map<std::string, std::size_t>& counts) {
  std::vector<std::string> list;
  for (const auto& [type, n] : counts) list.push_back(fmt::format("{} {}", type, n));
  return fmt::format("{}", fmt::join(list, ", "));
}

}  // namespace

Result<> policy_check(const Context& context) {
  HEARTH_TRY(const privacy::Policy policy, load_policy(context.config.privacy.policy));
  const std::vector<std::string> problems = policy.check();
  if (context.json) {
    print_out(nlohmann::ordered_json{{"holds", problems.empty()},
                                     {"rules", policy.rules.size()},
                                     {"expectations", policy.expectations.size()},
                                     {"problems", problems}}.dump(2) + "\n");
  } else if (problems.empty()) {
    print_out(fmt::format("{} holds: {} rules, {} expectations\n", policy_name(context), policy.rules.size(),
                          policy.expectations.size()));
  }
  if (problems.empty()) return {};
  return fail(Code::kInvalidArgument, fmt::format("{} does not hold: {}", policy_name(context), fmt::join(problems, "; ")));
}

Result<> policy_explain(const Context& context, const PolicyExplainOptions& options) {
  HEARTH_TRY(privacy::Policy policy, load_policy(context.config.privacy.policy));
  HEARTH_TRY(privacy::Dictionary dictionary, load_dictionaries(context.config.privacy.dictionaries));
  HEARTH_TRY(const std::string body, read_file(options.file));
  auto request = api::openai::parse_request(api::openai::Endpoint::kChat, body);
  if (!request) {
    return fail(Code::kInvalidArgument, fmt::format("'{}': {}", options.file, request.error().message));
  }
  const std::string provider = options.provider.empty() ? context.config.advisor.provider : options.provider;
  for (const std::string& header : options.headers) {
    const std::size_t colon = header.find(": ");
    if (colon == header.npos) return fail(Code::kInvalidArgument, fmt::format("'{}' is no header: write NAME: VALUE", header));
    request->chat.headers.push_back(hub::header_text(header.substr(0, colon), header.substr(colon + 2)));
  }

  const hub::PrivacyGate gate({.policy = std::move(policy), .dictionary = std::move(dictionary)});
  const hub::PolicyExplanation explanation = hub::explain_policy(gate, request->chat, provider);
  if (context.json) {
    const std::string rendered = api::hearth::render_explanation(explanation, provider);
    print_out(nlohmann::ordered_json::parse(rendered).dump(2) + "\n");
    return {};
  }
  std::vector<std::vector<std::string>> table = {{"SOURCE", "CLASS", "RULE", "FOUND"}};
  for (const auto& [source, verdict, found] : explanation.sources) {
    table.push_back({source.tool.empty() ? source.role : fmt::format("{} {}", source.role, source.tool),
                     std::string(privacy::class_name(verdict.gives)), verdict.rule, counts_text(found)});
  }
  const privacy::Verdict& whole = explanation.whole;
  print_out(format_table(table));
  print_out(fmt::format("\nto {}: {}, since all of it together is {} by rule '{}'\n", provider,
                        privacy::action_name(whole.action), privacy::class_name(whole.gives), whole.rule));
  return {};
}

Result<> policy_consents(const Context& context, const PolicyConsentsOptions& options) {
  const auto remembered = advisor::read_remembered_consents(consents_file());
  if (options.forget) {
    std::error_code error;
    std::filesystem::remove(consents_file(), error);
    if (error) return std::unexpected(file_error("remove", consents_file(), error.value()));
    print_note(fmt::format("{} remembered consents are forgotten", remembered.size()));
    return {};
  }
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  std::vector<std::vector<std::string>> table = {{"WHEN", "WHO", "PROVIDER", "CLASS", "RULE", "ANSWER"}};
  for (const advisor::RememberedConsent& consent : remembered) {
    const std::string when = format_iso8601(consent.at_unix_us);
    const char* const answer = consent.is_allowed ? "allow" : "refuse";
    list.push_back({{"at", when}, {"client", consent.client}, {"provider", consent.provider}, {"class", consent.gives},
                    {"rule", consent.rule}, {"answer", answer}});
    table.push_back({when, consent.client, consent.provider, consent.gives, consent.rule, answer});
  }
  print_out(context.json ? list.dump(2) + "\n" : format_table(table));
  return {};
}

}  // namespace hearth::cli
