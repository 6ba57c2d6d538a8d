#include "hub/template_traits.h"

#include <nlohmann/json.hpp>
#include <optional>

namespace hearth::hub {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFunction = "probe_function";
constexpr const char* kArgument = "probe_argument";
constexpr const char* kResult = "probe_result";

bool holds(const std::optional<std::string>& text, std::string_view needle) {
  return text && text->find(needle) != std::string::npos;
}

Json user_message() { return {{"role", "user"}, {"content", "probe"}}; }

Json probe_tools() {
  return Json::array(
      {{{"type", "function"},
        {"function",
         {{"name", kFunction},
          {"description", "probe"},
          {"parameters",
           {{"type", "object"},
            {"properties", {{kArgument, {{"type", "string"}, {"description", "probe"}}}}},
            {"required", Json::array({kArgument})}}}}}}});
}

std::optional<std::string> render(const text::ChatTemplate& chat_template, Json messages,
                                  bool with_tools) {
  Json context = {{"messages", std::move(messages)},
                  {"add_generation_prompt", true},
                  {"bos_token", ""},
                  {"eos_token", ""},
                  {"datetime", "probe"}};
  if (with_tools) {
    context["tools"] = probe_tools();
    context["functions"] = probe_tools().dump();
  }
  auto text = chat_template.render(context);
  if (!text) return std::nullopt;
  return *std::move(text);
}

// One way to write down a call; the first that a template lays out is taken.
struct CallVariant {
  bool text_arguments, short_ids;
};
constexpr CallVariant kCallVariants[] = {{false, false}, {false, true}, {true, false}, {true, true}};

Json call_messages(const CallVariant& variant, bool no_content) {
  const Json arguments = {{kArgument, "probe"}};
  const char* const id = variant.short_ids ? "probe0001" : "call_probe_1";
  Json call = {{"id", id},
               {"type", "function"},
               {"function",
                {{"name", kFunction},
                 {"arguments", variant.text_arguments ? Json(arguments.dump()) : arguments}}}};
  Json assistant = {{"role", "assistant"},
                    {"content", no_content ? Json() : Json("")},
                    {"tool_calls", Json::array({std::move(call)})}};
  return Json::array({user_message(), std::move(assistant),
                      {{"role", "tool"},
                       {"tool_call_id", id},
                       {"name", kFunction},
                       {"content", kResult}}});
}

}  // namespace

TemplateTraits probe_template(const text::ChatTemplate& chat_template) {
  TemplateTraits traits;
  traits.takes_tools = holds(render(chat_template, Json::array({user_message()}), true), kArgument);
  for (const CallVariant& variant : kCallVariants) {
    // Without the tools, whose names would be found instead of the call's.
    const auto empty = render(chat_template, call_messages(variant, false), false);
    const auto none = render(chat_template, call_messages(variant, true), false);
    if (!holds(empty, kArgument) && !holds(none, kArgument)) continue;
    traits.takes_calls = true;
    traits.wants_text_arguments = variant.text_arguments;
    traits.wants_short_ids = variant.short_ids;
    // Where both work, "" leaves an empty turn behind only in templates that want null.
    traits.wants_no_content =
        !holds(empty, kArgument) || (holds(none, kArgument) && none->size() < empty->size());
    traits.takes_results = holds(traits.wants_no_content ? none : empty, kResult);
    return traits;
  }
  const Json lone_result = Json::array({user_message(),
                                        {{"role", "assistant"}, {"content", "probe"}},
                                        {{"role", "tool"}, {"content", kResult}}});
  traits.takes_results = holds(render(chat_template, lone_result, false), kResult);
  return traits;
}

}  // namespace hearth::hub
