#include "cli/bench_peer.h"

#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

namespace hearth::cli {
namespace {

std::string output_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::string text;
  char buffer[4096];
  while (pipe && std::fgets(buffer, sizeof buffer, pipe.get()) != nullptr) text += buffer;
  return text;
}

std::string task_arguments(const BenchPeer& peer, const BenchTask& task, std::uint32_t decode_tokens) {
  if (task.kind == BenchTask::Kind::kPrefill) return fmt::format("-p {} -n 0", task.n_tokens);
  if (task.n_tokens == 0) return fmt::format("-p 0 -n {}", decode_tokens);
  return fmt::format(fmt::runtime(peer.knows_depth ? "-p 0 -n {0} -d {1}" : "-p 0 -n 0 -gp {1},{0}"),
                     decode_tokens, task.n_tokens);
}

}  // namespace

Result<BenchPeer> find_peer(const std::string& program) {
  const std::string help = output_of(fmt::format("'{}' --help 2>&1", program));
  if (help.find("--n-prompt") == std::string::npos) {
    return fail(Code::kUnavailable, fmt::format("'{}' is no llama-bench that runs here", program));
  }
  return BenchPeer{program, help.find("--n-depth") != std::string::npos};
}

Result<double> run_peer(const BenchPeer& peer, const std::filesystem::path& model, unsigned n_threads,
                        const BenchTask& task, std::uint32_t decode_tokens) {
  const std::string command =
      fmt::format("'{}' -m '{}' -t {} -r 1 -o json {} 2>/dev/null", peer.program, model.string(), n_threads,
                  task_arguments(peer, task, decode_tokens));
  const auto rows = nlohmann::json::parse(output_of(command), nullptr, /*allow_exceptions=*/false);
  if (rows.is_array() && rows.size() == 1 && rows[0].is_object() && rows[0].contains("avg_ts") &&
      rows[0]["avg_ts"].is_number() && rows[0]["avg_ts"] > 0) {
    return rows[0]["avg_ts"].get<double>();
  }
  return fail(Code::kUnavailable, fmt::format("this gave no speed: {}", command));
}

}  // namespace hearth::cli
