// Our renders against Jinja2's own (testdata/renders.jsonl, written by make_renders.py beside it).
#include <filesystem>
#include <sstream>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "text/chat_template.h"

namespace hearth::text::jinja {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kNow = 1795167000;  // 2026-11-20T09:30:00 UTC.

Result<std::string> render(const std::string& source, const Json& context) {
  HEARTH_TRY(const auto compiled, ChatTemplate::compile(source));
  return compiled->render(context, kNow);
}

TEST(JinjaRenders, AreJinjas) {
  const auto path =
      std::filesystem::path(HEARTH_SOURCE_DIR) / "src/text/jinja/testdata/renders.jsonl";
  const auto text = read_file(path);
  ASSERT_TRUE(text) << text.error().message;
  std::istringstream rows(*text);
  std::string line;
  ASSERT_TRUE(std::getline(rows, line));
  const Json context = Json::parse(line)["context"];

  int n_rows = 0;
  while (std::getline(rows, line)) {
    const Json row = Json::parse(line);
    const auto source = row["template"].get<std::string>();
    const auto out = render(source, context);
    ++n_rows;
    if (row.contains("error")) {
      EXPECT_FALSE(out) << source << "\ngave: " << *out << "\nJinja: " << row["error"];
      continue;
    }
    ASSERT_TRUE(out) << source << "\n" << out.error().message;
    EXPECT_EQ(*out, row["output"].get<std::string>()) << source;
  }
  EXPECT_GT(n_rows, 350);
}

}  // namespace
}  // namespace hearth::text::jinja
