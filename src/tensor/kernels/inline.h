// HEARTH_INLINE: for functions in headers that several instruction sets compile.
//
// An ordinary inline function becomes one symbol of the program, whichever translation unit it came
// from; if that unit was compiled for AVX-512, the scalar path would run AVX-512 code.  So what the
// kernel files share is either always inlined or a template on their own Simd type, and they call
// no inline function of the standard library.
#pragma once

#define HEARTH_INLINE [[gnu::always_inline]] inline
