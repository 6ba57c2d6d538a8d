# rtt.jl SOCKET BYTES...: round trips of registered runs from Julia, a CSV row for each size and place, as of rtt.c.
using Hearth

const WARM_UPS, RUNS = 200, 5000

function timed_run(kernel, out, x, i)
    begun = time_ns()
    x[end] = i
    Hearth.run!(kernel, out, x, 5)
    out[1] == i || error("a wrong result")
    (time_ns() - begun) / 1e3
end

# The sizes take turns: what else the cores do changes from moment to moment.
function measure(place, sizes)
    kernel = Hearth.kernel("touch_$place")
    rows = [(out=Hearth.zeros(1), x=Hearth.undef_array(Float64, n ÷ 8), times=Float64[]) for n in sizes]
    n_copies = 0
    foreach(row -> row.x[1] = 0, rows)
    for i in 1-WARM_UPS:RUNS, row in rows
        us = timed_run(kernel, row.out, row.x, i)
        i > 0 && push!(row.times, us)
        n_copies += kernel.report.n_copies
    end
    for (row, n) in zip(rows, sizes)
        sort!(row.times)
        println(join((place, n, row.times[1], row.times[RUNS÷2], row.times[RUNS*99÷100], n_copies), ","))
    end
end

Hearth.connect(ARGS[1])
for place in ("hub", "worker")
    measure(place, parse.(Int, ARGS[2:end]))
    GC.gc()  # One place's tensors at a time.
end
