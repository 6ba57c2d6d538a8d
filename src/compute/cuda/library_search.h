// Where NVIDIA's libraries beside the driver are: they come with Python's packages, with CUDA
// itself, or from nowhere.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

namespace hearth::compute {

// Files and names to try, best first: what the variable names; what pip has installed
// (nvidia/*/lib/NAME) beside the Python of $VIRTUAL_ENV or $CONDA_PREFIX; $CUDA_HOME/lib64 and
// $CUDA_PATH/lib64; the loader's own paths.
std::vector<std::string> library_candidates(const char* variable,
                                            std::initializer_list<const char*> names);

}  // namespace hearth::compute
