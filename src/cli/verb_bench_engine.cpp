// `hearth bench engine` and `hearth bench model`: the engine's speed beside this machine's roofs and, if asked, beside a peer.
//
// Machines are shared and change their mind, so one round runs everything in turn (roofs,
// prefill, decode, the peer) and rounds repeat; medians are printed with their range.  A figure above
// its roof would be a mistake in the measurement and is refused.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/thread_pool.h"
#include "cli/open_catalogue.h"
#include "cli/paths.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "device/cpu.h"
#include "device/roofs.h"
#include "engine/engine.h"
#include "gguf/gguf_file.h"
#include "model/random_model.h"

namespace hearth::cli {
namespace {

struct Shape {
  std::string_view name;
  std::uint32_t n_layers, d_model, d_ff, n_heads, n_kv_heads;
};
constexpr std::array kShapes = {
    Shape{"tiny", 4, 256, 768, 8, 4},
    Shape{"0.1b", 12, 768, 2048, 12, 4},
    Shape{"0.5b", 24, 1024, 4096, 16, 4},
    Shape{"1.5b", 28, 1536, 8960, 24, 4},
};

Result<model::RandomModelOptions> random_options(const std::string& shape, const std::string& type, std::uint64_t seed) {
  for (const Shape& s : kShapes) {
    if (s.name != shape) continue;
    return model::RandomModelOptions{.type = type, .n_layers = s.n_layers, .d_model = s.d_model, .d_ff = s.d_ff,
                                     .n_heads = s.n_heads, .n_kv_heads = s.n_kv_heads,
                                     .head_dim = s.d_model / s.n_heads, .seed = seed};
  }
  return fail(Code::kInvalidArgument, fmt::format("unknown shape '{}'; there are tiny, 0.1b, 0.5b and 1.5b", shape));
}

// What a sweep reads and computes: every matrix but an embedding that is only looked up.
struct Sweep {
  std::uint64_t bytes = 0;
  std::uint64_t multiply_adds = 0;  // Per token.
};

Result<Sweep> sweep_of(const std::filesystem::path& path) {
  HEARTH_TRY(const auto file, gguf::GgufFile::open(path));
  const bool tied = file.find_tensor("output.weight") == nullptr;
  Sweep sweep;
  for (const gguf::TensorInfo& tensor : file.tensors()) {
    if (tensor.n_dims != 2 || (tensor.name == "token_embd.weight" && !tied)) continue;
    sweep.bytes += tensor.data.size();
    sweep.multiply_adds += tensor.n_elements();
  }
  return sweep;
}

// Blocks until a job has ended.
class WaitingSink final : public engine::GenerateSink {
 public:
  void on_token(engine::JobId, const engine::TokenEvent&) override {}
  void on_finish(engine::JobId, const engine::FinishEvent& event) override {
    const std::lock_guard lock(mutex_);
    finish_ = event;
    done_.notify_one();
  }
  engine::FinishEvent wait() {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [&] { return finish_.has_value(); });
    return *finish_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable done_;
  std::optional<engine::FinishEvent> finish_;
};

Result<engine::FinishEvent> generate(engine::Engine& engine, const std::shared_ptr<const model::Model>& model,
                                     std::uint32_t prompt_tokens, std::uint32_t max_tokens) {
  engine::GenerateRequest request{.model = model, .max_tokens = max_tokens, .ignore_eos = true};
  request.sampling.temperature = 0;
  for (std::uint32_t i = 0; i < prompt_tokens; ++i) {
    request.prompt.push_back(static_cast<text::TokenId>((i * 7919U + 17U) % model->config().n_vocab));
  }
  const auto sink = std::make_shared<WaitingSink>();
  HEARTH_TRY_VOID(engine.submit(std::move(request), sink));
  const engine::FinishEvent finish = sink->wait();
  if (finish.reason == engine::FinishReason::kError) return std::unexpected(finish.error);
  return finish;
}

struct Speeds {
  double prefill = 0, decode = 0;  // Tokens per second.
};

Result<Speeds> run_engine(engine::Engine& engine, const std::shared_ptr<const model::Model>& model, const BenchEngineOptions& options) {
  HEARTH_TRY(const auto prefill, generate(engine, model, options.prompt_tokens, 1));
  // The first token of a job belongs to its prefill; the others are decoded one by one.
  HEARTH_TRY(const auto decode, generate(engine, model, 1, options.decode_tokens + 1));
  return Speeds{options.prompt_tokens * 1e3 / prefill.prefill_ms, options.decode_tokens * 1e3 / decode.decode_ms};
}

// Runs llama-bench once on the same file and threads; its JSON has a row per test.
Result<Speeds> run_peer(const std::filesystem::path& model, unsigned n_threads, const BenchEngineOptions& options) {
  const std::string command =
      fmt::format("'{}' -m '{}' -t {} -p {} -n {} -r 1 -o json 2>/dev/null", options.peer, model.string(), n_threads,
                  options.prompt_tokens, options.decode_tokens);
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::string text;
  char buffer[4096];
  while (pipe && std::fgets(buffer, sizeof buffer, pipe.get()) != nullptr) text += buffer;
  const auto rows = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  Speeds speeds;
  for (const auto& row : rows.is_array() ? rows : nlohmann::json::array()) {
    if (!row.is_object() || !row.contains("avg_ts") || !row["avg_ts"].is_number()) continue;
    (row.value("n_gen", 0) > 0 ? speeds.decode : speeds.prefill) = row["avg_ts"];
  }
  if (speeds.prefill <= 0 || speeds.decode <= 0) {
    return fail(Code::kUnavailable, fmt::format("'{}' did not run as llama-bench does", options.peer));
  }
  return speeds;
}

// The rounds' values of one figure.
struct Series {
  std::vector<double> values;
  double median() const {
    std::vector<double> sorted = values;
    std::sort(sorted.begin(), sorted.end());
    const std::size_t n = sorted.size();
    return n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
  }
  double min() const { return *std::min_element(values.begin(), values.end()); }
  double max() const { return *std::max_element(values.begin(), values.end()); }
};

struct Measurements {
  Series prefill, decode, peer_prefill, peer_decode, read_gb_s, int8_gop_s;
  // Round by round, since both halves of a round met the same machine.
  Series prefill_roof, decode_roof, prefill_ratio, decode_ratio;
};

Result<> measure_round(engine::Engine& engine, const std::shared_ptr<const model::Model>& model, const std::filesystem::path& path,
                       const Sweep& sweep, unsigned n_threads, const device::ReadRoofMemory& read_memory,
                       const BenchEngineOptions& options, Measurements& all) {
  double read_gb_s = 0, int8_gop_s = 0;
  {
    // A pool of its own, gone before the engine's threads work.
    ThreadPool pool(n_threads);
    device::RoofProbe probe(pool);
    read_gb_s = probe.read_gb_s(read_memory.bytes());
    int8_gop_s = probe.int8_gop_s();
  }
  HEARTH_TRY(const Speeds ours, run_engine(engine, model, options));
  all.read_gb_s.values.push_back(read_gb_s);
  all.int8_gop_s.values.push_back(int8_gop_s);
  all.prefill.values.push_back(ours.prefill);
  all.decode.values.push_back(ours.decode);
  all.prefill_roof.values.push_back(2e-9 * static_cast<double>(sweep.multiply_adds) * ours.prefill / int8_gop_s);
  all.decode_roof.values.push_back(1e-9 * static_cast<double>(sweep.bytes) * ours.decode / read_gb_s);
  if (options.peer.empty()) return {};
  HEARTH_TRY(const Speeds peer, run_peer(path, n_threads, options));
  all.peer_prefill.values.push_back(peer.prefill);
  all.peer_decode.values.push_back(peer.decode);
  all.prefill_ratio.values.push_back(ours.prefill / peer.prefill);
  all.decode_ratio.values.push_back(ours.decode / peer.decode);
  return {};
}

nlohmann::ordered_json to_json(const Series& series) {
  if (series.values.empty()) return nullptr;
  return {{"median", series.median()}, {"min", series.min()}, {"max", series.max()}, {"values", series.values}};
}

std::string to_text(const Series& series, int digits = 1) {
  if (series.values.empty()) return "";
  return fmt::format("{:.{}f} ({:.{}f}-{:.{}f})", series.median(), digits, series.min(), digits, series.max(), digits);
}

std::string percent(const Series& series) { return fmt::format("{:.0f} % of {}", 100 * series.median(), "roof"); }

void print_measurements(const Context& context, const std::filesystem::path& path, const Sweep& sweep, unsigned n_threads,
                        const BenchEngineOptions& options, const Measurements& m) {
  const device::CpuInfo cpu = device::cpu_info();
  if (context.json) {
    print_out(nlohmann::ordered_json{
                  {"model", path.filename().string()}, {"sweep_bytes", sweep.bytes}, {"multiply_adds", sweep.multiply_adds},
                  {"processor", cpu.model_name}, {"kernels", cpu.kernels}, {"threads", n_threads},
                  {"prompt_tokens", options.prompt_tokens}, {"decode_tokens", options.decode_tokens},
                  {"read_gb_s", to_json(m.read_gb_s)}, {"int8_gop_s", to_json(m.int8_gop_s)},
                  {"prefill_tokens_s", to_json(m.prefill)}, {"decode_tokens_s", to_json(m.decode)},
                  {"prefill_of_int8_roof", to_json(m.prefill_roof)}, {"decode_of_read_roof", to_json(m.decode_roof)},
                  {"peer_prefill_tokens_s", to_json(m.peer_prefill)}, {"peer_decode_tokens_s", to_json(m.peer_decode)},
                  {"prefill_ratio", to_json(m.prefill_ratio)}, {"decode_ratio", to_json(m.decode_ratio)}}.dump(2) + "\n");
    return;
  }
  print_out(fmt::format("{}: {} swept per token, {:.2f} G multiply-adds\n{}, {} threads, {} kernels\n"
                        "roofs: {} GB/s read, {} Gop/s int8; medians of {} rounds (min-max), tokens/s\n\n",
                        path.filename().string(), format_bytes(sweep.bytes), 1e-9 * static_cast<double>(sweep.multiply_adds),
                        cpu.model_name, n_threads, cpu.kernels, to_text(m.read_gb_s), to_text(m.int8_gop_s, 0), m.prefill.values.size()));
  const bool peer = !m.peer_decode.values.empty();
  print_out(format_table({{"", "HEARTH", "", peer ? "PEER" : "", peer ? "RATIO" : ""},
                          {fmt::format("prefill {}", options.prompt_tokens), to_text(m.prefill), percent(m.prefill_roof) + " (int8)",
                           to_text(m.peer_prefill), to_text(m.prefill_ratio, 2)},
                          {fmt::format("decode {}", options.decode_tokens), to_text(m.decode), percent(m.decode_roof) + " (read)",
                           to_text(m.peer_decode), to_text(m.decode_ratio, 2)}}));
}

// Refuses what nothing can reach: a share of a roof that is more than all of it.
Result<> check_roofs(const Measurements& m) {
  if (m.prefill_roof.median() <= 1 && m.decode_roof.median() <= 1) return {};
  return fail(Code::kInternal, "a speed above its roof was measured: other programs disturbed the probes; run again on a quieter machine");
}

// The model that is measured if none is named: made once, kept in the cache folder.
Result<std::filesystem::path> default_bench_model() {
  const auto path = cache_folder() / "bench-0.5b-Q4_K_M.gguf";
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored)) return path;
  print_note(fmt::format("writing a model with random weights to {}", path.string()));
  std::filesystem::create_directories(cache_folder(), ignored);
  HEARTH_TRY(const auto options, random_options("0.5b", "Q4_K_M", 1));
  HEARTH_TRY_VOID(model::write_random_model(path, options));
  return path;
}

}  // namespace

Result<> bench_engine(const Context& context, const BenchEngineOptions& options) {
  // What is measured, and with what.
  HEARTH_TRY(const std::filesystem::path path, options.model.empty() ? default_bench_model() : model_path(context.config, options.model));
  HEARTH_TRY(const Sweep sweep, sweep_of(path));
  HEARTH_TRY(const auto model, model::Model::load(path, {.pack = options.pack, .kv_type = *model::kv_type_from_name(context.config.engine.kv_type)}));
  const unsigned n_threads = ThreadPool(static_cast<unsigned>(context.config.engine.threads)).n_threads();
  engine::EngineOptions engine_options;
  engine_options.n_threads = n_threads;
  engine_options.prefix_cache = false;
  engine_options.speculation = false;  // Random weights soon repeat themselves: drafts would flatter.
  HEARTH_TRY(const auto engine, engine::Engine::create(engine_options));

  const device::ReadRoofMemory read_memory(sweep.bytes);

  // One round that does not count brings pages and caches in.
  HEARTH_TRY_VOID(run_engine(*engine, model, options));
  Measurements measurements;
  for (std::uint32_t round = 0; round < options.repeats; ++round) {
    if (use_colour(2)) std::fprintf(stderr, "\r\033[Kround %u of %u", round + 1, options.repeats);
    HEARTH_TRY_VOID(measure_round(*engine, model, path, sweep, n_threads, read_memory, options, measurements));
  }
  if (use_colour(2)) std::fprintf(stderr, "\r\033[K");
  print_measurements(context, path, sweep, n_threads, options, measurements);
  return check_roofs(measurements);
}

Result<> bench_model(const Context&, const BenchModelOptions& options) {
  HEARTH_TRY(const auto random, random_options(options.shape, options.type, options.seed));
  HEARTH_TRY_VOID(model::write_random_model(options.out, random));
  std::error_code ignored;
  print_note(fmt::format("wrote {} ({})", options.out, format_bytes(std::filesystem::file_size(options.out, ignored))));
  return {};
}

}  // namespace hearth::cli
