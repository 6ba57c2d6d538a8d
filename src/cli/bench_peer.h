// Another engine's benchmark, run on the same file: llama-bench of llama.cpp or of ik_llama.cpp.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/result.h"

namespace hearth::cli {

// What is timed: a prompt of so many tokens, or tokens that follow so many others.
struct BenchTask {
  enum class Kind : std::uint8_t { kPrefill, kDecode };
  Kind kind = Kind::kPrefill;
  std::uint32_t n_tokens = 0;  // Of the prompt (kPrefill), or before the decoded ones (kDecode).
};

struct BenchPeer {
  std::string program;      // Path of llama-bench.
  bool knows_depth = true;  // Takes `-d DEPTH`; else `-gp DEPTH,TOKENS`, as ik_llama.cpp does.
};

// Asks the program for its help.  kUnavailable if it does not run.
Result<BenchPeer> find_peer(const std::string& program);

// Runs one task once, tokens per second.  kUnavailable if that failed.
Result<double> run_peer(const BenchPeer& peer, const std::filesystem::path& model, unsigned n_threads,
                        const BenchTask& task, std::uint32_t decode_tokens);

}  // namespace hearth::cli
