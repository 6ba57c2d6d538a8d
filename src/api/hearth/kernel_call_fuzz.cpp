// Whatever a body says, it is a call of a kernel or an error in words, and arrays have as many
// bytes as their shape says.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "api/hearth/kernel_run.h"
#include "api/hearth/kernels.h"

namespace {

hearth::Result<hearth::hub::RunnableKernel> find(std::string_view) {
  using namespace hearth;
  static const auto contract = [] {
    auto made = std::make_shared<compute::Contract>();
    made->name = "k";
    made->signature =
        *compute::parse_signature("out f64[n], a f32[n, m], i i8[n], u u64[m], s f64, n i64");
    return made;
  }();
  return hub::RunnableKernel{.contract = contract};
}

void check(const hearth::api::Parsed<hearth::api::hearth::KernelRunAsk>& ask) {
  if (!ask) return;
  for (const auto& each : ask->call.tensors) {
    const auto& tensor = each.tensor;
    const std::size_t bytes = hearth::compute::type_info(tensor.type).bytes;
    if (tensor.bytes.size() != static_cast<std::size_t>(tensor.n_elements()) * bytes) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth::api::hearth;
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  check(parse_kernel_run(find, body));
  check(parse_kernel_run_tensors(find, body));
  if (const auto ask = parse_kernel_ask(body)) {
    if (ask->rounds > kRoundsMax || ask->request.prose.size() > kProseBytesMax) std::abort();
  }
  return 0;
}
