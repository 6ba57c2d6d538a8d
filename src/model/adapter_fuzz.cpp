// Any bytes: an error that names the file, or an adapter that fits its base and runs.
#include <cstddef>
#include <cstdint>

#include "model/adapter.h"
#include "model/base_for_fuzzing.h"
#include "model/session_for_test.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth;
  const auto file = gguf::GgufFile::parse(std::as_bytes(std::span(data, size)), "fuzz.gguf");
  if (!file) return 0;
  const auto source = model::read_adapter(*file);
  const model::Model& base = model::base_for_fuzzing();
  const auto adapter = source ? model::Adapter::bind(*source, base)
                              : Result<std::shared_ptr<const model::Adapter>>(
                                    std::unexpected(source.error()));
  if (!adapter) {
    HEARTH_CHECK(adapter.error().message.find("fuzz.gguf") != std::string::npos);
    return 0;
  }
  HEARTH_CHECK((*adapter)->fits(base));
  const text::TokenId tokens[] = {1, 2, 3, 4};
  const model::AdapterUse use{adapter->get(), 1.0F, model::first_adapted_position(**adapter, tokens)};
  model::SessionForTest session(base, 1, 4);
  HEARTH_CHECK(session.run(tokens, {&use, 1}).size() == 4 * base.config().n_vocab);
  return 0;
}
