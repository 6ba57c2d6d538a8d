// memcpy and its like, which compilers call of their own accord, and libm in f64 and f32.
//
// libm chooses between variants by what the processor has (FMA), so that the last bit of exp or sin
// may differ between machines; never between runs on one.
#include "sandbox/worker/symbols.h"

#include <math.h>
#include <string.h>

namespace hearth::sandbox {
namespace {

struct Symbol {
  const char* name;
  std::uintptr_t address;
};

template <class Function>
Symbol row(const char* name, Function* function) {
  return {name, reinterpret_cast<std::uintptr_t>(function)};
}

// Both precisions of a function; the cast picks one of C++'s overloads.
#define HEARTH_MATH(name, f64, f32) row<f64>(#name, ::name), row<f32>(#name "f", ::name##f)
#define HEARTH_UNARY(name) HEARTH_MATH(name, double(double), float(float))
#define HEARTH_BINARY(name) HEARTH_MATH(name, double(double, double), float(float, float))

const Symbol* symbols(std::size_t& count) {
  static const Symbol table[] = {
      row<void*(void*, const void*, std::size_t)>("memcpy", ::memcpy),
      row<void*(void*, const void*, std::size_t)>("memmove", ::memmove),
      row<void*(void*, int, std::size_t)>("memset", ::memset),
      row<int(const void*, const void*, std::size_t)>("memcmp", ::memcmp),
      HEARTH_UNARY(exp),
      HEARTH_UNARY(exp2),
      HEARTH_UNARY(expm1),
      HEARTH_UNARY(log),
      HEARTH_UNARY(log2),
      HEARTH_UNARY(log10),
      HEARTH_UNARY(log1p),
      HEARTH_UNARY(sin),
      HEARTH_UNARY(cos),
      HEARTH_UNARY(tan),
      HEARTH_UNARY(asin),
      HEARTH_UNARY(acos),
      HEARTH_UNARY(atan),
      HEARTH_UNARY(sinh),
      HEARTH_UNARY(cosh),
      HEARTH_UNARY(tanh),
      HEARTH_UNARY(asinh),
      HEARTH_UNARY(acosh),
      HEARTH_UNARY(atanh),
      HEARTH_UNARY(sqrt),
      HEARTH_UNARY(cbrt),
      HEARTH_UNARY(fabs),
      HEARTH_UNARY(erf),
      HEARTH_UNARY(erfc),
      HEARTH_UNARY(tgamma),
      HEARTH_UNARY(lgamma),
      HEARTH_UNARY(floor),
      HEARTH_UNARY(ceil),
      HEARTH_UNARY(trunc),
      HEARTH_UNARY(round),
      HEARTH_UNARY(rint),
      HEARTH_UNARY(nearbyint),
      HEARTH_UNARY(logb),
      HEARTH_BINARY(pow),
      HEARTH_BINARY(atan2),
      HEARTH_BINARY(hypot),
      HEARTH_BINARY(fmod),
      HEARTH_BINARY(remainder),
      HEARTH_BINARY(fmin),
      HEARTH_BINARY(fmax),
      HEARTH_BINARY(fdim),
      HEARTH_BINARY(copysign),
      HEARTH_BINARY(nextafter),
      HEARTH_MATH(fma, double(double, double, double), float(float, float, float)),
      HEARTH_MATH(ldexp, double(double, int), float(float, int)),
      HEARTH_MATH(scalbn, double(double, int), float(float, int)),
      HEARTH_MATH(frexp, double(double, int*), float(float, int*)),
      HEARTH_MATH(modf, double(double, double*), float(float, float*)),
      HEARTH_MATH(ilogb, int(double), int(float)),
      HEARTH_MATH(lrint, long(double), long(float)),
      HEARTH_MATH(lround, long(double), long(float)),
      HEARTH_MATH(sincos, void(double, double*, double*), void(float, float*, float*)),
  };
  count = sizeof table / sizeof table[0];
  return table;
}

#undef HEARTH_UNARY
#undef HEARTH_BINARY
#undef HEARTH_MATH

}  // namespace

std::uintptr_t find_symbol(const char* name) {
  std::size_t count = 0;
  const Symbol* table = symbols(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (::strcmp(table[i].name, name) == 0) return table[i].address;
  }
  return 0;
}

}  // namespace hearth::sandbox
