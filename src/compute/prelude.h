// The units that are compiled: the prelude, what a person or the adviser wrote, and the entry by
// which the worker calls it.
//
// The prelude takes the place of all headers: a unit that includes nothing compiles in some 50 ms,
// where <cmath> alone takes 350.  Mathematical functions are names that the worker's loader
// resolves; what is no such name fails to load.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "compute/contract.h"

namespace hearth::compute {

// How the compiler's messages name the two parts of a unit that are not the prelude.
inline constexpr std::string_view kSourceName = "kernel.cpp";

struct Unit {
  std::string text;
  std::size_t n_source_lines = 0;
  std::string declaration;                     // What the source has to define.
  std::string_view source_name = kSourceName;  // As the compiler's messages have it.
};

// The prelude's text, for people and for the adviser to read.
std::string_view prelude_text();

// `source` must define the function `contract.name` as kernel_declaration() has it.
// kInvalidArgument for source that is refused before a compiler sees it (source_check.h).
Result<Unit> kernel_unit(const Contract& contract, std::string_view source);
Result<Unit> oracle_unit(const Contract& contract);

// "void scale(f32* restrict out, const f32* restrict in, i64 n)".
std::string kernel_declaration(const Contract& contract);
std::string oracle_declaration(const Contract& contract);  // The same with f64.

}  // namespace hearth::compute
