# The C interface (include/hearth/hearth.h): structs, functions, and failures as exceptions.

const RANK_MAX = 8

struct COptions
    size::UInt32
    socket::Ptr{UInt8}
    client::Ptr{UInt8}
end
struct CLayout
    size::UInt32
    type::UInt32
    rank::UInt32
    is_read_only::UInt32
    shape::NTuple{RANK_MAX,Int64}
    strides::NTuple{RANK_MAX,Int64}
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

const MISSING, TENSOR, INTEGER, REAL = UInt32.(0:3)
const BY_NAME, BY_CONTRACT, BY_PROSE = UInt32.(1:3)
const HASH_OUTPUTS = UInt32(1)
const TYPES = (Float32, Float64, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64)  # hearth_type, from 1.
const TYPE_NAMES = "Float32, Float64, and integers of 8 to 64 bits"

# ---- The library

# All that is called; looked up once, since a finalizer may neither wait for a lock nor change a table.
const FUNCTIONS = (:hearth_version, :hearth_error, :hearth_open, :hearth_close, :hearth_measure_roofs, :hearth_alloc_strided,
                   :hearth_wrap, :hearth_describe, :hearth_data, :hearth_free, :hearth_kernel_open, :hearth_kernel_close,
                   :hearth_kernel_name, :hearth_kernel_signature, :hearth_kernel_receipt, :hearth_list_kernels, :hearth_complete,
                   :hearth_run, :hearth_cancel, :hearth_check, :hearth_ask, :hearth_read, :hearth_answer_receipt, :hearth_answer_close)
const Addresses = NamedTuple{FUNCTIONS,NTuple{length(FUNCTIONS),Ptr{Cvoid}}}
const library = Ref(Addresses(ntuple(_ -> C_NULL, length(FUNCTIONS))))
const library_lock = ReentrantLock()

"Opens the library if it is not open; whoever has a context need not ask."
function load_library()
    lock(library_lock) do
        library[].hearth_open == C_NULL || return
        name = get(ENV, "HEARTH_LIBRARY", "libhearth.so")
        handle = try
            dlopen(name)
        catch reason
            error("libhearth.so was not found: install Hearth, or name the file in HEARTH_LIBRARY ($(sprint(showerror, reason)))")
        end
        library[] = Addresses(map(function_name -> dlsym(handle, function_name), FUNCTIONS))
    end
    nothing
end

"""
    @hearth name(argument::Type, ...)::Result

Calls a function of the library, which may wait for the hub: meanwhile other threads can collect garbage, or a newer
run could not reach the one that it takes the place of.  Between entering and leaving there is nothing of Julia's.
"""
macro hearth(call)
    signature, result = call.args
    name, typed = signature.args[1], signature.args[2:end]
    types = [esc(argument.args[2]) for argument in typed]
    kept, raw = [gensym("kept") for _ in typed], [gensym("raw") for _ in typed]
    keep = [:($k = Base.cconvert($T, $(esc(argument.args[1])))) for (k, T, argument) in zip(kept, types, typed)]
    convert = [:($r = Base.unsafe_convert($T, $k)) for (r, T, k) in zip(raw, types, kept)]
    quote
        address = library[].$name
        $(keep...)
        GC.@preserve $(kept...) begin
            $(convert...)
            state = ccall(:jl_gc_safe_enter, Int8, ())
            outcome = ccall(address, $(esc(result)), ($(types...),), $(raw...))
            ccall(:jl_gc_safe_leave, Cvoid, (Int8,), state)
        end
        outcome
    end
end

# ---- Failures

const STATUSES = ["invalid", "not found", "denied", "unsupported", "unavailable", "over budget", "cancelled", "corrupt", "internal",
                  "superseded", "fault", "deadline", "hub gone"]
const OVER_BUDGET = Cint(6)

"What went wrong: `status` is one of `Hearth.STATUSES`, the sentence says what, and the way out."
struct Failure <: Exception
    status::String
    sentence::String
end
Base.showerror(io::IO, f::Failure) = print(io, "Hearth (", f.status, "): ", f.sentence)

# The sentence is this thread's: nothing that may change threads comes between a call and its check.
function check(status::Cint)
    status == 0 && return
    sentence = unsafe_string(ccall(library[].hearth_error, Ptr{UInt8}, ()))
    throw(Failure(get(STATUSES, Int(status), "internal"), sentence))
end

"Checks a call that takes memory of the pool.  Arrays that nobody has any more make room before it is refused."
function check_with_room(call)
    status = call()
    if status == OVER_BUDGET
        GC.gc()
        status = call()
    end
    check(status)
end
