// hearth.toml: each key's limits from both sides, and messages that name the mistake.
#include "cli/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/temp_folder_for_test.h"
#include "cli/advisers.h"
#include "cli/api_keys.h"

namespace hearth::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string message_of(std::string_view toml) {
  const auto config = parse_config(toml, "hearth.toml");
  return config ? "" : config.error().message;
}

TEST(Config, EmptyTextGivesTheDefaults) {
  const auto config = parse_config("", "hearth.toml");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->server.host, "127.0.0.1");
  EXPECT_EQ(config->server.port, 8642);
  EXPECT_LT(config->advisor.price_in_usd_per_mtok, 0) << "an unknown price must not be zero";
}

TEST(Config, ReadsEachType) {
  const auto config = parse_config(
      "[server]\nport = 9000\n[models]\nfolders = ['/a', '/b']\nscan = false\n"
      "[advisor]\nthreshold = 0.25\nmode = 'never'\nprice_in_usd_per_mtok = 3\n",
      "hearth.toml");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->server.port, 9000);
  EXPECT_EQ(config->models.folders, (std::vector<std::string>{"/a", "/b"}));
  EXPECT_FALSE(config->models.scan);
  EXPECT_DOUBLE_EQ(config->advisor.threshold, 0.25);
  EXPECT_EQ(config->advisor.mode, "never");
  EXPECT_DOUBLE_EQ(config->advisor.price_in_usd_per_mtok, 3);
}

TEST(Config, KeepsLettersOfAnyLanguage) {
  const auto config = parse_config("# größer\n[models]\nfolders = ['/home/ä/모델'] # é\ndefault = \"größe\"\n", "hearth.toml");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->models.folders, std::vector<std::string>{"/home/ä/모델"});
  EXPECT_EQ(config->models.default_model, "größe");
  EXPECT_THAT(message_of("[models]\n\"größe\" = 1"), AllOf(HasSubstr("line 2"), HasSubstr("models.größe")));
  EXPECT_THAT(message_of("[models]\ngröße = 1"), HasSubstr("hearth.toml, line 2"));
  EXPECT_THAT(message_of("[models]\ndefault = 'a' ñ"), HasSubstr("hearth.toml, line 2"));
}

TEST(Config, TypoNamesTheLineAndTheNearestKey) {
  EXPECT_THAT(message_of("[advisor]\n\nbase_ur = 'x'\n"),
              AllOf(HasSubstr("line 3"), HasSubstr("'advisor.base_ur'"),
                    HasSubstr("did you mean 'advisor.base_url'?")));
}

TEST(Config, UnknownSectionIsNamed) {
  EXPECT_THAT(message_of("[adviser]\nmodel = 'x'\n"), HasSubstr("unknown section 'adviser'"));
  EXPECT_THAT(message_of("[adviser]\nmodel = 'x'\n"), AllOf(HasSubstr("[server], [models], "), HasSubstr("[privacy], "), HasSubstr("[[tasks]]")));
  EXPECT_THAT(message_of("port = 1\n"), HasSubstr("unknown section 'port'"));
}

TEST(Config, LimitsHoldOnBothSides) {
  EXPECT_EQ(message_of("[server]\nport = 1\n"), "");
  EXPECT_EQ(message_of("[server]\nport = 65535\n"), "");
  EXPECT_THAT(message_of("[server]\nport = 0\n"), HasSubstr("an integer from 1 to 65535"));
  EXPECT_THAT(message_of("[server]\nport = 65536\n"), HasSubstr("an integer from 1 to 65535"));
  EXPECT_EQ(message_of("[advisor]\nthreshold = 1\n"), "");
  EXPECT_NE(message_of("[advisor]\nthreshold = 1.01\n"), "");
  EXPECT_NE(message_of("[advisor]\nthreshold = nan\n"), "");
}

TEST(Config, WrongTypesAreRefused) {
  EXPECT_NE(message_of("[server]\nport = '8642'\n"), "");
  EXPECT_NE(message_of("[models]\nscan = 1\n"), "");
  EXPECT_NE(message_of("[models]\nfolders = 'a'\n"), "");
  EXPECT_NE(message_of("[models]\nfolders = [1]\n"), "");
  EXPECT_NE(message_of("[budget]\nusd_per_day = true\n"), "");
  EXPECT_THAT(message_of("[advisor]\nmode = 'sometimes'\n"), HasSubstr("never, auto, always"));
}

TEST(Config, BrokenTomlNamesTheLine) {
  EXPECT_THAT(message_of("[server]\nport = \n"), HasSubstr("line 2"));
}

TEST(Config, ExplanationsCoverEveryKeyAndReadBack) {
  for (const ConfigKeyText& row : explain_config(Config{})) {
    EXPECT_FALSE(row.explanation.empty()) << row.key;
    if (row.default_value.empty()) continue;  // Left out where nothing is said.
    const auto dot = row.key.find('.');
    const std::string header = row.header.substr(row.header.find('['));
    const auto one = parse_config(
        header + "\n" + row.key.substr(dot + 1) + " = " + row.default_value + "\n", "t");
    EXPECT_TRUE(one) << row.key << ": " << one.error().message;
  }
}

TEST(Config, AdvisersHaveAnOrderAndPricesAreTheirs) {
  const auto config = parse_config(
      "[advisor]\nbase_url = 'https://one/v1'\nmodel = 'm'\nprovider = 'one'\nprice_in_usd_per_mtok = 1\n"
      "price_out_usd_per_mtok = 2\n"
      "[[advisers]]\nprovider = 'two'\nwire = 'anthropic'\nmodel = 'x'\nattempts = 5\n"
      "[[prices]]\nprovider = 'two'\nmodel = 'x'\nin_usd_per_mtok = 3\nout_usd_per_mtok = 15\n"
      "cached_usd_per_mtok = 0.3\nlong_prompt_tokens = 200000\nlong_in_factor = 2\nlong_out_factor = 1.5\n",
      "hearth.toml");
  ASSERT_TRUE(config) << config.error().message;
  const auto advisers = adviser_options(*config);
  ASSERT_TRUE(advisers) << advisers.error().message;
  ASSERT_EQ(advisers->size(), 2U);
  EXPECT_EQ((*advisers)[0].prices->out_usd_micro_per_mtok, 2'000'000);
  EXPECT_EQ((*advisers)[1].wire, "anthropic");
  EXPECT_EQ((*advisers)[1].attempts_max, 5U);
  EXPECT_EQ(*(*advisers)[1].prices, (advisor::Prices{3'000'000, 15'000'000, 300'000, -1, 200'000, 200, 150}));
  EXPECT_TRUE(adviser_options(Config{})->empty());
  Config half;
  half.advisers.push_back({.provider = "two", .model = "x"});
  EXPECT_THAT(adviser_options(half).error().message, HasSubstr("wire or base_url"));
  half.advisers[0].wire = "gemini";
  half.prices.push_back({.provider = "two", .model = "x", .in_usd_per_mtok = 1});
  EXPECT_THAT(adviser_options(half).error().message, HasSubstr("not whole")) << "half a price is none";
}

TEST(Config, ReadsListsOfSections) {
  const auto config = parse_config(
      "[[upstreams]]\nname = 'ollama'\nurl = 'http://127.0.0.1:11434'\n"
      "[[upstreams]]\nname = 'far'\nurl = 'https://x/v1'\nlocal = false\nmodels = ['m']\nprice_in_usd_per_mtok = 0\n",
      "hearth.toml");
  ASSERT_TRUE(config) << config.error().message;
  ASSERT_EQ(config->upstreams.size(), 2U);
  EXPECT_EQ(config->upstreams[0].name, "ollama");
  EXPECT_FALSE(config->upstreams[0].local.has_value());
  EXPECT_LT(config->upstreams[0].price_in_usd_per_mtok, 0) << "an unknown price must not be zero";
  EXPECT_EQ(config->upstreams[1].local, false);
  EXPECT_EQ(config->upstreams[1].models, (std::vector<std::string>{"m"}));
  EXPECT_DOUBLE_EQ(config->upstreams[1].price_in_usd_per_mtok, 0);
  // What is explained can be read back.
  std::string text, header;
  for (const ConfigKeyText& row : explain_config(*config)) {
    if (row.header.starts_with('#')) continue;  // A list without entries.
    if (row.header != header) text += (header = row.header) + "\n";
    if (!row.value.empty()) text += row.key.substr(row.key.find('.') + 1) + " = " + row.value + "\n";
  }
  const auto again = parse_config(text, "again");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->upstreams.size(), 2U);
}

TEST(Config, MistakesInListsAreNamed) {
  EXPECT_THAT(message_of("[upstreams]\nname = 'x'\n"), HasSubstr("[[upstreams]]"));
  EXPECT_THAT(message_of("[[upstreams]]\nnam = 'x'\n"), HasSubstr("did you mean 'upstreams.name'?"));
  EXPECT_THAT(message_of("[[upstreams]]\nlocal = 'yes'\n"), HasSubstr("true or false"));
}

TEST(ApiKeys, AreNamedAndSomeAreAnAdmins) {
  const TempFolder folder;
  const auto load = [&](std::string_view text) {
    EXPECT_TRUE(write_file_atomic(folder / "keys", text));
    std::filesystem::permissions(folder / "keys", std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    return load_api_keys(folder / "keys");
  };
  const auto keys = load("# who key\n\nlaptop sk-1234567\n  owner\tsk-7654321 admin\n");
  ASSERT_TRUE(keys) << keys.error().message;
  ASSERT_EQ(keys->size(), 2U);
  EXPECT_EQ((*keys)[0].name, "laptop");
  EXPECT_FALSE((*keys)[0].is_admin);
  EXPECT_EQ((*keys)[1].secret, "sk-7654321");
  EXPECT_TRUE((*keys)[1].is_admin);
  for (const char* const wrong : {"laptop", "laptop sk-1234567 boss", "laptop sk-1234567 admin of-all"}) {
    const auto refused = load(wrong);
    ASSERT_FALSE(refused) << wrong;
    EXPECT_THAT(refused.error().message, AllOf(HasSubstr("line 1"), testing::Not(HasSubstr("sk-"))));
  }
}

}  // namespace
}  // namespace hearth::cli
