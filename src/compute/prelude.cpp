#include "compute/prelude.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "compute/source_check.h"

namespace hearth::compute {
namespace {

// HearthServices repeats sandbox/kernel_abi.h.
constexpr std::string_view kPrelude = R"prelude(
using f32 = float;
using f64 = double;
using i8 = signed char;
using i16 = short;
using i32 = int;
using i64 = long;
using u8 = unsigned char;
using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long;
using isize = i64;
using usize = u64;

#define restrict __restrict__
#define HEARTH_KERNEL static void
#define HEARTH_ORACLE static void

// Vectors: + - * / and comparisons go element by element, v[i] is one element.
typedef f32 f32x4 __attribute__((vector_size(16)));
typedef f32 f32x8 __attribute__((vector_size(32)));
typedef f32 f32x16 __attribute__((vector_size(64)));
typedef f64 f64x2 __attribute__((vector_size(16)));
typedef f64 f64x4 __attribute__((vector_size(32)));
typedef f64 f64x8 __attribute__((vector_size(64)));
typedef i32 i32x4 __attribute__((vector_size(16)));
typedef i32 i32x8 __attribute__((vector_size(32)));
typedef i32 i32x16 __attribute__((vector_size(64)));
typedef i64 i64x4 __attribute__((vector_size(32)));
typedef i64 i64x8 __attribute__((vector_size(64)));
typedef u8 u8x16 __attribute__((vector_size(16)));
typedef u8 u8x32 __attribute__((vector_size(32)));

// Memory need not be aligned to a vector.
template <class V, class T> inline V load(const T* from) { V v; __builtin_memcpy(&v, from, sizeof(V)); return v; }
template <class V, class T> inline void store(T* to, V v) { __builtin_memcpy(to, &v, sizeof(V)); }
template <class V, class T> inline V splat(T x) { return V{} + x; }

extern "C" {
void* memcpy(void*, const void*, usize);
void* memmove(void*, const void*, usize);
void* memset(void*, int, usize);
int memcmp(const void*, const void*, usize);
f32 expf(f32); f32 exp2f(f32); f32 expm1f(f32); f32 logf(f32); f32 log2f(f32); f32 log10f(f32); f32 log1pf(f32);
f32 sinf(f32); f32 cosf(f32); f32 tanf(f32); f32 asinf(f32); f32 acosf(f32); f32 atanf(f32); f32 atan2f(f32, f32);
f32 sinhf(f32); f32 coshf(f32); f32 tanhf(f32); f32 powf(f32, f32); f32 cbrtf(f32); f32 hypotf(f32, f32);
f32 fmodf(f32, f32); f32 erff(f32); f32 erfcf(f32);
f64 exp(f64); f64 exp2(f64); f64 expm1(f64); f64 log(f64); f64 log2(f64); f64 log10(f64); f64 log1p(f64);
f64 sin(f64); f64 cos(f64); f64 tan(f64); f64 asin(f64); f64 acos(f64); f64 atan(f64); f64 atan2(f64, f64);
f64 sinh(f64); f64 cosh(f64); f64 tanh(f64); f64 pow(f64, f64); f64 cbrt(f64); f64 hypot(f64, f64);
f64 fmod(f64, f64); f64 erf(f64); f64 erfc(f64);
}
inline f32 exp(f32 x) { return expf(x); }
inline f32 exp2(f32 x) { return exp2f(x); }
inline f32 expm1(f32 x) { return expm1f(x); }
inline f32 log(f32 x) { return logf(x); }
inline f32 log2(f32 x) { return log2f(x); }
inline f32 log10(f32 x) { return log10f(x); }
inline f32 log1p(f32 x) { return log1pf(x); }
inline f32 sin(f32 x) { return sinf(x); }
inline f32 cos(f32 x) { return cosf(x); }
inline f32 tan(f32 x) { return tanf(x); }
inline f32 asin(f32 x) { return asinf(x); }
inline f32 acos(f32 x) { return acosf(x); }
inline f32 atan(f32 x) { return atanf(x); }
inline f32 atan2(f32 y, f32 x) { return atan2f(y, x); }
inline f32 sinh(f32 x) { return sinhf(x); }
inline f32 cosh(f32 x) { return coshf(x); }
inline f32 tanh(f32 x) { return tanhf(x); }
inline f32 pow(f32 x, f32 y) { return powf(x, y); }
inline f32 cbrt(f32 x) { return cbrtf(x); }
inline f32 hypot(f32 x, f32 y) { return hypotf(x, y); }
inline f32 fmod(f32 x, f32 y) { return fmodf(x, y); }
inline f32 erf(f32 x) { return erff(x); }
inline f32 erfc(f32 x) { return erfcf(x); }
inline f32 sqrt(f32 x) { return __builtin_sqrtf(x); }
inline f64 sqrt(f64 x) { return __builtin_sqrt(x); }
inline f32 abs(f32 x) { return __builtin_fabsf(x); }
inline f64 abs(f64 x) { return __builtin_fabs(x); }
inline i32 abs(i32 x) { return x < 0 ? -x : x; }
inline i64 abs(i64 x) { return x < 0 ? -x : x; }
inline f32 fabs(f32 x) { return __builtin_fabsf(x); }
inline f64 fabs(f64 x) { return __builtin_fabs(x); }
inline f32 floor(f32 x) { return __builtin_floorf(x); }
inline f64 floor(f64 x) { return __builtin_floor(x); }
inline f32 ceil(f32 x) { return __builtin_ceilf(x); }
inline f64 ceil(f64 x) { return __builtin_ceil(x); }
inline f32 trunc(f32 x) { return __builtin_truncf(x); }
inline f64 trunc(f64 x) { return __builtin_trunc(x); }
inline f32 rint(f32 x) { return __builtin_rintf(x); }
inline f64 rint(f64 x) { return __builtin_rint(x); }
inline f32 fma(f32 a, f32 b, f32 c) { return __builtin_fmaf(a, b, c); }
inline f64 fma(f64 a, f64 b, f64 c) { return __builtin_fma(a, b, c); }
template <class T> inline T min(T a, T b) { return b < a ? b : a; }
template <class T> inline T max(T a, T b) { return a < b ? b : a; }

// A sum that keeps what rounding loses (Neumaier).
struct Sum {
  f64 sum = 0, lost = 0;
  void add(f64 x) {
    const f64 next = sum + x;
    lost += fabs(sum) >= fabs(x) ? (sum - next) + x : (x - next) + sum;
    sum = next;
  }
  f64 value() const { return sum + lost; }
};

struct HearthServices {
  u32 abi, n_threads;
  void (*parallel_for)(void* context, i64 n_tasks, void (*task)(void* context, i64 index));
  const volatile u32* give_up_before;
  u32 run, reserved;
};
static const HearthServices* hearth_services;

// Calls body(i) once for each i in [0, n), on the threads that the contract grants, in any order.
template <class Body> inline void par_for(i64 n, const Body& body) {
  struct Call { static void run(void* context, i64 index) { (*static_cast<const Body*>(context))(index); } };
  hearth_services->parallel_for(const_cast<Body*>(&body), n, &Call::run);
}
inline u32 n_threads() { return hearth_services->n_threads; }
// Whether nobody wants this run any more: a long loop asks now and then, and returns.
inline bool given_up() { return (i32)(*hearth_services->give_up_before - hearth_services->run) > 0; }
)prelude";

// What comes after the prelude, so that no unit reads a file or learns what day it is.
constexpr std::string_view kPoison =
    "#pragma GCC poison __has_include __has_include_next __has_embed __DATE__ __TIME__ "
    "__TIMESTAMP__ __FILE__ __BASE_FILE__\n";

// Types of a kernel's parameters, or of an oracle's.
enum class Numbers : std::uint8_t { kNative, kDouble };

std::string_view element_name(ElementType type, Numbers numbers) {
  return numbers == Numbers::kDouble && type_info(type).is_float ? "f64" : type_info(type).name;
}

std::string declaration(const Contract& contract, Numbers numbers) {
  std::vector<std::string> parts, tail;
  for (const Parameter& parameter : contract.signature.parameters) {
    const std::string_view type = element_name(parameter.type, numbers);
    if (parameter.is_scalar) {
      parts.push_back(fmt::format("{} {}", type, parameter.name));
    } else {
      parts.push_back(fmt::format("{}{}* restrict {}", parameter.is_written() ? "" : "const ", type,
                                  parameter.name));
    }
    for (std::size_t i = 0; parameter.is_strided && i < parameter.extents.size(); ++i)
      tail.push_back(fmt::format("i64 {}_stride{}", parameter.name, i));
  }
  const Signature& signature = contract.signature;
  for (std::size_t i = signature.n_scalar_symbols; i < signature.symbols.size(); ++i)
    parts.push_back(fmt::format("i64 {}", signature.symbols[i]));
  parts.insert(parts.end(), tail.begin(), tail.end());
  return fmt::format("void {}({})", contract.name, fmt::join(parts, ", "));
}

// Unpacks the arguments in the order of kernel_abi.h.
std::string entry(const Contract& contract, Numbers numbers) {
  const Signature& signature = contract.signature;
  std::vector<std::string> arguments;
  std::size_t buffer = 0, integer = 0, real = 0;
  for (const Parameter& parameter : signature.parameters) {
    const std::string_view type = element_name(parameter.type, numbers);
    if (parameter.is_tensor()) {
      arguments.push_back(fmt::format("static_cast<{}{}*>(hearth_buffers[{}])",
                                      parameter.is_written() ? "" : "const ", type, buffer++));
    } else if (type_info(parameter.type).is_float) {
      arguments.push_back(fmt::format("static_cast<{}>(hearth_reals[{}])", type, real++));
    } else {
      arguments.push_back(fmt::format("static_cast<{}>(hearth_integers[{}])", type, integer++));
    }
  }
  std::size_t n_integers = signature.symbols.size();
  for (const Parameter& parameter : signature.parameters) {
    if (parameter.is_strided) n_integers += parameter.extents.size();
  }
  for (; integer < n_integers; ++integer)
    arguments.push_back(fmt::format("hearth_integers[{}]", integer));
  return fmt::format(
      "\n# 1 \"entry\"\n"
      "extern \"C\" __attribute__((visibility(\"default\"))) void hearth_entry([[maybe_unused]] "
      "void* const* hearth_buffers,\n"
      "    [[maybe_unused]] const i64* hearth_integers, [[maybe_unused]] const f64* hearth_reals, "
      "const HearthServices* hearth_given) {{\n"
      "  hearth_services = hearth_given;\n"
      "  {}({});\n"
      "}}\n",
      contract.name, fmt::join(arguments, ", "));
}

Result<Unit> unit(const Contract& contract, std::string_view source, Numbers numbers) {
  HEARTH_TRY(const std::string checked, check_source(source));
  Unit unit;
  unit.declaration = declaration(contract, numbers);
  unit.n_source_lines = static_cast<std::size_t>(std::ranges::count(checked, '\n')) + 1;
  unit.text = fmt::format("# 1 \"prelude\"{}{}# 1 \"{}\"\n{}{}", kPrelude, kPoison, kSourceName,
                          checked, entry(contract, numbers));
  return unit;
}

}  // namespace

std::string_view prelude_text() { return kPrelude; }

Result<Unit> kernel_unit(const Contract& contract, std::string_view source) {
  return unit(contract, source, Numbers::kNative);
}
Result<Unit> oracle_unit(const Contract& contract) {
  return unit(contract, contract.oracle, Numbers::kDouble);
}

std::string kernel_declaration(const Contract& contract) {
  return declaration(contract, Numbers::kNative);
}
std::string oracle_declaration(const Contract& contract) {
  return declaration(contract, Numbers::kDouble);
}

}  // namespace hearth::compute
