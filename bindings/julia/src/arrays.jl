# Arrays in the hub's pool, and what lies where in those of others.

type_number(T) = UInt32(something(findfirst(==(T), TYPES), 0))
function checked_type_number(T)
    number = type_number(T)
    number == 0 && throw(Failure("unsupported", "elements of type $T are not supported: $TYPE_NAMES are"))
    number
end

padded(numbers) = ntuple(i -> i <= length(numbers) ? Int64(numbers[i]) : Int64(0), RANK_MAX)
column_major(dims::Dims) = (1, cumprod(max.(collect(dims), 1))...)[1:length(dims)]
check_rank(n) = n <= RANK_MAX || throw(Failure("invalid", "an array of $n dimensions: at most $RANK_MAX are possible"))

free(tensor::Ptr{Cvoid}) = ccall(library[].hearth_free, Cvoid, (Ptr{Cvoid},), tensor)

# What lives as long as anything that refers to an array's memory: a reshaped array shares it without the array.
@static if VERSION >= v"1.11"
    owner(a::Array) = a.ref.mem
else
    owner(a::Array) = a
end

"An array over a column-major tensor's memory; frees the tensor once nobody has it any more."
function array_over(tensor::Ptr{Cvoid}, ::Type{T}, dims::Dims{N}) where {T,N}
    if prod(dims) == 0
        free(tensor)  # Nothing lies there, and Julia's empty arrays have no memory of their own.
        return Array{T,N}(undef, dims)
    end
    data = ccall(library[].hearth_data, Ptr{Cvoid}, (Ptr{Cvoid},), tensor)
    made = unsafe_wrap(Array, Ptr{T}(data), dims)
    finalizer(_ -> free(tensor), owner(made))
    made
end

"A tensor's element type and shape."
function shape_of(tensor::Ptr{Cvoid})
    layout = Ref(CLayout(sizeof(CLayout), 0, 0, 0, padded(()), padded(()), C_NULL, -1, 0))
    check(@hearth hearth_describe(tensor::Ptr{Cvoid}, layout::Ptr{CLayout})::Cint)
    TYPES[layout[].type], ntuple(i -> Int(layout[].shape[i]), Int(layout[].rank))
end

"A row-major tensor of this shape, new, in the pool."
function allocate(context::Context, number::UInt32, shape)
    extents, tensor = collect(Int64, shape), Ref{Ptr{Cvoid}}(C_NULL)
    GC.@preserve context begin
        check_with_room() do
            @hearth hearth_alloc_strided(handle_of(context)::Ptr{Cvoid}, number::UInt32, length(extents)::UInt32, extents::Ptr{Int64},
                                         C_NULL::Ptr{Int64}, tensor::Ptr{Ptr{Cvoid}})::Cint
        end
    end
    tensor[]
end

"An array of the pool; what it holds is anything."
function undef_array(::Type{T}, dims::Dims{N}; on::Context=context()) where {T,N}
    number = checked_type_number(T)
    check_rank(N)
    any(<(0), dims) && throw(ArgumentError("an array has a negative extent: $dims"))
    array_over(allocate(on, number, reverse(dims)), T, dims)
end
undef_array(::Type{T}, dims::Integer...; on::Context=context()) where {T} = undef_array(T, Dims(dims); on=on)

zeros(::Type{T}, dims::Integer...; on::Context=context()) where {T} = fill!(undef_array(T, dims...; on=on), zero(T))
zeros(dims::Integer...; on::Context=context()) = zeros(Float64, dims...; on=on)
fill(value::T, dims::Integer...; on::Context=context()) where {T} = fill!(undef_array(T, dims...; on=on), value)
rand(::Type{T}, dims::Integer...; on::Context=context()) where {T} = rand!(undef_array(T, dims...; on=on))
rand(dims::Integer...; on::Context=context()) = rand(Float64, dims...; on=on)

# ---- Arrays of others

# What has an address and strides; anything else is collected first.
const InMemory = Union{StridedArray,PermutedDimsArray{T,N,P,I,<:StridedArray} where {T,N,P,I}}

lies_forwards(a::InMemory) = all(>=(0), strides(a))
lies_forwards(_) = false
function lies_dense(a::InMemory)
    step = 1
    for i in 1:ndims(a)
        size(a, i) == 1 || stride(a, i) == step || return isempty(a)
        step *= size(a, i)
    end
    true
end

"""
A tensor over an array, and whether that took a copy: what lies in the context's pool is used in place.  `is_reversed`:
its dimensions the other way round, which makes column-major memory row-major.
"""
function tensor_over(context::Context, a::AbstractArray{T,N}, is_reversed::Bool) where {T,N}
    number = checked_type_number(T)
    check_rank(N)
    turned(numbers) = is_reversed ? reverse(numbers) : numbers
    isempty(a) && return allocate(context, number, turned(size(a))), false
    inside = lies_forwards(a) ? a : collect(a)
    GC.@preserve inside wrap(context, number, turned(size(inside)), turned(strides(inside)), pointer(inside))
end

function wrap(context::Context, number::UInt32, shape, steps, data::Ptr)
    layout = Ref(CLayout(sizeof(CLayout), number, length(shape), 0, padded(shape), padded(steps), data, -1, 0))
    tensor, copied = Ref{Ptr{Cvoid}}(C_NULL), Ref{Cint}(0)
    GC.@preserve context begin
        check_with_room() do
            @hearth hearth_wrap(handle_of(context)::Ptr{Cvoid}, layout::Ptr{CLayout}, tensor::Ptr{Ptr{Cvoid}}, copied::Ptr{Cint})::Cint
        end
    end
    tensor[], copied[] != 0
end

"The array itself if it lies in the pool, else a copy there, and whether it is one."
function taken(context::Context, a::AbstractArray{T}) where {T}
    tensor, is_copied = tensor_over(context, a, true)
    if isempty(a) || is_copied
        return array_over(tensor, T, size(a)), is_copied
    end
    free(tensor)
    a, false
end

"The array itself if it, or what it is a view of, lies in the hub's pool; else a copy there."
shared(a::AbstractArray; on::Context=context()) = first(taken(on, a))
