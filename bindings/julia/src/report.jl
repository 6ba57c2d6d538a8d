# What a run was, and what the machine can do at most.

"""
What a run was: times in seconds, `gflops` and `gbps` in 10^9 a second; `roof_gflops` and `roof_gbps` are 0 until
`Hearth.roofs()` was called.  The other fields are those of hearth_report.
"""
mutable struct Report
    size::UInt32
    is_verified::UInt32
    is_cached::UInt32
    is_jailed::UInt32
    n_copies::UInt32
    n_checks::UInt32
    t_compile::Float64
    t_kernel::Float64
    t_total::Float64
    flops::Float64
    bytes::Float64
    gflops::Float64
    gbps::Float64
    roof_gflops::Float64
    roof_gbps::Float64
    error_ulps::Float64
    out_hash::UInt64
    generation::UInt64
    device::NTuple{64,UInt8}
    Report() = new(sizeof(Report), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ntuple(_ -> 0x00, 64))
end

"The device that computed, as its driver names it; \"\": the processor."
device(r::Report) = String(collect(Iterators.takewhile(!=(0x00), r.device)))

share(value, roof) = roof > 0 ? " ($(round(Int, 100 * value / roof)) % of $(round(roof; digits=1)))" : ""

"What there is to say about a run, by lines: what, and its figure."
function rows(r::Report)
    made = ["kernel" => "$(round(1e6 * r.t_kernel; digits=1)) µs", "call" => "$(round(1e6 * r.t_total; digits=1)) µs"]
    r.flops > 0 && push!(made, "speed" => "$(round(r.gflops; digits=2)) Gflop/s" * share(r.gflops, r.roof_gflops))
    r.bytes > 0 && push!(made, "memory" => "$(round(r.gbps; digits=2)) GB/s" * share(r.gbps, r.roof_gbps))
    push!(made, "copies" => string(r.n_copies), "verified" => r.is_verified != 0 ? "yes" : "no")
    r.is_jailed != 0 && push!(made, "jailed" => "yes")
    isempty(device(r)) || push!(made, "device" => device(r))
    r.n_checks > 0 && push!(made, "checks" => "$(r.n_checks), at most $(round(r.error_ulps; digits=2)) ULP off")
    made
end

Base.show(io::IO, r::Report) = join(io, ("$what $figure" for (what, figure) in rows(r)), ", ")

# For notebooks (Pluto, IJulia).
function Base.show(io::IO, ::MIME"text/html", r::Report)
    print(io, "<table>")
    foreach(((what, figure),) -> print(io, "<tr><td>", what, "</td><td>", figure, "</td></tr>"), rows(r))
    print(io, "</table>")
end

"What this machine can do at most, in 10^9 operations or bytes a second."
struct Roofs
    size::UInt32
    n_threads::UInt32
    gflops_f32::Float64
    gflops_f64::Float64
    gbps_read::Float64
    gbps_stream::Float64
end

Base.show(io::IO, r::Roofs) =
    print(io, "roofs of ", r.n_threads, " threads: ", round(r.gflops_f32; digits=1), " Gflop/s Float32, ", round(r.gflops_f64; digits=1),
          " Gflop/s Float64, ", round(r.gbps_read; digits=1), " GB/s read, ", round(r.gbps_stream; digits=1), " GB/s streamed")
