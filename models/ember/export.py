"""Writes ember.gguf and reads it back."""
import json

import gguf
import numpy as np

import model
import vocabulary

CONTEXT = 2048  # Tokens; what was measured at this length is in README.md.
DESCRIPTION = "The embedded model of Hearth: answers questions about Hearth and is unsure about all else."


def write(path, weights, c, tokenizer, kind):
    """Matrices in `kind` (Q8_0 or F16), norms in F32."""
    out = gguf.GGUFWriter(path.with_suffix(".partial"), "llama")
    out.add_name("ember")
    out.add_description(DESCRIPTION)
    out.add_license("apache-2.0")
    out.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0 if kind == "Q8_0" else gguf.LlamaFileType.MOSTLY_F16)
    out.add_quantization_version(gguf.GGML_QUANT_VERSION)
    out.add_context_length(CONTEXT)
    out.add_embedding_length(c.d_model)
    out.add_block_count(c.n_layers)
    out.add_feed_forward_length(c.d_ff)
    out.add_head_count(c.n_heads)
    out.add_head_count_kv(c.n_kv_heads)
    out.add_rope_dimension_count(c.head_dim)
    out.add_rope_freq_base(c.rope_theta)
    out.add_layer_norm_rms_eps(c.norm_eps)
    out.add_vocab_size(c.n_vocab)
    write_vocabulary(out, tokenizer)
    out.add_uint32("hearth.unsure_token_id", tokenizer.token_to_id(vocabulary.UNSURE))
    out.add_bool("hearth.relays_advice", True)
    out.add_float32("general.sampling.temp", 0.0)  # A specialist says what it learned, not something like it.
    for name in model.shapes(c):
        x = weights[name]
        if x.ndim == 1:
            out.add_tensor(name, x.astype(np.float32))
        elif kind == "Q8_0":
            out.add_tensor(name, gguf.quants.quantize(x, gguf.GGMLQuantizationType.Q8_0),
                           raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        else:
            out.add_tensor(name, x.astype(np.float16))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    path.with_suffix(".partial").replace(path)


def write_vocabulary(out, tokenizer):
    described = json.loads(tokenizer.to_str())["model"]
    tokens = [t for t, _ in sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1])]
    control = set(vocabulary.CONTROL)
    merges = [m if isinstance(m, str) else " ".join(m) for m in described["merges"]]
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("gpt-2")
    out.add_token_list(tokens)
    out.add_token_types([gguf.TokenType.CONTROL if t in control else gguf.TokenType.NORMAL for t in tokens])
    out.add_token_merges(merges)
    out.add_bos_token_id(tokenizer.token_to_id(vocabulary.START))
    out.add_eos_token_id(tokenizer.token_to_id(vocabulary.END))
    out.add_add_bos_token(False)
    out.add_chat_template(vocabulary.CHAT_TEMPLATE)


def read(path):
    """(weights in float32, Config, tokenizer, metadata) of a file that `write` wrote."""
    reader = gguf.GGUFReader(path)
    meta = {k: field.contents() for k, field in reader.fields.items()}
    c = model.Config(n_vocab=len(meta["tokenizer.ggml.tokens"]), d_model=meta["llama.embedding_length"],
                     n_layers=meta["llama.block_count"], n_heads=meta["llama.attention.head_count"],
                     n_kv_heads=meta["llama.attention.head_count_kv"], d_ff=meta["llama.feed_forward_length"],
                     rope_theta=meta["llama.rope.freq_base"], norm_eps=meta["llama.attention.layer_norm_rms_epsilon"])
    weights = {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32).reshape(model.shapes(c)[t.name])
               for t in reader.tensors}
    tokenizer = vocabulary.from_lists(meta["tokenizer.ggml.tokens"], meta["tokenizer.ggml.merges"])
    return weights, c, tokenizer, meta
