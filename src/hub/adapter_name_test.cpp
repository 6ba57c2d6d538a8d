// The grammar of NAME@ADAPTER.
#include "hub/adapter_name.h"

#include <gtest/gtest.h>

namespace hearth::hub {
namespace {

std::string parsed(std::string_view text) {
  const auto name = parse_model_name(text);
  if (!name) return "error: " + name.error().message;
  std::string out = name->model;
  for (const AdapterWish& wish : name->adapters) {
    out += "|" + wish.name + "*" + std::to_string(wish.weight).substr(0, 5);
  }
  return out;
}

TEST(AdapterName, ReadsNamesAndWeights) {
  EXPECT_EQ(parsed("m"), "m");
  EXPECT_EQ(parsed("m@a"), "m|a*1.000");
  EXPECT_EQ(parsed("qwen3:0.6b@a"), "qwen3:0.6b|a*1.000");
  EXPECT_EQ(parsed("m@a+b"), "m|a*1.000|b*1.000");
  EXPECT_EQ(parsed("m@a:0.5+b:-0.25"), "m|a*0.500|b*-0.25");
  EXPECT_EQ(parsed("m@/x/y.gguf:2"), "m|/x/y.gguf*2.000");
  EXPECT_EQ(parsed("m@c:/y.gguf"), "m|c:/y.gguf*1.000");
  EXPECT_EQ(parsed("auto@a"), "auto|a*1.000");
}

TEST(AdapterName, RefusesEmptyNamesManyAdaptersAndWildWeights) {
  for (const char* text : {"m@", "m@+a", "m@a+", "m@:0.5", "m@a:17", "m@a:nan", "m@a:-inf",
                           "m@a+b+c+d+e+f+g+h+i"}) {
    EXPECT_TRUE(parsed(text).starts_with("error: ")) << text;
  }
}

TEST(AdapterName, WritesWhatItReads) {
  for (const char* list : {"a", "a+b", "a:0.5+b:-0.25", "a:0"}) {
    EXPECT_EQ(adapter_list(parse_model_name(std::string("m@") + list)->adapters), list);
  }
}

}  // namespace
}  // namespace hearth::hub
