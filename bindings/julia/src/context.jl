# Connections to hubs.

"A connection to a hub.  Its arrays outlive it, and the hub's end of it."
mutable struct Context
    handle::Ptr{Cvoid}
    kernels::Dict{String,Any}  # Of `gemm`, by name.
    kernels_lock::ReentrantLock
    function Context(socket::AbstractString=""; client::AbstractString="")
        load_library()
        handle, path, name = Ref{Ptr{Cvoid}}(C_NULL), String(socket), String(client)
        GC.@preserve path name begin
            told(text) = isempty(text) ? Ptr{UInt8}(C_NULL) : pointer(text)
            options = Ref(COptions(sizeof(COptions), told(path), told(name)))
            check(@hearth hearth_open(options::Ptr{COptions}, handle::Ptr{Ptr{Cvoid}})::Cint)
        end
        finalizer(close, new(handle[], Dict{String,Any}(), ReentrantLock()))
    end
end

function Base.close(context::Context)
    handle, context.handle = context.handle, C_NULL
    handle == C_NULL || ccall(library[].hearth_close, Cvoid, (Ptr{Cvoid},), handle)
    nothing
end

Base.show(io::IO, context::Context) = print(io, "Hearth.Context(", context.handle == C_NULL ? "closed" : "open", ")")

function handle_of(context::Context)
    context.handle == C_NULL && throw(Failure("invalid", "the context is closed: open a new one with Hearth.connect()"))
    context.handle
end

const default = Ref{Union{Nothing,Context}}(nothing)
const default_lock = ReentrantLock()

"The context that is used where none is given; opened when it is first needed."
function context()
    lock(default_lock) do
        default[] === nothing && (default[] = Context())
        default[]::Context
    end
end

"Connects anew (to the hub at `socket`, if it is named), and uses that from now on."
function connect(socket::AbstractString="")
    made = Context(socket)
    lock(() -> default[] = made, default_lock)
end

"This machine's roofs, measured by the hub when first asked for (about a second)."
function roofs(; on::Context=context())
    made = Ref(Roofs(sizeof(Roofs), 0, 0, 0, 0, 0))
    GC.@preserve on check(@hearth hearth_measure_roofs(handle_of(on)::Ptr{Cvoid}, made::Ptr{Roofs})::Cint)
    made[]
end
