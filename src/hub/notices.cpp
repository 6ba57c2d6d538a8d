#include "hub/notices.h"

#include "base/result.h"

namespace hearth::hub {
namespace {

struct NoticeRow {
  Notice notice;
  std::string_view text;
};

constexpr NoticeRow kNotices[] = {
    {Notice::kUnsureNotConfigured,
     "That is outside of what the small embedded model knows: it answers questions about Hearth "
     "itself. There are two ways to go on. "
     "(1) Set up an adviser, a larger model that is asked when the local one is unsure: put "
     "base_url, model, key_env (the environment variable that holds your API key) and its two "
     "prices under [advisor] in hearth.toml; `hearth config --explain` lists every key. Nothing "
     "leaves this machine until you do. "
     "(2) Use a larger local model: `hearth models pull ORG/REPO` fetches one from Hugging Face, "
     "and Hearth finds those of Ollama and LM Studio and GGUF files in a folder that [models] "
     "folders names. A model of 0.5 to 1 billion parameters in 4 bits needs about 1 GB of memory, "
     "one of 8 billion about 6 GB."},
    {Notice::kUnsureNotAllowed,
     "That is outside of what the small embedded model knows, and for this request nothing may "
     "leave this machine. Ask again with the model \"auto\" and advice allowed, or choose a larger "
     "local model (`hearth models list`)."},
    {Notice::kUnsureNotAdvised,
     "That is outside of what the small embedded model knows, and the adviser did not help: {} "
     "You can ask again later, or choose a larger local model (`hearth models list`)."},
    {Notice::kAdviceFollows, "I asked the adviser, and this is its answer:\n\n{}"},
    {Notice::kDraftWasUnsure, "I am not sure about this. I will ask an adviser first."},
    {Notice::kFinishWithAdvice,
     "An adviser has looked at my question. Its advice is below; it may be wrong, so use what is "
     "right in it. Now give your final answer to my question, complete and in your own words, "
     "without mentioning the adviser.\n\nAdvice:\n{}"},
};

constexpr std::string_view kPlace = "{}";

}  // namespace

std::string_view notice(Notice which) {
  for (const NoticeRow& row : kNotices) {
    if (row.notice == which) return row.text;
  }
  check_failed("every notice has a row");
}

std::string notice(Notice which, std::string_view detail) {
  std::string text(notice(which));
  const std::size_t at = text.find(kPlace);
  HEARTH_CHECK(at != std::string::npos);
  return text.replace(at, kPlace.size(), detail);
}

}  // namespace hearth::hub
