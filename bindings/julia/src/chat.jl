# Questions to the hub's models.

"A model's answer: `text`, and the id of its receipt."
struct Answer
    text::String
    receipt::String
end
Base.print(io::IO, answer::Answer) = print(io, answer.text)

"How many bytes at the end of `bytes` begin a character that is not whole yet."
function n_unfinished(bytes)
    for n in 1:min(3, length(bytes))
        byte = bytes[end-n+1]
        byte & 0xc0 == 0x80 && continue  # Goes on with a character.
        return byte >= 0xf0 && n < 4 || byte >= 0xe0 && n < 3 || byte >= 0xc0 && n < 2 ? n : 0
    end
    0
end

"Asks a model of the hub; `onpiece` is called with each piece of text as it comes.  Returns the whole answer."
function ask(prompt::AbstractString; model="auto", system="", max_tokens=0, on::Context=context(), onpiece=_ -> nothing)
    texts, handle = (String(model), String(system), String(prompt)), Ref{Ptr{Cvoid}}(C_NULL)
    GC.@preserve texts on begin
        question = Ref(CQuestion(sizeof(CQuestion), max_tokens, pointer(texts[1]), isempty(texts[2]) ? Ptr{UInt8}(C_NULL) : pointer(texts[2]), pointer(texts[3])))
        check(@hearth hearth_ask(handle_of(on)::Ptr{Cvoid}, question::Ptr{CQuestion}, handle::Ptr{Ptr{Cvoid}})::Cint)
    end
    try
        text = read_answer(handle[], onpiece)
        Answer(text, unsafe_string(ccall(library[].hearth_answer_receipt, Ptr{UInt8}, (Ptr{Cvoid},), handle[])))
    finally
        ccall(library[].hearth_answer_close, Cvoid, (Ptr{Cvoid},), handle[])
    end
end

function read_answer(answer::Ptr{Cvoid}, onpiece)
    whole, waiting, buffer, n = IOBuffer(), UInt8[], Vector{UInt8}(undef, 4096), Ref{Csize_t}(0)
    while true
        check(@hearth hearth_read(answer::Ptr{Cvoid}, buffer::Ptr{UInt8}, length(buffer)::Csize_t, n::Ptr{Csize_t})::Cint)
        append!(waiting, view(buffer, 1:Int(n[])))
        n_now = n[] == 0 ? length(waiting) : length(waiting) - n_unfinished(waiting)
        if n_now > 0
            piece = String(waiting[1:n_now])
            deleteat!(waiting, 1:n_now)
            print(whole, piece)
            onpiece(piece)
        end
        n[] == 0 && return String(take!(whole))
    end
end
