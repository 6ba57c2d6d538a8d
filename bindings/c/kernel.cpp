// Opening kernels, asking about them, and completing their values.
#include "kernel.h"

#include <cstring>

#include "tensor.h"

namespace hearth::client {
namespace {

using namespace compute::bridge;

// Builds or finds what the text asks for, over a connection of its own; the result is a key.
struct BuiltKey {
  std::string key;
  BuildReply reply;
};
Outcome<BuiltKey> build(const Link& link, SourceKind kind, std::string_view text) {
  HEARTH_TRY(const auto connection, link.open_aside());
  const BuildAsk ask{kind, static_cast<std::uint32_t>(text.size())};
  HEARTH_TRY(const Message reply, connection->ask(Kind::kBuild, PayloadWriter().put(ask).put_text(text).bytes()));
  PayloadReader reader(reply.payload);
  BuiltKey built;
  built.reply = reader.get<BuildReply>();
  built.key = reader.get_text(built.reply.n_key, kNameBytesMax);
  if (!reader.is_whole()) return failed(HEARTH_CORRUPT, "the hub's answer about a build breaks its format");
  return built;
}

Outcome<std::unique_ptr<hearth_kernel>> open_named(const std::shared_ptr<Link>& link, std::string_view name) {
  if (name.size() > kNameBytesMax) {
    return failed(HEARTH_INVALID, "a kernel's name has at most " + std::to_string(kNameBytesMax) + " bytes, this one " + std::to_string(name.size()));
  }
  const OpenKernelAsk ask{static_cast<std::uint32_t>(name.size()), 0};
  HEARTH_TRY(const Message reply, link->control().ask(Kind::kOpenKernel, PayloadWriter().put(ask).put_text(name).bytes()));
  PayloadReader reader(reply.payload);
  auto kernel = std::make_unique<hearth_kernel>();
  kernel->link = link;
  kernel->reply = reader.get<KernelReply>();
  kernel->name = reader.get_text(kernel->reply.n_name, kNameBytesMax);
  kernel->key = reader.get_text(kernel->reply.n_key, kNameBytesMax);
  kernel->signature = reader.get_text(kernel->reply.n_signature, kTextBytesMax);
  kernel->receipt = reader.get_text(kernel->reply.n_receipt, kTextBytesMax);
  if (!reader.is_whole() || static_cast<std::size_t>(kernel->reply.place) >= kPlaces) {
    return failed(HEARTH_CORRUPT, "the hub's answer about a kernel breaks its format");
  }
  return kernel;
}

Outcome<std::unique_ptr<hearth_kernel>> open_kernel(const std::shared_ptr<Link>& link, std::uint32_t kind, std::string_view text) {
  if (kind == HEARTH_BY_NAME) {
    HEARTH_TRY(auto kernel, open_named(link, text));
    kernel->is_cached = true;
    return kernel;
  }
  if (kind != HEARTH_BY_CONTRACT && kind != HEARTH_BY_PROSE) {
    return failed(HEARTH_INVALID, "a kernel's source is of kind " + std::to_string(kind) + ", which there is not");
  }
  HEARTH_TRY(const BuiltKey built, build(*link, static_cast<SourceKind>(kind), text));
  HEARTH_TRY(auto kernel, open_named(link, built.key));
  kernel->is_cached = built.reply.is_cached != 0;
  kernel->reply.compile_s = built.reply.compile_s;
  return kernel;
}

WireValue wire_of(const hearth_value& value) {
  WireValue wire;
  wire.kind = static_cast<ValueKind>(value.kind);
  if (value.kind == HEARTH_TENSOR) return value.as.tensor->wire;
  if (value.kind == HEARTH_INTEGER) wire.integer = value.as.integer;
  if (value.kind == HEARTH_REAL) wire.real = value.as.real;
  return wire;
}

// Fills in the missing values from what the hub says of them.
Outcome<> complete(hearth_kernel& kernel, hearth_value* values, std::uint32_t n_values) {
  BindAsk ask{kernel.reply.kernel, n_values, 0};
  PayloadWriter writer;
  writer.put(ask);
  for (std::uint32_t i = 0; i < n_values; ++i) {
    if (values[i].kind > HEARTH_REAL) return failed(HEARTH_INVALID, "a value is of kind " + std::to_string(values[i].kind) + ", which there is not");
    if (values[i].kind == HEARTH_TENSOR && values[i].as.tensor == nullptr) return failed(HEARTH_INVALID, "a tensor is a null pointer");
    writer.put(wire_of(values[i]));
  }
  HEARTH_TRY(const Message reply, kernel.link->control().ask(Kind::kComplete, writer.bytes()));
  PayloadReader reader(reply.payload);
  if (reader.get<CompleteReply>().n_values != n_values) return failed(HEARTH_CORRUPT, "the hub completed other values than it was asked for");
  std::vector<std::pair<std::uint32_t, std::unique_ptr<hearth_tensor>>> made;
  std::vector<std::pair<std::uint32_t, std::int64_t>> numbers;
  for (std::uint32_t i = 0; i < n_values; ++i) {
    const auto wire = reader.get<WireValue>();
    if (values[i].kind != HEARTH_MISSING) continue;
    if (wire.kind == ValueKind::kTensor) {
      HEARTH_TRY(auto tensor, make_tensor(kernel.link, wire.type, wire.rank, wire.shape.data(), nullptr));
      made.emplace_back(i, std::move(tensor));
    } else {
      numbers.emplace_back(i, wire.integer);
    }
  }
  if (!reader.is_whole()) return failed(HEARTH_CORRUPT, "the hub's answer about values breaks its format");
  for (auto& [i, tensor] : made) values[i] = hearth_of(tensor.release());
  for (const auto& [i, number] : numbers) values[i] = hearth_integer(number);
  return {};
}

}  // namespace
}  // namespace hearth::client

using namespace hearth::client;
using namespace hearth::compute::bridge;

hearth_status hearth_kernel_open(hearth_context* context, const hearth_source* source, hearth_kernel** kernel) {
  return guarded([&]() -> Outcome<> {
    const hearth_source given = read_struct(source);
    if (context == nullptr || kernel == nullptr || given.text == nullptr) return failed(HEARTH_INVALID, "hearth_kernel_open was given a null pointer");
    const std::size_t n_bytes = given.n_bytes != 0 ? given.n_bytes : std::strlen(given.text);
    if (n_bytes > kTextBytesMax) return failed(HEARTH_INVALID, "a kernel's text has at most " + std::to_string(kTextBytesMax) + " bytes");
    HEARTH_TRY(auto opened, open_kernel(context->link, given.kind, {given.text, n_bytes}));
    *kernel = opened.release();
    return {};
  });
}

void hearth_kernel_close(hearth_kernel* kernel) {
  if (kernel == nullptr) return;
  (void)guarded([&]() -> Outcome<> {
    if (kernel->link->control().is_gone()) return {};
    (void)kernel->link->control().ask(Kind::kCloseKernel, PayloadWriter().put(CloseKernelAsk{kernel->reply.kernel}).bytes());
    return {};
  });
  delete kernel;
}

const char* hearth_kernel_name(const hearth_kernel* kernel) { return kernel->name.c_str(); }
const char* hearth_kernel_signature(const hearth_kernel* kernel) { return kernel->signature.c_str(); }
const char* hearth_kernel_receipt(const hearth_kernel* kernel) { return kernel->receipt.c_str(); }

hearth_status hearth_list_kernels(hearth_context* context, char* buffer, size_t capacity, size_t* n_needed) {
  return guarded([&]() -> Outcome<> {
    if (context == nullptr || (buffer == nullptr && capacity > 0)) return failed(HEARTH_INVALID, "hearth_list_kernels was given a null pointer");
    HEARTH_TRY(const Message reply, context->link->control().ask(Kind::kListKernels, {}));
    PayloadReader reader(reply.payload);
    const std::string_view text = reader.get_text(reader.get<ListReply>().n_text, kTextBytesMax);
    if (!reader.is_whole()) return failed(HEARTH_CORRUPT, "the hub's list of kernels breaks its format");
    if (n_needed != nullptr) *n_needed = text.size() + 1;
    if (capacity == 0) return {};
    buffer[text.copy(buffer, capacity - 1)] = '\0';
    return {};
  });
}

hearth_status hearth_complete(hearth_kernel* kernel, hearth_value* values, uint32_t n_values) {
  return guarded([&]() -> Outcome<> {
    if (kernel == nullptr || values == nullptr) return failed(HEARTH_INVALID, "hearth_complete was given a null pointer");
    if (n_values > kValuesMax) return failed(HEARTH_INVALID, "a kernel takes at most " + std::to_string(kValuesMax) + " values");
    return complete(*kernel, values, n_values);
  });
}

hearth_status hearth_check(hearth_kernel* kernel, uint64_t seed, hearth_report* report) {
  return guarded([&]() -> Outcome<> {
    if (kernel == nullptr) return failed(HEARTH_INVALID, "hearth_check was given a null pointer");
    if (kernel->key.empty()) return failed(HEARTH_UNSUPPORTED, "'" + kernel->name + "' is the hub's own: its tests are the hub's");
    HEARTH_TRY(const auto connection, kernel->link->open_aside());
    const CheckAsk ask{seed, static_cast<std::uint32_t>(kernel->key.size()), 0};
    const std::int64_t begun_ns = hearth::sandbox::monotonic_ns();
    HEARTH_TRY(const Message reply, connection->ask(Kind::kCheck, PayloadWriter().put(ask).put_text(kernel->key).bytes()));
    HEARTH_TRY(const auto checked, outcome_of(parse_plain<CheckReply>(reply.payload)));
    hearth_report made{};
    made.is_verified = 1;
    made.is_jailed = 1;
    made.n_checks = checked.n_checks;
    made.error_ulps = checked.error_ulps;
    made.t_total = static_cast<double>(hearth::sandbox::monotonic_ns() - begun_ns) * 1e-9;
    write_struct(made, report);
    return {};
  });
}
