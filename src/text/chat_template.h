// Chat templates: the Jinja programs that models carry to lay out a conversation.
//
// `ChatTemplate` is a compiled template; `render` interprets it over a JSON context the
// way Jinja2 does in the settings of transformers (trim_blocks, lstrip_blocks, a sandbox
// without imports, `raise_exception`, `strftime_now`, `tojson` with ensure_ascii off).
// Templates are untrusted: nesting, output, steps and recursion have limits.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth::text {

struct RenderLimits {
  std::size_t output_bytes_max = std::size_t{16} << 20;
  std::uint64_t steps_max = 20'000'000;  // Evaluated nodes, and work in proportion to text.
  std::size_t memory_bytes_max = std::size_t{256} << 20;  // Values that the render makes.
};

// Threading: immutable once compiled; any thread may render.
class ChatTemplate {
 public:
  // kInvalidArgument with line and reason for text that is no template we can run.
  static Result<std::shared_ptr<const ChatTemplate>> compile(std::string source);

  // The layout used for a model that carries no template (ChatML).
  static std::shared_ptr<const ChatTemplate> chatml();

  ~ChatTemplate();

  // `context` is a JSON object whose members are the template's variables (messages, tools,
  // add_generation_prompt, bos_token, ...).  `now_unix` is what strftime_now sees, in UTC; the
  // current time if absent.  kInvalidArgument with the template's own words for raise_exception,
  // else with line and reason.
  Result<std::string> render(const nlohmann::ordered_json& context,
                             std::optional<std::int64_t> now_unix = std::nullopt,
                             const RenderLimits& limits = {}) const;

  const std::string& source() const;

 private:
  struct Program;
  explicit ChatTemplate(std::unique_ptr<Program> program);
  std::unique_ptr<Program> program_;
};

}  // namespace hearth::text
