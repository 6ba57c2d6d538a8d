#include "compute/contract.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/toml.h"

namespace hearth::compute {
namespace {

constexpr std::array<std::string_view, 3> kLanguageNames = {"c++", "cuda", "opencl"};

// Work items of a group where nobody says otherwise, by dimensions.
const std::array<std::vector<std::uint32_t>, 3> kDefaultGroups = {{{64}, {8, 8}, {4, 4, 4}}};
constexpr std::uint64_t kItemsMax = std::uint64_t{1} << 40;   // In one dimension.
constexpr std::uint64_t kGroupsMax = 65'535;                  // Beyond the first; CUDA's limit.
constexpr std::uint64_t kFirstGroupsMax = 2'147'483'647;      // In the first.

// Reads the table and keeps the first thing that is wrong.
class ContractReader {
 public:
  Result<Contract> read(const toml::table& root) {
    // The signature first: everything else speaks of its symbols.
    const toml::node* const signature = root.get("signature");
    if (signature == nullptr) return fail(Code::kInvalidArgument, "there is no 'signature'");
    take(parse_signature(text("signature", *signature)), contract_.signature);
    static const std::pair<std::string_view, void (ContractReader::*)(const toml::node&)> kKeys[] =
        {{"name", &ContractReader::name},
         {"prose", &ContractReader::prose},
         {"source", &ContractReader::source},
         {"signature", &ContractReader::ignore},
         {"preconditions", &ContractReader::preconditions},
         {"ranges", &ContractReader::ranges},
         {"oracle", &ContractReader::oracle},
         {"flops", &ContractReader::flops},
         {"bytes", &ContractReader::bytes},
         {"tolerance_ulps", &ContractReader::tolerance},
         {"determinism", &ContractReader::determinism},
         {"language", &ContractReader::language},
         {"n_threads", &ContractReader::threads},
         {"range", &ContractReader::work_range},
         {"group", &ContractReader::group},
         {"bench", &ContractReader::bench}};
    contract_.tolerance_ulps = *Expression::parse("4", contract_.signature.symbols);
    for (const auto& [key, node] : root) {
      const auto found = std::ranges::find(
          kKeys, key.str(),
          &std::pair<std::string_view, void (ContractReader::*)(const toml::node&)>::first);
      if (found == std::end(kKeys)) {
        set(fmt::format("line {}: '{}' is no key of a contract", node.source().begin.line,
                        key.str()));
      } else {
        (this->*found->second)(node);
      }
    }
    check_whole();
    if (!problem_.empty()) return fail(Code::kInvalidArgument, problem_);
    return std::move(contract_);
  }

 private:
  void ignore(const toml::node&) {}
  void name(const toml::node& node) {
    contract_.name = text("name", node);
    const bool is_fine = is_identifier(contract_.name) && !contract_.name.starts_with("hearth") &&
                         !contract_.name.starts_with("__");
    if (!is_fine)
      set(
          fmt::format("the name '{}' is none of a C++ function: a letter, then letters, digits and "
                      "underscores, at most {}",
                      contract_.name, kSymbolBytesMax));
  }
  void prose(const toml::node& node) { contract_.prose = text("prose", node); }
  void source(const toml::node& node) { contract_.source = text("source", node); }
  void oracle(const toml::node& node) { contract_.oracle = text("oracle", node); }
  void flops(const toml::node& node) { contract_.flops = expression("flops", node); }
  void bytes(const toml::node& node) { contract_.bytes = expression("bytes", node); }
  void tolerance(const toml::node& node) {
    contract_.tolerance_ulps = expression("tolerance_ulps", node);
  }
  void determinism(const toml::node& node) {
    contract_.determinism =
        static_cast<Determinism>(one_of("determinism", node, kDeterminismNames));
  }
  void language(const toml::node& node) {
    contract_.language = static_cast<Language>(one_of("language", node, kLanguageNames));
  }

  void threads(const toml::node& node) {
    const auto value = node.value_exact<std::int64_t>();
    if (!value || *value < 1 || *value > kKernelThreadsMax)
      return wrong("n_threads", node, fmt::format("a number from 1 to {}", kKernelThreadsMax));
    contract_.n_threads = static_cast<std::uint32_t>(*value);
  }

  void work_range(const toml::node& node) {
    const toml::array* const array = node.as_array();
    if (array == nullptr || array->empty() || array->size() > kDefaultGroups.size())
      return wrong("range", node, "a list of 1 to 3 expressions: work items in each dimension");
    for (const toml::node& element : *array)
      contract_.range.push_back(expression("range", element));
  }

  void group(const toml::node& node) {
    const toml::array* const array = node.as_array();
    std::int64_t items = array != nullptr && !array->empty() ? 1 : 0;
    for (std::size_t i = 0; array != nullptr && i < array->size(); ++i) {
      const std::int64_t size = (*array)[i].value_exact<std::int64_t>().value_or(0);
      const bool is_fine = size >= 1 && size <= kGroupItemsMax && items <= kGroupItemsMax;
      items = is_fine ? items * size : 0;
      contract_.group.push_back(static_cast<std::uint32_t>(is_fine ? size : 0));
    }
    if (items < 1 || items > kGroupItemsMax)
      wrong("group", node, fmt::format("a list of sizes, of {} together at most", kGroupItemsMax));
  }

  void preconditions(const toml::node& node) {
    const toml::array* const array = node.as_array();
    if (array == nullptr || array->size() > kPreconditionsMax)
      return wrong("preconditions", node,
                   fmt::format("a list of at most {} expressions", kPreconditionsMax));
    for (const toml::node& element : *array)
      contract_.preconditions.push_back(expression("preconditions", element));
  }

  void ranges(const toml::node& node) {
    const toml::table* const table = node.as_table();
    if (table == nullptr) return wrong("ranges", node, "a table");
    for (const auto& [key, value] : *table) range(std::string(key.str()), value);
    std::ranges::sort(contract_.ranges, {}, &ValueRange::parameter);
  }

  void range(const std::string& key, const toml::node& node) {
    const auto parameter = std::ranges::find(contract_.signature.parameters, key, &Parameter::name);
    if (parameter == contract_.signature.parameters.end() || !parameter->is_read())
      return set(
          fmt::format("ranges names '{}', which is no parameter that the kernel reads", key));
    const toml::array* const array = node.as_array();
    if (array == nullptr || array->size() != 2) return wrong(key, node, "a list of two bounds");
    ValueRange range{.parameter = key, .low_of = {}, .high_of = {}};
    if (type_info(parameter->type).is_float) {
      const auto low = (*array)[0].value<double>(), high = (*array)[1].value<double>();
      const bool is_fine =
          low && high && std::isfinite(*low) && std::isfinite(*high) && *low <= *high;
      if (!is_fine) return wrong(key, node, "two finite numbers, the smaller one first");
      range.low = *low;
      range.high = *high;
    } else {
      range.low_of = expression(key, (*array)[0]);
      range.high_of = expression(key, (*array)[1]);
    }
    contract_.ranges.push_back(std::move(range));
  }

  void bench(const toml::node& node) {
    const toml::table* const table = node.as_table();
    if (table == nullptr) return wrong("bench", node, "a table of sizes");
    for (const auto& [key, value] : *table) {
      const auto size = value.value_exact<std::int64_t>();
      const bool is_symbol = std::ranges::find(contract_.signature.symbols, key.str()) !=
                             contract_.signature.symbols.end();
      if (!is_symbol || !size || *size < 0)
        return wrong(key.str(), value, "a symbol of the signature and its size");
      contract_.bench.emplace_back(key.str(), *size);
    }
  }

  // `range` and `group` are a device's, and whole.
  void check_launch() {
    const bool is_device = is_for_device(contract_.language);
    if (!is_device && !(contract_.range.empty() && contract_.group.empty()))
      return set("'range' and 'group' are for kernels on devices (language)");
    if (!is_device) return;
    if (contract_.range.empty())
      return set("a kernel for a device needs 'range': how many work items there are, [\"n\"]");
    if (contract_.group.empty()) contract_.group = kDefaultGroups[contract_.range.size() - 1];
    if (contract_.group.size() != contract_.range.size())
      return set(fmt::format("'group' has {} sizes, and 'range' {}", contract_.group.size(),
                             contract_.range.size()));
    const auto strided = std::ranges::find(contract_.signature.parameters, true,
                                           &Parameter::is_strided);
    if (strided != contract_.signature.parameters.end())
      set(fmt::format("'{}' is strided: kernels on devices take contiguous tensors alone",
                      strided->name));
  }

  void check_whole() {
    check_launch();
    if (contract_.name.empty()) set("there is no 'name'");
    if (contract_.oracle.empty()) set("there is no 'oracle': without one nothing could be checked");
    if (contract_.oracle.size() > kSourceBytesMax)
      set(fmt::format("the oracle has {} bytes, at most {} are compiled", contract_.oracle.size(),
                      kSourceBytesMax));
    if (contract_.source.size() > kSourceBytesMax)
      set(fmt::format("the source has {} bytes, at most {} are compiled", contract_.source.size(),
                      kSourceBytesMax));
    for (const Parameter& parameter : contract_.signature.parameters) {
      if (parameter.name == contract_.name)
        set(fmt::format("'{}' is the kernel's name and a parameter's", contract_.name));
    }
  }

  std::string text(std::string_view key, const toml::node& node) {
    auto value = node.value_exact<std::string>();
    if (!value || value->empty() || value->find('\0') != std::string::npos) {
      wrong(key, node, "a text");
      return "";
    }
    return *std::move(value);
  }

  // A number, or a text that is an expression.
  Expression expression(std::string_view key, const toml::node& node) {
    const auto number = node.value_exact<std::int64_t>();
    const std::string source = number ? fmt::format("{}", *number) : text(key, node);
    auto parsed = Expression::parse(source, contract_.signature.symbols);
    if (!parsed) set(fmt::format("{}: {}", key, parsed.error().message));
    return parsed ? *std::move(parsed) : Expression();
  }

  std::size_t one_of(std::string_view key, const toml::node& node,
                     std::span<const std::string_view> names) {
    const auto found = std::ranges::find(names, text(key, node));
    if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
    wrong(key, node, fmt::format("one of {}", fmt::join(names, ", ")));
    return 0;
  }

  template <class T>
  void take(Result<T> value, T& into) {
    if (!value) return set(value.error().message);
    into = *std::move(value);
  }
  void wrong(std::string_view key, const toml::node& node, std::string_view expected) {
    set(fmt::format("line {}: {} must be {}", node.source().begin.line, key, expected));
  }
  void set(std::string problem) {
    if (problem_.empty()) problem_ = std::move(problem);
  }

  Contract contract_;
  std::string problem_;
};

std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

// As a literal block where its text allows that: people read it.
std::string block(std::string_view text) {
  const bool is_plain =
      text.find("'''") == std::string_view::npos && text.find('\r') == std::string_view::npos &&
      !text.ends_with('\'') && std::ranges::none_of(text, [](char c) {
        return c != '\n' && c != '\t' && (static_cast<unsigned char>(c) < 0x20 || c == 0x7F);
      });
  return is_plain ? fmt::format("'''\n{}'''", text) : toml_string(text);
}

// All that decides what a kernel must do.
std::string terms(const Contract& contract) {
  std::string out = fmt::format("name = {}\nsignature = {}\nlanguage = {}\n",
                                toml_string(contract.name), toml_string(contract.signature.text()),
                                toml_string(language_name(contract.language)));
  std::vector<std::string> preconditions;
  for (const Expression& each : contract.preconditions)
    preconditions.push_back(toml_string(each.text()));
  if (!preconditions.empty())
    out += fmt::format("preconditions = [{}]\n", fmt::join(preconditions, ", "));
  out += fmt::format("tolerance_ulps = {}\n", toml_string(contract.tolerance_ulps.text()));
  out += fmt::format("determinism = {}\nn_threads = {}\n",
                     toml_string(kDeterminismNames[static_cast<std::size_t>(contract.determinism)]),
                     contract.n_threads);
  if (is_for_device(contract.language)) {
    std::vector<std::string> range;
    for (const Expression& each : contract.range) range.push_back(toml_string(each.text()));
    out += fmt::format("range = [{}]\ngroup = [{}]\n", fmt::join(range, ", "),
                       fmt::join(contract.group, ", "));
  }
  if (contract.flops) out += fmt::format("flops = {}\n", toml_string(contract.flops->text()));
  if (contract.bytes) out += fmt::format("bytes = {}\n", toml_string(contract.bytes->text()));
  return out + fmt::format("oracle = {}\n", block(contract.oracle));
}

std::string tables(const Contract& contract) {
  std::string out;
  if (!contract.ranges.empty()) out += "[ranges]\n";
  for (const ValueRange& range : contract.ranges) {
    out += range.low_of
               ? fmt::format("{} = [{}, {}]\n", range.parameter, toml_string(range.low_of->text()),
                             toml_string(range.high_of->text()))
               : fmt::format("{} = [{}, {}]\n", range.parameter, range.low, range.high);
  }
  if (!contract.bench.empty()) out += "[bench]\n";
  for (const auto& [symbol, value] : contract.bench) out += fmt::format("{} = {}\n", symbol, value);
  return out;
}

}  // namespace

std::string_view language_name(Language language) {
  return kLanguageNames[static_cast<std::size_t>(language)];
}

std::optional<Language> language_from_name(std::string_view name) {
  const auto found = std::ranges::find(kLanguageNames, name);
  if (found == kLanguageNames.end()) return std::nullopt;
  return static_cast<Language>(found - kLanguageNames.begin());
}

const ValueRange* Contract::range_of(std::string_view parameter) const {
  const auto found = std::ranges::find(ranges, parameter, &ValueRange::parameter);
  return found == ranges.end() ? nullptr : &*found;
}

Result<Contract> parse_contract(std::string_view toml, std::string_view where) {
  if (toml.size() > kContractBytesMax) {
    return fail(Code::kInvalidArgument,
                fmt::format("the contract '{}' has {} bytes, at most {} are read", where,
                            toml.size(), kContractBytesMax));
  }
  const Result<toml::table> parsed = parse_toml(toml);
  if (!parsed) {
    return fail(Code::kInvalidArgument,
                fmt::format("the contract '{}' is no TOML: {}", where, parsed.error().message));
  }
  auto contract = ContractReader().read(*parsed);
  if (!contract)
    return fail(Code::kInvalidArgument, fmt::format("the contract '{}' does not hold together: {}",
                                                    where, contract.error().message));
  return contract;
}

std::string to_toml(const Contract& contract) {
  const std::string prose =
      contract.prose.empty() ? "" : fmt::format("prose = {}\n", toml_string(contract.prose));
  return prose + terms(contract) + tables(contract);
}

Sha256 contract_key(const Contract& contract) {
  // The number of the form: what an older program found good under other rules is not found.
  constexpr std::string_view kForm = "hearth kernel contract 1\n";
  return sha256(std::string(kForm) + terms(contract) + tables(contract));
}

Result<std::array<std::uint64_t, 3>> items_of(const Contract& contract,
                                              std::span<const std::int64_t> symbols) {
  std::array<std::uint64_t, 3> items{};
  for (std::size_t d = 0; d < contract.range.size(); ++d) {
    HEARTH_TRY(const std::int64_t wanted, contract.range[d].value(symbols));
    const std::uint64_t group = contract.group[d];
    const std::uint64_t groups =
        wanted < 0 ? 0 : (static_cast<std::uint64_t>(wanted) + group - 1) / group;
    if (wanted < 0 || groups * group > kItemsMax ||
        groups > (d == 0 ? kFirstGroupsMax : kGroupsMax)) {
      return fail(Code::kInvalidArgument,
                  fmt::format("range '{}' is {} work items, which no device counts",
                              contract.range[d].text(), wanted));
    }
    items[d] = groups * group;
  }
  return items;
}

Result<std::int64_t> flops_of(const Contract& contract, std::span<const std::int64_t> symbols) {
  if (!contract.flops) return 0;
  return contract.flops->value(symbols);
}

Result<std::int64_t> bytes_of(const Contract& contract, std::span<const std::int64_t> symbols) {
  if (contract.bytes) return contract.bytes->value(symbols);
  std::int64_t total = 0;
  for (const Parameter& parameter : contract.signature.parameters) {
    if (!parameter.is_tensor()) continue;
    HEARTH_TRY(const auto shape, shape_of(parameter, symbols));
    const Tensor tensor{.type = parameter.type, .shape = shape};
    const std::int64_t times = parameter.direction == Direction::kInOut ? 2 : 1;
    total +=
        times * tensor.n_elements() * static_cast<std::int64_t>(type_info(parameter.type).bytes);
  }
  return total;
}

}  // namespace hearth::compute
