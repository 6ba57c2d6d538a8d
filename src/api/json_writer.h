// Writes JSON straight into a string: a streamed token is rendered once and nothing else is
// allocated for it.
//
// Commas come by themselves: a value or key that follows another gets one.  What makes
// a document well formed beyond that is the caller's business.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace hearth::api {

// Appends `text` as a JSON string.  Bytes that are no UTF-8 become U+FFFD, so that the output is always
// valid JSON; control characters, quotes and backslashes are escaped.
void append_json_string(std::string& out, std::string_view text);

// Threading: externally synchronised.
class JsonWriter {
 public:
  // Appends to `out`, which must outlive the writer.
  explicit JsonWriter(std::string& out) : out_(out) {}

  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }

  JsonWriter& key(std::string_view name);
  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(bool yes);
  // The shortest text that reads back as the same number; NaN and infinities become null.
  JsonWriter& value(float number);
  JsonWriter& value(double number);
  template <std::integral Integer>
    requires(!std::same_as<Integer, bool>)
  JsonWriter& value(Integer number) {
    separate();
    out_ += std::to_string(number);
    return *this;
  }
  JsonWriter& null();
  // A value that is JSON text already.
  JsonWriter& raw(std::string_view json) {
    separate();
    out_ += json;
    return *this;
  }
  // null for an empty text.
  JsonWriter& value_or_null(std::string_view text) { return text.empty() ? null() : value(text); }

 private:
  JsonWriter& open(char bracket);
  JsonWriter& close(char bracket);
  void separate();

  std::string& out_;
  bool fresh_ = true;  // Right after an opening bracket, a key, or at the start.
};

}  // namespace hearth::api
