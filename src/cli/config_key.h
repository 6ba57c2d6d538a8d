// What a key of hearth.toml may hold, and where its value goes: the table of config.cpp is made of
// these, for sections that are there once (of Config) and for lists of them (of one entry's struct).
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/toml.h"

namespace hearth::cli {

using Strings = std::vector<std::string>;

template <class C>
struct Text {
  std::string& (*field)(C&);
  std::string_view choices = {};  // "never|auto|always", or empty for any text.
};
template <class C>
struct Integer {
  std::int64_t& (*field)(C&);
  std::int64_t min, max;
};
template <class C>
struct Number {
  double& (*field)(C&);
  double min, max;
};
template <class C>
struct Switch {
  bool& (*field)(C&);
};
template <class C>
struct Maybe {  // true, false, or not said.
  std::optional<bool>& (*field)(C&);
};
template <class C>
struct List {
  Strings& (*field)(C&);
};

template <class C>
struct ConfigKey {
  std::string_view section, name, explanation;
  std::variant<Text<C>, Integer<C>, Number<C>, Switch<C>, Maybe<C>, List<C>> type;

  std::string full_name() const { return fmt::format("{}.{}", section, name); }
};

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

template <class C>
std::string type_text(const ConfigKey<C>& key) {
  const auto choices = [](std::string_view list) {
    std::string text = "one of ";
    for (const char c : list) text += c == '|' ? std::string(", ") : std::string(1, c);
    return text;
  };
  return std::visit(
      Overloaded{
          [&](const Text<C>& t) { return t.choices.empty() ? std::string("text") : choices(t.choices); },
          [](const Integer<C>& t) { return fmt::format("an integer from {} to {}", t.min, t.max); },
          [](const Number<C>& t) { return fmt::format("a number from {} to {}", t.min, t.max); },
          [](const Switch<C>&) { return std::string("true or false"); },
          [](const Maybe<C>&) { return std::string("true or false, or left out"); },
          [](const List<C>&) { return std::string("a list of texts"); },
      },
      key.type);
}

inline bool is_choice(std::string_view choices, std::string_view value) {
  return fmt::format("|{}|", choices).find(fmt::format("|{}|", value)) != std::string::npos;
}

// Stores `node` into the key's field; false if it is not of the key's type or out of its limits.
template <class C>
bool assign(const ConfigKey<C>& key, const toml::node& node, C& config) {
  return std::visit(
      Overloaded{
          [&](const Text<C>& t) {
            const auto value = node.value_exact<std::string>();
            if (!value || (!t.choices.empty() && !is_choice(t.choices, *value))) return false;
            t.field(config) = *value;
            return true;
          },
          [&](const Integer<C>& t) {
            const auto value = node.value_exact<std::int64_t>();
            if (!value || *value < t.min || *value > t.max) return false;
            t.field(config) = *value;
            return true;
          },
          [&](const Number<C>& t) {
            const auto value = node.value<double>();
            if (!value || !node.is_number() || !(*value >= t.min && *value <= t.max)) return false;
            t.field(config) = *value;
            return true;
          },
          [&](const Switch<C>& t) {
            const auto value = node.value_exact<bool>();
            if (value) t.field(config) = *value;
            return value.has_value();
          },
          [&](const Maybe<C>& t) {
            t.field(config) = node.value_exact<bool>();
            return t.field(config).has_value();
          },
          [&](const List<C>& t) {
            const toml::array* array = node.as_array();
            if (array == nullptr) return false;
            Strings values;
            for (const toml::node& element : *array) {
              const auto value = element.value_exact<std::string>();
              if (!value) return false;
              values.push_back(*value);
            }
            t.field(config) = std::move(values);
            return true;
          },
      },
      key.type);
}

inline std::string toml_quoted(const std::string& text) {
  std::ostringstream out;
  out << toml::value<std::string>(text);
  return out.str();
}

// The value in `config` as TOML; empty where it is not said.
template <class C>
std::string toml_value(const ConfigKey<C>& key, C config) {
  return std::visit(
      Overloaded{
          [&](const Text<C>& t) { return toml_quoted(t.field(config)); },
          [&](const Integer<C>& t) { return fmt::format("{}", t.field(config)); },
          [&](const Number<C>& t) { return fmt::format("{}", t.field(config)); },
          [&](const Switch<C>& t) { return fmt::format("{}", t.field(config)); },
          [&](const Maybe<C>& t) {
            return t.field(config) ? fmt::format("{}", *t.field(config)) : std::string();
          },
          [&](const List<C>& t) {
            std::string text = "[";
            for (const std::string& value : t.field(config)) {
              text += (text.size() > 1 ? ", " : "") + toml_quoted(value);
            }
            return text + "]";
          },
      },
      key.type);
}

}  // namespace hearth::cli
