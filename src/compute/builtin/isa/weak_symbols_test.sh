#!/bin/sh
# The loops of one instruction set must not leave an inline function in the library that other code
# could be linked to (tensor/kernels/inline.h says why).
# Usage: weak_symbols_test.sh LIBRARY
leaked=$(nm -C -A "$1" 2>/dev/null | grep 'table_avx' | grep ' W ' |
         grep -v -e 'compute::avx2::' -e 'compute::avx512::' -e 'DW.ref.')
if [ -n "$leaked" ]; then
  echo "compiled for one instruction set, but callable by all:"
  echo "$leaked"
  exit 1
fi
