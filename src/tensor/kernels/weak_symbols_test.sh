#!/bin/sh
# The kernels of one instruction set must not leave an inline function in the library that other
# code could be linked to (kernels/inline.h says why).  Constants may: their bytes are the same.
# Usage: weak_symbols_test.sh LIBRARY
leaked=$(nm -C -A "$1" 2>/dev/null | grep -E 'kernels_avx|search_avx|stream_avx' | grep ' W ' |
         grep -v -e 'tensor::avx2::' -e 'tensor::avx512::' -e 'DW.ref.')
if [ -n "$leaked" ]; then
  echo "compiled for one instruction set, but callable by all:"
  echo "$leaked"
  exit 1
fi
