#include "privacy/redactor.h"

#include "privacy/detect.h"

namespace hearth::privacy {

Spans Redactor::find(std::string_view text) const {
  Spans spans;
  dictionary_.find(text, spans);
  detect(text, spans);
  (tagger_ != nullptr ? *tagger_ : Tagger::built_in()).tag(text, spans);
  return resolve(text, std::move(spans));
}

std::map<std::string, std::size_t> count_types(const Spans& spans) {
  std::map<std::string, std::size_t> counts;
  for (const Span& span : spans) ++counts[std::string(span.type)];
  return counts;
}

}  // namespace hearth::privacy
