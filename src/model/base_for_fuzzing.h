// A tiny model in memory, for fuzz targets that need something to hold their input against.
#pragma once

#include <memory>
#include <string>

#include "gguf/gguf_file.h"
#include "model/loaded_model.h"
#include "model/random_model.h"

namespace hearth::model {

inline const Model& base_for_fuzzing() {
  static const std::string bytes = [] {
    const auto writer = random_model({.type = "F32",
                                      .n_layers = 1,
                                      .d_model = 8,
                                      .d_ff = 8,
                                      .n_heads = 2,
                                      .n_kv_heads = 1,
                                      .head_dim = 16,
                                      .n_vocab = 300});
    HEARTH_CHECK(writer);
    return writer->to_bytes();
  }();
  static const std::shared_ptr<const Model> model = [] {
    auto file = gguf::GgufFile::parse(std::as_bytes(std::span(bytes)), "base");
    HEARTH_CHECK(file);
    auto made = LoadedModel::create(*std::move(file), {});
    HEARTH_CHECK(made);
    return *std::move(made);
  }();
  return *model;
}

}  // namespace hearth::model
