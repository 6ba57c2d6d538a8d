#include "api/hearth/kernel_run.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "api/json_writer.h"
#include "base/ascii.h"
#include "convert/safetensors.h"

namespace hearth::api::hearth {
namespace {

using compute::ElementType;
using compute::Parameter;
using compute::TensorData;

// Calls act(T{}) with the C++ type of an element.
template <class Act>
auto with_type(ElementType type, Act&& act) {
  switch (type) {
    case ElementType::kF32: return act(float{});
    case ElementType::kF64: return act(double{});
    case ElementType::kI8: return act(std::int8_t{});
    case ElementType::kI16: return act(std::int16_t{});
    case ElementType::kI32: return act(std::int32_t{});
    case ElementType::kI64: return act(std::int64_t{});
    case ElementType::kU8: return act(std::uint8_t{});
    case ElementType::kU16: return act(std::uint16_t{});
    case ElementType::kU32: return act(std::uint32_t{});
    case ElementType::kU64: return act(std::uint64_t{});
  }
  return act(float{});
}

// "F32" in safetensors is "f32" here.
std::string tensors_dtype(ElementType type) {
  std::string name(compute::type_info(type).name);
  name[0] = static_cast<char>(name[0] - 'a' + 'A');
  return name;
}

// ---- Numbers ----

struct Special {
  std::string_view text;
  double value;
};
constexpr Special kSpecials[] = {{"NaN", std::numeric_limits<double>::quiet_NaN()},
                                 {"Infinity", std::numeric_limits<double>::infinity()},
                                 {"-Infinity", -std::numeric_limits<double>::infinity()}};

Parsed<double> as_real(std::string_view param, dom::element value) {
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS) {
    for (const Special& special : kSpecials) {
      if (special.text == text) return special.value;
    }
  }
  double number = 0;
  if (value.get(number) != simdjson::SUCCESS) return wrong_type(param, "a number", value);
  return number;
}

template <class T>
Parsed<T> as_element(std::string_view param, dom::element value) {
  if constexpr (std::is_floating_point_v<T>) {
    HEARTH_TRY(const double number, as_real(param, value));
    return static_cast<T>(number);
  } else {
    using Wide = std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>;
    Wide number = 0;
    const bool fits = value.get(number) == simdjson::SUCCESS && std::in_range<T>(number);
    if (fits) return static_cast<T>(number);
    return refuse("invalid_type", std::string(param),
                  fmt::format("Invalid element in '{}': an integer from {} to {} is expected.",
                              param, std::numeric_limits<T>::min(), std::numeric_limits<T>::max()));
  }
}

template <class T>
void write_element(JsonWriter& json, const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isfinite(value)) return void(json.value(value));
    json.value(std::isnan(value) ? kSpecials[0].text : kSpecials[value > 0 ? 1 : 2].text);
  } else {
    json.value(value);
  }
}

// ---- Arrays ----

// A nested list's numbers, row by row; each extent is that of the first list of its depth.
class ListReader {
 public:
  ListReader(std::string_view param, ElementType type, std::size_t rank)
      : param_(param), rank_(rank), tensor_{.type = type, .shape = {}, .bytes = {}}, extents_(rank, -1) {}

  Parsed<TensorData> read(dom::element value) {
    HEARTH_TRY_VOID(read_level(value, 0));
    for (const std::int64_t extent : extents_) tensor_.shape.push_back(std::max<std::int64_t>(extent, 0));
    return std::move(tensor_);
  }

 private:
  Parsed<> read_level(dom::element value, std::size_t depth) {
    if (depth == rank_) return append(value);
    dom::array list;
    if (value.get(list) != simdjson::SUCCESS) {
      return wrong_type(param_, fmt::format("a list, {} deep,", rank_).c_str(), value);
    }
    std::int64_t n = 0;
    for (const dom::element each : list) {
      HEARTH_TRY_VOID(read_level(each, depth + 1));
      ++n;
    }
    if (extents_[depth] < 0) extents_[depth] = n;
    if (extents_[depth] == n) return {};
    return refuse("invalid_value", param_,
                  fmt::format("The lists of '{}' are not equally long: {} and {} elements.", param_,
                              extents_[depth], n));
  }

  Parsed<> append(dom::element value) {
    return with_type(tensor_.type, [&](auto zero) -> Parsed<> {
      using T = decltype(zero);
      HEARTH_TRY(const T number, as_element<T>(param_, value));
      const auto* const bytes = reinterpret_cast<const std::byte*>(&number);
      tensor_.bytes.insert(tensor_.bytes.end(), bytes, bytes + sizeof number);
      return {};
    });
  }

  const std::string param_;
  const std::size_t rank_;
  TensorData tensor_;
  std::vector<std::int64_t> extents_;
};

// {"shape": [2, 3], "data": [...]}
Parsed<TensorData> read_shaped(const std::string& param, ElementType type, dom::object object) {
  HEARTH_TRY(const dom::element shape, need(object, param, "shape"));
  HEARTH_TRY(const dom::element data, need(object, param, "data"));
  if (const auto dtype = member(object, "dtype")) {
    HEARTH_TRY(const std::string_view name, as_string(at(param, "dtype"), *dtype));
    if (name != compute::type_info(type).name) {
      return refuse("invalid_value", at(param, "dtype"),
                    fmt::format("'{}' is {}, and the kernel takes {}.", param, name.substr(0, 16),
                                compute::type_info(type).name));
    }
  }
  HEARTH_TRY(TensorData tensor, ListReader(at(param, "data"), type, 1).read(data));
  HEARTH_TRY(const dom::array extents, as_array(at(param, "shape"), shape));
  const std::int64_t n = tensor.shape[0];
  std::int64_t covered = 1;
  tensor.shape.clear();
  for (const dom::element extent : extents) {
    HEARTH_TRY(const std::int64_t value,
               as_integer(at(param, "shape"), extent, 0, std::int64_t{1} << 40));
    tensor.shape.push_back(value);
    const bool is_over = __builtin_mul_overflow(covered, value, &covered);
    if (is_over || tensor.shape.size() > compute::kRankMax) covered = -1;
    if (covered < 0) break;
  }
  if (covered == n) return tensor;
  return refuse("invalid_value", param,
                fmt::format("'{}' has {} numbers, which is not what its shape says.", param, n));
}

Parsed<TensorData> read_array(const std::string& param, const Parameter& parameter,
                              dom::element value) {
  dom::object object;
  if (value.get(object) == simdjson::SUCCESS) return read_shaped(param, parameter.type, object);
  return ListReader(param, parameter.type, parameter.extents.size()).read(value);
}

// One member of "arrays".
Parsed<> read_argument(const compute::Contract& contract, std::string_view name, dom::element value,
                       hub::KernelCall& call) {
  const std::string param = at("arrays", name.substr(0, compute::kSymbolBytesMax));
  const auto& parameters = contract.signature.parameters;
  const auto parameter = std::ranges::find(parameters, name, &Parameter::name);
  if (parameter == parameters.end()) {
    return refuse("unknown_parameter", param,
                  fmt::format("'{}' takes no '{}'; its signature is: {}", contract.name,
                              name.substr(0, compute::kSymbolBytesMax), contract.signature.text()));
  }
  if (parameter->is_tensor()) {
    HEARTH_TRY(TensorData tensor, read_array(param, *parameter, value));
    call.tensors.push_back({parameter->name, std::move(tensor)});
  } else if (compute::type_info(parameter->type).is_float) {
    HEARTH_TRY(const double number, as_real(param, value));
    call.reals.emplace_back(parameter->name, number);
  } else {
    HEARTH_TRY(const std::int64_t number, as_integer(param, value, INT64_MIN, INT64_MAX));
    call.sizes.emplace_back(parameter->name, number);
  }
  return {};
}

// ---- The request ----

Parsed<> set_arrays(KernelRunAsk& ask, std::string_view param, dom::element value) {
  HEARTH_TRY(const dom::object arrays, as_object(param, value));
  for (const auto& [name, array] : arrays) {
    HEARTH_TRY_VOID(read_argument(*ask.kernel.contract, name, array, ask.call));
  }
  return {};
}

Parsed<> set_sizes(KernelRunAsk& ask, std::string_view param, dom::element value) {
  HEARTH_TRY(const dom::object sizes, as_object(param, value));
  for (const auto& [name, size] : sizes) {
    const std::string path = at(param, name.substr(0, compute::kSymbolBytesMax));
    HEARTH_TRY(const std::int64_t number, as_integer(path, size, 0, std::int64_t{1} << 40));
    ask.call.sizes.emplace_back(name, number);
    if (ask.call.sizes.size() > compute::kIntegersMax) {
      return too_many(param, compute::kIntegersMax, ask.call.sizes.size());
    }
  }
  return {};
}

Parsed<> set_seed(KernelRunAsk& ask, std::string_view param, dom::element value) {
  HEARTH_TRY(const std::int64_t seed, as_integer(param, value, 0, INT64_MAX));
  ask.call.seed = static_cast<std::uint64_t>(seed);
  return {};
}

Parsed<> set_repeats(KernelRunAsk& ask, std::string_view param, dom::element value) {
  HEARTH_TRY(const std::int64_t repeats, as_integer(param, value, 1, hub::kKernelRepeatsMax));
  ask.call.repeats = static_cast<std::uint32_t>(repeats);
  return {};
}

Parsed<> set_roof(KernelRunAsk& ask, std::string_view param, dom::element value) {
  HEARTH_TRY(ask.call.with_roof, as_bool(param, value));
  return {};
}

Parsed<> set_outputs(KernelRunAsk& ask, std::string_view param, dom::element value) {
  HEARTH_TRY(const std::string_view outputs, as_string(param, value));
  ask.wants_values = outputs == "values";
  if (outputs == "values" || outputs == "none") return {};
  return refuse("invalid_value", std::string(param),
                fmt::format("Invalid value: '{}' for '{}'. Supported values are: 'values' and 'none'.",
                            outputs.substr(0, 40), param));
}

constexpr auto kFields = std::to_array<Field<KernelRunAsk>>({{"arrays", set_arrays},
                                                             {"sizes", set_sizes},
                                                             {"seed", set_seed},
                                                             {"repeats", set_repeats},
                                                             {"roof", set_roof},
                                                             {"outputs", set_outputs}});

}  // namespace

Parsed<KernelRunAsk> parse_kernel_run(const FindKernel& find, std::string_view body) {
  dom::parser parser;
  HEARTH_TRY(const dom::object object, parse_body(parser, body));
  HEARTH_TRY(const std::string_view name, need_text(object, "", "name"));
  std::string device;
  HEARTH_TRY_VOID(set_optional_text(device, "", object, "device"));
  const auto placed = compute::name_on(name, device);
  if (!placed) return refuse("invalid_value", "device", placed.error().message);
  auto found = find(*placed);
  if (!found) return std::unexpected(api_error(found.error()));
  KernelRunAsk ask{.kernel = *std::move(found), .call = {}};
  HEARTH_TRY_VOID(set_fields(ask, object, kFields));
  return ask;
}

namespace {

constexpr std::size_t kTensorsMax = compute::kTensorsMax;

// The text "request" of a safetensors file's metadata; its header has been checked.
Parsed<std::string> request_of(std::string_view body) {
  std::uint64_t n = 0;
  std::memcpy(&n, body.data(), sizeof n);
  dom::parser parser;
  HEARTH_TRY(const dom::object header, parse_body(parser, body.substr(sizeof n, n)));
  std::string_view request;
  if (header["__metadata__"]["request"].get(request) != simdjson::SUCCESS) {
    return missing("__metadata__.request");
  }
  return std::string(request);
}

Parsed<TensorData> tensor_of(const convert::Safetensor& from) {
  const auto type = compute::type_from_name(lower(from.dtype));
  if (!type) {
    return refuse("invalid_value", from.name.substr(0, 64),
                  fmt::format("The tensor '{}' is {}, which no kernel takes.",
                              from.name.substr(0, 64), from.dtype.substr(0, 16)));
  }
  TensorData tensor{.type = *type, .shape = {}, .bytes = {}};
  tensor.shape.assign(from.shape.begin(), from.shape.end());
  tensor.bytes.assign(from.data.begin(), from.data.end());
  return tensor;
}

}  // namespace

Parsed<KernelRunAsk> parse_kernel_run_tensors(const FindKernel& find, std::string_view body) {
  const auto tensors =
      convert::parse_safetensors(std::as_bytes(std::span(body)), "the request's body");
  if (!tensors) return refuse("invalid_value", "", tensors.error().message);
  if (tensors->size() > kTensorsMax) return too_many("tensors", kTensorsMax, tensors->size());
  HEARTH_TRY(const std::string request, request_of(body));
  HEARTH_TRY(KernelRunAsk ask, parse_kernel_run(find, request));
  for (const convert::Safetensor& each : *tensors) {
    HEARTH_TRY(TensorData tensor, tensor_of(each));
    ask.call.tensors.push_back({each.name, std::move(tensor)});
  }
  return ask;
}

// ---- The answer ----

namespace {

void write_report(JsonWriter& json, const KernelRunAsk& ask, const hub::KernelOutcome& outcome) {
  json.key("name").value(ask.kernel.name()).key("key").value(to_hex(ask.kernel.key));
  json.key("sizes").begin_object();
  const compute::Symbols& symbols = ask.kernel.contract->signature.symbols;
  for (std::size_t i = 0; i < symbols.size(); ++i) json.key(symbols[i]).value(outcome.symbols[i]);
  json.end_object().key("drawn").begin_array();
  for (const std::string& name : outcome.drawn) json.value(name);
  json.end_array().key("results_sha256").value(to_hex(outcome.results));
  json.key("runs").value(outcome.n_runs).key("threads").value(outcome.n_threads);
  json.key("device").value(outcome.device).key("copies").value(outcome.n_copies);
  json.key("flops").value(outcome.flops).key("bytes").value(outcome.bytes);
  const compute::Speed& speed = outcome.speed;
  json.key("run_ns").value(speed.run_ns).key("gflops").value(speed.gflops).key("gb_s").value(speed.gb_s);
  if (speed.roof_gb_s <= 0) return;  // They were not asked for.
  json.key("roof_gflops").value(speed.roof_gflops).key("roof_gb_s").value(speed.roof_gb_s);
  json.key("roof_percent").value(speed.roof_percent);
}

void write_tensor(JsonWriter& json, const TensorData& tensor) {
  const compute::ElementTypeInfo& info = compute::type_info(tensor.type);
  json.begin_object().key("dtype").value(info.name).key("shape").begin_array();
  for (const std::int64_t extent : tensor.shape) json.value(extent);
  json.end_array().key("data").begin_array();
  with_type(tensor.type, [&](auto zero) {
    for (std::size_t i = 0; i < tensor.bytes.size(); i += sizeof zero) {
      write_element<decltype(zero)>(json, tensor.bytes.data() + i);
    }
  });
  json.end_array().end_object();
}

}  // namespace

Parsed<std::string> render_kernel_run(const KernelRunAsk& ask, const hub::KernelOutcome& outcome) {
  std::size_t n_elements = 0;
  for (const hub::NamedTensor& output : outcome.outputs) {
    n_elements += static_cast<std::size_t>(output.tensor.n_elements());
  }
  if (ask.wants_values && n_elements > kJsonElementsMax) {
    return refuse("invalid_value", "outputs",
                  fmt::format("The outputs have {} elements, and JSON carries at most {}: send the request as "
                              "{}, or set 'outputs' to 'none'.", n_elements, kJsonElementsMax, kTensorsType));
  }
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  write_report(json, ask, outcome);
  if (ask.wants_values) {
    json.key("outputs").begin_object();
    for (const hub::NamedTensor& output : outcome.outputs) {
      json.key(output.name);
      write_tensor(json, output.tensor);
    }
    json.end_object();
  }
  json.end_object();
  return out;
}

std::string render_kernel_run_tensors(const KernelRunAsk& ask, const hub::KernelOutcome& outcome) {
  std::string report;
  JsonWriter reporter(report);
  reporter.begin_object();
  write_report(reporter, ask, outcome);
  reporter.end_object();

  std::string header;
  JsonWriter json(header);
  json.begin_object().key("__metadata__").begin_object().key("report").value(report).end_object();
  std::size_t begin = 0;
  for (const hub::NamedTensor& output : outcome.outputs) {
    if (!ask.wants_values) break;
    const std::size_t end = begin + output.tensor.bytes.size();
    json.key(output.name).begin_object().key("dtype").value(tensors_dtype(output.tensor.type));
    json.key("shape").begin_array();
    for (const std::int64_t extent : output.tensor.shape) json.value(extent);
    json.end_array().key("data_offsets").begin_array().value(begin).value(end).end_array().end_object();
    begin = end;
  }
  json.end_object();
  header.resize((header.size() + 7) / 8 * 8, ' ');  // So that data begin where doubles may lie.

  const std::uint64_t n = header.size();
  std::string body(reinterpret_cast<const char*>(&n), sizeof n);
  body.reserve(sizeof n + header.size() + begin);
  body += header;
  for (const hub::NamedTensor& output : outcome.outputs) {
    if (!ask.wants_values) break;
    body.append(reinterpret_cast<const char*>(output.tensor.bytes.data()),
                output.tensor.bytes.size());
  }
  return body;
}

Parsed<std::string> run_kernel(hub::KernelDesk& desk, std::string_view body,
                               const hub::StillWanted& still_wanted) {
  HEARTH_TRY(KernelRunAsk ask,
             parse_kernel_run([&](std::string_view name) { return desk.find(name); }, body));
  const auto outcome = desk.run(ask.kernel, std::move(ask.call), still_wanted);
  if (!outcome) return std::unexpected(api_error(outcome.error()));
  return render_kernel_run(ask, *outcome);
}

}  // namespace hearth::api::hearth
