# Against a running hub: HEARTH_BRIDGE names its socket, HEARTH_LIBRARY libhearth.so.
using Hearth
using Test

@testset "arrays" begin
    a = Hearth.zeros(Float64, 3, 4)
    a[2, 3] = 7
    @test a.array[2, 3] == 7 && sum(a) == 7
    @test strides(a) == (1, 3)
    @test Hearth.shared(a) === a
    @test Hearth.shared([1 2; 3 4])[2, 1] == 3
end

@testset "elementwise" begin
    k = Hearth.kernel("mul_f64")
    x, w = Base.rand(1000), Base.rand(1000)
    @test k(x, w) == x .* w
    sx, sw, out = Hearth.shared(x), Hearth.shared(w), Hearth.zeros(1000)
    for _ in 1:10
        Hearth.run!(k, out, sx, sw)
    end
    @test out == x .* w
    @test Hearth.report(k).n_copies == 0
    @test Hearth.report(k).flops == 1000
end

@testset "column-major matrices" begin
    for (m, k, n) in ((1, 1, 1), (5, 7, 3), (64, 33, 70)), T in (Float32, Float64)
        a, b = Base.rand(T, m, k), Base.rand(T, k, n)
        @test Hearth.gemm(a, b).out ≈ a * b
    end
    u = Base.rand(20, 30)
    v = copy(u)
    v[2:end-1, 2:end-1] .= (u[1:end-2, 2:end-1] .+ u[3:end, 2:end-1] .+ u[2:end-1, 1:end-2] .+ u[2:end-1, 3:end]) ./ 4
    @test Hearth.kernel("jacobi5_f64")(u, 1) ≈ v
end

@testset "failures" begin
    @test_throws Hearth.Failure Hearth.kernel("no_such_kernel")
    @test_throws Hearth.Failure Hearth.kernel("mul_f64")(Base.rand(3), Base.rand(4))
end

@testset "questions" begin
    @test !isempty(Hearth.ask("What is a receipt?"; max_tokens=40))
end
