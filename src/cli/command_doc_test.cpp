// Completions and the man page of a small table: every verb, option and choice is in each.
#include "cli/command_doc.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hearth::cli {
namespace {

using testing::HasSubstr;

CommandDoc sample() {
  return {.name = "hearth",
          .description = "Answers.",
          .footer = ".Exit codes: 0 done",
          .options = {{.names = {"--config"}, .value = "TEXT", .description = "Configuration file"}},
          .commands = {{.name = "ask",
                        .description = "Answer one question",
                        .options = {{.names = {"-m", "--model"}, .value = "TEXT", .description = "It's a name [or auto]"},
                                    {.names = {"--advice"}, .value = "TEXT", .choices = {"never", "auto"}, .description = "Whether: to ask"},
                                    {.names = {"--json"}, .description = "For a program"}},
                        .arguments = {{.names = {"question"}, .value = "TEXT", .is_repeated = true}}},
                       {.name = "models",
                        .description = "The models",
                        .commands = {{.name = "rm", .description = "Drop one", .arguments = {{.names = {"name"}, .is_required = true}}}}}}};
}

TEST(CommandDoc, BashKnowsVerbsOptionsAndChoices) {
  const std::string script = bash_completions(sample());
  EXPECT_THAT(script, HasSubstr("words['hearth']='ask models --config'\n"));
  EXPECT_THAT(script, HasSubstr("words['models']='rm'\n"));
  EXPECT_THAT(script, HasSubstr("words['ask']='-m --model --advice --json'\n"));
  EXPECT_THAT(script, HasSubstr("values['ask --advice']='never auto'\n"));
  EXPECT_THAT(script, HasSubstr("values['ask -m']=''\n"));
}

TEST(CommandDoc, ZshEscapesItsOwnSigns) {
  const std::string script = zsh_completions(sample());
  EXPECT_THAT(script, HasSubstr(R"('--model[It'\''s a name \[or auto\]]:TEXT:_files')"));
  EXPECT_THAT(script, HasSubstr(R"('--advice[Whether\: to ask]:TEXT:(never auto)')"));
  EXPECT_THAT(script, HasSubstr("_hearth_models_rm() {"));
  EXPECT_THAT(script, HasSubstr("'*:question:_files'"));
}

TEST(CommandDoc, FishOffersAVerbOnlyWhereItBelongs) {
  const std::string script = fish_completions(sample());
  EXPECT_THAT(script, HasSubstr("'true; and not __fish_seen_subcommand_from ask models' -f -a ask -d 'Answer one question'"));
  EXPECT_THAT(script, HasSubstr("'true; and __fish_seen_subcommand_from models; and not __fish_seen_subcommand_from rm' -f -a rm"));
  EXPECT_THAT(script, HasSubstr("-s m -l model -r -d"));
}

TEST(CommandDoc, TheManPageIsRoff) {
  const std::string page = man_page(sample(), "1.2");
  EXPECT_THAT(page, HasSubstr(".TH HEARTH 1"));
  EXPECT_THAT(page, HasSubstr(".SS \"hearth ask [\\fIquestion\\fR...]\"\nAnswer one question."));
  EXPECT_THAT(page, HasSubstr(".TP\n\\fB\\-m\\fR, \\fB\\-\\-model\\fR \\fITEXT\\fR\n"));
  EXPECT_THAT(page, HasSubstr("\\fB\\-\\-advice\\fR never|auto\n"));
  EXPECT_THAT(page, HasSubstr("\n\\&.Exit codes"));
}

}  // namespace
}  // namespace hearth::cli
