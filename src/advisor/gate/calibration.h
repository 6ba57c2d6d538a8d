// What Hearth has learned of when to ask about the answers of one model in one quantisation: a file.
//
//   FOLDER/NAME.json            the gate that `hearth advisor calibrate` fitted, its kinds inside
//   FOLDER/NAME.outcomes.jsonl  what came of answers here, a line each, appended
//
// Two files, since they have two writers: a fit replaces the first whole, and feedback only ever appends to
// the second, so that a hub and a command line need no lock between them.  A model without files has the
// shipped priors.
#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "advisor/gate/gate_model.h"
#include "base/result.h"

namespace hearth::advisor::gate {

// Whose answers: a model in a quantisation ("Q4_K_M"; empty where that is not known).
struct ModelKey {
  std::string model;
  std::string quantisation;
};

struct Calibration {
  ModelKey model;
  GateModel gate;
  std::set<std::uint64_t> learned;  // Keys of the rows that it was fitted on.
};

// The file's name for a model: readable, and different for different models.
std::string calibration_name(const ModelKey& model);
std::filesystem::path calibration_file(const std::filesystem::path& folder, const ModelKey& model);
std::filesystem::path outcomes_file(const std::filesystem::path& folder, const ModelKey& model);

// The shipped priors where there is no file; kCorrupt for one that is damaged.
Result<Calibration> load_calibration(const std::filesystem::path& folder, const ModelKey& model);
Result<> store_calibration(const std::filesystem::path& folder, const Calibration& calibration);

}  // namespace hearth::advisor::gate
