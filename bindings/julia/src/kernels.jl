# Kernels: calling them, and superseding what runs.

struct Parameter
    name::String
    text::String  # As in the signature: "w f32[n] strided".
    is_tensor::Bool
    is_strided::Bool
    is_real::Bool
    is_out::Bool    # Written and not read.
    is_inout::Bool
end

function Parameter(text)
    words = split(text)
    name = String(first(words))
    is_inout = startswith(name, "inout")
    Parameter(name, text, occursin('[', text), last(words) == "strided", startswith(words[2], "f"), name == "out" || startswith(name, "out_"), is_inout)
end
parameters_of(signature) = [Parameter(String(strip(text))) for text in split(signature, r",(?![^\[]*\])")]

"""
Something to run.  `k(x, w)` takes what the signature only reads, in its order, makes the outputs, and returns them;
`k(x, w; out=y)` gives anything by its name.  Integers that a shape says may be left out.  `k.report` is the last run's.

Outputs of matrices that are not strided come in row-major order, which is Julia's with the dimensions reversed.  An array
of others that is given for an `inout` stays as it is, and what the call returns has changed.

Keywords: `generation` (a run with a higher one takes the place of those below it, which fail as "superseded"; `submit`
counts by itself, so use one or the other), `deadline` in seconds, and `hash=true` for `report.out_hash`.
"""
mutable struct Kernel
    handle::Ptr{Cvoid}
    context::Context
    name::String
    signature::String
    receipt::String  # JSON; "" for built-ins.
    parameters::Vector{Parameter}
    report::Report
    newest::Threads.Atomic{UInt64}     # Generation of what was submitted last,
    cancelled::Threads.Atomic{UInt64}  # and up to which `cancel` has ended all.
end
Base.show(io::IO, k::Kernel) = print(io, "Hearth.Kernel ", k.name, "(", k.signature, ")")

function source_kind(text)
    occursin(r"^\w+(@\w+)?$", text) && return BY_NAME
    occursin(r"^\s*signature\s*="m, text) ? BY_CONTRACT : BY_PROSE
end

"A kernel by its name, by a contract in TOML, or by a wish in prose, which may take a minute."
function kernel(text::AbstractString; on::Context=context())
    raw, handle = String(text), Ref{Ptr{Cvoid}}(C_NULL)
    isempty(raw) && throw(ArgumentError("a kernel has a name, a contract or a wish, and this text is empty"))
    GC.@preserve raw on begin
        source = Ref(CSource(sizeof(CSource), source_kind(raw), pointer(raw), sizeof(raw)))
        check(@hearth hearth_kernel_open(handle_of(on)::Ptr{Cvoid}, source::Ptr{CSource}, handle::Ptr{Ptr{Cvoid}})::Cint)
    end
    told(address) = unsafe_string(ccall(address, Ptr{UInt8}, (Ptr{Cvoid},), handle[]))
    name, signature, receipt = told(library[].hearth_kernel_name), told(library[].hearth_kernel_signature), told(library[].hearth_kernel_receipt)
    made = Kernel(handle[], on, name, signature, receipt, parameters_of(signature), Report(), Threads.Atomic{UInt64}(0),
                  Threads.Atomic{UInt64}(0))
    finalizer(k -> ccall(library[].hearth_kernel_close, Cvoid, (Ptr{Cvoid},), k.handle), made)
end

"The signatures of what can be opened by name."
function kernels(; on::Context=context())
    n_needed = Ref{Csize_t}(0)
    list(buffer) = GC.@preserve on check(@hearth hearth_list_kernels(handle_of(on)::Ptr{Cvoid}, buffer::Ptr{UInt8},
                                                                     length(buffer)::Csize_t, n_needed::Ptr{Csize_t})::Cint)
    list(UInt8[])
    buffer = Vector{UInt8}(undef, n_needed[] + 4096)
    list(buffer)
    lines = split(GC.@preserve(buffer, unsafe_string(pointer(buffer))), '\n'; keepempty=false)
    Dict(String(name) => String(signature) for (name, signature) in split.(lines, ' '; limit=2))
end

# ---- A call: what it passes, and what must be there until it is over

mutable struct Call
    values::Vector{CValue}
    arrays::Vector{Any}            # Whose memory is passed, by parameter; nothing for numbers.
    tensors::Vector{Ptr{Cvoid}}    # Over them; freed after the run.
    n_copies::UInt32               # Made here; those of the library and of devices are in its report.
end
Call(n) = Call(Base.fill(CValue(MISSING, 0, 0), n), Vector{Any}(nothing, n), Ptr{Cvoid}[], 0)

function release(call::Call)
    foreach(free, call.tensors)
    empty!(call.tensors)
end

tensor_value(tensor) = CValue(TENSOR, 0, UInt64(UInt(tensor)))
refuse(p, given) = throw(ArgumentError("'$(p.name)' is $(p.is_tensor ? "an array" : "a number") ($(p.text)), and $given is given"))

put!(::Call, ::Kernel, _, ::Nothing) = nothing
put!(::Call, k::Kernel, i, given) = refuse(k.parameters[i], "a $(typeof(given))")

function put!(call::Call, k::Kernel, i, x::Real)
    p = k.parameters[i]
    p.is_tensor && refuse(p, x)
    p.is_real || isinteger(x) || refuse(p, x)
    call.values[i] = p.is_real ? CValue(REAL, 0, reinterpret(UInt64, Float64(x))) : CValue(INTEGER, 0, reinterpret(UInt64, Int64(x)))
    nothing
end

function put!(call::Call, k::Kernel, i, a::AbstractArray)
    p = k.parameters[i]
    p.is_tensor || refuse(p, "a $(summary(a))")
    inside, is_copied = p.is_inout ? taken(k.context, a) : (a, false)
    is_written, has_gaps = p.is_out || p.is_inout, !p.is_strided && lies_forwards(inside) && !lies_dense(inside)
    is_written && has_gaps &&
        throw(Failure("invalid", "'$(p.name)' is written, and this $(summary(a)) has gaps: give an array without, or a copy"))
    if !is_written && (has_gaps || !lies_forwards(inside))
        inside, is_copied = copyto!(undef_array(eltype(a), size(a); on=k.context), inside), !isempty(inside)
    end
    tensor, is_wrapped_by_copy = tensor_over(k.context, inside, !p.is_strided && ndims(a) > 1)
    push!(call.tensors, tensor)
    if p.is_out && is_wrapped_by_copy
        throw(Failure("invalid", "'$(p.name)' is written, and this $(summary(a)) does not lie in the hub's pool, where a kernel could " *
                                 "write: give Hearth.zeros(...), or a view of such an array"))
    end
    call.arrays[i] = inside
    call.values[i] = tensor_value(tensor)
    call.n_copies += is_copied
    nothing
end

"Makes the outputs that are missing, and finds the integers that are."
function complete!(call::Call, k::Kernel)
    missing_before = [value.kind == MISSING for value in call.values]
    any(missing_before) || return
    GC.@preserve k begin
        check_with_room() do
            @hearth hearth_complete(k.handle::Ptr{Cvoid}, call.values::Ptr{CValue}, length(call.values)::UInt32)::Cint
        end
    end
    made = [i for i in eachindex(call.values) if missing_before[i] && call.values[i].kind == TENSOR]
    append!(call.tensors, [Ptr{Cvoid}(UInt(call.values[i].as)) for i in made])
    foreach(i -> put_made!(call, k, i), made)
end

# What was made is row-major memory.  The array over it has a tensor of its own, since those of the call end with it.
function put_made!(call::Call, k::Kernel, i)
    made, is_strided = Ptr{Cvoid}(UInt(call.values[i].as)), k.parameters[i].is_strided
    T, shape = shape_of(made)
    dims = is_strided ? shape : reverse(shape)
    data = ccall(library[].hearth_data, Ptr{Cvoid}, (Ptr{Cvoid},), made)
    tensor, _ = wrap(k.context, type_number(T), dims, column_major(dims), data)
    call.arrays[i] = array_over(tensor, T, dims)
    is_strided && length(dims) > 1 || return
    passed, _ = tensor_over(k.context, call.arrays[i], false)
    push!(call.tensors, passed)
    call.values[i] = tensor_value(passed)
end

"The call's values, from those that are given in the signature's order and those by name."
function arrange(k::Kernel, taken_parameters, given, named)
    length(given) <= length(taken_parameters) ||
        throw(ArgumentError("$(k.name) takes $(length(taken_parameters)) values ($(k.signature)), $(length(given)) are given"))
    values = Vector{Any}(nothing, length(k.parameters))
    values[taken_parameters[1:length(given)]] .= given
    for (name, value) in named
        i = findfirst(p -> p.name == String(name), k.parameters)
        i === nothing && throw(ArgumentError("$(k.name) has no value '$name': $(k.signature)"))
        values[i] === nothing || throw(ArgumentError("'$name' is given twice: $(k.signature)"))
        values[i] = value
    end
    prepare(k, values)
end

function prepare(k::Kernel, given)
    call = Call(length(k.parameters))
    try
        for (i, value) in enumerate(given)
            put!(call, k, i, value)
        end
        complete!(call, k)
    catch
        release(call)
        rethrow()
    end
    call
end

"Runs a call, and returns its outputs: one, or a tuple of them."
function finish!(k::Kernel, call::Call, generation, deadline, hash)
    report = Report()
    options = Ref(CRunOptions(sizeof(CRunOptions), hash ? HASH_OUTPUTS : UInt32(0), generation, deadline))
    try
        GC.@preserve call k report begin
            check(@hearth hearth_run(k.handle::Ptr{Cvoid}, call.values::Ptr{CValue}, length(call.values)::UInt32,
                                     options::Ptr{CRunOptions}, pointer_from_objref(report)::Ptr{Cvoid})::Cint)
        end
    finally
        release(call)
    end
    report.n_copies += call.n_copies
    k.report = report
    outputs = Tuple(call.arrays[i] for (i, p) in enumerate(k.parameters) if p.is_out || p.is_inout)
    length(outputs) == 1 ? outputs[1] : outputs
end

read_parameters(k::Kernel) = [i for (i, p) in enumerate(k.parameters) if !p.is_out]

(k::Kernel)(given...; generation=0, deadline=0, hash=false, named...) =
    finish!(k, arrange(k, read_parameters(k), given, named), generation, deadline, hash)

"Runs a kernel on all values that its signature names, outputs too, in its order.  Keywords as of a call."
function run!(k::Kernel, given...; generation=0, deadline=0, hash=false)
    length(given) == length(k.parameters) ||
        throw(ArgumentError("$(k.name) takes $(length(k.parameters)) values ($(k.signature)), $(length(given)) are given"))
    finish!(k, prepare(k, given), generation, deadline, hash)
end

# ---- In the background

# A task that waits in the library keeps its thread: that must not be the one which has to go on and submit the next run.
# 0 where there is no other.
function other_thread(turn)
    n_before = @static VERSION >= v"1.9" ? Threads.nthreads(:interactive) : 0
    others = [id for id in n_before .+ (1:Threads.nthreads()) if id != Threads.threadid()]
    isempty(others) ? 0 : others[mod1(turn, length(others))]
end

# As Base's @threads does it.
function schedule_on(thread, task)
    if thread > 0
        task.sticky = true
        ccall(:jl_set_task_tid, Cint, (Any, Cint), task, thread - 1)
    end
    schedule(task)
end

"""
Runs a call in the background and returns its task; `fetch` has the result.  What was submitted before and still runs
fails as "superseded".  Wants a thread to run on, `julia -t 2` or more: where there is none, it runs once this task waits.
"""
function submit(k::Kernel, given...; named...)
    call = arrange(k, read_parameters(k), given, named)
    generation = Threads.atomic_add!(k.newest, UInt64(1)) + 1
    stop(k, generation - 1)  # At once, and not when a thread is free for this one.
    schedule_on(other_thread(generation), Task(() -> finish_submitted!(k, call, generation)))
end

function finish_submitted!(k::Kernel, call::Call, generation)
    try
        finish!(k, call, generation, 0, false)
    catch failure
        is_overtaken = failure isa Failure && failure.status == "cancelled" && generation > k.cancelled[]
        is_overtaken ? throw(Failure("superseded", "a newer run took this one's place")) : rethrow()
    end
end

stop(k::Kernel, generation) = GC.@preserve k check(@hearth hearth_cancel(k.handle::Ptr{Cvoid}, generation::UInt64)::Cint)

"Ends what was submitted: it fails as \"cancelled\"."
function cancel(k::Kernel)
    generation = k.newest[]
    Threads.atomic_max!(k.cancelled, generation)
    stop(k, generation)
end

"Verifies a kernel by contract once more, with inputs from `seed`."
function verify(k::Kernel; seed::Integer=0)
    report = Report()
    GC.@preserve k report check(@hearth hearth_check(k.handle::Ptr{Cvoid}, seed::UInt64, pointer_from_objref(report)::Ptr{Cvoid})::Cint)
    report
end

"The kernel's last run."
report(k::Kernel) = k.report

# ---- Products

kept_kernel(on::Context, name) = lock(() -> get!(() -> kernel(name; on=on), on.kernels, name)::Kernel, on.kernels_lock)

"The product of two matrices, with its report; given a number, of random ones of that size."
function gemm(a::AbstractMatrix{T}, b::AbstractMatrix{T}; on::Context=context()) where {T<:Union{Float32,Float64}}
    k = kept_kernel(on, T == Float32 ? "gemm_f32" : "gemm_f64")
    product = k(a, b)
    (out=product, report=k.report, tflops=k.report.gflops / 1000)
end
gemm(n::Integer, ::Type{T}=Float64; on::Context=context()) where {T} = gemm(rand(T, n, n; on=on), rand(T, n, n; on=on); on=on)
