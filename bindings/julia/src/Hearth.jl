"""
Kernels of a Hearth hub on arrays in shared memory.

    using Hearth
    x, w = Hearth.rand(1000), Hearth.fill(0.5, 1000)
    multiply = Hearth.kernel("mul_f64")
    y = multiply(x, w)              # no copy
    multiply.report

Needs a running `hearth serve`, libhearth.so (`HEARTH_LIBRARY` names it, or the system has it), and of Julia what comes
with it.  `include/hearth/hearth.h` is the manual of what lies below.

Arrays are Julia's own `Array`s.  Those that are made here, by `shared` or by a kernel lie in the hub's pool: they, and
views of them, are passed as they lie, and their memory goes back once nothing refers to it any more.  Any other array is
copied for the call, and `report.n_copies` counts it.

Arrays are column-major, and are passed as they lie: a kernel's `strided` parameter sees the same shape with Julia's
strides.  Any other parameter wants row-major memory, which a Julia array is with its dimensions reversed: the kernel's
`[m, n]` is then Julia's `(n, m)`.  Nothing is ever transposed.

A thread that waits for the hub holds up no other thread's garbage collection.  Contexts, kernels and arrays may be used
by several threads; the memory of an array that a kernel writes is the caller's to guard, as ever.
"""
module Hearth

using Libdl: dlopen, dlsym
using Random: rand!

include("abi.jl")
include("report.jl")
include("context.jl")
include("arrays.jl")
include("kernels.jl")
include("chat.jl")

end # module
