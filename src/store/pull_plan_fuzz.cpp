// Any bytes as a registry's listing: an error, or files that lie within the folder.
#include <cstddef>
#include <cstdint>

#include "store/pull_plan.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  store::PullOptions options;
  options.folder = "/models";
  const auto check = [&](const Result<store::PullPlan>& plan) {
    if (!plan) return HEARTH_CHECK(!plan.error().message.empty());
    HEARTH_CHECK(!plan->files.empty());
    for (const store::PullFile& file : plan->files) {
      HEARTH_CHECK(file.path == file.path.lexically_normal());
      HEARTH_CHECK(file.path.string().starts_with("/models/"));
      HEARTH_CHECK(file.sha256.empty() || file.sha256.size() == 64);
    }
  };
  for (const char* tag : {"", "Q4_K_M"}) {
    check(store::plan_huggingface({store::PullFrom::kHuggingFace, "o/r", tag}, options, text));
    check(store::plan_ollama({store::PullFrom::kOllama, "library/m", tag}, options, text));
  }
  (void)store::parse_pull_name(text);
  return 0;
}
