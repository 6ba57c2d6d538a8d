# Cloud logic, local silicon, in Julia: a float64 stress test on grids whose sides are in the golden ratio.
#
#     hearth serve &
#     HEARTH_LIBRARY=.../libhearth.so JULIA_LOAD_PATH="@:bindings/julia:@stdlib" julia examples/julia/golden_grid.jl
#
# In Pluto the sizes are a slider: `@bind n Slider(6:16)` in place of the loop.
#
#   notebook --- tensors (memfd pages) --- hub --- jailed worker
#      |  values are bound once by socket    |
#      +---- a run: one word in a shared page +--- a cloud model writes a kernel once
using Hearth

println(Hearth.roofs())

# Consecutive Fibonacci numbers: (n, m) with m / n towards 1.618..., and few of them a multiple of a vector's length.
fibonacci(k) = k < 2 ? 1 : fibonacci(k - 1) + fibonacci(k - 2)
jacobi = Hearth.kernel("jacobi5_f64")

println("\n5-point Jacobi, 100 sweeps on golden grids:")
for k in 8:2:14
    n, m = fibonacci(k), fibonacci(k + 1)
    u = Hearth.zeros(Float64, n, m)
    u[1, :] .= 1                     # A warm edge.
    v = jacobi(u, 100)
    w = jacobi(u, 100)
    @assert v == w                   # Bit for bit,
    @assert jacobi.report.n_copies == 0  # and where they lie.
    @assert all(0 .<= v .<= 1)       # A mean of neighbours leaves no bounds.
    println(rpad("$n x $m", 12), jacobi.report)
end

# Products whose exact result is known: integers of either sign whose sums stay below 2^52, so that each partial sum is
# exact in Float64, in any order, and one lost bit shows.
println("\nfloat64 stress: products that must be exact")
for n in (128, 233, 377, 610)
    a = Hearth.undef_array(Float64, n, n)
    b = Hearth.undef_array(Float64, n, n)
    for j in 1:n, i in 1:n
        a[i, j] = (i * j) % 7 - 3
        b[i, j] = 2.0^((i + j) % 46)
    end
    product = Hearth.gemm(a, b)
    exact = Int64.(a) * Int64.(b)
    @assert Int64.(product.out) == exact
    println(rpad("$n", 12), product.report)
end

println("\n", Hearth.ask("What is a receipt?"; max_tokens=60))
