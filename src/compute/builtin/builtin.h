// Kernels that Hearth brings along, with the interface of those that are written for it.
//
// A built-in is a row: a name, a signature, what it costs, how far its bits are the same, and a
// function.  It is code of the house: it runs in the hub's own process once its arguments have been
// held against its signature, and it needs no verification, only tests (builtin_test.cpp holds each
// against a twin in more digits, whatever the number of threads and the instruction set).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"
#include "compute/builtin/workers.h"
#include "compute/signature.h"

namespace hearth::compute {

struct Builtin {
  std::string_view name;       // "mul_f32"
  std::string_view about;      // One line for a list.
  std::string_view signature;  // signature.h
  std::string_view flops;      // Expressions of the signature's symbols (expression.h).
  std::string_view bytes;      // Read and written once each, as if nothing were cached.
  // 0: same machine, same threads; 1: any number of threads; 2: any instruction set, too.
  std::uint8_t determinism;
  // kUnavailable where a library that it needs is not installed, in a sentence that names it.
  Result<> (*run)(const Bindings& arguments, const Workers& workers);
};

// All of them, in an order that stays.
std::span<const Builtin> builtins();

// nullptr if there is none of that name.
const Builtin* find_builtin(std::string_view name);

// Its signature, parsed once.
const Signature& signature_of(const Builtin& builtin);

// What a run with these arguments costs.
struct Cost {
  std::int64_t flops = 0;
  std::int64_t bytes = 0;
};
Result<Cost> cost_of(const Builtin& builtin, const Bindings& arguments);

// Holds the arguments against the signature (kInvalidArgument names what does not fit) and runs it.
// kCancelled if the run was given up: what it wrote is of no use.
// Threading: one caller per pool at a time.
Result<> run_builtin(const Builtin& builtin, std::span<const Argument> arguments,
                     const Workers& workers);
// The same with arguments that are bound already (bind_arguments).
Result<> run_builtin(const Builtin& builtin, const Bindings& arguments, const Workers& workers);

}  // namespace hearth::compute
