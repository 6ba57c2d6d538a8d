#include "privacy/secrets.h"

#include <array>
#include <vector>

#include "base/utf8_bounds.h"
#include "privacy/chars.h"

namespace hearth::privacy {
namespace {

// What a key's body is made of.
enum class Alphabet : std::uint8_t { kAlnum, kDash, kDots, kHex, kUpper };

struct ServiceKey {
  std::string_view prefix;
  Alphabet alphabet;
  std::size_t body_min;  // Characters behind the prefix; more always belong to it.
  std::string_view service;
};
using enum Alphabet;
// Longer prefixes before those that they begin with.
constexpr std::array kServiceKeys = {
    ServiceKey{"sk-ant-", kDash, 20, "anthropic key"},
    ServiceKey{"sk-or-", kDash, 20, "openrouter key"},
    ServiceKey{"sk-proj-", kDash, 20, "openai key"},
    ServiceKey{"sk-svcacct-", kDash, 20, "openai key"},
    ServiceKey{"sk-admin-", kDash, 20, "openai key"},
    ServiceKey{"sk-lf-", kDash, 20, "langfuse key"},
    ServiceKey{"sk-", kDash, 20, "openai key"},
    ServiceKey{"sess-", kAlnum, 30, "openai key"},
    ServiceKey{"AKIA", kUpper, 12, "aws key"},
    ServiceKey{"ASIA", kUpper, 12, "aws key"},
    ServiceKey{"ABIA", kUpper, 12, "aws key"},
    ServiceKey{"ACCA", kUpper, 12, "aws key"},
    ServiceKey{"AROA", kUpper, 12, "aws key"},
    ServiceKey{"AIDA", kUpper, 12, "aws key"},
    ServiceKey{"AIza", kDash, 30, "google key"},
    ServiceKey{"AQ.", kDash, 30, "google key"},
    ServiceKey{"ya29.", kDash, 20, "google token"},
    ServiceKey{"1//0", kDash, 30, "google token"},
    ServiceKey{"GOCSPX-", kDash, 20, "google secret"},
    ServiceKey{"ghp_", kAlnum, 30, "github token"},
    ServiceKey{"gho_", kAlnum, 30, "github token"},
    ServiceKey{"ghu_", kAlnum, 30, "github token"},
    ServiceKey{"ghs_", kAlnum, 30, "github token"},
    ServiceKey{"ghr_", kAlnum, 30, "github token"},
    ServiceKey{"github_pat_", kDash, 22, "github token"},
    ServiceKey{"glpat-", kDots, 18, "gitlab token"},
    ServiceKey{"gldt-", kDash, 18, "gitlab token"},
    ServiceKey{"glrt-", kDots, 18, "gitlab token"},
    ServiceKey{"glptt-", kDash, 18, "gitlab token"},
    ServiceKey{"glcbt-", kDash, 18, "gitlab token"},
    ServiceKey{"glft-", kDash, 18, "gitlab token"},
    ServiceKey{"glsoat-", kDash, 18, "gitlab token"},
    ServiceKey{"glagent-", kDash, 18, "gitlab token"},
    ServiceKey{"gloas-", kDash, 18, "gitlab token"},
    ServiceKey{"xoxb-", kDash, 10, "slack token"},
    ServiceKey{"xoxp-", kDash, 10, "slack token"},
    ServiceKey{"xoxa-", kDash, 10, "slack token"},
    ServiceKey{"xoxr-", kDash, 10, "slack token"},
    ServiceKey{"xoxs-", kDash, 10, "slack token"},
    ServiceKey{"xoxo-", kDash, 10, "slack token"},
    ServiceKey{"xoxc-", kDash, 10, "slack token"},
    ServiceKey{"xoxd-", kDash, 10, "slack token"},
    ServiceKey{"xoxe-", kDash, 10, "slack token"},
    ServiceKey{"xoxe.", kDots, 10, "slack token"},
    ServiceKey{"xapp-", kDash, 10, "slack token"},
    ServiceKey{"sk_live_", kAlnum, 10, "stripe key"},
    ServiceKey{"sk_test_", kAlnum, 10, "stripe key"},
    ServiceKey{"rk_live_", kAlnum, 10, "stripe key"},
    ServiceKey{"rk_test_", kAlnum, 10, "stripe key"},
    ServiceKey{"pk_live_", kAlnum, 10, "stripe key"},
    ServiceKey{"pk_test_", kAlnum, 10, "stripe key"},
    ServiceKey{"whsec_", kDash, 16, "stripe secret"},
    ServiceKey{"npm_", kAlnum, 30, "npm token"},
    ServiceKey{"pypi-", kDash, 16, "pypi token"},
    ServiceKey{"hf_", kAlnum, 20, "hugging face token"},
    ServiceKey{"api_org_", kAlnum, 20, "hugging face token"},
    ServiceKey{"gsk_", kAlnum, 20, "groq key"},
    ServiceKey{"xai-", kDash, 20, "xai key"},
    ServiceKey{"pplx-", kAlnum, 20, "perplexity key"},
    ServiceKey{"r8_", kAlnum, 20, "replicate token"},
    ServiceKey{"fw_", kAlnum, 20, "fireworks key"},
    ServiceKey{"tgp_v1_", kDash, 20, "together key"},
    ServiceKey{"nvapi-", kDash, 20, "nvidia key"},
    ServiceKey{"SG.", kDots, 30, "sendgrid key"},
    ServiceKey{"key-", kHex, 32, "mailgun key"},
    ServiceKey{"xkeysib-", kDash, 30, "brevo key"},
    ServiceKey{"dop_v1_", kHex, 30, "digitalocean token"},
    ServiceKey{"doo_v1_", kHex, 30, "digitalocean token"},
    ServiceKey{"dor_v1_", kHex, 30, "digitalocean token"},
    ServiceKey{"shpat_", kHex, 30, "shopify token"},
    ServiceKey{"shpca_", kHex, 30, "shopify token"},
    ServiceKey{"shppa_", kHex, 30, "shopify token"},
    ServiceKey{"shpss_", kHex, 30, "shopify secret"},
    ServiceKey{"sq0atp-", kDash, 20, "square token"},
    ServiceKey{"sq0csp-", kDash, 20, "square secret"},
    ServiceKey{"EAAA", kDash, 50, "square token"},
    ServiceKey{"EAAC", kAlnum, 50, "facebook token"},
    ServiceKey{"ntn_", kAlnum, 30, "notion token"},
    ServiceKey{"secret_", kAlnum, 40, "notion token"},
    ServiceKey{"lin_api_", kAlnum, 30, "linear key"},
    ServiceKey{"figd_", kDash, 30, "figma token"},
    ServiceKey{"dapi", kHex, 32, "databricks token"},
    ServiceKey{"dp.pt.", kAlnum, 30, "doppler token"},
    ServiceKey{"hvs.", kDash, 20, "vault token"},
    ServiceKey{"hvb.", kDash, 20, "vault token"},
    ServiceKey{"glsa_", kDash, 30, "grafana token"},
    ServiceKey{"glc_", kDash, 30, "grafana token"},
    ServiceKey{"NRAK-", kUpper, 20, "new relic key"},
    ServiceKey{"sntrys_", kDots, 30, "sentry token"},
    ServiceKey{"sntryu_", kDots, 30, "sentry token"},
    ServiceKey{"PMAK-", kDash, 30, "postman key"},
    ServiceKey{"pul-", kHex, 40, "pulumi token"},
    ServiceKey{"rubygems_", kHex, 40, "rubygems key"},
    ServiceKey{"dckr_pat_", kDash, 20, "docker token"},
    ServiceKey{"AGE-SECRET-KEY-1", kUpper, 50, "age key"},
    ServiceKey{"ATATT3", kDash, 40, "atlassian token"},
    ServiceKey{"nfp_", kAlnum, 30, "netlify token"},
    ServiceKey{"sbp_", kHex, 40, "supabase token"},
    ServiceKey{"pscale_tkn_", kDash, 30, "planetscale token"},
    ServiceKey{"pscale_pw_", kDash, 30, "planetscale password"},
    ServiceKey{"sgp_", kAlnum, 40, "sourcegraph token"},
    ServiceKey{"CLOJARS_", kHex, 40, "clojars token"},
    ServiceKey{"cio", kAlnum, 32, "crates.io token"},
    ServiceKey{"oy2", kAlnum, 43, "nuget key"},
    ServiceKey{"tskey-", kDash, 20, "tailscale key"},
    ServiceKey{"v1.0-", kDash, 80, "cloudflare key"},
    ServiceKey{"xprv", kAlnum, 100, "wallet key"},
    ServiceKey{"eyJ", kDots, 20, "json web token"},
};

bool is_in(Alphabet alphabet, char c) {
  switch (alphabet) {
    case kAlnum:
      return is_alnum(c);
    case kDash:
      return is_alnum(c) || c == '-' || c == '_';
    case kDots:
      return is_alnum(c) || c == '-' || c == '_' || c == '.' || c == '=';
    case kHex:
      return is_hex(c);
    case kUpper:
      return is_upper(c) || is_digit(c);
  }
  return false;
}

// Rows by the first byte of their prefix.
using RowsByByte = std::array<std::vector<std::uint8_t>, 128>;
const RowsByByte& rows_by_byte() {
  static const RowsByByte rows = [] {
    RowsByByte made;
    for (std::size_t i = 0; i < kServiceKeys.size(); ++i) {
      made[static_cast<unsigned char>(kServiceKeys[i].prefix[0])].push_back(static_cast<std::uint8_t>(i));
    }
    return made;
  }();
  return rows;
}

// A word with hyphens ("sk-learn-contrib-packages") is no key: keys hold a digit or an upper-case letter.
bool looks_random(std::string_view body) {
  return std::ranges::any_of(body, [](char c) { return is_digit(c) || is_upper(c); });
}

// A JWT has a payload that is JSON, too: two parts and a signature.
bool is_json_web_token(std::string_view body) {
  const std::size_t dot = body.find('.');
  return dot != body.npos && body.find('.', dot + 1) != body.npos;
}

struct SecretName {
  std::string_view word;  // A name ends so, in lower case, without '_' and '-'.
  std::string_view type;
  std::size_t value_min;
};
constexpr std::array kSecretNames = {
    SecretName{"password", "PASSWORD", 4},    SecretName{"passwd", "PASSWORD", 4},
    SecretName{"passwort", "PASSWORD", 4},    SecretName{"pwd", "PASSWORD", 4},
    SecretName{"passphrase", "PASSWORD", 4},  SecretName{"secret", "API_KEY", 8},
    SecretName{"token", "API_KEY", 12},       SecretName{"apikey", "API_KEY", 8},
    SecretName{"secretkey", "API_KEY", 8},    SecretName{"accesskey", "API_KEY", 8},
    SecretName{"privatekey", "API_KEY", 8},   SecretName{"authkey", "API_KEY", 8},
    SecretName{"authtoken", "API_KEY", 8},    SecretName{"credential", "API_KEY", 8},
    SecretName{"bearer", "API_KEY", 16},
};

const SecretName* secret_name(std::string_view name) {
  std::array<char, 12> tail{};  // The last letters, backwards.
  std::size_t size = 0;
  for (std::size_t i = name.size(); i-- > 0 && size < tail.size();) {
    if (name[i] != '_' && name[i] != '-') tail[size++] = lower(name[i]);
  }
  for (const SecretName& secret : kSecretNames) {
    if (secret.word.size() > size) continue;
    bool is_equal = true;
    for (std::size_t i = 0; i < secret.word.size() && is_equal; ++i) {
      is_equal = tail[i] == secret.word[secret.word.size() - 1 - i];
    }
    if (is_equal) return &secret;
  }
  return nullptr;
}

bool is_quote(char c) { return c == '"' || c == '\'' || c == '`'; }

}  // namespace

std::optional<Span> find_service_key(std::string_view text, std::size_t at) {
  if (is_multibyte(text[at])) return std::nullopt;
  for (const std::uint8_t row : rows_by_byte()[static_cast<unsigned char>(text[at])]) {
    const ServiceKey& key = kServiceKeys[row];
    if (text.substr(at, key.prefix.size()) != key.prefix) continue;
    const std::size_t body = at + key.prefix.size();
    std::size_t end = body;
    while (end < text.size() && is_in(key.alphabet, text[end])) ++end;
    while (end > body && (text[end - 1] == '.' || text[end - 1] == '-')) --end;
    const std::string_view rest = text.substr(body, end - body);
    if (rest.size() < key.body_min || !looks_random(rest)) continue;
    if (key.prefix == "eyJ" && !is_json_web_token(rest)) continue;
    return Span{at, end, "API_KEY", key.service, Rank::kSecret};
  }
  return std::nullopt;
}

std::optional<Span> find_private_key(std::string_view text, std::size_t at) {
  constexpr std::string_view kBegin = "-----BEGIN ", kKind = "PRIVATE KEY", kEnd = "-----END ";
  constexpr std::size_t kHeadBytesMax = 64, kBlockBytesMax = 32'768;
  if (text.substr(at, kBegin.size()) != kBegin) return std::nullopt;
  if (text.substr(at, kHeadBytesMax).find(kKind) == text.npos) return std::nullopt;
  const std::string_view block = text.substr(0, at + kBlockBytesMax);
  const std::size_t last = block.find(kEnd, at + kBegin.size());
  std::size_t end = block.size();
  if (last != block.npos) {
    const std::size_t dashes = block.find("-----", last + kEnd.size());
    if (dashes != block.npos) end = dashes + 5;
  }
  end = utf8_bound_from(text, end);
  return Span{at, end, "PRIVATE_KEY", "pem", Rank::kSecret};
}

std::optional<Span> find_assigned_secret(std::string_view text, std::size_t at, std::size_t name_end) {
  const SecretName* const secret = secret_name(text.substr(at, name_end - at));
  if (secret == nullptr) return std::nullopt;
  std::size_t value = name_end;
  if (is_quote(at_or_zero(text, value))) ++value;
  const auto skip_spaces = [&] {
    while (at_or_zero(text, value) == ' ' || at_or_zero(text, value) == '\t') ++value;
  };
  skip_spaces();
  const bool is_bearer = secret->word == "bearer";
  const char sign = at_or_zero(text, value);
  if (sign == '=' || sign == ':') {
    ++value;
    if (at_or_zero(text, value) == '=') ++value;  // A comparison, or Ruby's.
    if (at_or_zero(text, value) == '>') ++value;
    skip_spaces();
  } else if (!is_bearer) {
    return std::nullopt;
  }
  const bool is_quoted = is_quote(at_or_zero(text, value));
  const char quote = is_quoted ? text[value++] : '\0';
  std::size_t end = value;
  const auto goes_on = [&](char c) {
    if (is_quoted) return c != quote && c != '\n';
    return c != ' ' && c != '\t' && c != '\n' && c != '\r' && !is_quote(c) && c != ',' && c != ';' && c != '&' && c != '<';
  };
  constexpr std::size_t kValueBytesMax = 4096;
  while (end < text.size() && end - value < kValueBytesMax && goes_on(text[end])) ++end;
  while (!is_quoted && end > value && (text[end - 1] == '.' || text[end - 1] == ')')) --end;
  end = utf8_bound_from(text, end);
  const std::string_view found = text.substr(value, end - value);
  // Code that only passes a value on ("token = get_token()", "${TOKEN}") gives nothing away.
  const bool is_reference = found.find('(') != found.npos || found.starts_with('$') || found.starts_with('<');
  const bool is_plain_word = !is_quoted && std::ranges::all_of(found, is_alpha);
  if (found.size() < secret->value_min || is_reference || is_plain_word) return std::nullopt;
  return Span{value, end, secret->type, "assigned", Rank::kSecret};
}

}  // namespace hearth::privacy
