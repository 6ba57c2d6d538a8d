// Several models, one question: one after the other, so that none takes the machine from another and what the
// receipts say of speed holds.
#include <fmt/format.h>

#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "api/chat_fields.h"
#include "api/json_writer.h"
#include "api/mcp/ask.h"

namespace hearth::api::mcp {
namespace {

constexpr std::size_t kModelsMin = 2, kModelsMax = 8;
constexpr auto kCompareNames = std::to_array<std::string_view>({"question", "models", "system", "max_tokens", "temperature", "seed"});

struct Asked {
  hub::ChatRequest request;  // But for its model.
  std::vector<std::string> models;
};

Parsed<std::vector<std::string>> read_models(dom::object arguments) {
  const auto value = member(arguments, "models");
  if (!value) return missing("models");
  HEARTH_TRY(const dom::array list, as_array("models", *value));
  if (list.size() < kModelsMin || list.size() > kModelsMax) {
    return refuse("invalid_value", "models", fmt::format("Invalid 'models': {} to {} names are expected, but there are {}.", kModelsMin, kModelsMax, list.size()));
  }
  std::vector<std::string> models;
  for (const dom::element each : list) {
    hub::ChatRequest request;
    HEARTH_TRY_VOID(set_model(request, fmt::format("models[{}]", models.size()), each));
    models.push_back(std::move(request.model));
  }
  return models;
}

Parsed<Asked> read_compare(dom::object arguments) {
  HEARTH_TRY_VOID(check_names(arguments, kCompareNames));
  Asked asked;
  HEARTH_TRY(asked.request, read_question(arguments));
  HEARTH_TRY(asked.models, read_models(arguments));
  if (!asked.request.has_temperature) {  // What differs is then the models' doing.
    asked.request.sampling.temperature = 0;
    asked.request.has_temperature = true;
  }
  return asked;
}

// The call on its way from model to model.  Threading: one thread at a time, each handing on to the next.
class Comparison final : public std::enable_shared_from_this<Comparison> {
 public:
  Comparison(const ToolHost& host, Asked asked, std::shared_ptr<ToolRun> run)
      : host_(host), asked_(std::move(asked)), run_(std::move(run)) {}

  void ask_next() {
    if (run_->is_cancelled()) return run_->fail("cancelled");
    hub::ChatRequest request = asked_.request;
    request.model = asked_.models[n_done_];
    run_->say(fmt::format("{} of {}: asking {}", n_done_ + 1, asked_.models.size(), request.model));
    ask_hub(host_, std::move(request), run_, [self = shared_from_this()](Result<Answered> answer) { self->take(std::move(answer)); });
  }

 private:
  // On a thread of the hub's, which must not wait: the next question goes to another one.  A call that was
  // cancelled goes nowhere: who would run it may be gone.
  void take(Result<Answered> answer) {
    json_.begin_object().key("model").value(asked_.models[n_done_]);
    if (answer) {
      write_answer(json_, *answer);
      ++n_answered_;
    } else {
      json_.key("error").value(answer.error().message);
      last_error_ = answer.error().message;
    }
    json_.end_object();
    if (++n_done_ == asked_.models.size()) return finish();
    if (run_->is_cancelled()) return run_->fail("cancelled");
    if (!host_.submit([self = shared_from_this()] { self->ask_next(); })) run_->fail("The server is stopping or overloaded.");
  }

  void finish() {
    if (n_answered_ == 0) return run_->fail(fmt::format("No model answered; the last said: {}", last_error_));
    run_->succeed(R"({"answers":[)" + answers_ + "]}");
  }

  const ToolHost host_;
  const Asked asked_;
  const std::shared_ptr<ToolRun> run_;
  std::string answers_;
  JsonWriter json_{answers_};
  std::size_t n_done_ = 0, n_answered_ = 0;
  std::string last_error_;
};

}  // namespace

void start_compare(const ToolHost& host, dom::object arguments, std::shared_ptr<ToolRun> run) {
  auto asked = read_compare(arguments);
  if (!asked) return run->fail(asked.error().message);
  std::make_shared<Comparison>(host, *std::move(asked), std::move(run))->ask_next();
}

}  // namespace hearth::api::mcp
