// Adapters that lie on this machine: what the head of one says, which models it may be for, and
// how a request finds one by name.
//
// Two forms: GGUF files whose `general.type` is "adapter", and folders in PEFT's layout
// (adapter_config.json beside adapter_model.safetensors).  Whether an adapter fits a model is for
// certain only known when it is loaded; what heads say is enough for a listing.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "gguf/gguf_file.h"
#include "store/head.h"

namespace hearth::store {

struct CatalogueEntry;

inline constexpr std::string_view kPeftConfig = "adapter_config.json";
inline constexpr std::string_view kPeftWeights = "adapter_model.safetensors";

// What a GGUF adapter's tensors say of its base's shape.
Shape adapter_shape(const gguf::GgufFile& file);

// Of a folder in PEFT's layout; reads its configuration only.
Head read_peft_head(const std::filesystem::path& folder);

// The name that requests use: what a model's name may hold, but '@', '+' and ':', which the grammar
// of requests needs (hub/adapter_name.h).
std::string adapter_name(std::string_view name);

// Whether `adapter` looks as if made for `model`: by architecture and shape, or where a head does
// not say, by the name of the base.
bool may_fit(const CatalogueEntry& adapter, const CatalogueEntry& model);

// As Catalogue::find: by name, by path of a .gguf file or a PEFT folder, by unambiguous prefix.
Result<CatalogueEntry> find_adapter(std::span<const CatalogueEntry> adapters,
                                    std::string_view name);

}  // namespace hearth::store
