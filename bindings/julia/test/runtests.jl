# Against a running hub: HEARTH_BRIDGE names its socket, HEARTH_LIBRARY libhearth.so.  HEARTH_DOOMED_BRIDGE and
# HEARTH_DOOMED_PID name a second hub, which is killed.  `bindings/julia/check` starts both, and Julia with two threads.
using Hearth
using Test

"The failure that `call` ends with, or nothing."
function failure_of(call)
    try
        call()
        nothing
    catch error
        error isa TaskFailedException ? error.task.exception : error
    end
end
fails(call, status, words) = (f = failure_of(call); f isa Hearth.Failure && f.status == status && occursin(words, f.sentence) || (@show f; false))
refuses(call, words) = (f = failure_of(call); f isa ArgumentError && occursin(words, f.msg) || (@show f; false))

in_pool(a) = (tensor_and_copied = Hearth.tensor_over(Hearth.context(), a, true); Hearth.free(tensor_and_copied[1]); !tensor_and_copied[2])

resident_bytes() = parse(Int, match(r"RssShmem:\s+(\d+)", read("/proc/self/status", String))[1]) * 1024
open_files() = length(readdir("/proc/self/fd"))

const CONTRACT = """
name = "by_julia"
signature = "out f32[n], in f32[n], outer f32[n], n i64"
tolerance_ulps = 1
determinism = "D1"
flops = "n"
bytes = "12*n"
oracle = '''
HEARTH_ORACLE by_julia(f64* out, const f64* in, const f64* outer, i64 n) { for (i64 k = 0; k < n; ++k) out[k] = in[k] * outer[k]; }
'''
source = '''
HEARTH_KERNEL by_julia(f32* restrict out, const f32* restrict in, const f32* restrict outer, i64 n) { for (i64 k = 0; k < n; ++k) out[k] = in[k] * outer[k]; }
'''
"""

@testset "Hearth" begin

@testset "arrays are Julia's own" begin
    a = Hearth.zeros(Float64, 3, 4)
    @test a isa Matrix{Float64} && in_pool(a) && !in_pool(Base.zeros(3, 4))
    a[2, 3] = 7
    @test sum(a) == 7 && strides(a) == (1, 3)
    @test Hearth.shared(a) === a
    @test Hearth.shared([1 2; 3 4]) == [1 2; 3 4]
    @test Hearth.fill(Int16(3), 2, 2) == [3 3; 3 3]
    @test all(0 .<= Hearth.rand(Float32, 50) .< 1)
    @test Hearth.zeros()[] == 0 && ndims(Hearth.zeros(Int32)) == 0
    @test size(Hearth.zeros(UInt8, 1, 2, 1, 2, 1, 2, 1, 2)) == (1, 2, 1, 2, 1, 2, 1, 2)
end

@testset "every type, views and shapes" begin
    for T in Hearth.TYPES
        a = reshape(collect(T, 0:23), 2, 3, 4)
        made = Hearth.shared(a)
        @test made == a && eltype(made) == T && in_pool(made)
    end
    a = reshape(0.0:23.0, 2, 3, 4)
    b = collect(a)
    for view_of in (a, view(b, :, 1:2:3, 2:4), view(b, 2, :, :), view(b, 1, 1, 1:0), view(b, 2:-1:1, :, :), PermutedDimsArray(b, (3, 1, 2)),
                    view(b, [1, 2], 1, :), reshape(b, 6, 4), view(b, 1, 2, 3), reinterpret(UInt32, b), 1:5)
        made = Hearth.shared(view_of)
        @test made == view_of && made isa Array{eltype(view_of)} && (isempty(made) || in_pool(made))
    end
    a = Hearth.rand(4, 6)
    for inside in (view(a, 2:3, :), view(a, :, 1:2:5), reshape(a, 3, 8), PermutedDimsArray(a, (2, 1)), reinterpret(Int64, a), vec(a))
        @test Hearth.shared(inside) === inside
    end
    other = Hearth.Context()
    @test Hearth.shared(a; on=other) == a && Hearth.shared(a; on=other) !== a  # Another context's pool.
    close(other)
end

@testset "what is no array is refused by name" begin
    @test fails(() -> Hearth.zeros(ComplexF64, 3), "unsupported", "elements of type Complex")
    @test fails(() -> Hearth.shared(["a"]), "unsupported", "elements of type String")
    @test fails(() -> Hearth.shared([true]), "unsupported", "elements of type Bool")
    @test fails(() -> Hearth.zeros(Float32, Base.fill(1, 9)...), "invalid", "9 dimensions: at most 8")
    @test fails(() -> Hearth.shared(Base.zeros(Base.fill(1, 9)...)), "invalid", "9 dimensions: at most 8")
    @test fails(() -> Hearth.undef_array(Float32, 1 << 30), "over budget", "compute.memory_mib")
    @test fails(() -> Hearth.undef_array(Float32, 1 << 40, 1 << 40), "invalid", "")
    @test refuses(() -> Hearth.zeros(Float32, -1), "negative")
end

@testset "elementwise" begin
    k = Hearth.kernel("mul_f64")
    x, w = rand(1000), rand(1000)
    @test k(x, w) == x .* w
    @test k.report.n_copies == 2 && k.report.flops == 1000 && k.report.is_verified == 1
    @test in_pool(k(x, w))
    sx, sw, out = Hearth.shared(x), Hearth.shared(w), Hearth.zeros(1000)
    for i in 1:50
        sx[1], sw[1] = i, 3
        @test Hearth.run!(k, out, sx, sw) === out
        @test out[1] == 3i && k.report.n_copies == 0
    end
    @test out == sx .* sw
    @test occursin("GB/s", string(k.report)) && occursin("copies 0", string(k.report))
    @test occursin("<td>copies</td><td>0</td>", repr("text/html", k.report))
    @test k(sx, sw; out=out) === out && k.report.n_copies == 0
    @test k(view(sx, 1:10), view(sw, 11:20)) == sx[1:10] .* sw[11:20] && k.report.n_copies == 0
    @test k(view(sx, 1:2:20), view(sw, 10:-1:1)) == sx[1:2:20] .* sw[10:-1:1] && k.report.n_copies == 2  # Gaps: not as it wants it.
    @test k(1.0:5.0, view(sw, 1:5)) == (1:5) .* sw[1:5] && k.report.n_copies == 1
    @test isempty(k(Float64[], Float64[])) && k.report.n_copies == 0
    empty = Hearth.zeros(0)
    @test k(empty, empty; out=empty) === empty
    @test occursin("mul_f64(out f64[n]", string(k)) && k.receipt == ""
end

@testset "an output that no kernel could write to is refused" begin
    k = Hearth.kernel("mul_f32")
    x = Base.ones(Float32, 10)
    @test fails(() -> k(x, x; out=similar(x)), "invalid", "'out' is written, and this 10-element")
    @test fails(() -> k(x, x; out=similar(x)), "invalid", "does not lie in the hub's pool")
    wide = Hearth.zeros(Float32, 20)
    @test fails(() -> k(x, x; out=view(wide, 1:2:20)), "invalid", "has gaps")
    @test k(x, x .+ 1; out=view(wide, 6:15)) == Base.fill(2, 10) && wide[5] == 0 && wide[6] == 2
    grid, rhs = Base.zeros(5, 5), Base.ones(5, 5)  # A copy changes; the array does not.
    sor = Hearth.kernel("sor_red_black_f64")
    relaxed = sor(grid, rhs, 1.5, 10)
    @test relaxed[3, 3] != 0 && grid[3, 3] == 0 && sor.report.n_copies == 2
    inside = Hearth.zeros(5, 5)
    @test sor(inside, rhs, 1.5, 10) === inside && inside == relaxed && sor.report.n_copies == 1
end

@testset "numbers and names" begin
    k = Hearth.kernel("axpy_f64")
    x, y = collect(0.0:4.0), Base.ones(5)
    @test k(x, y, 2.0) == 2x .+ y
    @test k(x, y, 2) == k(x, y, 2//1) == 2x .+ y
    @test k(x; y=y, factor=3) == 3x .+ y
    @test refuses(() -> k(x, y, 2.0; z=1), "no value 'z'")
    @test refuses(() -> k(x, y, 2.0; y=y), "'y' is given twice")
    @test refuses(() -> k(x, y, 2.0, 4.0), "takes 3 values")
    @test refuses(() -> Hearth.run!(k, x, y), "takes 4 values")
    @test refuses(() -> k(x, y, "2"), "'factor' is a number (factor f64), and a String")
    @test refuses(() -> k(x, 3, 2.0), "'y' is an array (y f64[n]), and 3")
    @test refuses(() -> k(x, y, y), "'factor' is a number")
    @test fails(() -> k(x, Base.ones(4), 2.0), "invalid", "argument 'y': f64[n] with n = 5 expected, f64[4] found")
    @test fails(() -> k(Float32.(x), y, 2.0), "invalid", "f32[5] found")
    @test fails(() -> k(x), "invalid", "factor")
    jacobi = Hearth.kernel("jacobi5_f64")
    @test refuses(() -> jacobi(Base.zeros(5, 5), 1.5), "'sweeps' is a number (sweeps i64), and 1.5")
end

@testset "column-major matrices" begin
    product(a, b) = [sum(a[i, :] .* b[:, j]) for i in axes(a, 1), j in axes(b, 2)]
    for (m, k, n) in ((1, 1, 1), (5, 7, 3), (64, 33, 70)), T in (Float32, Float64)
        a, b = rand(T, m, k), rand(T, k, n)
        @test Hearth.gemm(a, b).out ≈ product(a, b)
        at, bt = PermutedDimsArray(Hearth.shared(permutedims(a)), (2, 1)), PermutedDimsArray(Hearth.shared(permutedims(b)), (2, 1))
        turned = Hearth.gemm(at, bt)
        @test turned.out ≈ product(a, b) && turned.report.n_copies == 0
        out = Hearth.zeros(T, 2m, n)
        k_gemm = Hearth.kernel(T == Float32 ? "gemm_f32" : "gemm_f64")
        @test k_gemm(view(a, :, :), b; out=view(out, 1:m, :)) ≈ product(a, b)
        @test all(iszero, out[m+1:2m, :])
    end
    @test Hearth.gemm(64).tflops > 0 && Hearth.gemm(8, Float32).out isa Matrix{Float32}
    u = rand(20, 30)
    v = copy(u)
    v[2:end-1, 2:end-1] .= (u[1:end-2, 2:end-1] .+ u[3:end, 2:end-1] .+ u[2:end-1, 1:end-2] .+ u[2:end-1, 3:end]) ./ 4
    jacobi = Hearth.kernel("jacobi5_f64")
    @test jacobi(u, 1) ≈ v
    big = Hearth.shared(u)
    @test jacobi(view(big, :, 4:20), 1) == jacobi(u[:, 4:20], 1)  # Whole columns have no gaps.
    @test jacobi(view(big, 2:15, :), 1) == jacobi(u[2:15, :], 1) && jacobi.report.n_copies == 1
    @test fails(() -> Hearth.gemm(rand(3, 4), rand(3, 4)), "invalid", "argument 'b'")
end

@testset "hash of outputs" begin
    k = Hearth.kernel("mul_f32")
    x, w = Hearth.fill(2f0, 10), Hearth.fill(3f0, 10)
    k(x, w; hash=true)
    first_hash = k.report.out_hash
    k(x, w; hash=true)
    @test k.report.out_hash == first_hash != 0
    k(x, Hearth.fill(4f0, 10); hash=true)
    @test k.report.out_hash != first_hash
end

@testset "newer runs take the place of older ones" begin
    k = Hearth.kernel("gemm_f32")
    a = Hearth.fill(1f0, 300, 300)
    tasks = [Hearth.submit(k, a, Hearth.fill(Float32(i), 300, 300)) for i in 1:20]
    @test fetch(tasks[end])[5, 5] == 300 * 20
    for (i, task) in enumerate(tasks[1:end-1])
        error = failure_of(() -> wait(task))
        @test error === nothing ? fetch(task)[7, 7] == 300i : error.status == "superseded"
    end

    # An endless run, as far as this test goes; meanwhile garbage is collected here.
    endless = Hearth.kernel("jacobi5_f64")
    grid = Hearth.rand(200, 200)
    old = Hearth.submit(endless, grid, 10^9)
    sleep(0.2)
    @test !istaskdone(old)
    GC.gc()
    seconds = @elapsed fetch(Hearth.submit(endless, grid, 1))
    @test seconds < 2
    @test fails(() -> fetch(old), "superseded", "newer run")
    doomed = Hearth.submit(endless, grid, 10^9)
    sleep(0.1)
    Hearth.cancel(endless)
    @test fails(() -> fetch(doomed), "cancelled", "cancelled")
    @test fails(() -> endless(grid, 10^9; deadline=0.05), "deadline", "deadline")
    @test endless(grid, 1) == endless(grid, 1)
end

@testset "threads share a context" begin
    @test Threads.nthreads() > 1
    k = Hearth.kernel("add_f64")
    work(seed) = all(k(Base.fill(Float64(seed), 500), Base.fill(1.0, 500))[500] == seed + 1 for _ in 1:100)
    tasks = [Threads.@spawn work(seed) for seed in 1:6]
    for _ in 1:5
        GC.gc()
        yield()
    end
    @test all(fetch.(tasks))
end

@testset "memory goes back when nobody refers to it" begin
    k = Hearth.kernel("scale_f64")
    # Thirty times the pool: what is garbage makes room.
    for i in 1:240
        x = Hearth.fill(Float64(i), 1 << 20)
        k(x, 2.0)[1] == 2i || error("a wrong result")
    end
    # What shares an array's memory keeps it.
    kept(i) = reshape(view(reshape(Hearth.fill(Float64(i), 1 << 10), 32, 32), :, 1:16), 512)
    bare(i) = vec(Hearth.fill(Float64(i), 32, 32))
    views, shapes = kept.(1:20), bare.(1:20)
    GC.gc()
    others = [Hearth.zeros(1 << 10) for _ in 1:200]
    @test all(all(==(i), views[i]) && all(==(i), shapes[i]) for i in 1:20)

    function turn()
        on = Hearth.Context()
        x = Hearth.rand(100_000; on=on)
        Hearth.kernel("mul_f64"; on=on)(x, rand(100_000))
        nothing
    end
    settle() = (for _ in 1:3 GC.gc(); yield() end; (open_files(), resident_bytes()))
    foreach(_ -> turn(), 1:3)
    files, bytes = settle()
    foreach(_ -> turn(), 1:30)
    files_after, bytes_after = settle()
    @test files_after <= files + 4
    @test bytes_after <= bytes + (4 << 20)
end

@testset "kernels by contract, in a jail" begin
    failure = failure_of(() -> Hearth.kernel(CONTRACT))
    if failure isa Hearth.Failure && occursin(r"can't be built|not installed", failure.sentence)
        @info "skipped: $(failure.sentence)"
    else
        by_julia = Hearth.kernel(CONTRACT)
        x, w = rand(Float32, 777), rand(Float32, 777)
        @test by_julia(x, w) == x .* w  # One output: 'outer' is none.
        @test by_julia.report.is_jailed == 1 && by_julia.report.is_verified == 1 && by_julia.report.flops == 777
        @test occursin("by_julia", by_julia.receipt)
        @test Hearth.kernel(CONTRACT).name == by_julia.name
        checked = Hearth.verify(by_julia; seed=5)
        @test checked.n_checks > 0 && checked.error_ulps <= 1
        wrong = replace(replace(CONTRACT, "by_julia" => "wrong_by_julia"), r"(?<=HEARTH_KERNEL)(.*)in\[k\] \* outer" => s"\1in[k] + outer")
        @test fails(() -> Hearth.kernel(wrong), "invalid", "where the oracle says")
        @test fails(() -> Hearth.kernel(replace(CONTRACT, "out f32[n]" => "out f16[n]")), "invalid", "f16")
    end
end

@testset "built-ins on devices" begin
    x, w = Hearth.rand(Float32, 1000), Hearth.rand(Float32, 1000)
    opened = try
        Hearth.kernel("mul_f32@opencl")
    catch failure
        failure.status == "unavailable" || rethrow()
        @info "no OpenCL here: $(failure.sentence)"
    end
    if opened !== nothing
        @test opened(x, w) == x .* w
        @test !isempty(Hearth.device(opened.report)) && occursin("device " * Hearth.device(opened.report), string(opened.report))
        by_device = opened.report.n_copies  # None, where the device is the processor.
        @test opened(collect(x), w .+ 0) == x .* w && opened.report.n_copies == by_device + 2
    end
    k = Hearth.kernel("mul_f32")
    @test k(x, w) == x .* w && Hearth.device(k.report) == "" && !occursin("device", string(k.report))
end

@testset "what there is and what there is not" begin
    @test occursin("out f32[n]", Hearth.kernels()["mul_f32"])
    @test fails(() -> Hearth.kernel("no_such_kernel"), "not found", "no_such_kernel")
    @test refuses(() -> Hearth.kernel(""), "empty")
    @test fails(() -> Hearth.verify(Hearth.kernel("mul_f32")), "unsupported", "mul_f32")
    @test fails(() -> Hearth.Context("/tmp/no/such/socket"), "not found", "hearth serve")
    @test occursin("Gflop/s Float64", string(Hearth.roofs()))
    k = Hearth.kernel("mul_f32")
    k(Hearth.zeros(Float32, 10), Hearth.zeros(Float32, 10))
    @test k.report.roof_gbps > 0 && occursin("% of", string(k.report))
end

@testset "questions" begin
    pieces = String[]
    answer = Hearth.ask("What is a receipt?"; max_tokens=60, onpiece=piece -> push!(pieces, piece))
    @test !isempty(answer.text) && join(pieces) == answer.text == string(answer)
    @test all(isvalid, pieces)
    @test startswith(answer.receipt, "r-")
    @test fails(() -> Hearth.ask("?"; model="no-such-model"), "not found", "no-such-model")
    @test [Hearth.n_unfinished(codeunits("aé€𝄞")[1:n]) for n in 1:10] == [0, 1, 0, 1, 2, 0, 1, 2, 3, 0]
end

@testset "ends" begin
    on = Hearth.Context()
    x = Hearth.fill(3.0, 1000; on=on)
    k = Hearth.kernel("scale_f64"; on=on)
    close(on)
    GC.gc()
    @test sum(x) == 3000
    @test fails(() -> Hearth.zeros(3; on=on), "invalid", "the context is closed")
    @test fails(() -> k(x, 2.0), "invalid", "the context is closed")
    close(on)

    doomed = Hearth.Context(ENV["HEARTH_DOOMED_BRIDGE"]; client="julia's tests")
    x = Hearth.fill(2.0, 4; on=doomed)
    k = Hearth.kernel("mul_f64"; on=doomed)
    @test k(x, x) == [4, 4, 4, 4]
    run(`kill -9 $(ENV["HEARTH_DOOMED_PID"])`)
    @test fails(() -> k(x, x), "hub gone", "open a new context")
    @test fails(() -> Hearth.zeros(3; on=doomed), "hub gone", "open a new context")
    @test x == [2, 2, 2, 2]
    k = x = nothing
    GC.gc()
    @test Hearth.kernel("mul_f64")(Base.ones(3), Base.ones(3)) == Base.ones(3)  # The other hub is well.
end

end
