// The verbs of the command line: one options struct and one function each; every function
// lies in the file of its verb (`ask` in verb_ask.cpp, ...).
//
// command_line.cpp fills the structs.  A verb prints its result to standard output, what it is doing
// to standard error, and returns an Error for main to print: it never exits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/config.h"

namespace hearth::cli {

// What every verb gets.
struct Context {
  Config config;
  std::string config_path;
  bool json = false;  // --json: one machine-readable object (or line per event) on standard output.
};

struct ServeOptions {
  std::optional<std::string> host;
  std::optional<int> port;
  bool background = false;
  std::string log_level = "info";
};
Result<> serve(const Context& context, const ServeOptions& options);
Result<> stop(const Context& context);

// What `ask` and `chat` say about an answer.
struct AnswerOptions {
  std::string model = "auto";
  std::string advice;  // "never", "auto", "always", or empty for the configured mode.
  std::string system;
  std::uint32_t max_tokens = 0;
  std::optional<float> temperature;
  std::optional<std::uint64_t> seed;
  bool hide_thinking = false;
  bool is_preview = false;  // Nothing leaves: what would is shown.
  bool may_store = true;    // Else nothing of it is kept, and no advice that was answers it.
  // Where to ask: "" uses a running hub, else answers in this process; "local" always answers in
  // this process; "hub" insists on the running hub; else a base URL.
  std::string hub;
};
struct AskOptions {
  AnswerOptions answer;
  std::vector<std::string> question;  // Joined by spaces; none: standard input.
};
// With `answer.is_preview` it prints what would leave instead of the answer.
Result<> ask(const Context& context, const AskOptions& options);

struct McpOptions {
  std::string hub;  // As AnswerOptions::hub.
};
// Serves MCP on standard input and output until the input ends.
Result<> mcp_verb(const Context& context, const McpOptions& options);

struct CompareOptions {
  AnswerOptions answer;             // But its model.
  std::vector<std::string> models;  // Each may name adapters.
  std::string file;                 // Of prompts, one per line; empty: the question.
  bool csv = false, markdown = false;
  std::vector<std::string> question;
};
// One prompt to several models: answers, speeds, and where they part.
Result<> compare(const Context& context, const CompareOptions& options);

struct ChatOptions {
  AnswerOptions answer;
};
Result<> chat(const Context& context, const ChatOptions& options);

Result<> models_list(const Context& context);
struct ModelsShowOptions {
  std::string name;
};
Result<> models_show(const Context& context, const ModelsShowOptions& options);
struct ModelsWhichOptions {
  std::vector<std::string> text;  // Joined by spaces.
};
// Which model "auto" means for a text, and why.
Result<> models_which(const Context& context, const ModelsWhichOptions& options);
struct ModelsPullOptions {
  std::string name;
};
// Fetches a model from Hugging Face, Ollama's library or a URL into the data folder, going on where
// an earlier attempt broke off.
Result<> models_pull(const Context& context, const ModelsPullOptions& options);
struct ModelsQuantizeOptions {
  std::string source;  // A GGUF file, a folder in Hugging Face's layout, or a name.
  std::string out;
  std::string type = "Q4_K_M";
  std::string importance;  // Path of an importance matrix; empty: none.
  unsigned threads = 0;    // 0: one per usable core.
  bool allow_requantize = false;
  bool force = false;
};
Result<> models_quantize(const Context& context, const ModelsQuantizeOptions& options);

struct ModelsImportOptions {
  std::string source;  // A GGUF file, a folder in Hugging Face's layout, or a name.
  std::string name;    // Empty: the file's or the entry's.
  std::string type;    // Empty: as the file has it; a folder becomes Q4_K_M.
  std::string delta_of;  // A model of the store; empty: kept whole.
  std::string as;        // "exact" (also empty), "1bit" or "lowrank:R".
  std::string text;      // A file to compare by; empty: a text of the program's own.
  unsigned threads = 0;
  bool force = false;
};
Result<> models_import(const Context& context, const ModelsImportOptions& options);
struct ModelsRmOptions {
  std::string name;
};
Result<> models_rm(const Context& context, const ModelsRmOptions& options);
Result<> models_gc(const Context& context);
Result<> models_verify(const Context& context);
Result<> models_ps(const Context& context);

struct LedgerShowOptions {
  std::string id;  // A receipt's; empty: the latest ones.
  std::uint32_t n = 20;
};
Result<> ledger_show(const Context& context, const LedgerShowOptions& options);
Result<> ledger_verify(const Context& context);
struct LedgerExportOptions {
  bool receipts = false;  // Else the egress rows.
};
// A JSON object per line, oldest first.
Result<> ledger_export(const Context& context, const LedgerExportOptions& options);

struct AdvisorFileOptions {
  std::string file;          // Recorded answers, a JSON object per line (advisor/gate/pair_row.h).
  std::string model;         // Empty: as the rows name it.
  std::string quantisation;  // "Q4_K_M"; empty: not said.
};
// Learns from recorded answers when asking the adviser pays.
Result<> advisor_calibrate(const Context& context, const AdvisorFileOptions& options);
struct AdvisorOutcomeOptions {
  std::string receipt;
  std::string outcome;  // "good" or "bad".
};
// Tells what came of an answer: from then on the gate knows.
Result<> advisor_outcome(const Context& context, const AdvisorOutcomeOptions& options);

struct AdvisorMemoryOptions {
  std::vector<std::string> ids;  // To forget: of advice or receipts; "all".
  std::uint32_t n = 20;
};
Result<> advisor_memory_list(const Context& context, const AdvisorMemoryOptions& options);
Result<> advisor_memory_forget(const Context& context, const AdvisorMemoryOptions& options);

struct AdvisorDeferredOptions {
  std::vector<std::string> ids;  // None: all.
  std::string hub;               // As AnswerOptions::hub.
};
// Questions for which no adviser could be reached: what there are; to ask them now, and show what advice
// would have changed; to drop them.
Result<> advisor_deferred_list(const Context& context, const AdvisorDeferredOptions& options);
Result<> advisor_deferred_ask(const Context& context, const AdvisorDeferredOptions& options);
Result<> advisor_deferred_drop(const Context& context, const AdvisorDeferredOptions& options);
// Says what that is worth on recorded answers.
Result<> advisor_eval(const Context& context, const AdvisorFileOptions& options);

// Kernels: asked for in prose, or written by hand; verified, kept and run.
struct KernelNewOptions {
  std::vector<std::string> prose;  // Joined by spaces.
  std::string contract;            // File; empty: the adviser writes it.
  std::string language;            // "c++", "opencl" or "cuda"; empty: the contract's, or C++.
  std::uint32_t rounds = 4;
};
Result<> kernel_new(const Context& context, const KernelNewOptions& options);
struct KernelBuildOptions {
  std::string source, contract;  // Files.
  std::optional<std::uint64_t> seed;
};
Result<> kernel_build(const Context& context, const KernelBuildOptions& options);
struct KernelNameOptions {
  std::string name;  // Or the beginning of its key.
};
// Verifies it again as its receipt says.
Result<> kernel_check(const Context& context, const KernelNameOptions& options);
struct KernelRunOptions {
  std::string name;
  std::vector<std::string> sizes, inputs, outputs;  // NAME=NUMBER, NAME=FILE, NAME=FILE.
  std::string device;                               // Of a built-in; empty: what its name says.
  std::uint64_t seed = 1;                           // Of the inputs that no file gives.
  std::uint32_t repeats = 5;
  std::uint32_t timeout_s = 60;                     // For all runs.
};
Result<> kernel_run(const Context& context, const KernelRunOptions& options);
struct KernelListOptions {
  bool built_in = false;  // Those of the house, and where they run.
};
Result<> kernel_list(const Context& context, const KernelListOptions& options);
Result<> kernel_show(const Context& context, const KernelNameOptions& options);
Result<> kernel_drop(const Context& context, const KernelNameOptions& options);

Result<> snapshots_list(const Context& context);
Result<> snapshots_drop(const Context& context);

struct RedactOptions {
  std::vector<std::string> dictionaries;  // Besides those of the configuration.
  std::string tagger;                     // File of weights in place of the built-in ones; empty: those.
};
// Standard input without what should not leave, or, with --json, where that is.
Result<> redact(const Context& context, const RedactOptions& options);

// Runs the policy's own expectations and looks for rules that can never decide.
Result<> policy_check(const Context& context);
struct PolicyExplainOptions {
  std::string file;      // A chat request's JSON body.
  std::string provider;  // Empty: the adviser's.
  std::vector<std::string> headers;  // "Name: value", as the request would bring them.
};
// Which class and rule each message of a request has, and what may become of the whole.
Result<> policy_explain(const Context& context, const PolicyExplainOptions& options);
struct PolicyConsentsOptions {
  bool forget = false;
};
// The remembered answers to what the policy asks about; or forgets them.
Result<> policy_consents(const Context& context, const PolicyConsentsOptions& options);

struct ConfigOptions {
  bool explain = false;
};
Result<> config(const Context& context, const ConfigOptions& options);

Result<> doctor(const Context& context);

struct BenchEngineOptions {
  std::string model;                                // A catalogue name or a path.
  std::vector<std::uint32_t> prompt_tokens = {512};  // A prefill figure for each,
  std::vector<std::uint32_t> depths = {0};           // and one of decoding after so many tokens.
  std::uint32_t decode_tokens = 64;
  std::uint32_t repeats = 5;
  bool pack = false;                                // model::LoadOptions::pack.
  std::vector<std::string> peers;                   // Paths of llama-bench, to run beside.
};
Result<> bench_engine(const Context& context, const BenchEngineOptions& options);

struct BenchHybridOptions {
  std::string model = "auto";
  std::string cloud;  // UPSTREAM/MODEL; empty: not measured.
  std::string file;   // Of questions, one per line; empty: eight of the program's own.
  std::uint32_t max_tokens = 128;
  std::string hub;    // As AnswerOptions::hub.
};
// Local alone, local with advice, and cloud alone: time and money.
Result<> bench_hybrid(const Context& context, const BenchHybridOptions& options);

struct BenchModelOptions {
  std::string out;
  std::string shape = "0.5b";
  std::string type = "Q4_K_M";
  std::uint64_t seed = 1;
};
Result<> bench_model(const Context& context, const BenchModelOptions& options);

struct InspectTokensOptions {
  std::string model;
  bool special = false;
};
Result<> inspect_tokens(const Context& context, const InspectTokensOptions& options);

struct InspectLogitsOptions {
  std::string model, tokens, out;
  std::vector<std::string> adapters;  // FILE or FILE:WEIGHT.
};
Result<> inspect_logits(const Context& context, const InspectLogitsOptions& options);

struct InspectPerplexityOptions {
  std::string model, file;
  std::uint32_t context = 512;
  std::uint32_t stride = 0;
  std::uint32_t chunks = 0;  // 0: all.
  bool pack = false;         // model::LoadOptions::pack.
};
Result<> inspect_perplexity(const Context& context, const InspectPerplexityOptions& options);

struct InspectTemplateOptions {
  std::string file, context_file, now;
};
Result<> inspect_template(const Context& context, const InspectTemplateOptions& options);

struct InspectGgufOptions {
  std::string file;
};
Result<> inspect_gguf(const Context& context, const InspectGgufOptions& options);

}  // namespace hearth::cli
