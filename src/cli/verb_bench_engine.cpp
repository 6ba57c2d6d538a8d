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
#include <span>

#include "base/thread_pool.h"
#include "cli/bench_peer.h"
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

// `salt` makes a prompt that shares no prefix with another one's.
Result<engine::FinishEvent> generate(engine::Engine& engine, const std::shared_ptr<const model::Model>& model,
                                     std::uint32_t prompt_tokens, std::uint32_t max_tokens, std::uint32_t salt) {
  engine::GenerateRequest request{.model = model, .max_tokens = max_tokens, .ignore_eos = true};
  request.sampling.temperature = 0;
  for (std::uint32_t i = 0; i < prompt_tokens; ++i) {
    request.prompt.push_back(static_cast<text::TokenId>((i * 7919U + salt * 104729U + 17U) % model->config().n_vocab));
  }
  const auto sink = std::make_shared<WaitingSink>();
  HEARTH_TRY_VOID(engine.submit(std::move(request), sink));
  const engine::FinishEvent finish = sink->wait();
  if (finish.reason == engine::FinishReason::kError) return std::unexpected(finish.error);
  return finish;
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

// One line of the result.  Shares and ratios are taken round by round, since both halves of a round
// met the same machine.
struct Figure {
  BenchTask task;
  Series speed;                                      // Tokens per second.
  Series of_roof;                                    // Share of what the machine could do at that time.
  Series of_best = {};                               // The same of the best that was seen of it then.
  std::vector<Series> peer_speeds = {}, ratios = {};  // One per peer.

  bool is_prefill() const { return task.kind == BenchTask::Kind::kPrefill; }
  std::string name() const {
    return is_prefill() ? fmt::format("prefill {}", task.n_tokens) : fmt::format("decode at {}", task.n_tokens);
  }
  std::string_view roof() const { return is_prefill() ? "int8" : "read"; }
};

// A model, what measures it, and what was found.
struct Bench {
  const BenchEngineOptions& options;
  std::filesystem::path path;
  std::shared_ptr<const model::Model> model;
  Sweep sweep;
  unsigned n_threads = 1;
  std::vector<BenchPeer> peers = {};
  Series read_gb_s = {}, read_best_gb_s = {}, int8_gop_s = {};  // A value a look at the roofs.
  std::vector<Figure> figures = {};
};

// The prompt of a prefill is a new one each round; that before decoded tokens stays the same, so that
// the prefix cache has it from the second round on.
Result<double> run_task(engine::Engine& engine, const Bench& bench, const BenchTask& task, std::uint32_t round) {
  if (task.kind == BenchTask::Kind::kPrefill) {
    HEARTH_TRY(const auto prefill, generate(engine, bench.model, task.n_tokens, 1, round + 1));
    return task.n_tokens * 1e3 / prefill.prefill_ms;
  }
  // The first token of a job belongs to its prefill; the others are decoded one by one.
  const std::uint32_t n = bench.options.decode_tokens;
  HEARTH_TRY(const auto decode, generate(engine, bench.model, std::max(1U, task.n_tokens), n + 1, 0));
  return n * 1e3 / decode.decode_ms;
}

// What a speed takes of the roof of its kind: 10^9 operations or bytes a second.  Attention's own
// products are left out of a prefill's, its keys and values are counted among what a decoded token reads.
double taken(const Bench& bench, const Figure& figure, double tokens_s) {
  if (figure.is_prefill()) return 2e-9 * static_cast<double>(bench.sweep.multiply_adds) * tokens_s;
  const double kv_bytes_per_token = static_cast<double>(bench.model->kv_layout().page_bytes()) / model::kPageTokens;
  const double n_before = figure.task.n_tokens + bench.options.decode_tokens / 2.0;
  return 1e-9 * (static_cast<double>(bench.sweep.bytes) + kv_bytes_per_token * n_before) * tokens_s;
}

// A figure's roofs are what was seen right before it and right after it.  A decode is a second of
// sweeps, good ones and bad ones, and so is the roof that it is held against; the best pass of both
// looks stands beside it.
void note_shares(const Bench& bench, double ours, Figure& figure) {
  const auto last_two = [](const Series& series) { return std::span(series.values).last(2); };
  const auto mean = [&](const Series& series) { return (last_two(series)[0] + last_two(series)[1]) / 2; };
  const double work = taken(bench, figure, ours);
  figure.of_roof.values.push_back(work / mean(figure.is_prefill() ? bench.int8_gop_s : bench.read_gb_s));
  figure.of_best.values.push_back(work / std::ranges::max(last_two(figure.is_prefill() ? bench.int8_gop_s : bench.read_best_gb_s)));
}

void probe_roofs(Bench& bench, const device::ReadRoofMemory& read_memory) {
  // A pool of its own, gone before the engine's threads work.
  ThreadPool pool(bench.n_threads);
  device::RoofProbe probe(pool);
  const device::ReadRates read = probe.read_rates(read_memory.bytes());
  bench.read_gb_s.values.push_back(read.median);
  bench.read_best_gb_s.values.push_back(read.best);
  bench.int8_gop_s.values.push_back(probe.int8_gop_s());
}

Result<> measure_round(engine::Engine& engine, const device::ReadRoofMemory& read_memory, std::uint32_t round, Bench& bench) {
  for (Figure& figure : bench.figures) {
    probe_roofs(bench, read_memory);
    HEARTH_TRY(const double ours, run_task(engine, bench, figure.task, round));
    probe_roofs(bench, read_memory);
    figure.speed.values.push_back(ours);
    note_shares(bench, ours, figure);
    for (std::size_t i = 0; i < bench.peers.size(); ++i) {
      HEARTH_TRY(const double peer,
                 run_peer(bench.peers[i], bench.path, bench.n_threads, figure.task, bench.options.decode_tokens));
      figure.peer_speeds[i].values.push_back(peer);
      figure.ratios[i].values.push_back(ours / peer);
    }
  }
  return {};
}

nlohmann::ordered_json to_json(const Series& series) {
  return {{"median", series.median()}, {"min", series.min()}, {"max", series.max()}, {"values", series.values}};
}

nlohmann::ordered_json to_json(const Bench& bench) {
  const device::CpuInfo cpu = device::cpu_info();
  nlohmann::ordered_json figures = nlohmann::ordered_json::array();
  for (const Figure& figure : bench.figures) {
    nlohmann::ordered_json peers = nlohmann::ordered_json::array();
    for (std::size_t i = 0; i < bench.peers.size(); ++i) {
      peers.push_back({{"program", bench.peers[i].program},
                       {"tokens_s", to_json(figure.peer_speeds[i])},
                       {"ratio", to_json(figure.ratios[i])}});
    }
    figures.push_back({{"figure", figure.name()}, {"tokens_s", to_json(figure.speed)}, {"roof", figure.roof()},
                       {"of_roof", to_json(figure.of_roof)}, {"of_best", to_json(figure.of_best)}, {"peers", peers}});
  }
  return {{"model", bench.path.filename().string()}, {"sweep_bytes", bench.sweep.bytes},
          {"multiply_adds", bench.sweep.multiply_adds}, {"processor", cpu.model_name}, {"kernels", cpu.kernels},
          {"threads", bench.n_threads}, {"decode_tokens", bench.options.decode_tokens},
          {"read_gb_s", to_json(bench.read_gb_s)}, {"read_best_gb_s", to_json(bench.read_best_gb_s)}, {"int8_gop_s", to_json(bench.int8_gop_s)}, {"figures", figures}};
}

std::string to_text(const Series& series, int digits = 1) {
  return fmt::format("{:.{}f} ({:.{}f}-{:.{}f})", series.median(), digits, series.min(), digits, series.max(), digits);
}

std::string to_text(const Bench& bench) {
  const device::CpuInfo cpu = device::cpu_info();
  std::vector<std::vector<std::string>> table = {{"", "HEARTH", "OF ROOF", "OF ITS BEST"}};
  for (std::size_t i = 0; i < bench.peers.size(); ++i) {
    table[0].push_back(fmt::format("PEER {}", i + 1));
    table[0].push_back("RATIO");
  }
  for (const Figure& figure : bench.figures) {
    std::vector<std::string> row = {figure.name(), to_text(figure.speed),
                                    fmt::format("{:.0f} % ({})", 100 * figure.of_roof.median(), figure.roof()),
                                    fmt::format("{:.0f} %", 100 * figure.of_best.median())};
    for (std::size_t i = 0; i < bench.peers.size(); ++i) {
      row.push_back(to_text(figure.peer_speeds[i]));
      row.push_back(to_text(figure.ratios[i], 2));
    }
    table.push_back(std::move(row));
  }
  std::string text = fmt::format(
      "{}: {} swept per token, {:.2f} G multiply-adds\n{}, {} threads, {} kernels\n"
      "roofs: {} GB/s read (a pass; the best ones {}), {} Gop/s int8; medians of {} rounds (min-max), tokens/s\n",
      bench.path.filename().string(), format_bytes(bench.sweep.bytes),
      1e-9 * static_cast<double>(bench.sweep.multiply_adds), cpu.model_name, bench.n_threads, cpu.kernels,
      to_text(bench.read_gb_s), to_text(bench.read_best_gb_s), to_text(bench.int8_gop_s, 0), bench.options.repeats);
  for (std::size_t i = 0; i < bench.peers.size(); ++i) {
    text += fmt::format("peer {}: {}\n", i + 1, bench.peers[i].program);
  }
  return text + "\n" + format_table(table);
}

// Refuses what nothing can reach: more than all of the best that was seen of a roof.
Result<> check_roofs(const Bench& bench) {
  for (const Figure& figure : bench.figures) {
    if (figure.of_best.median() <= 1) continue;
    return fail(Code::kInternal,
                fmt::format("{} was measured above its roof: other programs disturbed the probes; run again on a "
                            "quieter machine", figure.name()));
  }
  return {};
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

// Every figure, with a place for each peer's values.
Result<> plan_bench(Bench& bench) {
  for (const std::string& program : bench.options.peers) {
    HEARTH_TRY(bench.peers.emplace_back(), find_peer(program));
  }
  const auto add = [&](BenchTask::Kind kind, const std::vector<std::uint32_t>& sizes) {
    for (const std::uint32_t n_tokens : sizes) {
      Figure& figure = bench.figures.emplace_back(BenchTask{kind, n_tokens});
      figure.peer_speeds.resize(bench.peers.size());
      figure.ratios.resize(bench.peers.size());
    }
  };
  add(BenchTask::Kind::kPrefill, bench.options.prompt_tokens);
  add(BenchTask::Kind::kDecode, bench.options.depths);
  return {};
}

}  // namespace

Result<> bench_engine(const Context& context, const BenchEngineOptions& options) {
  // What is measured, and with what.
  HEARTH_TRY(const std::filesystem::path path, options.model.empty() ? default_bench_model() : model_path(context.config, options.model));
  HEARTH_TRY(const Sweep sweep, sweep_of(path));
  HEARTH_TRY(const auto model, model::Model::load(path, {.pack = options.pack, .kv_type = *model::kv_type_from_name(context.config.engine.kv_type)}));
  Bench bench{.options = options, .path = path, .model = model, .sweep = sweep,
              .n_threads = ThreadPool(static_cast<unsigned>(context.config.engine.threads)).n_threads()};
  HEARTH_TRY_VOID(plan_bench(bench));

  engine::EngineOptions engine_options;
  engine_options.n_threads = bench.n_threads;
  engine_options.kv_bytes_max = static_cast<std::uint64_t>(context.config.engine.kv_mib) << 20;
  engine_options.speculation = false;  // Random weights soon repeat themselves: drafts would flatter.
  HEARTH_TRY(const auto engine, engine::Engine::create(engine_options));
  const device::ReadRoofMemory read_memory(sweep.bytes);

  // One round that does not count brings pages and caches in.
  for (const Figure& figure : bench.figures) HEARTH_TRY_VOID(run_task(*engine, bench, figure.task, options.repeats));
  for (std::uint32_t round = 0; round < options.repeats; ++round) {
    if (use_colour(2)) std::fprintf(stderr, "\r\033[Kround %u of %u", round + 1, options.repeats);
    HEARTH_TRY_VOID(measure_round(*engine, read_memory, round, bench));
  }
  if (use_colour(2)) std::fprintf(stderr, "\r\033[K");
  print_out(context.json ? to_json(bench).dump(2) + "\n" : to_text(bench));
  return check_roofs(bench);
}

Result<> bench_model(const Context&, const BenchModelOptions& options) {
  HEARTH_TRY(const auto random, random_options(options.shape, options.type, options.seed));
  HEARTH_TRY_VOID(model::write_random_model(options.out, random));
  std::error_code ignored;
  print_note(fmt::format("wrote {} ({})", options.out, format_bytes(std::filesystem::file_size(options.out, ignored))));
  return {};
}

}  // namespace hearth::cli
