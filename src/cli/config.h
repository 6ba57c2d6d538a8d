// hearth.toml: every key with its default, its limits and one sentence of explanation,
// in one table (config.cpp) that reading, checking and `hearth config --explain` share.
//
// A key that the table lacks is an error that names the nearest one: a typo in a budget
// must not silently mean "no budget".
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::cli {

struct Config {
  struct Server {
    std::string host = "127.0.0.1";
    std::int64_t port = 8642;
    std::string api_keys_file;
    std::vector<std::string> host_names;
    std::vector<std::string> origins;
  } server;
  struct Models {
    std::vector<std::string> folders;
    std::string default_model;
    bool scan = true;
    std::int64_t memory_mib = 0;
    bool drop_cache = false;
    bool pack = false;
    std::vector<std::string> drafts;
    std::vector<std::string> pinned;
    std::vector<std::string> preload;
    double task_margin = 0.4;
    bool pull = true;
  } models;
  struct Adapters {
    std::vector<std::string> folders;
    std::int64_t memory_mib = 0;
  } adapters;
  // Each [[upstreams]].
  struct Upstream {
    std::string name;
    std::string url;
    std::string wire;
    std::string key_env;
    std::string key_file;
    std::optional<bool> local;
    std::vector<std::string> models;
    double price_in_usd_per_mtok = -1;
    double price_out_usd_per_mtok = -1;
    std::int64_t max_output_tokens = 4096;
    std::int64_t attempts = 3;
    std::int64_t connect_timeout_s = 5;
    std::int64_t first_byte_timeout_s = 300;
    std::int64_t idle_timeout_s = 120;
  };
  std::vector<Upstream> upstreams;
  // Each [[tasks]].
  struct Task {
    std::string name;
    std::string model;
    std::vector<std::string> tags;
    std::vector<std::string> examples;
    std::string examples_file;
  };
  std::vector<Task> tasks;
  struct LlamaServer {
    std::string path = "llama-server";
    std::vector<std::string> arguments;
    std::int64_t start_timeout_s = 120;
    std::int64_t idle_stop_s = 300;
  } llama_server;
  struct Advisor {
    std::string base_url;
    std::string wire;
    std::string model;
    std::string provider = "openai";
    std::string key_env;
    std::string key_file;
    double price_in_usd_per_mtok = -1;
    double price_out_usd_per_mtok = -1;
    double threshold = 0.5;
    std::string mode = "auto";
    std::int64_t max_output_tokens = 1024;
    std::int64_t timeout_s = 60;
  } advisor;
  struct Privacy {
    std::string policy;
    std::vector<std::string> dictionaries;
    std::int64_t consent_timeout_s = 120;
  } privacy;
  // Each [[advisers]]: after the one of [advisor], in order of preference.
  struct Adviser {
    std::string provider;
    std::string wire;
    std::string base_url;
    std::string model;
    std::string key_env;
    std::string key_file;
    std::int64_t max_output_tokens = 1024;
    std::int64_t attempts = 3;
  };
  std::vector<Adviser> advisers;
  // Each [[prices]]: of a model of an adviser or an upstream.
  struct Price {
    std::string provider;
    std::string model;
    double in_usd_per_mtok = -1;
    double out_usd_per_mtok = -1;
    double cached_usd_per_mtok = -1;
    double cache_write_usd_per_mtok = -1;
    std::int64_t long_prompt_tokens = 0;
    double long_in_factor = 1;
    double long_out_factor = 1;
  };
  std::vector<Price> prices;
  // When the adviser is asked; each rule is "off", "capped" or "forced".
  struct Advice {
    std::string low_confidence = "capped";
    std::string refusal = "capped";
    std::string tool_errors = "capped";
    std::string before_done = "off";
    std::string risky_tools = "forced";
    std::vector<std::string> risky_tool_names;
    std::int64_t tool_errors_min = 2;
    double wrong_max = 1;
    double value_usd = 0.10;
    std::string second_model;
    std::string disagreement = "capped";
    bool ask_early = false;
    bool memory = true;
    double memory_likeness = 1;
    std::int64_t memory_days = 90;
    std::int64_t memory_max = 10'000;
    bool defer = true;
  } advice;
  struct Budget {
    double usd_per_day = 1.0;
    double usd_per_request = 0.10;
  } budget;
  struct Engine {
    std::int64_t threads = 0;
    std::int64_t kv_mib = 512;
    std::string kv_type = "f16";
    std::int64_t context = 0;
    bool speculation = true;
  } engine;
  // Kernels for other programs, over the bridge.
  struct Compute {
    bool bridge = true;
    std::string socket;
    std::int64_t memory_mib = 0;
    std::int64_t run_seconds_max = 60;
    std::int64_t clients_max = 64;
    std::int64_t threads = 0;
  } compute;
  struct Snapshots {
    bool enabled = true;
    std::int64_t disk_mib = 4096;
    std::int64_t min_tokens = 256;
    bool unstored = false;
    std::string folder;
  } snapshots;
};

// Reads `path`; a file that does not exist gives the defaults; a policy.toml
// beside it is the policy that it does not name.  kInvalidArgument names the line, the
// key and what it may hold.
Result<Config> load_config(const std::filesystem::path& path);

// The same from text; `name` stands in messages.
Result<Config> parse_config(std::string_view toml, const std::string& name);

// One row of the table, rendered.
struct ConfigKeyText {
  std::string key;            // "advisor.base_url"
  std::string value;          // In `config`, as TOML.
  std::string default_value;  // As TOML; empty where nothing is said.
  std::string type;           // "integer from 1 to 65535"
  std::string explanation;
  std::string header;  // "[advisor]", "[[upstreams]]", "[[upstreams]]  # 2"; "# [[upstreams]]" if there are none.
};
std::vector<ConfigKeyText> explain_config(const Config& config);

}  // namespace hearth::cli
