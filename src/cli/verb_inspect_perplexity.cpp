// `hearth inspect perplexity`: how surprised a model is by a text.
#include <fmt/format.h>

#include <chrono>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cli/interrupt.h"
#include "cli/open_catalogue.h"
#include "cli/progress_bar.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "model/perplexity.h"

namespace hearth::cli {
namespace {

// The text without the newline that ends the file, which nobody meant to be scored.
Result<std::string> read_text(const std::string& file) {
  std::string text;
  if (file == "-") {
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
  } else {
    HEARTH_TRY(text, read_file(file));
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

}  // namespace

Result<> inspect_perplexity(const Context& context, const InspectPerplexityOptions& options) {
  HEARTH_TRY(const auto path, model_path(context.config, options.model));
  HEARTH_TRY(const std::string text, read_text(options.file));
  HEARTH_TRY(const auto model, model::Model::load(path, {.pack = options.pack}));
  const auto tokens = model->tokenizer().encode(text, {.add_special = true});

  ThreadPool pool(static_cast<unsigned>(context.config.engine.threads));
  ProgressBar bar(!context.json);
  watch_interrupts();
  const auto show = [&bar](std::uint32_t done, std::uint32_t total, double perplexity) {
    bar.show(done, total, fmt::format("perplexity {:.4f}", perplexity));
    return !take_interrupt();
  };
  const auto start = std::chrono::steady_clock::now();
  HEARTH_TRY(const model::Perplexity found,
             model::measure_perplexity(*model, tokens,
                                       {.n_context = options.context,
                                        .stride = options.stride,
                                        .n_chunks_max = options.chunks,
                                        .progress = show},
                                       pool));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  const double speed = static_cast<double>(std::uint64_t{found.n_chunks} * found.n_context) / seconds.count();
  if (context.json) {
    print_out(nlohmann::ordered_json{{"model", path.filename().string()},
                                     {"perplexity", found.value},
                                     {"standard_error", found.standard_error},
                                     {"tokens", tokens.size()},
                                     {"scored_tokens", found.n_scored},
                                     {"chunks", found.n_chunks},
                                     {"context", found.n_context},
                                     {"stride", options.stride},
                                     {"tokens_s", speed}}
                  .dump(2) +
              "\n");
    return {};
  }
  print_out(fmt::format("perplexity {:.4f} +/- {:.4f}\n{} of {} tokens scored in {} chunks of {}, {:.1f} tokens/s\n",
                        found.value, found.standard_error, found.n_scored, tokens.size(), found.n_chunks,
                        found.n_context, speed));
  return {};
}

}  // namespace hearth::cli
