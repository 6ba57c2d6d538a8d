// The one translation unit that knows CLI11.  Each add_* function declares one verb: its options
// write into a struct that lives as long as the parser, and its callback hands that struct on.
#include "cli/command_line.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/log.h"
#include "cli/command_doc.h"
#include "cli/config.h"
#include "cli/paths.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "cli/version.h"
#include "compute/devices/device_table.h"
#include "hub/kernels/kernel_call.h"

namespace hearth::cli {
namespace {

constexpr const char* kFooter =
    "Exit codes: 0 done, 1 failed, 2 wrong use or configuration, 3 not found, 4 try again later,\n"
    "5 refused (budget, key or policy), 6 corrupt data, 130 interrupted.\n"
    "Configuration: `hearth config --explain`.  Every answer has a receipt: `hearth ledger show`.";

// What all verbs share while the command line is being read.
struct Parser {
  CLI::App app{"Hearth answers with models on this machine and asks a cloud model only when it pays "
               "and only what you allow.",
               "hearth"};
  bool json = false;
  std::string config_path = config_file().string();
  std::function<Result<>(const Context&)> verb;

  // Binds a verb's callback: remembers what to run once the whole line has been read.
  template <class Options>
  void on(CLI::App* command, std::shared_ptr<Options> options,
          Result<> (*run)(const Context&, const Options&)) {
    add_common(command);
    command->callback([this, options, run] {
      verb = [options, run](const Context& context) { return run(context, *options); };
    });
  }
  void on(CLI::App* command, Result<> (*run)(const Context&)) {
    add_common(command);
    command->callback([this, run] { verb = run; });
  }
  // What stands before a verb or behind it.
  void add_common(CLI::App* command) {
    command->add_flag("--json", json, "Print for a program instead of a person");
    command->add_option("--config", config_path, "Configuration file");
  }
};

void add_answer_options(CLI::App* command, AnswerOptions& answer) {
  command->add_option("-m,--model", answer.model,
                      "auto, local (nothing may leave this machine), or a name of `hearth models list`");
  command->add_option("--advice", answer.advice, "Whether the adviser may be asked")
      ->check(CLI::IsMember({"never", "auto", "always"}));
  command->add_option("-s,--system", answer.system, "System prompt");
  command->add_option("-n,--max-tokens", answer.max_tokens, "Most tokens of the answer");
  command->add_option("-t,--temperature", answer.temperature, "0 is greedy")->check(CLI::Range(0.0, 2.0));
  command->add_option("--seed", answer.seed, "The same seed gives the same text");
  command->add_flag("--hide-thinking", answer.hide_thinking, "Leave out what the model thinks");
  command->add_option("--hub", answer.hub,
                      "Where to ask: 'hub' is the one that runs here, 'local' answers in this process, or a URL "
                      "(default: the hub if it runs, else local)");
}

void add_serve(Parser& parser) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* serve_command = parser.app.add_subcommand("serve", "Run the hub: the HTTP API on this machine");
  serve_command->add_option("--host", options->host, "Address to listen on");
  serve_command->add_option("-p,--port", options->port, "TCP port; 0 takes a free one")->check(CLI::Range(0, 65535));
  serve_command->add_flag("--background", options->background, "Return once it is ready; `hearth stop` ends it");
  serve_command->add_option("--log", options->log_level, "Least level that is logged")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}));
  parser.on(serve_command, options, &serve);
  parser.on(parser.app.add_subcommand("stop", "Stop the hub that `serve --background` started"), &stop);
}

void add_ask(Parser& parser) {
  auto options = std::make_shared<AskOptions>();
  CLI::App* command = parser.app.add_subcommand("ask", "Answer one question");
  command->add_option("question", options->question, "The question; without one, standard input");
  add_answer_options(command, options->answer);
  command->add_flag("--dry-run", options->answer.is_preview, "Print what would leave this machine, byte for byte, and send nothing");
  parser.on(command, options, &ask);
}

void add_compare(Parser& parser) {
  auto options = std::make_shared<CompareOptions>();
  options->answer.temperature = 0.0F;
  CLI::App* command = parser.app.add_subcommand("compare", "One prompt to several models: answers, speeds, where they part");
  command->add_option("-m,--model", options->models, "A model, as `ask` names it; give two or more")
      ->required()
      ->allow_extra_args(false);
  command->add_option("question", options->question, "The prompt; without one, standard input");
  command->add_option("--file", options->file, "A file of prompts instead, one per line");
  CLI::Option* csv = command->add_flag("--csv", options->csv, "Print for a spreadsheet");
  command->add_flag("--markdown", options->markdown, "Print as Markdown")->excludes(csv);
  command->add_option("-s,--system", options->answer.system, "System prompt");
  command->add_option("-n,--max-tokens", options->answer.max_tokens, "Most tokens of each answer");
  command->add_option("-t,--temperature", options->answer.temperature, "0 is greedy (default)")->check(CLI::Range(0.0, 2.0));
  command->add_option("--seed", options->answer.seed, "The same seed gives the same text");
  command->add_option("--hub", options->answer.hub, "Where to ask, as for `ask`");
  parser.on(command, options, &compare);
}

void add_mcp(Parser& parser) {
  auto options = std::make_shared<McpOptions>();
  CLI::App* command = parser.app.add_subcommand("mcp", "Serve MCP on standard input and output, for programs that start their servers");
  command->add_option("--hub", options->hub, "Where to ask, as for `ask`");
  parser.on(command, options, &mcp_verb);
}

void add_chat(Parser& parser) {
  auto options = std::make_shared<ChatOptions>();
  CLI::App* command = parser.app.add_subcommand("chat", "Talk, line by line; /help lists what else it knows");
  add_answer_options(command, options->answer);
  parser.on(command, options, &chat);
}

void add_models_quantize(Parser& parser, CLI::App* models) {
  auto options = std::make_shared<ModelsQuantizeOptions>();
  CLI::App* command = models->add_subcommand("quantize", "Write a model as GGUF with fewer bits per weight");
  command->add_option("source", options->source,
                      "A GGUF file, a folder with config.json, *.safetensors and tokenizer.json, or a name of `hearth models list`")
      ->required();
  command->add_option("out", options->out, "The file to write")->required();
  command->add_option("--type", options->type, "Q8_0, Q6_K, Q5_K_M, Q4_K_M, Q4_0, F16, ...")->capture_default_str();
  command->add_option("--imatrix", options->importance, "Importance matrix, as llama-imatrix writes it (.gguf or .dat)");
  command->add_option("--threads", options->threads, "Threads (default: one per core)")->check(CLI::Range(1, 1024));
  command->add_flag("--allow-requantize", options->allow_requantize, "Quantise what is quantised already");
  command->add_flag("--force", options->force, "Replace the file if it exists");
  parser.on(command, options, &models_quantize);
}

void add_models_store(Parser& parser, CLI::App* models) {
  auto import = std::make_shared<ModelsImportOptions>();
  CLI::App* command = models->add_subcommand("import", "Copy a model into Hearth's store, ready to run in milliseconds");
  command->add_option("source", import->source,
                      "A GGUF file, a folder with config.json, *.safetensors and tokenizer.json, or a name of `hearth models list`")
      ->required();
  command->add_option("--name", import->name, "What requests will call it (default: the file's name)");
  command->add_option("--type", import->type, "Quantise first: Q8_0, Q4_K_M, ... (default: as it is; a folder: Q4_K_M)");
  command->add_option("--delta-of", import->delta_of,
                      "Keep only what makes it of this model of the store, its base before the fine-tuning");
  command->add_option("--as", import->as,
                      "How: exact (default), 1bit (a sign for each weight), or lowrank:R (an adapter of rank R)");
  command->add_option("--text", import->text, "A file by which to measure what 1bit and lowrank cost");
  command->add_option("--threads", import->threads, "Threads (default: one per core)")->check(CLI::Range(1, 1024));
  command->add_flag("--force", import->force, "Replace the model of that name");
  parser.on(command, import, &models_import);

  auto rm = std::make_shared<ModelsRmOptions>();
  CLI::App* rm_command = models->add_subcommand("rm", "Drop an imported model and free what only it had");
  rm_command->add_option("name", rm->name, "Its name")->required();
  parser.on(rm_command, rm, &models_rm);
  parser.on(models->add_subcommand("ps", "Which models are in memory"), &models_ps);
  parser.on(models->add_subcommand("gc", "Free what no imported model has any more"), &models_gc);
  parser.on(models->add_subcommand("verify", "Read all that is imported and check every byte"), &models_verify);
}

void add_models(Parser& parser) {
  CLI::App* command = parser.app.add_subcommand("models", "The models on this machine");
  command->require_subcommand(1);
  parser.on(command->add_subcommand("list", "All that were found, and where"), &models_list);
  auto options = std::make_shared<ModelsShowOptions>();
  CLI::App* show = command->add_subcommand("show", "One of them in detail");
  show->add_option("name", options->name, "Name or path")->required();
  parser.on(show, options, &models_show);
  auto which = std::make_shared<ModelsWhichOptions>();
  CLI::App* which_command = command->add_subcommand("which", "Which model 'auto' means for a text, and why");
  which_command->add_option("text", which->text, "The request")->required();
  parser.on(which_command, which, &models_which);
  auto pulled = std::make_shared<ModelsPullOptions>();
  CLI::App* pull = command->add_subcommand("pull", "Fetch one from Hugging Face, Ollama's library or a URL");
  pull->add_option("name", pulled->name, "ORG/REPO, ORG/REPO:Q4_K_M, NAME:TAG, or the URL of a .gguf file")->required();
  parser.on(pull, pulled, &models_pull);
  add_models_quantize(parser, command);
  add_models_store(parser, command);
}

void add_ledger(Parser& parser) {
  CLI::App* command = parser.app.add_subcommand("ledger", "What was answered, what left this machine, what it cost");
  command->require_subcommand(1);
  auto options = std::make_shared<LedgerShowOptions>();
  CLI::App* show = command->add_subcommand("show", "The latest receipts, or one with all that left for it");
  show->add_option("id", options->id, "Receipt id");
  show->add_option("-n", options->n, "How many");
  parser.on(show, options, &ledger_show);
  parser.on(command->add_subcommand("verify", "Check the hash chain from its first row to its last"), &ledger_verify);
  auto exported = std::make_shared<LedgerExportOptions>();
  CLI::App* write = command->add_subcommand("export", "All that left this machine, as a JSON object per line");
  write->add_flag("--receipts", exported->receipts, "The receipts of all answers instead");
  parser.on(write, exported, &ledger_export);
}

void add_kernel_name(Parser& parser, CLI::App* kernel, const char* name, const char* what, Result<> (*run)(const Context&, const KernelNameOptions&)) {
  auto options = std::make_shared<KernelNameOptions>();
  CLI::App* command = kernel->add_subcommand(name, what);
  command->add_option("name", options->name, "Its name, or the beginning of its key")->required();
  parser.on(command, options, run);
}

void add_kernel(Parser& parser) {
  CLI::App* command = parser.app.add_subcommand("kernel", "Kernels that run on this machine, verified: written by the adviser once, or by hand");
  command->require_subcommand(1);
  auto made = std::make_shared<KernelNewOptions>();
  CLI::App* make = command->add_subcommand("new", "Have the adviser write one; one that was verified before costs no call");
  make->add_option("prose", made->prose, "What it shall compute");
  make->add_option("--contract", made->contract, "A file that says what it must do (default: the adviser writes that, too)");
  make->add_option("--language", made->language, "What it is written in: c++, or for a device opencl or cuda");
  make->add_option("--rounds", made->rounds, "How often the adviser may be asked")->check(CLI::Range(1, 32))->capture_default_str();
  parser.on(make, made, &kernel_new);
  auto built = std::make_shared<KernelBuildOptions>();
  CLI::App* build = command->add_subcommand("build", "Compile, verify and keep one that you wrote");
  build->add_option("source", built->source, "The kernel, C++ without headers")->required();
  build->add_option("--contract", built->contract, "The file that says what it must do")->required();
  build->add_option("--seed", built->seed, "Of what it is tried with (default: a new one)");
  parser.on(build, built, &kernel_build);
  add_kernel_name(parser, command, "check", "Verify one again, as its receipt says", &kernel_check);
  auto run_options = std::make_shared<KernelRunOptions>();
  CLI::App* run = command->add_subcommand("run", "Run one: of those that were verified in its jail, or a built-in, here or on a device");
  run->add_option("name", run_options->name, "Its name, or the beginning of its key")->required();
  run->add_option("--device", run_options->device, fmt::format("Where a built-in runs: {} (default: cpu); NAME@DEVICE is the same", compute::device_names()));
  run->add_option("--size", run_options->sizes, "NAME=NUMBER of a symbol; may be given more than once")->allow_extra_args(false);
  run->add_option("--in", run_options->inputs, "NAME=FILE of raw numbers (default: drawn from the seed)")->allow_extra_args(false);
  run->add_option("--out", run_options->outputs, "NAME=FILE to write a result to")->allow_extra_args(false);
  run->add_option("--seed", run_options->seed, "Of the inputs that are drawn")->capture_default_str();
  run->add_option("--repeats", run_options->repeats, "Runs; the lower quartile of their times is shown, of a built-in the best")->check(CLI::Range(1U, hub::kKernelRepeatsMax))->capture_default_str();
  run->add_option("--timeout", run_options->timeout_s, "Seconds that all runs may take")->check(CLI::Range(1, 86400))->capture_default_str();
  parser.on(run, run_options, &kernel_run);
  auto list_options = std::make_shared<KernelListOptions>();
  CLI::App* list = command->add_subcommand("list", "All that were verified on this machine");
  list->add_flag("--built-in", list_options->built_in, "Those that Hearth brings along instead, and the devices that they run on");
  parser.on(list, list_options, &kernel_list);
  add_kernel_name(parser, command, "show", "One with its contract, source and receipt", &kernel_show);
  add_kernel_name(parser, command, "drop", "Forget one", &kernel_drop);
}

void add_advisor_file(Parser& parser, CLI::App* advisor, const char* name, const char* what,
                      Result<> (*run)(const Context&, const AdvisorFileOptions&)) {
  auto options = std::make_shared<AdvisorFileOptions>();
  CLI::App* command = advisor->add_subcommand(name, what);
  command->add_option("file", options->file, "Recorded answers, a JSON object per line")->required();
  command->add_option("--model", options->model, "Name of the local model here (default: as the rows name it)");
  command->add_option("--quantisation", options->quantisation, "Its quantisation, as Q4_K_M");
  parser.on(command, options, run);
}

void add_advisor_memory(Parser& parser, CLI::App* advisor) {
  CLI::App* command = advisor->add_subcommand("memory", "Advice that is remembered on this machine");
  command->require_subcommand(1);
  auto list = std::make_shared<AdvisorMemoryOptions>();
  CLI::App* show = command->add_subcommand("list", "The latest, with their questions");
  show->add_option("-n", list->n, "Most that are printed")->capture_default_str();
  parser.on(show, list, &advisor_memory_list);
  auto forget = std::make_shared<AdvisorMemoryOptions>();
  CLI::App* drop = command->add_subcommand("forget", "Forget advice, so that it is asked for again");
  drop->add_option("ids", forget->ids, "Of advice or of receipts; or: all")->required();
  parser.on(drop, forget, &advisor_memory_forget);
}

void add_advisor_deferred(Parser& parser, CLI::App* advisor) {
  CLI::App* command = advisor->add_subcommand("deferred", "Questions for which no adviser could be reached");
  command->require_subcommand(1);
  parser.on(command->add_subcommand("list", "What waits to be asked"), std::make_shared<AdvisorDeferredOptions>(),
            &advisor_deferred_list);
  auto asked = std::make_shared<AdvisorDeferredOptions>();
  CLI::App* ask_now = command->add_subcommand("ask", "Ask now, and show what advice would have changed");
  ask_now->add_option("ids", asked->ids, "Which (default: all)");
  ask_now->add_option("--hub", asked->hub, "Where to ask, as for `ask`");
  parser.on(ask_now, asked, &advisor_deferred_ask);
  auto dropped = std::make_shared<AdvisorDeferredOptions>();
  CLI::App* drop = command->add_subcommand("drop", "Ask no more");
  drop->add_option("ids", dropped->ids, "Which; or: all")->required();
  parser.on(drop, dropped, &advisor_deferred_drop);
}

void add_advisor(Parser& parser) {
  CLI::App* command = parser.app.add_subcommand("advisor", "When asking the adviser pays, and what came of it");
  command->require_subcommand(1);
  add_advisor_file(parser, command, "calibrate", "Learn from recorded answers when asking pays", &advisor_calibrate);
  add_advisor_file(parser, command, "eval", "How well that spends calls on recorded answers", &advisor_eval);
  auto outcome = std::make_shared<AdvisorOutcomeOptions>();
  CLI::App* tell = command->add_subcommand("outcome", "Tell whether an answer was right, for the gate to learn from");
  tell->add_option("receipt", outcome->receipt, "The answer's receipt")->required();
  tell->add_option("outcome", outcome->outcome, "good or bad")->required()->check(CLI::IsMember({"good", "bad"}));
  parser.on(tell, outcome, &advisor_outcome);
  add_advisor_memory(parser, command);
  add_advisor_deferred(parser, command);
}

void add_snapshots(Parser& parser) {
  CLI::App* command = parser.app.add_subcommand("snapshots", "What models computed of prompts, kept on disk over restarts");
  command->require_subcommand(1);
  parser.on(command->add_subcommand("list", "What is kept, by model"), &snapshots_list);
  parser.on(command->add_subcommand("drop", "Delete all of it, also beside a running hub"), &snapshots_drop);
}

void add_config(Parser& parser) {
  auto options = std::make_shared<ConfigOptions>();
  CLI::App* command = parser.app.add_subcommand("config", "The configuration in force, and where it lies");
  command->add_flag("--explain", options->explain, "Every key with its default, limits and meaning");
  parser.on(command, options, &config);
}

void add_redact(Parser& parser) {
  auto options = std::make_shared<RedactOptions>();
  CLI::App* command = parser.app.add_subcommand("redact", "Replace personal data and secrets in standard input");
  command->add_option("--dictionary", options->dictionaries, "File with lines 'TYPE: word or phrase'; may be given again")
      ->allow_extra_args(false);
  command->add_option("--tagger", options->tagger, "Weights of train.py in place of the built-in ones");
  parser.on(command, options, &redact);
}

void add_policy(Parser& parser) {
  CLI::App* command = parser.app.add_subcommand("policy", "The rules of what may leave this machine");
  command->require_subcommand(1);
  parser.on(command->add_subcommand("check", "Run the policy's own expectations; find rules that never decide"), &policy_check);
  auto options = std::make_shared<PolicyExplainOptions>();
  CLI::App* explain = command->add_subcommand("explain", "What the rules make of a chat request, message by message");
  explain->add_option("request", options->file, "File with the request's JSON")->required();
  explain->add_option("--provider", options->provider, "Where it would go (default: the adviser's provider)");
  explain->add_option("--header", options->headers, "Header of the request, as 'Name: value'; may be given again")
      ->allow_extra_args(false);
  parser.on(explain, options, &policy_explain);
  auto consents = std::make_shared<PolicyConsentsOptions>();
  CLI::App* remembered = command->add_subcommand("consents", "What was allowed or refused for all of a rule");
  remembered->add_flag("--forget", consents->forget, "Ask again for all of them");
  parser.on(remembered, consents, &policy_consents);
}

void add_bench(Parser& parser) {
  CLI::App* command = parser.app.add_subcommand("bench", "Measure this machine and the engine on it");
  command->require_subcommand(1);
  auto engine = std::make_shared<BenchEngineOptions>();
  CLI::App* bench = command->add_subcommand("engine", "Prefill and decode speed beside this machine's roofs");
  bench->add_option("model", engine->model, "Name or path");
  bench->add_option("--prompt", engine->prompt_tokens, "Tokens of the prompt; several with commas between")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(1, 1 << 20));
  bench->add_option("--depth", engine->depths, "Tokens before those that are decoded; several with commas between")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(0, 1 << 20));
  bench->add_option("--decode", engine->decode_tokens, "Tokens to generate")->check(CLI::Range(1, 1 << 20));
  bench->add_option("--repeats", engine->repeats, "Runs, interleaved; medians are printed")->check(CLI::Range(1, 1000));
  bench->add_flag("--pack", engine->pack, "Copy the weights into the kernels' layout first");
  bench->add_option("--peer", engine->peers, "Path of llama-bench, run on the same file in turn; may be given again")
      ->allow_extra_args(false);
  parser.on(bench, engine, &bench_engine);

  auto hybrid = std::make_shared<BenchHybridOptions>();
  CLI::App* field = command->add_subcommand("hybrid", "Local alone, advised, and cloud alone: time and money");
  field->add_option("-m,--model", hybrid->model, "The local model")->capture_default_str();
  field->add_option("--cloud", hybrid->cloud, "UPSTREAM/MODEL that answers alone, for its price");
  field->add_option("--file", hybrid->file, "Questions, one per line (default: eight of its own)");
  field->add_option("-n,--max-tokens", hybrid->max_tokens, "Most tokens of each answer")->capture_default_str();
  field->add_option("--hub", hybrid->hub, "Where to ask, as for `ask`");
  parser.on(field, hybrid, &bench_hybrid);

  auto model = std::make_shared<BenchModelOptions>();
  CLI::App* make = command->add_subcommand("model", "Write a model of a real shape with random weights");
  make->add_option("out", model->out, "File to write")->required();
  make->add_option("--shape", model->shape, "Size class");
  make->add_option("--type", model->type, "Type mix: F16, Q8_0, Q4_0, Q4_K_M, ...");
  make->add_option("--seed", model->seed, "Of the weights");
  parser.on(make, model, &bench_model);
}

void add_inspect_model(Parser& parser, CLI::App* command) {
  auto tokens = std::make_shared<InspectTokensOptions>();
  CLI::App* tokens_command = command->add_subcommand("tokens", "Token ids of standard input, on one line");
  tokens_command->add_option("model", tokens->model, "Name or path")->required();
  tokens_command->add_flag("--special", tokens->special, "Read control tokens in the text as tokens");
  parser.on(tokens_command, tokens, &inspect_tokens);

  auto logits = std::make_shared<InspectLogitsOptions>();
  CLI::App* logits_command = command->add_subcommand("logits", "Logits of every position, as little-endian float32");
  logits_command->add_option("model", logits->model, "Name or path")->required();
  logits_command->add_option("--tokens", logits->tokens, "Token ids, separated by spaces")->required();
  logits_command->add_option("--adapter", logits->adapters, "LoRA adapter, as FILE or FILE:WEIGHT; several are added up");
  logits_command->add_option("--out", logits->out, "File to write [n_tokens, n_vocab]")->required();
  parser.on(logits_command, logits, &inspect_logits);
}

void add_inspect_perplexity(Parser& parser, CLI::App* command) {
  auto options = std::make_shared<InspectPerplexityOptions>();
  CLI::App* perplexity =
      command->add_subcommand("perplexity", "How surprised a model is by a text, as llama-perplexity defines it");
  perplexity->add_option("model", options->model, "Name or path")->required();
  perplexity->add_option("--file", options->file, "The text; '-' is standard input")->required();
  perplexity->add_option("--context", options->context, "Tokens per chunk; the second half is scored")
      ->capture_default_str();
  perplexity->add_option("--stride", options->stride, "Overlapping chunks that begin so many tokens apart");
  perplexity->add_option("--chunks", options->chunks, "Most chunks that are computed (default: all)");
  perplexity->add_flag("--pack", options->pack, "Copy the weights into the kernels' layout first");
  parser.on(perplexity, options, &inspect_perplexity);
}

void add_inspect(Parser& parser) {
  CLI::App* command = parser.app.add_subcommand("inspect", "Look inside models, tokenizers and templates");
  command->require_subcommand(1);
  add_inspect_model(parser, command);
  add_inspect_perplexity(parser, command);

  auto render = std::make_shared<InspectTemplateOptions>();
  CLI::App* render_command = command->add_subcommand("template", "Render a chat template");
  render_command->add_option("file", render->file, "The template")->required();
  render_command->add_option("--context", render->context_file, "JSON object with its variables")->required();
  render_command->add_option("--now", render->now, "What strftime_now sees, as 2026-01-31T12:00:00");
  parser.on(render_command, render, &inspect_template);

  auto gguf = std::make_shared<InspectGgufOptions>();
  CLI::App* gguf_command = command->add_subcommand("gguf", "Metadata and tensors of a GGUF file");
  gguf_command->add_option("file", gguf->file, "The file")->required();
  parser.on(gguf_command, gguf, &inspect_gguf);
}

// ---- The table as data -------------------------------------------------------------------------

// "TEXT:{never,auto,always}" -> "TEXT" and the three words.
void read_type(OptionDoc& doc, const std::string& type) {
  const std::size_t open = type.find('{');
  const std::size_t close = type.find('}');
  doc.value = type.substr(0, std::min(type.find_first_of(": "), open));
  if (open == type.npos || close == type.npos) return;
  if (doc.value.empty()) doc.value = "WORD";
  for (std::size_t at = open + 1; at < close;) {
    const std::size_t end = std::min(type.find(',', at), close);
    doc.choices.push_back(type.substr(at, end - at));
    at = end + 1;
  }
}

OptionDoc doc_of(const CLI::Option& option) {
  OptionDoc doc{.description = option.get_description(),
                .is_required = option.get_required(),
                .is_repeated = option.get_items_expected_max() > 1};
  if (option.get_type_size() != 0) read_type(doc, option.get_type_name());
  if (option.get_positional()) {
    doc.names.push_back(option.get_single_name());
    return doc;
  }
  for (const std::string& name : option.get_snames()) doc.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) doc.names.push_back("--" + name);
  return doc;
}

CommandDoc doc_of(const CLI::App& app) {
  CommandDoc doc{.name = app.get_name(), .description = app.get_description(), .footer = app.get_footer()};
  for (const CLI::Option* option : app.get_options()) {
    (option->get_positional() ? doc.arguments : doc.options).push_back(doc_of(*option));
  }
  for (const CLI::App* child : app.get_subcommands([](const CLI::App*) { return true; })) {
    doc.commands.push_back(doc_of(*child));
  }
  return doc;
}

void add_docs(Parser& parser) {
  struct Shell {
    const char* name;
    std::string (*render)(const CommandDoc& root);
  };
  static constexpr Shell kShells[] = {{"bash", bash_completions}, {"zsh", zsh_completions}, {"fish", fish_completions}};
  auto shell = std::make_shared<std::string>();
  CLI::App* completions = parser.app.add_subcommand("completions", "A script that completes this command line in a shell");
  completions->add_option("shell", *shell, "Which one")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
  completions->callback([&parser, shell] {
    parser.verb = [&parser, shell](const Context&) -> Result<> {
      for (const Shell& row : kShells) {
        if (*shell == row.name) fmt::print("{}", row.render(doc_of(parser.app)));
      }
      return {};
    };
  });
  CLI::App* man = parser.app.add_subcommand("man", "The manual page; `hearth man | man -l -` shows it");
  man->callback([&parser] {
    parser.verb = [&parser](const Context&) -> Result<> {
      fmt::print("{}", man_page(doc_of(parser.app), std::string(kVersion)));
      return {};
    };
  });
}

// The verb that the line had reached when reading ended.
const CLI::App* reached_verb(const CLI::App& app) {
  const CLI::App* verb = &app;
  while (!verb->get_subcommands().empty()) verb = verb->get_subcommands().front();
  return verb;
}

std::string full_name(const CLI::App& verb) {
  return verb.get_parent() == nullptr ? verb.get_name()
                                      : full_name(*verb.get_parent()) + " " + verb.get_name();
}

std::string verbs_of(const CLI::App& verb) {
  std::vector<std::string> names;
  for (const CLI::App* sub : verb.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(sub->get_name());
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

// One sentence on what is wrong with the line, and where to look.
std::string misuse(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& verb = *reached_verb(app);
  const std::string name = full_name(verb);
  const std::vector<std::string> unread = app.remaining(/*recurse=*/true);
  if (verb.get_require_subcommand_min() > 0) {
    if (unread.empty()) return fmt::format("`{}` needs a verb: {}", name, verbs_of(verb));
    return fmt::format("`{}` has no verb '{}'; it has {}", name, unread.front(), verbs_of(verb));
  }
  if (dynamic_cast<const CLI::ConversionError*>(&error) != nullptr) {
    const std::string_view text = error.what();
    const std::size_t at = text.find(": ");
    return fmt::format("{}: not a value that this option takes; see `{} --help`",
                       at == text.npos ? text : text.substr(at + 2), name);
  }
  return fmt::format("{}; see `{} --help`", error.what(), name);
}

// Reads the configuration and runs the verb: the work that follows parsing.  A verb says what failed
// itself, so the log adds only what nothing else tells; `serve` raises its level again.
Result<> run_verb(const Parser& parser) {
  set_log_level(LogLevel::kError);
  HEARTH_TRY(Config config, load_config(parser.config_path));
  return parser.verb(Context{std::move(config), parser.config_path, parser.json});
}

}  // namespace

Invocation parse_command_line(int argc, const char* const* argv) {
  auto parser = std::make_shared<Parser>();
  parser->app.require_subcommand(1);
  parser->app.set_version_flag("--version", std::string(kVersion));
  parser->add_common(&parser->app);
  parser->app.footer(kFooter);
  add_serve(*parser);
  add_ask(*parser);
  add_compare(*parser);
  add_chat(*parser);
  add_mcp(*parser);
  add_models(*parser);
  add_ledger(*parser);
  add_kernel(*parser);
  add_advisor(*parser);
  add_snapshots(*parser);
  add_redact(*parser);
  add_policy(*parser);
  add_config(*parser);
  parser.get()->on(parser->app.add_subcommand("doctor", "Check what this machine offers and what could go wrong"), &doctor);
  add_bench(*parser);
  add_inspect(*parser);
  add_docs(*parser);

  try {
    parser->app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const CLI::App& app = parser->app;
    if (error.get_exit_code() == 0) return {nullptr, app.exit(error)};  // --help and --version
    if (argc <= 1) {
      fmt::print("{}", app.help());
    } else {
      fmt::print(stderr, "hearth: {}\n", misuse(app, error));
    }
    return {nullptr, exit_code_of(Code::kInvalidArgument)};
  }
  return {[parser] { return run_verb(*parser); }, 0};
}

int exit_code_of(Code code) {
  switch (code) {
    case Code::kInvalidArgument: return 2;
    case Code::kNotFound: return 3;
    case Code::kUnavailable: return 4;
    case Code::kPermissionDenied:
    case Code::kOutOfBudget: return 5;
    case Code::kCorrupt: return 6;
    case Code::kCancelled: return 130;
    case Code::kUnsupported:
    case Code::kInternal: return 1;
  }
  return 1;
}

}  // namespace hearth::cli
