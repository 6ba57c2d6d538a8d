#include "cli/import_delta.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/file.h"
#include "cli/import_file.h"
#include "cli/interrupt.h"
#include "cli/open_catalogue.h"
#include "cli/paths.h"
#include "cli/progress_bar.h"
#include "cli/sample_text.h"
#include "cli/terminal.h"
#include "convert/extract_adapter.h"
#include "gguf/gguf_file.h"
#include "gguf/restored_tensors.h"
#include "model/divergence.h"
#include "store/adapters.h"
#include "store/delta_base.h"

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using nlohmann::ordered_json;

constexpr std::uint32_t kRankDefault = 16;

enum class Form : std::uint8_t { kExact, kSigns, kLowRank };

struct Choice {
  Form form = Form::kExact;
  std::uint32_t rank = 0;
};

// "exact", "1bit", "lowrank" or "lowrank:R".
Result<Choice> parse_choice(std::string_view text) {
  constexpr std::string_view kLowRank = "lowrank";
  if (text.empty() || text == "exact") return Choice{Form::kExact};
  if (text == "1bit") return Choice{Form::kSigns};
  if (text == kLowRank) return Choice{Form::kLowRank, kRankDefault};
  Choice choice{Form::kLowRank};
  const std::string_view number = text.substr(std::min(text.size(), kLowRank.size() + 1));
  const auto read = std::from_chars(number.data(), number.data() + number.size(), choice.rank);
  const bool is_rank = text.starts_with(kLowRank) && text[kLowRank.size()] == ':' &&
                       read.ec == std::errc() && read.ptr == number.data() + number.size();
  if (is_rank) return choice;
  return fail(Code::kInvalidArgument,
              fmt::format("--as is 'exact', '1bit' or 'lowrank:R' with a rank R, not '{}'", text));
}

struct Loss {
  std::string tensor;
  double relative = 0;
};

// What a delta takes and costs.
struct Report {
  std::string name, base, form;
  fs::path path;
  std::string asked_as;
  std::uint64_t bytes = 0, whole_bytes = 0;
  std::uint64_t n_tensors = 0, n_deltas = 0;
  std::optional<double> restore_s;  // Of what is restored at each load,
  std::uint64_t restore_bytes = 0;
  std::vector<Loss> losses, left_out;
  std::optional<model::Divergence> divergence;
  double seconds = 0;
};

template <class Losses>
std::vector<Loss> as_losses(const Losses& losses) {
  std::vector<Loss> made;
  for (const auto& loss : losses) made.push_back({loss.tensor, loss.relative});
  return made;
}

class DeltaImporter {
 public:
  DeltaImporter(const Context& context, const ImportSource& source, const ModelsImportOptions& options)
      : context_(context), source_(source), options_(options),
        pool_(options.threads > 0 ? options.threads : static_cast<unsigned>(context.config.engine.threads)) {}

  Result<Report> run() {
    HEARTH_TRY(const Choice choice, parse_choice(options_.as));
    const auto start = Clock::now();
    HEARTH_TRY(text_, read_sample());
    HEARTH_TRY(const ImportFile file, prepare_import(source_, options_, !context_.json));
    report_.name = source_.name;
    report_.base = options_.delta_of;
    report_.form = options_.as.empty() ? "exact" : options_.as;
    HEARTH_TRY_VOID(choice.form == Form::kLowRank ? as_adapter(file.path(), choice.rank)
                                                  : as_model(file.path(), choice.form));
    report_.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    return std::move(report_);
  }

 private:
  Result<std::string> read_sample() const {
    if (options_.text.empty()) return std::string(kSampleText);
    return read_file(options_.text);
  }

  Result<> as_model(const fs::path& path, Form form) {
    const store::DeltaChoice delta{options_.delta_of,
                                   form == Form::kSigns ? gguf::DeltaForm::kSigns : gguf::DeltaForm::kExact};
    HEARTH_TRY(const store::ImportReport imported,
               import_file(path, source_.name, delta, options_, !context_.json));
    report_.path = imported.manifest;
    report_.asked_as = source_.name;
    report_.bytes = imported.new_bytes;
    report_.whole_bytes = imported.bytes;
    report_.n_tensors = imported.n_tensors;
    report_.n_deltas = imported.n_deltas;
    report_.losses = as_losses(imported.losses);
    HEARTH_TRY_VOID(measure_restoring(imported.manifest));
    if (form == Form::kExact) return {};
    HEARTH_TRY(const auto made, model::Model::load(imported.manifest));
    return measure_quality(path, *made, {});
  }

  // Restores it as a load does; and, once, compares it with what was imported.
  Result<> measure_restoring(const fs::path& manifest) {
    HEARTH_TRY(const gguf::GgufFile stored, gguf::GgufFile::open_model(manifest));
    if (stored.restored() == nullptr) return {};
    HEARTH_TRY_VOID(stored.restored()->check({}));
    const auto start = Clock::now();
    HEARTH_TRY_VOID(stored.restore());
    report_.restore_s = std::chrono::duration<double>(Clock::now() - start).count();
    report_.restore_bytes = stored.restored()->bytes().size();
    return {};
  }

  Result<> as_adapter(const fs::path& path, std::uint32_t rank) {
    const gguf::StorePaths store{store_folder()};
    const std::string name = store::adapter_name(source_.name);
    HEARTH_TRY(const gguf::GgufFile fine_tune, gguf::GgufFile::open(path));
    HEARTH_TRY_VOID(store::DeltaBase::open(store, options_.delta_of));  // Its refusals are clearer.
    const fs::path base_path = store.manifest(options_.delta_of);
    HEARTH_TRY(const gguf::GgufFile base, gguf::GgufFile::open_model(base_path));
    HEARTH_TRY(const convert::ExtractedAdapter made, extract(fine_tune, base, name, rank));
    HEARTH_TRY(report_.path, store::store_adapter(store, name, made.bytes, options_.force));
    report_.name = name;
    report_.asked_as = fmt::format("{}@{}", options_.delta_of, name);
    report_.bytes = made.bytes.size();
    for (const auto& info : fine_tune.tensors()) report_.whole_bytes += info.data.size();
    report_.n_tensors = fine_tune.tensors().size();
    report_.n_deltas = made.losses.size();
    report_.losses = as_losses(made.losses);
    report_.left_out = as_losses(made.left_out);
    HEARTH_TRY(const auto base_model, model::Model::load(base_path));
    HEARTH_TRY(const auto adapter, model::Adapter::load(report_.path, *base_model));
    const model::AdapterUse use{.adapter = adapter.get()};
    return measure_quality(path, *base_model, {&use, 1});
  }

  Result<convert::ExtractedAdapter> extract(const gguf::GgufFile& fine_tune, const gguf::GgufFile& base,
                                            const std::string& name, std::uint32_t rank) {
    ProgressBar bar(!context_.json);
    return convert::extract_adapter(
        fine_tune, base,
        {.name = name,
         .base = options_.delta_of,
         .rank = rank,
         .n_threads = options_.threads,
         .progress = [&bar](std::uint64_t done, std::uint64_t total, std::string_view tensor) {
           bar.show(done, total, tensor);
           return !take_interrupt();
         }});
  }

  Result<> measure_quality(const fs::path& whole, const model::Model& made,
                           std::span<const model::AdapterUse> adapters) {
    HEARTH_TRY(const auto reference, model::Model::load(whole));
    const auto tokens = reference->tokenizer().encode(text_, {.add_special = true});
    ProgressBar bar(!context_.json);
    HEARTH_TRY(report_.divergence,
               model::measure_divergence({*reference}, {made, adapters}, tokens,
                                         {.progress = [&bar](std::uint32_t done, std::uint32_t total) {
                                           bar.show(done, total, "comparing");
                                           return !take_interrupt();
                                         }},
                                         pool_));
    return {};
  }

  const Context& context_;
  const ImportSource& source_;
  const ModelsImportOptions& options_;
  ThreadPool pool_;
  std::string text_;
  Report report_;
};

double share(std::uint64_t bytes, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(bytes) / static_cast<double>(whole);
}

ordered_json to_json(const std::vector<Loss>& losses) {
  ordered_json list = ordered_json::array();
  for (const Loss& loss : losses) list.push_back({{"tensor", loss.tensor}, {"relative_error", loss.relative}});
  return list;
}

ordered_json to_json(const Report& report) {
  ordered_json made = {{"name", report.name},
                       {"path", report.path.string()},
                       {"model", report.asked_as},
                       {"delta_of", report.base},
                       {"form", report.form},
                       {"tensors", report.n_tensors},
                       {"delta_tensors", report.n_deltas},
                       {"new_bytes", report.bytes},
                       {"bytes", report.whole_bytes},
                       {"share", share(report.bytes, report.whole_bytes)},
                       {"losses", to_json(report.losses)},
                       {"left_out", to_json(report.left_out)},
                       {"seconds", report.seconds}};
  if (report.restore_s) {
    made["restored_bytes"] = report.restore_bytes;
    made["restore_seconds"] = *report.restore_s;
  }
  if (const auto& d = report.divergence) {
    made["divergence"] = {{"tokens", d->n_scored},
                          {"mean_nats", d->mean},
                          {"largest_nats", d->largest},
                          {"same_choice", d->same_choice},
                          {"perplexity_whole", d->perplexity_reference},
                          {"perplexity", d->perplexity}};
  }
  return made;
}

// The mean of all tensors' losses, and the worst of them.
std::string losses_text(std::vector<Loss> losses) {
  if (losses.empty()) return "";
  constexpr std::size_t kShownMax = 5;
  double sum = 0;
  for (const Loss& loss : losses) sum += loss.relative;
  std::string text = fmt::format("relative error of the differences: {:.4f} on average over {} tensors; largest:\n",
                                 sum / static_cast<double>(losses.size()), losses.size());
  std::ranges::stable_sort(losses, std::ranges::greater{}, &Loss::relative);
  losses.resize(std::min(losses.size(), kShownMax));
  for (const Loss& loss : losses) text += fmt::format("  {:.4f}  {}\n", loss.relative, loss.tensor);
  return text;
}

std::string quality_text(const Report& report) {
  if (!report.divergence) return "quality: the same to the bit\n";
  const model::Divergence& d = *report.divergence;
  return fmt::format("against the whole fine-tune, over {} tokens: divergence {:.4f} nats on average, {:.3f} at most; "
                     "the same first choice in {:.1f} %; perplexity {:.3f}, whole {:.3f}\n",
                     d.n_scored, d.mean, d.largest, 100 * d.same_choice, d.perplexity, d.perplexity_reference);
}

std::string to_text(const Report& report) {
  std::string text = fmt::format("imported {} as a difference ({}) of {} in {:.1f} s\n", report.name, report.form,
                                 report.base, report.seconds);
  text += fmt::format("on disk: {} instead of {} ({:.1f} %); {} of {} tensors as differences\n",
                      format_bytes(report.bytes), format_bytes(report.whole_bytes),
                      100 * share(report.bytes, report.whole_bytes), report.n_deltas, report.n_tensors);
  if (report.restore_s) {
    text += fmt::format("a load restores {} in {:.2f} s ({:.2f} GB/s)\n", format_bytes(report.restore_bytes),
                        *report.restore_s, static_cast<double>(report.restore_bytes) * 1e-9 / *report.restore_s);
  }
  text += losses_text(report.losses) + quality_text(report);
  for (const Loss& loss : report.left_out) {
    text += fmt::format("left out: {} differs by {:.2f} %, which an adapter can't hold\n", loss.tensor,
                        100 * loss.relative);
  }
  return text + fmt::format("ask it: hearth ask --model {} \"...\"\n", report.asked_as);
}

}  // namespace

Result<> import_delta(const Context& context, const ImportSource& source, const ModelsImportOptions& options) {
  HEARTH_TRY(const Report report, DeltaImporter(context, source, options).run());
  print_out(context.json ? to_json(report).dump(2) + "\n" : to_text(report));
  return {};
}

}  // namespace hearth::cli
