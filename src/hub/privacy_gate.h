// What may leave, and what of it is replaced: the policy and the detectors, as everything that leaves this
// machine passes them (docs/design/0021-what-may-leave.md), a brief as well as a request that names a
// server elsewhere.
//
// Threading: const; any thread.  Redacting costs some 150 ns for a byte: not for threads that must not wait.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "privacy/placeholders.h"
#include "privacy/policy.h"
#include "privacy/redactor.h"

namespace hearth::hub {

struct PrivacyOptions {
  privacy::Policy policy = privacy::Policy::standard();
  privacy::Dictionary dictionary = {};
};

class PrivacyGate {
 public:
  explicit PrivacyGate(PrivacyOptions options = {})
      : policy_(std::move(options.policy)), redactor_(std::move(options.dictionary)) {}

  const privacy::Policy& policy() const { return policy_; }

  // What of a text is replaced: all that is found but the types that the policy keeps.
  privacy::Spans find(std::string_view text) const;

  // The strictest of the verdicts for all whom it may reach; at least one.
  privacy::Verdict judge(const privacy::Sources& sources, std::span<const std::string> providers) const;

 private:
  const privacy::Policy policy_;
  const privacy::Redactor redactor_;
};

// "class private by rule 'default'".
std::string label_of(const privacy::Verdict& verdict);

// The placeholders of one question, throughout all of its texts.
class Redaction {
 public:
  explicit Redaction(const PrivacyGate& gate) : gate_(gate) {}

  void hide(std::string& text);
  // In the texts, long numbers and keys of a JSON value; what is no JSON is text.
  void hide_in_json(std::string& json);
  // In the texts of a JSON Schema or what holds one, but for those that others must find unchanged.
  void hide_in_schema(std::string& json);

  // "redacted: EMAIL_ADDRESS 2", "nothing to redact".
  std::string summary() const;
  const privacy::Placeholders& placeholders() const { return placeholders_; }
  privacy::Placeholders take() { return std::move(placeholders_); }

 private:
  enum class JsonKind : std::uint8_t { kValue, kSchema };
  void hide_in(std::string& json, JsonKind kind);

  const PrivacyGate& gate_;
  privacy::Placeholders placeholders_;
  std::map<std::string, std::size_t> counts_;
};

// What came back and was never given out, as a sentence; empty if there is nothing.
std::string strange_placeholders(const privacy::RestoreReport& report, std::string_view whose);

}  // namespace hearth::hub
