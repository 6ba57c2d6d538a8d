#include <gtest/gtest.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <random>

#include "privacy/checksum.h"
#include "privacy/detect.h"
#include "privacy/redactor.h"

namespace hearth::privacy {
namespace {

// "TYPE:text" of each span, in order.
std::vector<std::string> found(const Redactor& redactor, std::string_view text) {
  std::vector<std::string> list;
  for (const Span& span : redactor.find(text)) {
    list.push_back(fmt::format("{}:{}", span.type, text.substr(span.begin, span.end - span.begin)));
  }
  return list;
}

// Of the deterministic floor alone.
std::vector<std::string> detected(std::string_view text) {
  Spans spans;
  detect(text, spans);
  std::vector<std::string> list;
  for (const Span& span : resolve(text, spans)) {
    list.push_back(fmt::format("{}:{}", span.type, text.substr(span.begin, span.end - span.begin)));
  }
  return list;
}

using List = std::vector<std::string>;

TEST(Detect, FindsEachKind) {
  struct Case {
    std::string_view text, expected;
  };
  const std::vector<Case> cases = {
      {"card 4111 1111 1111 1111 ok", "CREDIT_CARD:4111 1111 1111 1111"},
      {"visa:4111-1111-1111-1111.", "CREDIT_CARD:4111-1111-1111-1111"},
      {"amex 3782 822463 10005", "CREDIT_CARD:3782 822463 10005"},
      {"x4111111111111111y", "CREDIT_CARD:4111111111111111"},
      {"IBAN DE89 3704 0044 0532 0130 00", "IBAN_CODE:DE89 3704 0044 0532 0130 00"},
      {"gb82west12345698765432", "IBAN_CODE:gb82west12345698765432"},
      {"my ssn is 078-05-1120", "US_SSN:078-05-1120"},
      {"ni QQ 12 34 56 C or AB 12 34 56 C", "UK_NINO:AB 12 34 56 C"},
      {"DNI 12345678Z", "ES_NIF:12345678Z"},
      {"CF RSSMRA85T10A562S", "IT_FISCAL_CODE:RSSMRA85T10A562S"},
      {"cpf 529.982.247-25", "BR_CPF:529.982.247-25"},
      {"bsn 111222333", "NL_BSN:111222333"},
      {"Steuer-ID 86095742719", "DE_TAX_ID:86095742719"},
      {"nir 2 55 08 14 168 025 38", "FR_NIR:2 55 08 14 168 025 38"},
      {"aadhaar 2341 2341 2346", "IN_AADHAAR:2341 2341 2346"},
      {"mail a.b+c@x-y.example.org now", "EMAIL_ADDRESS:a.b+c@x-y.example.org"},
      {"see https://a.example/b?c=d.", "DOMAIN_NAME:https://a.example/b?c=d"},
      {"see www.example.it, ok", "DOMAIN_NAME:www.example.it"},
      {"at 192.168.1.20 and", "IP_ADDRESS:192.168.1.20"},
      {"at fe80::1ff:fe23:4567:890a.", "IP_ADDRESS:fe80::1ff:fe23:4567:890a"},
      {"mac 00:1B:44:11:3A:B7", "MAC_ADDRESS:00:1B:44:11:3A:B7"},
      {"in /home/alice/notes.txt", "USER_NAME:alice"},
      {"call +41 (0)38 549 02 90", "PHONE_NUMBER:+41 (0)38 549 02 90"},
      {"(579)888-3058 it is", "PHONE_NUMBER:(579)888-3058"},
      {"since 2/10/1985", "DATE_TIME:2/10/1985"},
      {"on 1970-09-24 09:34:31, he", "DATE_TIME:1970-09-24 09:34:31"},
      {"born 5 March 1984.", "DATE_TIME:5 March 1984"},
      {"on March 5th, 1984 he", "DATE_TIME:March 5th, 1984"},
      {"a 84-year-old male", "AGE:84"},
      {"driver's license number is F162823540116", "US_DRIVER_LICENSE:F162823540116"},
      {"key sk-ant-api03-AbCdEf0123456789AbCdEf0123", "API_KEY:sk-ant-api03-AbCdEf0123456789AbCdEf0123"},
      {"AKIAIOSFODNN7EXAMPLE", "API_KEY:AKIAIOSFODNN7EXAMPLE"},
      {"password = \"hunter2\"", "PASSWORD:hunter2"},
      {"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "PRIVATE_KEY:-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----"},
  };
  for (const Case& c : cases) EXPECT_EQ(detected(c.text), List{std::string(c.expected)}) << c.text;
}

TEST(Detect, LeavesOrdinaryTextAlone) {
  for (const std::string_view text : {
           "The total is $1,249.99 for 3 items.", "for (int i = 0; i < 10; ++i) total += i;",
           "version 2.4.1 of 1.2.3.4.5", "see main.py, README.md and a.b", "std::vector<int> v; a::b",
           "4111 1111 1111 1112 is no card", "sk-learn-contrib-packages-are-fine", "token = next_token();",
           "x = 3.14159265358979", "tokens per second: 1234.56", "a@b", "ratio 16:9", "chapter 7, page 212",
           "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}) {
    EXPECT_EQ(detected(text), List{}) << text;
  }
}

TEST(Detect, HigherRankWins) {
  EXPECT_EQ(detected("https://api.example.com/v1?key=AIzaSyA0123456789abcdefghijklmnopqrstuv"),
            (List{"DOMAIN_NAME:https://api.example.com/v1?key=", "API_KEY:AIzaSyA0123456789abcdefghijklmnopqrstuv"}));
}

// Ten thousand cards, IBANs and keys in all the separators and surroundings that people use.
class Generator {
 public:
  std::string card() {
    static constexpr std::array<std::pair<const char*, int>, 14> kKinds = {{
        {"4", 16}, {"4", 13}, {"4", 19}, {"51", 16}, {"55", 16}, {"2221", 16}, {"34", 15}, {"37", 15},
        {"6011", 16}, {"36", 14}, {"3528", 16}, {"62", 16}, {"5038", 12}, {"6759", 18}}};
    const auto [prefix, length] = pick(kKinds);
    std::string digits = prefix;
    while (static_cast<int>(digits.size()) < length - 1) digits += static_cast<char>('0' + below(10));
    for (char check = '0'; check <= '9'; ++check) {
      if (luhn(digits + check)) return grouped(digits + check, digits[0] == '3' && length == 15 ? std::vector<std::size_t>{4, 6, 5} : std::vector<std::size_t>{4, 4, 4, 4, 4});
    }
    return digits;
  }

  std::string iban() {
    static constexpr std::array<std::pair<const char*, int>, 8> kCountries = {{
        {"DE", 22}, {"GB", 22}, {"FR", 27}, {"NL", 18}, {"NO", 15}, {"MT", 31}, {"CH", 21}, {"ES", 24}}};
    const auto [country, length] = pick(kCountries);
    std::string body;
    const bool has_letters = std::string_view(country) != "DE" && std::string_view(country) != "NO";
    while (static_cast<int>(body.size()) < length - 4) {
      body += has_letters && below(4) == 0 ? static_cast<char>('A' + below(26)) : static_cast<char>('0' + below(10));
    }
    for (int check = 2; check <= 98; ++check) {
      const std::string whole = fmt::format("{}{:02}{}", country, check, body);
      if (iban_mod97(whole)) return grouped(whole, std::vector<std::size_t>(9, 4));
    }
    return "";
  }

  std::string key() {
    static constexpr std::array<std::tuple<const char*, const char*, int>, 20> kKinds = {{
        {"sk-proj-", "aA0_", 48}, {"sk-", "aA0", 48}, {"sk-ant-api03-", "aA0_", 95}, {"AKIA", "A0", 16},
        {"AIza", "aA0_", 35}, {"ghp_", "aA0", 36}, {"github_pat_", "aA0", 82}, {"glpat-", "aA0", 20},
        {"xoxb-", "0", 24}, {"sk_live_", "aA0", 24}, {"npm_", "aA0", 36}, {"pypi-", "aA0_", 120},
        {"hf_", "aA0", 34}, {"gsk_", "aA0", 52}, {"r8_", "aA0", 37}, {"dop_v1_", "h", 64},
        {"shpat_", "h", 32}, {"whsec_", "aA0", 32}, {"xai-", "aA0", 80}, {"rk_test_", "aA0", 24}}};
    const auto [prefix, alphabet, length] = pick(kKinds);
    std::string letters;
    for (const char* kind = alphabet; *kind != '\0'; ++kind) {
      if (*kind == 'a') letters += "abcdefghijklmnopqrstuvwxyz";
      if (*kind == 'A') letters += "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
      if (*kind == '0') letters += "0123456789";
      if (*kind == '_') letters += "-_";
      if (*kind == 'h') letters += "0123456789abcdef";
    }
    std::string out = prefix;
    for (int i = 0; i < length - 1; ++i) out += letters[below(letters.size())];
    return out + '7';  // No separator at the end, and surely a digit.
  }

  // The value among other text; `at` becomes where it begins.
  std::string in_context(const std::string& value, std::size_t& at) {
    static constexpr std::array<std::pair<const char*, const char*>, 14> kContexts = {{
        {"", ""}, {"my number is ", "."}, {"(", ")"}, {"\"", "\""}, {"key=", "&x=1"}, {"a,b,", ",c"},
        {"Nr:", "\n"}, {"12 ", " 34 rest"}, {"<td>", "</td>"}, {"pay ", ", please"}, {"'", "'"},
        {"caf\xC3\xA9 ", " \xE2\x82\xAC"}, {"line\n", "\nline"}, {"**", "**"}}};
    const auto [before, after] = pick(kContexts);
    at = std::string_view(before).size();
    return before + value + after;
  }

  std::size_t below(std::size_t n) { return random_() % n; }

 private:
  template <class T, std::size_t N>
  const T& pick(const std::array<T, N>& items) { return items[below(N)]; }

  std::string grouped(const std::string& value, const std::vector<std::size_t>& groups) {
    static constexpr std::array<const char*, 6> kSeparators = {"", "", " ", "-", ".", "\xC2\xA0"};
    const std::string separator = pick(kSeparators);
    std::string out;
    std::size_t at = 0;
    for (std::size_t i = 0; at < value.size(); at += groups[i++]) {
      if (at > 0) out += separator;
      out += value.substr(at, groups[i]);
    }
    return out;
  }

  std::mt19937 random_{20260729};
};

TEST(Detect, MissesNoValidCardIbanOrKey) {
  Generator generator;
  const Redactor redactor;
  for (int i = 0; i < 10'000; ++i) {
    const int kind = i % 3;
    const std::string value = kind == 0 ? generator.card() : kind == 1 ? generator.iban() : generator.key();
    const std::string_view type = kind == 0 ? "CREDIT_CARD" : kind == 1 ? "IBAN_CODE" : "API_KEY";
    std::size_t at = 0;
    const std::string text = generator.in_context(value, at);
    Spans spans;
    detect(text, spans);
    const bool is_covered = std::ranges::any_of(resolve(text, spans), [&](const Span& span) {
      return span.begin <= at && span.end >= at + value.size() && span.type == type;
    });
    ASSERT_TRUE(is_covered) << type << " in " << text;
  }
}

TEST(Redactor, FindsTheUsersWords) {
  Dictionary dictionary;
  ASSERT_TRUE(dictionary.parse("# ours\nPROJECT: Blue  Heron\nPROJECT: Heron\n\nPERSON: \xC3\x89mile", "d.txt"));
  const Redactor redactor(std::move(dictionary));
  EXPECT_EQ(found(redactor, "is blue heron, or HERON, due?"), (List{"PROJECT:blue heron", "PROJECT:HERON"}));
  EXPECT_EQ(found(redactor, "ask \xC3\xA9mile"), (List{"PERSON:\xC3\xA9mile"}));
  EXPECT_EQ(found(redactor, "herons fly"), List{});
}

TEST(Redactor, DictionaryNamesTheLine) {
  Dictionary dictionary;
  const auto bad = dictionary.parse("PROJECT: x\nno colon", "d.txt");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().message, "'d.txt' line 2: 'TYPE: words' expected");
  EXPECT_FALSE(dictionary.add("lower", "x"));
  EXPECT_FALSE(dictionary.add("TYPE", "..."));
}

TEST(Redactor, SpansAreSortedAndApart) {
  std::mt19937 random(7);
  const Redactor redactor;
  const std::string_view alphabet = "aB0 1234-.@:/+(\n[_\xC3\xA9\xFF\xE2\x80";
  for (int i = 0; i < 300; ++i) {
    std::string text;
    while (text.size() < 400) text += alphabet[random() % alphabet.size()];
    std::size_t end = 0;
    for (const Span& span : redactor.find(text)) {
      ASSERT_GE(span.begin, end);
      ASSERT_GT(span.end, span.begin);
      ASSERT_LE(span.end, text.size());
      end = span.end;
    }
  }
}

}  // namespace
}  // namespace hearth::privacy
