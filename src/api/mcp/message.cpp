#include "api/mcp/message.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/json_writer.h"

namespace hearth::api::mcp {
namespace {

RpcError invalid(std::string message, std::string id = {}) {
  return {.code = RpcCode::kInvalidRequest, .message = std::move(message), .id = std::move(id)};
}

RpcResult<dom::element> parse(dom::parser& parser, std::string_view text) {
  const auto refuse = [](std::string message) {
    return std::unexpected(RpcError{.code = RpcCode::kParseError, .message = std::move(message)});
  };
  if (text.size() > kMessageBytesMax) {
    return refuse(fmt::format("The message has {} bytes, which is more than the limit of {}.", text.size(), kMessageBytesMax));
  }
  if (parser.max_depth() != kMessageDepthMax &&
      parser.allocate(std::max<std::size_t>(text.size(), 1), kMessageDepthMax) != simdjson::SUCCESS) {
    return std::unexpected(RpcError{.message = "Out of memory for the message.", .status = 503});
  }
  dom::element root;
  const auto error = parser.parse(text.data(), text.size()).get(root);
  if (error == simdjson::SUCCESS) return root;
  if (error == simdjson::DEPTH_ERROR) {
    return refuse(fmt::format("The message is nested deeper than the limit of {} levels.", kMessageDepthMax));
  }
  return refuse(fmt::format("The message is not valid JSON: {}", simdjson::error_message(error)));
}

bool has(dom::object object, std::string_view name) {
  dom::element value;
  return object[name].get(value) == simdjson::SUCCESS;
}

// The id's JSON text; empty where there is none.
RpcResult<std::string> read_id(dom::object object) {
  dom::element value;
  if (object["id"].get(value) != simdjson::SUCCESS) return std::string();
  auto id = token_text(value);
  if (!id) return std::unexpected(invalid("The message's 'id' must be a text or a whole number."));
  if (id->size() > kIdBytesMax) {
    return std::unexpected(invalid(fmt::format("The message's 'id' has {} bytes, at most {} are taken.", id->size(), kIdBytesMax)));
  }
  return *std::move(id);
}

RpcResult<> read_method(dom::object object, Message& message) {
  std::string_view method;
  if (object["method"].get_string().get(method) != simdjson::SUCCESS || method.empty()) {
    return std::unexpected(invalid("The message's 'method' must be a text.", message.id));
  }
  if (method.size() > kMethodBytesMax) {
    return std::unexpected(
        invalid(fmt::format("The message's 'method' has {} bytes, at most {} are taken.", method.size(), kMethodBytesMax), message.id));
  }
  message.method = method;
  return {};
}

RpcResult<> read_params(dom::object object, Message& message) {
  dom::element value;
  if (object["params"].get(value) != simdjson::SUCCESS) return {};
  dom::object params;
  if (value.get_object().get(params) != simdjson::SUCCESS) {
    return std::unexpected(RpcError{.code = RpcCode::kInvalidParams, .message = "The message's 'params' must be an object.", .id = message.id});
  }
  message.params = params;
  return {};
}

}  // namespace

RpcResult<Message> read_message(dom::parser& parser, std::string_view text) {
  auto root = parse(parser, text);
  if (!root) return std::unexpected(root.error());
  if (root->is_array()) return std::unexpected(invalid("Batches are not taken: send each message by itself."));
  dom::object object;
  if (root->get_object().get(object) != simdjson::SUCCESS) return std::unexpected(invalid("A message must be a JSON object."));

  Message message;
  auto id = read_id(object);
  if (!id) return std::unexpected(id.error());
  message.id = *std::move(id);
  std::string_view version;
  if (object["jsonrpc"].get_string().get(version) != simdjson::SUCCESS || version != "2.0") {
    return std::unexpected(invalid("The message's 'jsonrpc' must be \"2.0\".", message.id));
  }
  if (!has(object, "method") && (has(object, "result") || has(object, "error"))) {
    message.kind = MessageKind::kResponse;
    return message;
  }
  if (auto read = read_method(object, message); !read) return std::unexpected(read.error());
  if (auto read = read_params(object, message); !read) return std::unexpected(read.error());
  message.kind = message.id.empty() ? MessageKind::kNotification : MessageKind::kRequest;
  return message;
}

std::optional<std::string> token_text(dom::element value) {
  std::string text;
  std::string_view string;
  if (value.get_string().get(string) == simdjson::SUCCESS) {
    append_json_string(text, string);
    return text;
  }
  std::int64_t number = 0;
  if (value.get_int64().get(number) == simdjson::SUCCESS) return std::to_string(number);
  return std::nullopt;
}

std::string render_result(std::string_view id, std::string_view result_json) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("jsonrpc").value("2.0").key("id").raw(id).key("result").raw(result_json).end_object();
  return out;
}

std::string render_error(const RpcError& error) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("jsonrpc").value("2.0");
  if (!error.id.empty()) json.key("id").raw(error.id);
  json.key("error").begin_object();
  json.key("code").value(static_cast<std::int32_t>(error.code)).key("message").value(error.message);
  if (!error.data.empty()) json.key("data").raw(error.data);
  json.end_object().end_object();
  return out;
}

std::string render_notification(std::string_view method, std::string_view params_json) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("jsonrpc").value("2.0").key("method").value(method).key("params").raw(params_json).end_object();
  return out;
}

}  // namespace hearth::api::mcp
