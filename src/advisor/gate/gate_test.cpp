#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "advisor/gate/agreement.h"
#include "advisor/gate/calibration.h"
#include "advisor/gate/curve.h"
#include "advisor/gate/evaluate.h"
#include "advisor/gate/fixed_random.h"
#include "advisor/gate/learned.h"
#include "advisor/gate/text_signals.h"
#include "base/file.h"
#include "base/temp_folder_for_test.h"

namespace hearth::advisor::gate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// ---- Texts -------------------------------------------------------------------------------------

TEST(TextSignals, NumbersAreReadInEveryNotation) {
  EXPECT_THAT(numbers_of("-1,024.5 and 3"), ElementsAre(-1024.5, 3));
  const std::vector<double> powers = numbers_of("6.02 \\times 10^{23}, 1.5 x 10^-3 or 2*10^2");
  ASSERT_EQ(powers.size(), 3U);
  EXPECT_NEAR(powers[0] / 6.02e23, 1, 1e-9);
  EXPECT_NEAR(powers[1], 1.5e-3, 1e-12);
  EXPECT_NEAR(powers[2], 200, 1e-9);
  EXPECT_THAT(numbers_of("x 10 boxes at 5 x 3"), ElementsAre(10, 5, 3));
}

TEST(TextSignals, TheStatedLetterIsTheLastOne) {
  EXPECT_EQ(stated_choice("The answer is (C)."), 2);
  EXPECT_EQ(stated_choice("First the answer is (A), no: the answer is **B**"), 1);
  EXPECT_EQ(stated_choice("The answer is Bismarck"), -1);
  EXPECT_EQ(stated_choice("no idea"), -1);
}

TEST(TextSignals, WordsLeaveOutCaseAndTheCommonest) {
  EXPECT_EQ(words_of("The Cat"), words_of("a cat!"));
  EXPECT_EQ(words_of("pi is 3.14").size(), 2U);
}

// ---- Trees -------------------------------------------------------------------------------------

// y = 1 where both features are above 1/2: no single split tells it.
struct Corner {
  Table table;
  std::vector<float> targets;
};
Corner corner(std::size_t n) {
  Corner made;
  FixedRandom random(7);
  for (std::size_t i = 0; i < n; ++i) {
    const float a = static_cast<float>(random.below(1000)) / 1000, b = static_cast<float>(random.below(1000)) / 1000;
    const std::vector<float> row = {a, b, static_cast<float>(random.below(3))};
    made.table.add(row);
    made.targets.push_back(a > 0.5F && b > 0.5F ? 1.0F : 0.0F);
  }
  return made;
}

TEST(BoostedTrees, LearnsWhatNoSingleFeatureSays) {
  const Corner data = corner(2'000);
  for (const Loss loss : {Loss::kSquared, Loss::kLogistic}) {
    const BoostedTrees trees = BoostedTrees::fit(data.table, data.targets, {.loss = loss, .n_trees = 200, .step = 0.1, .feature_share = 0.7});
    const auto predict = [&](float a, float b) { return trees.predict(std::vector<float>{a, b, 1}); };
    EXPECT_GT(predict(0.9F, 0.9F), predict(0.9F, 0.1F) + 0.7);
    EXPECT_NEAR(predict(0.9F, 0.1F), predict(0.1F, 0.9F), loss == Loss::kSquared ? 0.1 : 1.0);
  }
}

TEST(BoostedTrees, AreTheSameForTheSameRowsAndAfterStoring) {
  const Corner data = corner(400);
  const TreeOptions options = {.n_trees = 20, .n_bags = 2};
  const BoostedTrees trees = BoostedTrees::fit(data.table, data.targets, options);
  EXPECT_EQ(trees.to_json(), BoostedTrees::fit(data.table, data.targets, options).to_json());
  const auto again = BoostedTrees::from_json(nlohmann::ordered_json::parse(trees.to_json().dump()));
  ASSERT_TRUE(again.has_value()) << again.error().message;
  for (std::size_t i = 0; i < 50; ++i) EXPECT_EQ(trees.predict(data.table.row(i)), again->predict(data.table.row(i)));
}

TEST(BoostedTrees, AStoredModelThatLeadsInCirclesIsCorrupt) {
  const Corner data = corner(400);
  nlohmann::ordered_json json = BoostedTrees::fit(data.table, data.targets, {.n_trees = 3}).to_json();
  json["lefts"][2] = 1;
  EXPECT_EQ(BoostedTrees::from_json(json).error().code, Code::kCorrupt);
  json = BoostedTrees().to_json();
  json["roots"] = {5};
  EXPECT_EQ(BoostedTrees::from_json(json).error().code, Code::kCorrupt);
  EXPECT_EQ(BoostedTrees::from_json({{"roots", "x"}}).error().code, Code::kCorrupt);
}

// ---- Curves ------------------------------------------------------------------------------------

TEST(Curve, ThePerfectOrderClosesTheGapFirst) {
  // Of ten questions asking helps with two, and harms with none.
  std::vector<Scored> rows(10);
  rows[3] = {.score = 1, .gain = 1};
  rows[7] = {.score = 1, .gain = 1};
  const auto figures = curve_figures(rows);
  ASSERT_TRUE(figures.has_value());
  EXPECT_NEAR(figures->apgr, 0.9, 1e-9);  // All gained after a fifth, on a straight line.
  EXPECT_NEAR(figures->cpt50, 0.1, 1e-9);
  EXPECT_NEAR(figures->cpt80, 0.2, 1e-9);
}

TEST(Curve, TiesEarnWhatChanceEarns) {
  std::vector<Scored> rows(4'000);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i].gain = i < 1'000 ? 1 : 0;
  EXPECT_NEAR(curve_figures(rows)->apgr, 0.5, 0.02);
}

TEST(Curve, ThereIsNoneWithoutAGap) {
  const std::vector<Scored> rows = {{.gain = 1}, {.gain = -1}};
  EXPECT_FALSE(curve_figures(rows).has_value());
}

TEST(Curve, AurocCountsTiesHalf) {
  const std::vector<Scored> rows = {{.p_wrong = 0.9, .is_local_wrong = true},
                                    {.p_wrong = 0.5, .is_local_wrong = true},
                                    {.p_wrong = 0.5, .is_local_wrong = false},
                                    {.p_wrong = 0.1, .is_local_wrong = false}};
  EXPECT_NEAR(*auroc(rows), 3.5 / 4, 1e-9);
  EXPECT_FALSE(auroc(std::span(rows).first(2)).has_value());
}

// ---- Rows --------------------------------------------------------------------------------------

constexpr std::string_view kRow =
    R"({"id": 1, "category": "law", "question": "Which?", "options": ["x", "y"],)"
    R"( "local": {"model": "m", "answer": "B", "text": "y. The answer is (B).", "chars": 21, "correct": false},)"
    R"( "second": {"answer": null, "chars": 3, "correct": false}, "cloud": {"answer": "A", "correct": true}})";

TEST(PairRow, IsReadWithItsHalvesApart) {
  const auto rows = parse_pair_rows(std::string(kRow) + "\n\n");
  ASSERT_TRUE(rows.has_value()) << rows.error().message;
  ASSERT_EQ(rows->size(), 1U);
  const PairRow& row = rows->front();
  EXPECT_EQ(row.asked.kind, "law");
  EXPECT_EQ(row.asked.local, Choice(1));
  EXPECT_TRUE(row.asked.has_second);
  EXPECT_EQ(row.asked.second, std::nullopt);
  EXPECT_EQ(row.outcome.gain(), 1);
  EXPECT_EQ(known_truth(row), Choice(0));
}

TEST(PairRow, AnErrorNamesTheLine) {
  const auto rows = parse_pair_rows(std::string(kRow) + "\n{\"question\": 3}\n");
  ASSERT_FALSE(rows.has_value());
  EXPECT_THAT(rows.error().message, HasSubstr("line 2"));
}

TEST(PairRow, ALetterBeyondTheOptionsIsNoAnswer) {
  std::string text(kRow);
  text.replace(text.find("\"B\""), 3, "\"Z\"");
  EXPECT_EQ(parse_pair_rows(text)->front().asked.local, std::nullopt);
}

// ---- The gate ----------------------------------------------------------------------------------

// Questions whose right option is the one between close neighbours; the local model is wrong where its
// text is long, and the second model disagrees with most wrong answers.
std::vector<PairRow> made_rows(std::size_t n, std::uint64_t seed) {
  FixedRandom random(seed);
  std::vector<PairRow> rows;
  for (std::size_t i = 0; i < n; ++i) {
    PairRow row;
    row.key = random.next();
    row.local_model = "made";
    row.asked.kind = random.below(2) == 0 ? "math" : "law";
    row.asked.question = "Question " + std::to_string(i);
    const std::size_t truth = random.below(4);
    for (std::size_t k = 0; k < 4; ++k) row.asked.options.push_back(std::to_string(k == truth ? 11 : 10 + 50 * k * (i % 7 + 1)));
    const bool wrong = random.below(2) == 0;
    const auto other = static_cast<std::uint32_t>((truth + 1 + random.below(3)) % 4);
    row.asked.local = wrong ? other : static_cast<std::uint32_t>(truth);
    row.asked.local_text = std::string(wrong ? 300 : 100, 'x');
    row.asked.local_chars = random.below(10) < 8 ? row.asked.local_text.size() : 200;
    row.asked.has_second = true;
    row.asked.second = random.below(10) < 7 ? static_cast<std::uint32_t>(truth) : row.asked.local;
    row.outcome = {.is_local_right = !wrong, .is_adviser_right = random.below(10) < 9, .adviser = static_cast<std::uint32_t>(truth)};
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<const PairRow*> pointers(const std::vector<PairRow>& rows) {
  std::vector<const PairRow*> all;
  for (const PairRow& row : rows) all.push_back(&row);
  return all;
}

TEST(GateModel, ThePriorsKnowDisagreement) {
  Asked asked{.kind = "unheard of", .question = "?", .options = {"a", "b"}, .local_text = "a", .local_chars = 300, .local = 0, .has_second = true, .second = 0};
  const double agreed = GateModel().judge(asked).gain();
  asked.second = 1;
  EXPECT_GT(GateModel().judge(asked).gain(), agreed + 0.1);
  asked.has_second = false;
  EXPECT_GT(GateModel().judge(asked).p_wrong, 0.3);
}

TEST(GateModel, OpenQuestionsAreJudgedToo) {
  const auto rows = made_rows(400, 1);
  const auto gate = GateModel::fit(pointers(rows));
  ASSERT_TRUE(gate.has_value()) << gate.error().message;
  const Verdict verdict = gate->judge({.kind = "law", .question = "Why?", .local_text = "So.", .local_chars = 3});
  EXPECT_GT(verdict.p_wrong, 0);
  EXPECT_LT(verdict.p_wrong, 1);
}

TEST(GateModel, LearnsFromRowsAndKeepsWhatItLearned) {
  const auto rows = made_rows(600, 1), others = made_rows(600, 2);
  const auto gate = GateModel::fit(pointers(rows));
  ASSERT_TRUE(gate.has_value()) << gate.error().message;
  const auto before = evaluate(others, GateModel(), {}), after = evaluate(others, *gate, {});
  ASSERT_TRUE(before && after);
  EXPECT_EQ(before->method, Method::kPriors);
  EXPECT_EQ(after->method, Method::kHeldOut);
  EXPECT_GT(after->auroc.value, before->auroc.value);
  EXPECT_GT(after->apgr.value, before->apgr.value);

  const TempFolder temporary;
  const std::filesystem::path& folder = temporary.path();
  Calibration calibration{.model = {"made", "Q8_0"}, .gate = *gate, .learned = {1, 2, 3}};
  ASSERT_TRUE(store_calibration(folder, calibration));
  const auto again = load_calibration(folder, calibration.model);
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_EQ(again->learned, calibration.learned);
  for (const PairRow& row : others) EXPECT_EQ(gate->judge(row.asked).gain(), again->gate.judge(row.asked).gain());
  EXPECT_FALSE(load_calibration(folder, {"made", "Q4_0"})->gate.is_calibrated());  // Another quantisation knows nothing.

  ASSERT_TRUE(write_file_atomic(calibration_file(folder, calibration.model), "{\"format\": 1}"));
  EXPECT_EQ(load_calibration(folder, calibration.model).error().code, Code::kCorrupt);
}

TEST(GateModel, TooFewRowsAreRefusedInWords) {
  const auto rows = made_rows(GateModel::kRowsMin - 1, 1);
  EXPECT_THAT(GateModel::fit(pointers(rows)).error().message, HasSubstr("too few"));
}

TEST(Evaluate, JudgesOnlyByRowsThatTheGateNeverSaw) {
  const auto rows = made_rows(700, 1);
  std::set<std::uint64_t> learned;
  for (std::size_t i = 0; i < 350; ++i) learned.insert(rows[i].key);
  const auto half = pointers(rows);
  const auto gate = GateModel::fit(std::span(half).first(350));
  const auto found = evaluate(rows, *gate, learned);
  ASSERT_TRUE(found.has_value()) << found.error().message;
  EXPECT_EQ(found->method, Method::kHeldOut);
  EXPECT_EQ(found->n_rows, 350U);
  EXPECT_EQ(found->n_left_out, 350U);
  EXPECT_NEAR(found->baselines[0].figures.apgr, 0.5, 0.1);
  EXPECT_GE(found->baselines[3].figures.apgr, found->apgr.value);
}

// ---- Experience --------------------------------------------------------------------------------

TEST(Experience, WithoutOutcomesNothingChanges) {
  const Experience none;
  EXPECT_NEAR(none.p_wrong(0.3, "law"), 0.3, 1e-9);
  EXPECT_EQ(none.p_helps(0.6, "law"), 0.6);
}

TEST(Experience, BadAnswersOfAKindRaiseItsDoubtMost) {
  std::vector<Experienced> outcomes;
  for (int i = 0; i < 30; ++i) {
    outcomes.push_back({.kind = "law", .p_wrong = 0.3, .is_good = i % 5 == 0});
    outcomes.push_back({.kind = "math", .p_wrong = 0.3, .is_good = i % 10 != 0});
  }
  const Experience learned(outcomes);
  EXPECT_GT(learned.p_wrong(0.3, "law"), 0.55);
  EXPECT_LT(learned.p_wrong(0.3, "math"), 0.3);
  EXPECT_GT(learned.p_wrong(0.6, "law"), learned.p_wrong(0.3, "law"));
}

TEST(Experience, AdvisedAnswersTeachWhatAdviceIsWorth) {
  std::vector<Experienced> outcomes(30, {.kind = "law", .was_advised = true, .is_good = false});
  EXPECT_NEAR(Experience(outcomes).p_helps(0.6, "law"), 0.6 * 10 / 40, 1e-9);
  EXPECT_EQ(Experience(outcomes).p_helps(0.6, "math"), 0.6);
}

TEST(Experience, IsReadWhereItWasAppendedAndPastTornLines) {
  const TempFolder temporary;
  const std::filesystem::path& folder = temporary.path();
  const ModelKey model = {"m", "Q8_0"};
  LearnedShelf shelf(folder);
  EXPECT_EQ(shelf.of(model)->experience.n_outcomes(), 0U);
  ASSERT_TRUE(append_outcome(outcomes_file(folder, model), {.kind = "law", .p_wrong = 0.3, .is_good = false}));
  EXPECT_EQ(shelf.of(model)->experience.n_outcomes(), 1U);
  EXPECT_GT(shelf.of(model)->odds({.kind = "law"}, 0.7).p_wrong, 0.3);
  EXPECT_EQ(Experience::from_lines("{\"p_wr\n{\"p_wrong\": 0.5, \"advised\": false, \"good\": true}\n[]").n_outcomes(), 1U);
}

TEST(Agreement, GoesByChoicesThenNumbersThenWords) {
  EXPECT_TRUE(answers_agree("So the answer is (C).", "I think the answer is (C)"));
  EXPECT_FALSE(answers_agree("So the answer is (C).", "The answer is (D)."));
  EXPECT_TRUE(answers_agree("6 times 7 makes 42.", "It is 42"));
  EXPECT_FALSE(answers_agree("6 times 7 makes 42.", "It is 41"));
  EXPECT_TRUE(answers_agree("Paris is the capital of France.", "The capital of France: Paris"));
  EXPECT_FALSE(answers_agree("Paris is the capital of France.", "Lyon, a large town"));
  EXPECT_FALSE(answers_agree("", ""));
}

TEST(Learned, ASecondOpinionMovesTheOdds) {
  const Learned learned;
  const Asked asked{.kind = {}, .question = "q", .options = {}, .local_text = "a"};
  const double alone = learned.odds(asked, 0.7).p_wrong;
  EXPECT_LT(learned.odds(asked, 0.7, true).p_wrong, alone);
  EXPECT_GT(learned.odds(asked, 0.7, false).p_wrong, alone);
}

}  // namespace
}  // namespace hearth::advisor::gate
