#include "cli/config.h"

#include <fmt/format.h>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <sstream>
#include <variant>

#include "base/file.h"

namespace hearth::cli {
namespace {

using Strings = std::vector<std::string>;

struct Text {
  std::string& (*field)(Config&);
  std::string_view choices = {};  // "never|auto|always", or empty for any text.
};
struct Integer {
  std::int64_t& (*field)(Config&);
  std::int64_t min, max;
};
struct Number {
  double& (*field)(Config&);
  double min, max;
};
struct Switch {
  bool& (*field)(Config&);
};
struct List {
  Strings& (*field)(Config&);
};

struct ConfigKey {
  std::string_view section, name, explanation;
  std::variant<Text, Integer, Number, Switch, List> type;

  std::string full_name() const { return fmt::format("{}.{}", section, name); }
};

// clang-format off
#define FIELD(type, path) [](Config& c) -> type& { return c.path; }
const std::array kKeys = {
    ConfigKey{"server", "host", "Address the hub listens on. Anything but a loopback address needs api_keys_file.",
              Text{FIELD(std::string, server.host)}},
    ConfigKey{"server", "port", "TCP port the hub listens on.",
              Integer{FIELD(std::int64_t, server.port), 1, 65535}},
    ConfigKey{"server", "api_keys_file", "File with one API key a line, as NAME KEY; only its owner may read it.",
              Text{FIELD(std::string, server.api_keys_file)}},
    ConfigKey{"server", "host_names", "Host names beside loopback by which clients may call the hub.",
              List{FIELD(Strings, server.host_names)}},
    ConfigKey{"server", "origins", "Origins of web pages that may call the hub, as https://NAME:PORT.",
              List{FIELD(Strings, server.origins)}},
    ConfigKey{"models", "folders", "Folders that are searched for *.gguf files, besides those of other programs.",
              List{FIELD(Strings, models.folders)}},
    ConfigKey{"models", "default", "Model that 'auto' and 'local' mean; empty lets the hub choose.",
              Text{FIELD(std::string, models.default_model)}},
    ConfigKey{"models", "scan", "Look where Ollama, LM Studio, llama.cpp and Hugging Face keep models.",
              Switch{FIELD(bool, models.scan)}},
    ConfigKey{"models", "memory_mib", "Most memory for loaded weights, in MiB; 0 means what the machine has.",
              Integer{FIELD(std::int64_t, models.memory_mib), 0, 1 << 30}},
    ConfigKey{"models", "pinned", "Models that are loaded at the start and never dropped, by name.",
              List{FIELD(Strings, models.pinned)}},
    ConfigKey{"models", "preload", "Models that are loaded at the start, by name.",
              List{FIELD(Strings, models.preload)}},
    ConfigKey{"models", "pack", "Copy weights into the kernels' layout at load: faster answers, slower loading, twice the memory.",
              Switch{FIELD(bool, models.pack)}},
    ConfigKey{"models", "drafts", "Smaller models of the same vocabulary that draft for others, as NAME=DRAFT; answers stay the same.",
              List{FIELD(Strings, models.drafts)}},
    ConfigKey{"adapters", "folders", "Folders that are searched for LoRA adapters, besides those of models.",
              List{FIELD(Strings, adapters.folders)}},
    ConfigKey{"adapters", "memory_mib", "Most memory for adapters that stay loaded, in MiB; 0 means a quarter of the machine's.",
              Integer{FIELD(std::int64_t, adapters.memory_mib), 0, 1 << 30}},
    ConfigKey{"advisor", "base_url", "OpenAI-compatible endpoint of the adviser, as https://HOST/v1. Empty: no adviser.",
              Text{FIELD(std::string, advisor.base_url)}},
    ConfigKey{"advisor", "model", "Model that is asked for advice.",
              Text{FIELD(std::string, advisor.model)}},
    ConfigKey{"advisor", "provider", "Name of the provider in receipts and the ledger.",
              Text{FIELD(std::string, advisor.provider)}},
    ConfigKey{"advisor", "key_env", "Environment variable that holds the adviser's API key.",
              Text{FIELD(std::string, advisor.key_env)}},
    ConfigKey{"advisor", "key_file", "File that holds the adviser's API key; only its owner may read it.",
              Text{FIELD(std::string, advisor.key_file)}},
    ConfigKey{"advisor", "price_in_usd_per_mtok", "Price of a million input tokens in US dollars; below 0: unknown, and nothing is asked.",
              Number{FIELD(double, advisor.price_in_usd_per_mtok), -1, 10'000}},
    ConfigKey{"advisor", "price_out_usd_per_mtok", "Price of a million output tokens in US dollars; below 0: unknown, and nothing is asked.",
              Number{FIELD(double, advisor.price_out_usd_per_mtok), -1, 10'000}},
    ConfigKey{"advisor", "threshold", "The adviser is asked when the local answer's confidence is below this.",
              Number{FIELD(double, advisor.threshold), 0, 1}},
    ConfigKey{"advisor", "mode", "When the adviser may be asked if a request does not say.",
              Text{FIELD(std::string, advisor.mode), "never|auto|always"}},
    ConfigKey{"advisor", "max_output_tokens", "Most tokens of advice that are paid for.",
              Integer{FIELD(std::int64_t, advisor.max_output_tokens), 1, 1 << 20}},
    ConfigKey{"advisor", "timeout_s", "Seconds after which the local answer is given without advice.",
              Integer{FIELD(std::int64_t, advisor.timeout_s), 1, 3600}},
    ConfigKey{"budget", "usd_per_day", "Most US dollars spent on advice in a UTC day.",
              Number{FIELD(double, budget.usd_per_day), 0, 1'000'000}},
    ConfigKey{"budget", "usd_per_request", "Most US dollars spent on advice for one request.",
              Number{FIELD(double, budget.usd_per_request), 0, 1'000'000}},
    ConfigKey{"engine", "threads", "Threads of the engine; 0 means one per core.",
              Integer{FIELD(std::int64_t, engine.threads), 0, 1024}},
    ConfigKey{"engine", "kv_mib", "Memory for keys and values of all conversations, in MiB.",
              Integer{FIELD(std::int64_t, engine.kv_mib), 16, 1 << 30}},
    ConfigKey{"engine", "kv_type", "How keys and values are stored: q8_0 holds nearly twice as many tokens as f16 with all but equal answers, q4_0 nearly four times with coarser ones.",
              Text{FIELD(std::string, engine.kv_type), "f16|q8_0|q4_0"}},
    ConfigKey{"engine", "context", "Most tokens of one conversation; 0 means the model's own limit.",
              Integer{FIELD(std::int64_t, engine.context), 0, 1 << 24}},
    ConfigKey{"engine", "speculation", "Draft tokens from an answer's own text; the answer stays the same.",
              Switch{FIELD(bool, engine.speculation)}},
};
#undef FIELD
// clang-format on

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

std::string type_text(const ConfigKey& key) {
  const auto choices = [](std::string_view list) {
    std::string text = "one of ";
    for (const char c : list) text += c == '|' ? std::string(", ") : std::string(1, c);
    return text;
  };
  return std::visit(
      Overloaded{
          [&](const Text& t) { return t.choices.empty() ? std::string("text") : choices(t.choices); },
          [](const Integer& t) { return fmt::format("an integer from {} to {}", t.min, t.max); },
          [](const Number& t) { return fmt::format("a number from {} to {}", t.min, t.max); },
          [](const Switch&) { return std::string("true or false"); },
          [](const List&) { return std::string("a list of texts"); },
      },
      key.type);
}

bool is_choice(std::string_view choices, std::string_view value) {
  return fmt::format("|{}|", choices).find(fmt::format("|{}|", value)) != std::string::npos;
}

// Stores `node` into the key's field; false if it is not of the key's type or out of its limits.
bool assign(const ConfigKey& key, const toml::node& node, Config& config) {
  return std::visit(
      Overloaded{
          [&](const Text& t) {
            const auto value = node.value_exact<std::string>();
            if (!value || (!t.choices.empty() && !is_choice(t.choices, *value))) return false;
            t.field(config) = *value;
            return true;
          },
          [&](const Integer& t) {
            const auto value = node.value_exact<std::int64_t>();
            if (!value || *value < t.min || *value > t.max) return false;
            t.field(config) = *value;
            return true;
          },
          [&](const Number& t) {
            const auto value = node.value<double>();
            if (!value || !node.is_number() || !(*value >= t.min && *value <= t.max)) return false;
            t.field(config) = *value;
            return true;
          },
          [&](const Switch& t) {
            const auto value = node.value_exact<bool>();
            if (value) t.field(config) = *value;
            return value.has_value();
          },
          [&](const List& t) {
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

// Levenshtein distance, for "did you mean".
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

std::string nearest_key(const std::string& unknown) {
  return std::min_element(kKeys.begin(), kKeys.end(),
                          [&](const ConfigKey& a, const ConfigKey& b) {
                            return edit_distance(a.full_name(), unknown) <
                                   edit_distance(b.full_name(), unknown);
                          })
      ->full_name();
}

Error config_error(const std::string& name, const toml::node& node, const std::string& what) {
  return Error{Code::kInvalidArgument,
               fmt::format("{}, line {}: {}", name, node.source().begin.line, what)};
}

Result<> assign_section(const std::string& name, std::string_view section, const toml::table& table,
                        Config& config) {
  for (const auto& [key_name, node] : table) {
    const std::string full = fmt::format("{}.{}", section, key_name.str());
    const auto key = std::find_if(kKeys.begin(), kKeys.end(),
                                  [&](const ConfigKey& k) { return k.full_name() == full; });
    if (key == kKeys.end()) {
      return std::unexpected(config_error(
          name, node, fmt::format("unknown key '{}'; did you mean '{}'?", full, nearest_key(full))));
    }
    if (!assign(*key, node, config)) {
      return std::unexpected(
          config_error(name, node, fmt::format("'{}' must be {}", full, type_text(*key))));
    }
  }
  return {};
}

bool is_section(std::string_view name) {
  return std::any_of(kKeys.begin(), kKeys.end(),
                     [&](const ConfigKey& key) { return key.section == name; });
}

std::string toml_quoted(const std::string& text) {
  std::ostringstream out;
  out << toml::value<std::string>(text);
  return out.str();
}

std::string toml_value(const ConfigKey& key, Config config) {
  return std::visit(
      Overloaded{
          [&](const Text& t) { return toml_quoted(t.field(config)); },
          [&](const Integer& t) { return fmt::format("{}", t.field(config)); },
          [&](const Number& t) { return fmt::format("{}", t.field(config)); },
          [&](const Switch& t) { return fmt::format("{}", t.field(config)); },
          [&](const List& t) {
            std::string text = "[";
            for (const std::string& value : t.field(config)) {
              text += (text.size() > 1 ? ", " : "") + toml_quoted(value);
            }
            return text + "]";
          },
      },
      key.type);
}

}  // namespace

Result<Config> parse_config(std::string_view text, const std::string& name) {
  const toml::parse_result parsed = toml::parse(text, name);
  if (!parsed) {
    return fail(Code::kInvalidArgument,
                fmt::format("{}, line {}: {}", name, parsed.error().source().begin.line,
                            parsed.error().description()));
  }
  Config config;
  for (const auto& [section, node] : parsed.table()) {
    const toml::table* table = node.as_table();
    if (table == nullptr || !is_section(section.str())) {
      return std::unexpected(config_error(
          name, node,
          fmt::format("unknown section '{}'; there are [server], [models], [adapters], [advisor], "
                      "[budget] and [engine]",
                      section.str())));
    }
    HEARTH_TRY_VOID(assign_section(name, section.str(), *table, config));
  }
  return config;
}

Result<Config> load_config(const std::filesystem::path& path) {
  auto text = read_file(path, std::size_t{1} << 20);
  if (!text && text.error().code == Code::kNotFound) return Config{};
  if (!text) return std::unexpected(text.error());
  return parse_config(*text, path.string());
}

std::vector<ConfigKeyText> explain_config(const Config& config) {
  std::vector<ConfigKeyText> rows;
  for (const ConfigKey& key : kKeys) {
    rows.push_back({key.full_name(), toml_value(key, config), toml_value(key, Config{}),
                    type_text(key), std::string(key.explanation)});
  }
  return rows;
}

}  // namespace hearth::cli
