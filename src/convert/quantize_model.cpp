#include "convert/quantize_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <map>
#include <optional>

#include "base/thread_pool.h"
#include "tensor/quantize.h"

namespace hearth::convert {
namespace {

using tensor::DType;

std::string_view name_of(DType type) { return tensor::dtype_info(type).name; }

bool is_quantized(DType type) { return tensor::dtype_info(type).block_elements > 1; }

std::uint64_t bytes_of(DType type, const SourceTensor& tensor) {
  return tensor::row_bytes(type, tensor.dims[0]) * (tensor.n_elements() / tensor.dims[0]);
}

// What is to be done with one tensor.
struct Step {
  const SourceTensor* tensor = nullptr;
  DType type = DType::kF32;
  DType wanted = DType::kF32;
  std::span<const float> importance;  // [n_matrices, cols], or empty.
  bool copies = false;                // The bytes go over as they lie.
};

// The decisions, before anything is read or written.
class Planner {
 public:
  Planner(const ModelSource& source, const QuantizeOptions& options)
      : source_(source), options_(options) {}

  Result<std::vector<Step>> run() {
    const bool tied = std::ranges::find(source_.tensors, "output.weight", &SourceTensor::name) ==
                      source_.tensors.end();
    std::vector<Step> steps;
    for (const SourceTensor& tensor : source_.tensors) {
      const Choice choice = choose_type(*options_.recipe, tensor, source_.n_layers, tied);
      Step step{.tensor = &tensor, .type = choice.type, .wanted = choice.wanted};
      step.copies = tensor.type == step.type && tensor.is_plain();
      HEARTH_TRY_VOID(check_requantize(step));
      HEARTH_TRY_VOID(bind_importance(step));
      steps.push_back(step);
    }
    if (options_.importance != nullptr && n_bound_ == 0) return importance_of_another_model();
    return steps;
  }

 private:
  Result<> check_requantize(const Step& step) const {
    if (step.copies || !is_quantized(step.tensor->type) || options_.allow_requantize) return {};
    return fail(
        Code::kInvalidArgument,
        fmt::format("'{}' is quantised already (tensor '{}' is {}), and quantising it again "
                    "adds the errors of both: start from the model in F16, BF16 or F32, or "
                    "say --allow-requantize",
                    source_.name, step.tensor->name, name_of(step.tensor->type)));
  }

  Result<> bind_importance(Step& step) {
    if (options_.importance == nullptr || step.copies || !tensor::uses_importance(step.type)) {
      return {};
    }
    const auto found = options_.importance->inputs.find(step.tensor->name);
    if (found == options_.importance->inputs.end()) return {};
    const auto& dims = step.tensor->dims;
    const std::uint64_t n_matrices =
        dims.size() > 2 ? step.tensor->n_elements() / dims[0] / dims[1] : 1;
    const std::vector<float>& values = found->second;
    if (values.size() != dims[0] && values.size() != dims[0] * n_matrices) {
      return fail(
          Code::kInvalidArgument,
          fmt::format("the importance matrix has {} values for tensor '{}' with {} inputs: it "
                      "was made for another model",
                      values.size(), step.tensor->name, dims[0]));
    }
    step.importance = values;
    ++n_bound_;
    return {};
  }

  std::unexpected<Error> importance_of_another_model() const {
    return fail(
        Code::kInvalidArgument,
        fmt::format("the importance matrix names none of the tensors of '{}' that {} would "
                    "use it for: it was made for another model, or {} needs none",
                    source_.name, recipe_name(*options_.recipe), recipe_name(*options_.recipe)));
  }

  const ModelSource& source_;
  const QuantizeOptions& options_;
  std::size_t n_bound_ = 0;
};

// Fills the tensors of the file, one after another, each with all threads.
class Worker {
 public:
  Worker(const QuantizeOptions& options, std::uint64_t total)
      : options_(options), pool_(options.n_threads), progress_{.total = total} {}

  // Whether to go on: no error and nobody asked to stop.
  bool goes_on() const { return !error_; }
  std::optional<Error> take_error() { return std::move(error_); }

  void fill(const Step& step, std::span<std::byte> out) {
    if (!report(*step.tensor, 0)) return;
    if (step.copies) {
      std::ranges::copy(step.tensor->parts[0], out.begin());
      report(*step.tensor, step.tensor->n_elements());
      return;
    }
    convert(step, out);
  }

 private:
  // Weights of one task: some milliseconds of work, and a buffer that stays in the cache.
  static constexpr std::uint64_t kTaskWeights = 1U << 16;
  static constexpr std::uint32_t kTasksPerReport = 64;

  void convert(const Step& step, std::span<std::byte> out) {
    const SourceTensor& tensor = *step.tensor;
    const std::uint64_t cols = tensor.row_elements();
    const std::uint64_t rows_per_task = std::max<std::uint64_t>(1, kTaskWeights / cols);
    const std::uint64_t n_tasks = (tensor.n_rows() + rows_per_task - 1) / rows_per_task;
    std::atomic<std::uint64_t> bad_row = UINT64_MAX;
    for (std::uint64_t task = 0; task < n_tasks; task += kTasksPerReport) {
      const auto n =
          static_cast<std::uint32_t>(std::min<std::uint64_t>(kTasksPerReport, n_tasks - task));
      pool_.run(n, [&](std::uint32_t i) {
        const std::uint64_t first = (task + i) * rows_per_task;
        const std::uint64_t rows = std::min(rows_per_task, tensor.n_rows() - first);
        convert_rows(step, first, rows, out, bad_row);
      });
      if (bad_row != UINT64_MAX) return refuse_row(tensor, bad_row);
      const std::uint64_t done = std::min((task + n) * rows_per_task, tensor.n_rows());
      if (!report(tensor, (done - std::min(task * rows_per_task, done)) * cols)) return;
    }
  }

  static void convert_rows(const Step& step, std::uint64_t first, std::uint64_t n_rows,
                           std::span<std::byte> out, std::atomic<std::uint64_t>& bad_row) {
    const SourceTensor& tensor = *step.tensor;
    const std::uint64_t cols = tensor.row_elements();
    const std::size_t row_bytes = tensor::row_bytes(step.type, cols);
    thread_local std::vector<float> rows;
    rows.resize(n_rows * cols);
    read_rows(tensor, first, n_rows, rows.data());
    for (std::uint64_t i = 0; i < n_rows; ++i) {
      const std::span<const float> row(rows.data() + i * cols, cols);
      if (!std::ranges::all_of(row, [](float value) { return std::isfinite(value); })) {
        // The lowest one is named, whichever thread finds it.
        std::uint64_t known = bad_row;
        while (first + i < known && !bad_row.compare_exchange_weak(known, first + i)) {
        }
        return;
      }
      tensor::quantize(step.type, row.data(), importance_of(step, first + i), cols,
                       out.data() + (first + i) * row_bytes);
    }
  }

  static const float* importance_of(const Step& step, std::uint64_t row) {
    if (step.importance.empty()) return nullptr;
    const auto& dims = step.tensor->dims;
    const bool per_matrix = step.importance.size() > dims[0];
    return step.importance.data() + (per_matrix ? row / dims[1] * dims[0] : 0);
  }

  void refuse_row(const SourceTensor& tensor, std::uint64_t row) {
    error_ =
        Error{Code::kCorrupt,
              fmt::format("tensor '{}' holds an infinity or a NaN in row {}: get the model from "
                          "its source again",
                          tensor.name, row)};
  }

  bool report(const SourceTensor& tensor, std::uint64_t weights) {
    using Clock = std::chrono::steady_clock;
    constexpr auto kBetween = std::chrono::milliseconds(100);
    progress_.done += weights;
    progress_.tensor = tensor.name;
    const bool last = progress_.done == progress_.total;
    if (!options_.progress || (!last && Clock::now() < next_report_)) return goes_on();
    next_report_ = Clock::now() + kBetween;
    if (!options_.progress(progress_)) {
      error_ = Error{Code::kCancelled, "interrupted: nothing was written"};
    }
    return goes_on();
  }

  const QuantizeOptions& options_;
  ThreadPool pool_;
  Progress progress_;
  std::chrono::steady_clock::time_point next_report_;
  std::optional<Error> error_;
};

Result<> check_target(const std::filesystem::path& out, std::uint64_t bytes, bool overwrite) {
  std::error_code error;
  const std::filesystem::path folder = out.has_parent_path() ? out.parent_path() : ".";
  if (!std::filesystem::is_directory(folder, error)) {
    return fail(Code::kNotFound, fmt::format("'{}' is no folder: make it first", folder.string()));
  }
  if (std::filesystem::is_directory(out, error)) {
    return fail(Code::kInvalidArgument,
                fmt::format("'{}' is a folder: give the name of the file to write", out.string()));
  }
  if (std::filesystem::exists(out, error) && !overwrite) {
    return fail(Code::kInvalidArgument,
                fmt::format("'{}' exists: choose another name, or say --force to replace it",
                            out.string()));
  }
  const auto space = std::filesystem::space(folder, error);
  if (error || space.available >= bytes) return {};
  return fail(Code::kOutOfBudget,
              fmt::format("'{}' would take {} MB, but its disk has {} MB left", out.string(),
                          bytes / 1'000'000, space.available / 1'000'000));
}

void add_share(QuantizeReport& report, DType type, std::uint64_t bytes) {
  auto share = std::ranges::find(report.types, type, &TypeShare::type);
  if (share == report.types.end()) share = report.types.insert(share, TypeShare{.type = type});
  ++share->n_tensors;
  share->bytes += bytes;
  report.bytes += bytes;
}

// "3 tensors with rows of 896 weights became Q5_0 instead of Q4_K, ..."
void add_fallback_notes(const std::vector<Step>& steps, QuantizeReport& report) {
  std::map<std::tuple<DType, DType, std::uint64_t>, std::uint32_t> counts;
  for (const Step& step : steps) {
    if (step.type != step.wanted) ++counts[{step.wanted, step.type, step.tensor->dims[0]}];
  }
  for (const auto& [key, count] : counts) {
    const auto& [wanted, type, cols] = key;
    report.notes.push_back(fmt::format(
        "{} tensor{} with rows of {} became {} instead of {}, whose blocks hold {} weights", count,
        count == 1 ? "" : "s", cols, name_of(type), name_of(wanted),
        tensor::dtype_info(wanted).block_elements));
  }
}

void add_importance_note(const std::vector<Step>& steps, QuantizeReport& report) {
  std::size_t with = 0, without = 0;
  for (const Step& step : steps) {
    if (step.copies || !tensor::uses_importance(step.type)) continue;
    ++(step.importance.empty() ? without : with);
  }
  report.notes.push_back(
      fmt::format("the importance matrix guided {} of {} quantised tensors", with, with + without));
}

QuantizeReport report_of(const ModelSource& source, const std::vector<Step>& steps,
                         const QuantizeOptions& options) {
  QuantizeReport report;
  report.notes = source.notes;
  for (const Step& step : steps) {
    add_share(report, step.type, bytes_of(step.type, *step.tensor));
    report.source_bytes += bytes_of(step.tensor->type, *step.tensor);
    report.n_weights += step.tensor->n_elements();
  }
  std::ranges::sort(report.types, std::greater(), &TypeShare::bytes);
  add_fallback_notes(steps, report);
  if (options.importance != nullptr) add_importance_note(steps, report);
  return report;
}

constexpr std::uint32_t kQuantizationVersion = 2;  // Of the blocks' layouts, since 2023.

}  // namespace

Result<QuantizeReport> quantize_model(const ModelSource& source, const std::filesystem::path& out,
                                      const QuantizeOptions& options) {
  HEARTH_CHECK(options.recipe != nullptr);
  HEARTH_TRY(const std::vector<Step> steps, Planner(source, options).run());
  const QuantizeReport report = report_of(source, steps, options);
  HEARTH_TRY_VOID(check_target(out, report.bytes, options.overwrite));

  Worker worker(options, report.n_weights);
  gguf::GgufWriter writer = source.metadata;
  writer.set_u32("general.quantization_version", kQuantizationVersion);
  writer.set_u32("general.file_type", recipe_file_type(*options.recipe));
  for (const Step& step : steps) {
    writer.add_tensor(step.tensor->name, step.type, step.tensor->dims,
                      [&worker, &step](std::span<std::byte> bytes) { worker.fill(step, bytes); });
  }
  const auto written = writer.write(out, [&worker] { return worker.goes_on(); });
  if (auto error = worker.take_error()) return std::unexpected(std::move(*error));
  if (!written) return std::unexpected(written.error());
  return report;
}

}  // namespace hearth::convert
