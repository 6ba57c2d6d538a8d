// `hearth inspect`: what the parts make of a file, printed so that another program can
// hold it against its own result.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <bit>
#include <charconv>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/file.h"
#include "base/thread_pool.h"
#include "cli/open_catalogue.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "convert/peft_adapter.h"
#include "gguf/summary.h"
#include "model/adapter.h"
#include "model/forward.h"
#include "model/vocab.h"
#include "model/model.h"
#include "text/chat_template.h"

namespace hearth::cli {
namespace {

// Token ids of "1 2 3"; each must be one of the model's.
Result<std::vector<text::TokenId>> parse_ids(const std::string& text, std::uint32_t n_vocab) {
  std::vector<text::TokenId> ids;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    if (*at == ' ' || *at == ',' || *at == '\n') {
      ++at;
      continue;
    }
    text::TokenId id = 0;
    const auto read = std::from_chars(at, end, id);
    if (read.ec != std::errc{} || id < 0 || static_cast<std::uint32_t>(id) >= n_vocab) {
      return fail(Code::kInvalidArgument,
                  fmt::format("--tokens holds '{}', which is no token id from 0 to {}",
                              std::string_view(at, std::min<std::size_t>(20, static_cast<std::size_t>(end - at))),
                              n_vocab - 1));
    }
    ids.push_back(id);
    at = read.ptr;
  }
  if (ids.empty()) return fail(Code::kInvalidArgument, "--tokens names no token");
  return ids;
}

// Logits [ids.size(), n_vocab] of one causal pass from position 0, in chunks as a prompt would be.
Result<std::vector<float>> logits_of(const model::Model& model, std::span<const text::TokenId> ids,
                                     std::span<const model::AdapterUse> adapters, unsigned n_threads) {
  constexpr std::uint32_t kChunkTokens = 512;
  const auto layout = model.kv_layout();
  const std::size_t n_pages = (ids.size() + model::kPageTokens - 1) / model::kPageTokens;
  std::vector<std::byte> memory(n_pages * layout.page_bytes()), state(layout.state_bytes);
  std::vector<std::byte*> pages;
  for (std::size_t i = 0; i < n_pages; ++i) pages.push_back(memory.data() + i * layout.page_bytes());

  ThreadPool pool(n_threads);
  model::ForwardScratch scratch;
  HEARTH_TRY_VOID(scratch.reserve(model, kChunkTokens));
  std::vector<float> logits(ids.size() * model.config().n_vocab);
  for (std::size_t at = 0; at < ids.size(); at += kChunkTokens) {
    const auto tokens = ids.subspan(at, std::min<std::size_t>(kChunkTokens, ids.size() - at));
    const model::Segment segment{.tokens = tokens,
                                 .position = static_cast<std::uint32_t>(at),
                                 .pages = pages,
                                 .n_logits = static_cast<std::uint32_t>(tokens.size()),
                                 .logits = logits.data() + at * model.config().n_vocab,
                                 .adapters = adapters,
                                 .state = state.data()};
    model::forward(model, {&segment, 1}, scratch, pool);
  }
  return logits;
}

struct LoadedAdapter {
  std::shared_ptr<const model::Adapter> adapter;
  float weight = 1.0F;
};

// The file of "FILE" or "FILE:WEIGHT".
Result<LoadedAdapter> load_adapter(const std::string& text, const model::Model& model) {
  LoadedAdapter loaded;
  const std::size_t colon = text.rfind(':');
  const char* const end = text.data() + text.size();
  bool is_weighted = false;
  if (colon != text.npos) {
    const auto read = std::from_chars(text.data() + colon + 1, end, loaded.weight);
    is_weighted = read.ec == std::errc{} && read.ptr == end;
  }
  if (!is_weighted) loaded.weight = 1.0F;
  HEARTH_TRY(loaded.adapter, convert::load_adapter(is_weighted ? text.substr(0, colon) : text, model));
  return loaded;
}

}  // namespace

Result<> inspect_tokens(const Context& context, const InspectTokensOptions& options) {
  HEARTH_TRY(const auto path, model_path(context.config, options.model));
  HEARTH_TRY(const auto tokenizer, model::load_tokenizer(path));
  const std::string text{std::istreambuf_iterator<char>(std::cin), {}};
  const auto ids = tokenizer->encode(text, {.add_special = false, .parse_special = options.special});
  print_out(context.json ? nlohmann::json(ids).dump() + "\n" : fmt::format("{}\n", fmt::join(ids, " ")));
  return {};
}

Result<> inspect_logits(const Context& context, const InspectLogitsOptions& options) {
  static_assert(std::endian::native == std::endian::little, "the file's format is little-endian");
  HEARTH_TRY(const auto path, model_path(context.config, options.model));
  HEARTH_TRY(const auto model, model::Model::load(path, {.kv_type = *model::kv_type_from_name(context.config.engine.kv_type)}));
  HEARTH_TRY(const auto ids, parse_ids(options.tokens, model->config().n_vocab));
  if (options.adapters.size() > model::kAdaptersPerSegment) {
    return fail(Code::kInvalidArgument, fmt::format("{} adapters are named, at most {} can be mixed",
                                                    options.adapters.size(), model::kAdaptersPerSegment));
  }
  std::vector<LoadedAdapter> adapters;
  std::vector<model::AdapterUse> uses;
  for (const std::string& text : options.adapters) {
    HEARTH_TRY(LoadedAdapter loaded, load_adapter(text, *model));
    uses.push_back({loaded.adapter.get(), loaded.weight, model::first_adapted_position(*loaded.adapter, ids)});
    adapters.push_back(std::move(loaded));
  }
  HEARTH_TRY(const auto logits, logits_of(*model, ids, uses, static_cast<unsigned>(context.config.engine.threads)));
  HEARTH_TRY_VOID(write_file_atomic(
      options.out, {reinterpret_cast<const char*>(logits.data()), logits.size() * sizeof(float)}));
  print_note(fmt::format("wrote [{}, {}] float32 to {}", ids.size(), model->config().n_vocab, options.out));
  return {};
}

Result<> inspect_template(const Context&, const InspectTemplateOptions& options) {
  HEARTH_TRY(std::string source, read_file(options.file));
  HEARTH_TRY(const std::string json, read_file(options.context_file));
  const auto context = nlohmann::ordered_json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!context.is_object()) {
    return fail(Code::kInvalidArgument, fmt::format("'{}' does not hold a JSON object", options.context_file));
  }
  std::optional<std::int64_t> now;
  if (!options.now.empty()) {
    now = parse_iso8601(options.now);
    if (!now) {
      return fail(Code::kInvalidArgument,
                  fmt::format("--now '{}' is not of the form 2026-01-31T12:00:00", options.now));
    }
  }
  HEARTH_TRY(const auto program, text::ChatTemplate::compile(std::move(source)));
  HEARTH_TRY(const std::string rendered, program->render(context, now));
  print_out(rendered);
  return {};
}

Result<> inspect_gguf(const Context& context, const InspectGgufOptions& options) {
  HEARTH_TRY(const auto file, gguf::GgufFile::open(options.file));
  const gguf::Summary summary = gguf::summarize(file);
  if (!context.json) {
    print_out(gguf::to_text(summary));
    return {};
  }
  nlohmann::ordered_json json = {{"file", summary.name},
                                 {"version", summary.version},
                                 {"alignment", summary.alignment},
                                 {"bytes", summary.file_bytes},
                                 {"parameters", summary.n_parameters}};
  for (const auto& entry : summary.metadata) {
    json["metadata"][entry.key] = {{"type", entry.type}, {"value", entry.text}, {"count", entry.count}};
  }
  for (const auto& tensor : summary.tensors) {
    json["tensors"].push_back({{"name", tensor.name},
                               {"type", tensor.type},
                               {"shape", tensor.shape},
                               {"bytes", tensor.bytes},
                               {"offset", tensor.offset}});
  }
  for (const auto& type : summary.types) {
    json["types"][type.type] = {{"tensors", type.n_tensors}, {"elements", type.n_elements}, {"bytes", type.bytes}};
  }
  print_out(json.dump(2) + "\n");
  return {};
}

}  // namespace hearth::cli
