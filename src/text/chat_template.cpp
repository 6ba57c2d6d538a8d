// See chat_template.h.  The interpreter itself is in jinja/: text goes through lexer.cpp and
// the parser to the tree of ast.h, which interpreter.h walks.
#include "text/chat_template.h"

#include <chrono>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/utf8.h"
#include "text/jinja/context.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/program.h"

namespace hearth::text {

namespace {

constexpr std::string_view kChatml =
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + (message['content'] or '') + '<|im_end|>' + "
    "'\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

// Jinja reads every kind of line end as a newline and drops the one that ends the file.
std::string normalize(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out.push_back('\n');
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out.push_back(source[i]);
    }
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

std::int64_t current_time() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// The template's variables at the start: members of the context, then global functions.
Result<std::vector<jinja::Value>> initial_variables(const jinja::Program& program,
                                                    const nlohmann::ordered_json& context,
                                                    jinja::Runtime& runtime) {
  std::vector<jinja::Value> variables(program.names.size());
  for (std::size_t i = 0; i < variables.size(); ++i) {
    const auto member = context.find(std::string(program.names[i]));
    if (member != context.end()) {
      HEARTH_TRY(variables[i], jinja::from_json(runtime, *member));
    } else if (const auto* function = jinja::global_table().find(program.names[i])) {
      variables[i] = jinja::Value::function(
          runtime.arena.make<jinja::BoundFunction>(function, jinja::Value::missing()));
    }
  }
  return variables;
}

}  // namespace

struct ChatTemplate::Program {
  std::string source;      // As it was given.
  std::string normalized;  // What the tree borrows from.
  jinja::Program tree;
};

ChatTemplate::ChatTemplate(std::unique_ptr<Program> program) : program_(std::move(program)) {}
ChatTemplate::~ChatTemplate() = default;

const std::string& ChatTemplate::source() const { return program_->source; }

Result<std::shared_ptr<const ChatTemplate>> ChatTemplate::compile(std::string source) {
  if (source.size() > jinja::kSourceBytesMax) {
    return fail(Code::kInvalidArgument, fmt::format("a chat template of {} bytes: the limit is {}",
                                                    source.size(), jinja::kSourceBytesMax));
  }
  auto program = std::make_unique<Program>();
  program->normalized = normalize(is_valid_utf8(source) ? source : sanitize_utf8(source));
  program->source = std::move(source);
  HEARTH_TRY_VOID(jinja::parse(program->normalized, program->tree));
  return std::shared_ptr<const ChatTemplate>(new ChatTemplate(std::move(program)));
}

std::shared_ptr<const ChatTemplate> ChatTemplate::chatml() {
  static const std::shared_ptr<const ChatTemplate> compiled = [] {
    auto result = compile(std::string(kChatml));
    HEARTH_CHECK(result.has_value());
    return *result;
  }();
  return compiled;
}

Result<std::string> ChatTemplate::render(const nlohmann::ordered_json& context,
                                         std::optional<std::int64_t> now_unix,
                                         const RenderLimits& limits) const {
  if (!context.is_object()) {
    return fail(Code::kInvalidArgument, "the context of a chat template must be a JSON object");
  }
  jinja::Runtime runtime(limits, now_unix.value_or(current_time()));
  HEARTH_TRY(std::vector<jinja::Value> variables,
             initial_variables(program_->tree, context, runtime));
  jinja::Interpreter interpreter(program_->tree, runtime, std::move(variables));
  if (auto done = interpreter.run(); !done) {
    Error error = std::move(done).error();
    if (!runtime.raised()) {
      error.message = fmt::format("template line {}: {}", interpreter.line(), error.message);
    }
    return std::unexpected(std::move(error));
  }
  return interpreter.take_output();
}

}  // namespace hearth::text
