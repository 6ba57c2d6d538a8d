"""
Kernels of a Hearth hub on arrays in shared memory.

    using Hearth
    x, w = Hearth.rand(1000), Hearth.fill(0.5, 1000)
    multiply = Hearth.kernel("mul_f64")
    y = multiply(x, w)              # no copy
    multiply.report

Needs a running `hearth serve`, libhearth.so (`HEARTH_LIBRARY` names it, or the system has it), and nothing of Julia
but Base and Libdl.  `include/hearth/hearth.h` is the manual of what lies below.

Arrays are column-major, and are passed as they lie: a kernel's `strided` parameter sees the same shape with Julia's
strides.  Any other parameter wants row-major memory, which a Julia array is with its dimensions reversed: the kernel's
`[m, n]` is then Julia's `(n, m)`.  Nothing is ever transposed.
"""
module Hearth

using Libdl

const RANK_MAX = 8

# ---- The C interface, struct by struct (hearth.h).

struct COptions
    size::UInt32
    socket::Ptr{UInt8}
    client::Ptr{UInt8}
end
struct CRoofs
    size::UInt32
    n_threads::UInt32
    gflops_f32::Float64
    gflops_f64::Float64
    gbps_read::Float64
    gbps_stream::Float64
end
struct CLayout
    size::UInt32
    type::UInt32
    rank::UInt32
    is_read_only::UInt32
    shape::NTuple{8,Int64}
    strides::NTuple{8,Int64}
    data::Ptr{Cvoid}
    descriptor::Int32
    descriptor_offset::UInt64
end
struct CSource
    size::UInt32
    kind::UInt32
    text::Ptr{UInt8}
    n_bytes::Csize_t
end
struct CRunOptions
    size::UInt32
    flags::UInt32
    generation::UInt64
    deadline_s::Float64
end
struct CValue
    kind::UInt32
    reserved::UInt32
    as::UInt64  # A tensor's address, or the bits of an Int64 or a Float64.
end
struct CQuestion
    size::UInt32
    max_tokens::UInt32
    model::Ptr{UInt8}
    system::Ptr{UInt8}
    prompt::Ptr{UInt8}
end

"What a run was: times in seconds, `gflops` and `gbps` in 10^9 a second; roofs are 0 until `Hearth.roofs()` was called."
struct Report
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
end
Report() = Report(sizeof(Report), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)

function Base.show(io::IO, r::Report)
    share(value, roof) = roof > 0 ? " ($(round(Int, 100 * value / roof)) % of $(round(roof; digits=1)))" : ""
    print(io, "kernel $(round(1e6 * r.t_kernel; digits=1)) µs, call $(round(1e6 * r.t_total; digits=1)) µs")
    r.flops > 0 && print(io, ", $(round(r.gflops; digits=2)) Gflop/s", share(r.gflops, r.roof_gflops))
    r.bytes > 0 && print(io, ", $(round(r.gbps; digits=2)) GB/s", share(r.gbps, r.roof_gbps))
    print(io, ", ", r.n_copies, " copies, ", r.is_verified != 0 ? "verified" : "not verified", r.is_jailed != 0 ? ", in a jail" : "")
end

const MISSING, TENSOR, INTEGER, REAL = UInt32.(0:3)
const BY_NAME, BY_CONTRACT, BY_PROSE = UInt32.(1:3)
const TYPES = [Float32, Float64, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64]  # hearth_type, from 1.
type_number(T) = UInt32(something(findfirst(==(T), TYPES), 0))

const library = Ref{Ptr{Cvoid}}(C_NULL)
const symbols = Dict{Symbol,Ptr{Cvoid}}()
const symbols_lock = ReentrantLock()

function open_library()
    library[] != C_NULL && return library[]
    name = get(ENV, "HEARTH_LIBRARY", "libhearth.so")
    handle = dlopen(name; throw_error=false)
    handle === nothing && error("libhearth.so was not found: install Hearth, or name the file in HEARTH_LIBRARY")
    library[] = handle
end

"The address of a function of the library."
function c(name::Symbol)
    lock(symbols_lock) do
        get!(() -> dlsym(open_library(), name), symbols, name)
    end
end

const STATUSES = ["invalid", "not found", "denied", "unsupported", "unavailable", "over budget", "cancelled", "corrupt", "internal",
                  "superseded", "fault", "deadline", "hub gone"]

"What went wrong: `status` is one of `Hearth.STATUSES`, the sentence says what, and the way out."
struct Failure <: Exception
    status::String
    sentence::String
end
Base.showerror(io::IO, f::Failure) = print(io, "Hearth (", f.status, "): ", f.sentence)

function check(status::Cint)
    status == 0 && return
    sentence = unsafe_string(ccall(c(:hearth_error), Ptr{UInt8}, ()))
    throw(Failure(get(STATUSES, status, "internal"), sentence))
end

# ---- Context

"A connection to a hub.  Its arrays outlive it, and the hub's end of it."
mutable struct Context
    handle::Ptr{Cvoid}
    function Context(socket::AbstractString="")
        handle = Ref{Ptr{Cvoid}}(C_NULL)
        path = String(socket)
        GC.@preserve path begin
            options = Ref(COptions(sizeof(COptions), isempty(path) ? C_NULL : pointer(path), C_NULL))
            check(ccall(c(:hearth_open), Cint, (Ptr{COptions}, Ptr{Ptr{Cvoid}}), options, handle))
        end
        finalizer(close, new(handle[]))
    end
end

function Base.close(context::Context)
    handle, context.handle = context.handle, C_NULL
    handle == C_NULL || ccall(c(:hearth_close), Cvoid, (Ptr{Cvoid},), handle)
    nothing
end

const default = Ref{Union{Nothing,Context}}(nothing)
"The context that is used where none is given; opened when it is first needed."
context() = something(default[], connect())
"Connects anew, and uses that from now on."
connect(socket::AbstractString="") = (default[] = Context(socket))

"This machine's roofs, measured by the hub when first asked for (about a second)."
function roofs(on::Context=context())
    made = Ref(CRoofs(sizeof(CRoofs), 0, 0, 0, 0, 0))
    check(ccall(c(:hearth_measure_roofs), Cint, (Ptr{Cvoid}, Ptr{CRoofs}), on.handle, made))
    made[]
end

# ---- Arrays

mutable struct Handle
    pointer::Ptr{Cvoid}
    Handle(pointer) = finalizer(new(pointer)) do handle
        ccall(c(:hearth_free), Cvoid, (Ptr{Cvoid},), handle.pointer)
    end
end

"A column-major array in the hub's pool: an ordinary array here, and the kernel's memory there."
struct SharedArray{T,N} <: DenseArray{T,N}
    array::Array{T,N}  # Over the pool's memory, which `handle` keeps.
    handle::Handle
end
Base.size(a::SharedArray) = size(a.array)
Base.IndexStyle(::Type{<:SharedArray}) = IndexLinear()
Base.@propagate_inbounds Base.getindex(a::SharedArray, i::Int) = a.array[i]
Base.@propagate_inbounds Base.setindex!(a::SharedArray, value, i::Int) = (a.array[i] = value; a)
Base.strides(a::SharedArray) = strides(a.array)
Base.elsize(::Type{<:SharedArray{T}}) where {T} = sizeof(T)
Base.pointer(a::SharedArray) = pointer(a.array)
Base.unsafe_convert(::Type{Ptr{T}}, a::SharedArray{T}) where {T} = pointer(a.array)

padded(numbers) = ntuple(i -> i <= length(numbers) ? Int64(numbers[i]) : Int64(0), RANK_MAX)
column_major(dims) = isempty(dims) ? () : (1, cumprod(max.(collect(dims)[1:end-1], 1))...)

"An array of the pool; what it holds is anything."
function undef_array(::Type{T}, dims::Dims{N}, on::Context=context()) where {T,N}
    type_number(T) == 0 && throw(ArgumentError("elements of type $T are not supported"))
    shape, steps = collect(Int64, dims), collect(Int64, column_major(dims))
    handle = Ref{Ptr{Cvoid}}(C_NULL)
    check(ccall(c(:hearth_alloc_strided), Cint, (Ptr{Cvoid}, UInt32, UInt32, Ptr{Int64}, Ptr{Int64}, Ptr{Ptr{Cvoid}}),
                on.handle, type_number(T), N, shape, steps, handle))
    kept = Handle(handle[])
    data = ccall(c(:hearth_data), Ptr{Cvoid}, (Ptr{Cvoid},), kept.pointer)
    SharedArray{T,N}(unsafe_wrap(Array, Ptr{T}(data), dims; own=false), kept)
end

zeros(::Type{T}, dims::Int...) where {T} = fill!(undef_array(T, dims), zero(T))
zeros(dims::Int...) = zeros(Float64, dims...)
fill(value::T, dims::Int...) where {T} = fill!(undef_array(T, dims), value)
rand(::Type{T}, dims::Int...) where {T} = (a = undef_array(T, dims); a .= Base.rand(T, dims...); a)
rand(dims::Int...) = rand(Float64, dims...)
"A copy of an array in the pool; one that lies there is returned as it is."
shared(a::SharedArray) = a
shared(a::AbstractArray{T}) where {T} = copyto!(undef_array(T, size(a)), a)

"Another handle over an array's memory with its dimensions reversed: as row-major memory."
function reversed(a::SharedArray{T,N}) where {T,N}
    dims = Base.reverse(size(a))
    layout = Ref(CLayout(sizeof(CLayout), type_number(T), N, 0, padded(dims), padded(Base.reverse(collect(column_major(size(a))))),
                         pointer(a.array), -1, 0))
    handle = Ref{Ptr{Cvoid}}(C_NULL)
    check(ccall(c(:hearth_slice), Cint, (Ptr{Cvoid}, Ptr{CLayout}, Ptr{Ptr{Cvoid}}), a.handle.pointer, layout, handle))
    Handle(handle[])
end

"The pool's memory behind a handle as an array; `is_reversed`: with its dimensions the other way round."
function array_of(handle::Handle, is_reversed::Bool)
    layout = Ref(CLayout(sizeof(CLayout), 0, 0, 0, padded(()), padded(()), C_NULL, -1, 0))
    check(ccall(c(:hearth_describe), Cint, (Ptr{Cvoid}, Ptr{CLayout}), handle.pointer, layout))
    dims = layout[].shape[1:layout[].rank]
    dims = Tuple(Int.(is_reversed ? Base.reverse(dims) : dims))
    T = TYPES[layout[].type]
    SharedArray{T,length(dims)}(unsafe_wrap(Array, Ptr{T}(layout[].data), dims; own=false), handle)
end

# ---- Kernels

struct Parameter
    name::String
    is_tensor::Bool
    is_strided::Bool
    is_out::Bool
end

function parameters_of(signature)
    map(split(signature, r",(?![^\[]*\])")) do text
        words = split(strip(text))
        name = String(first(words))
        Parameter(name, occursin('[', text), last(words) == "strided", name == "out" || startswith(name, "out_"))
    end
end

"Something to run: `k(x, w)` makes the outputs and returns them; `run!(k, outputs..., inputs...)` takes all that its signature names."
mutable struct Kernel
    handle::Ptr{Cvoid}
    context::Context
    name::String
    signature::String
    receipt::String
    parameters::Vector{Parameter}
    report::Report
end
Base.show(io::IO, k::Kernel) = print(io, "Hearth.Kernel ", k.name, "(", k.signature, ")")

function source_kind(text)
    occursin(r"^\w+$", text) && return BY_NAME
    occursin(r"^\s*signature\s*="m, text) ? BY_CONTRACT : BY_PROSE
end

"A kernel by its name, by a contract in TOML, or by a wish in prose, which may take a minute."
function kernel(text::AbstractString, on::Context=context())
    raw, handle = String(text), Ref{Ptr{Cvoid}}(C_NULL)
    GC.@preserve raw begin
        source = Ref(CSource(sizeof(CSource), source_kind(raw), pointer(raw), sizeof(raw)))
        check(ccall(c(:hearth_kernel_open), Cint, (Ptr{Cvoid}, Ptr{CSource}, Ptr{Ptr{Cvoid}}), on.handle, source, handle))
    end
    told(name) = unsafe_string(ccall(c(name), Ptr{UInt8}, (Ptr{Cvoid},), handle[]))
    signature = told(:hearth_kernel_signature)
    made = Kernel(handle[], on, told(:hearth_kernel_name), signature, told(:hearth_kernel_receipt), parameters_of(signature), Report())
    finalizer(k -> ccall(c(:hearth_kernel_close), Cvoid, (Ptr{Cvoid},), k.handle), made)
end

# A value for the kernel, and what must live until the run is over.
value_of(::Parameter, ::Nothing) = (CValue(MISSING, 0, 0), nothing)
function value_of(parameter::Parameter, a::AbstractArray)
    parameter.is_tensor || throw(ArgumentError("'$(parameter.name)' is a number"))
    inside = shared(a)
    as_it_lies = parameter.is_strided || ndims(inside) < 2
    handle = as_it_lies ? inside.handle : reversed(inside)
    (CValue(TENSOR, 0, UInt64(UInt(handle.pointer))), (inside, handle))
end
value_of(::Parameter, x::Integer) = (CValue(INTEGER, 0, reinterpret(UInt64, Int64(x))), nothing)
value_of(::Parameter, x::Real) = (CValue(REAL, 0, reinterpret(UInt64, Float64(x))), nothing)

function run_values!(k::Kernel, values::Vector{CValue}, kept, generation)
    report = Ref(Report())
    options = Ref(CRunOptions(sizeof(CRunOptions), 0, generation, 0))
    GC.@preserve kept begin
        check(ccall(c(:hearth_run), Cint, (Ptr{Cvoid}, Ptr{CValue}, UInt32, Ptr{CRunOptions}, Ptr{Report}), k.handle, values,
                    length(values), options, report))
    end
    k.report = report[]
    nothing
end

"Runs a kernel on all values that its signature names, in its order.  A higher generation takes the place of lower ones."
function run!(k::Kernel, given...; generation=0)
    length(given) == length(k.parameters) || throw(ArgumentError("$(k.name) takes $(k.signature)"))
    made = [value_of(p, v) for (p, v) in zip(k.parameters, given)]
    run_values!(k, first.(made), last.(made), generation)
    first(given)
end

# Outputs of matrices that are not strided come in row-major order, which is Julia's with the dimensions reversed.
function (k::Kernel)(given...; generation=0)
    inputs = count(p -> !p.is_out, k.parameters)
    length(given) <= inputs || throw(ArgumentError("$(k.name) takes $(k.signature)"))
    rest = Iterators.Stateful(given)
    made = [p.is_out || isempty(rest) ? value_of(p, nothing) : value_of(p, popfirst!(rest)) for p in k.parameters]
    values, kept = first.(made), last.(made)
    missing_before = [v.kind == MISSING for v in values]
    if any(missing_before)
        GC.@preserve kept check(ccall(c(:hearth_complete), Cint, (Ptr{Cvoid}, Ptr{CValue}, UInt32), k.handle, values, length(values)))
    end
    outputs = Any[]
    for (i, p) in enumerate(k.parameters)
        p.is_tensor || continue
        if missing_before[i]
            handle = Handle(Ptr{Cvoid}(UInt(values[i].as)))
            push!(outputs, p.is_strided ? row_major_output(handle, values, i, kept, k) : array_of(handle, true))
        elseif startswith(p.name, "inout")
            push!(outputs, kept[i][1])
        end
    end
    run_values!(k, values, (kept, outputs), generation)
    length(outputs) == 1 ? outputs[1] : Tuple(outputs)
end

# A strided output is made anew as a column-major array of the same shape.
function row_major_output(handle::Handle, values, i, kept, k)
    row_major = array_of(handle, true)
    made = undef_array(eltype(row_major), Base.reverse(size(row_major)), k.context)
    values[i] = CValue(TENSOR, 0, UInt64(UInt(made.handle.pointer)))
    made
end

"The kernel's last run."
report(k::Kernel) = k.report

"The product of two matrices, with its report; given a number, of random ones of that size."
function gemm(a::AbstractMatrix{T}, b::AbstractMatrix{T}) where {T<:Union{Float32,Float64}}
    k = kernel(T == Float32 ? "gemm_f32" : "gemm_f64")
    product = k(a, b)
    (; out=product, report=k.report, tflops=k.report.gflops / 1000)
end
gemm(n::Int, ::Type{T}=Float64) where {T} = gemm(rand(T, n, n), rand(T, n, n))

"Asks a model of the hub; `onpiece` is called with each piece as it comes.  Returns the whole answer."
function ask(prompt::AbstractString; model="auto", max_tokens=0, on::Context=context(), onpiece=_ -> nothing)
    texts, answer = (String(model), String(prompt)), Ref{Ptr{Cvoid}}(C_NULL)
    GC.@preserve texts begin
        question = Ref(CQuestion(sizeof(CQuestion), max_tokens, pointer(texts[1]), C_NULL, pointer(texts[2])))
        check(ccall(c(:hearth_ask), Cint, (Ptr{Cvoid}, Ptr{CQuestion}, Ptr{Ptr{Cvoid}}), on.handle, question, answer))
    end
    whole, buffer, n = IOBuffer(), Vector{UInt8}(undef, 4096), Ref{Csize_t}(0)
    try
        while true
            check(ccall(c(:hearth_read), Cint, (Ptr{Cvoid}, Ptr{UInt8}, Csize_t, Ptr{Csize_t}), answer[], buffer, length(buffer), n))
            n[] == 0 && return String(take!(whole))
            piece = buffer[1:n[]]
            write(whole, piece)
            onpiece(String(piece))
        end
    finally
        ccall(c(:hearth_answer_close), Cvoid, (Ptr{Cvoid},), answer[])
    end
end

end # module
