"""A llama GGUF file as a folder in Hugging Face's layout, written byte by byte: what a download looks like.

Knows as much of both formats as the tests need; the standard library alone is used.
"""

import json
import struct
from pathlib import Path

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
LAYER_NAMES = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
               "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
               "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


class Gguf:
    """Metadata and tensors of a file with F32 and Q8_0 tensors."""

    def __init__(self, path):
        self.data = Path(path).read_bytes()
        self.at = 8
        n_tensors, n_metadata = self.take("QQ")
        self.metadata = {self.string(): self.value(self.take("I")[0]) for _ in range(n_metadata)}
        self.tensors = {}
        for _ in range(n_tensors):
            name = self.string()
            dims = self.take(f"{self.take('I')[0]}Q")
            kind, offset = self.take("IQ")
            self.tensors[name] = (dims, kind, offset)
        self.start = self.at + -self.at % 32

    def take(self, layout):
        values = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += struct.calcsize("<" + layout)
        return values

    def string(self):
        n, = self.take("Q")
        self.at += n
        return self.data[self.at - n:self.at].decode()

    def value(self, kind):
        if kind in SCALARS:
            return self.take(SCALARS[kind])[0]
        if kind == 8:
            return self.string()
        element, n = self.take("IQ")
        return [self.value(element) for _ in range(n)]

    def floats(self, name):
        """The rows of a tensor, outermost first, as lists of numbers; a vector is rows of one."""
        dims, kind, offset = self.tensors[name]
        cols = dims[0] if len(dims) == 2 else 1
        count = cols * (dims[1] if len(dims) == 2 else dims[0])
        at = self.start + offset
        if kind == 0:
            numbers = struct.unpack_from(f"<{count}f", self.data, at)
        else:
            assert kind == 8, kind
            numbers = []
            for scale, *codes in struct.iter_unpack("<e32b", self.data[at:at + count // 32 * 34]):
                numbers.extend(scale * code for code in codes)
        return [numbers[i:i + cols] for i in range(0, count, cols)]


def hf_name(name):
    stem, _, suffix = name.rpartition(".")
    if stem in NAMES:
        return f"{NAMES[stem]}.{suffix}"
    _, layer, part = stem.split(".")
    return f"model.layers.{layer}.{LAYER_NAMES[part]}.{suffix}"


def halves_apart(rows, head_dim):
    """Rotary pairs that lie side by side go to the two halves of their head."""
    out = []
    for head in range(0, len(rows), head_dim):
        out += rows[head:head + head_dim:2] + rows[head + 1:head + head_dim:2]
    return out


def write_safetensors(path, tensors):
    """{name: (shape, bytes)}, all F32."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, (shape, content) in tensors.items():
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)


def write_tokenizer(folder, metadata):
    tokens, types = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]
    added = [{"id": i, "content": token, "special": True, "normalized": False}
             for i, token in enumerate(tokens) if types[i] == 3]
    (folder / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "added_tokens": added, "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "vocab": {token: i for i, token in enumerate(tokens) if types[i] != 3},
                  "merges": [merge.split(" ") for merge in metadata["tokenizer.ggml.merges"]]}}))
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "bos_token": tokens[metadata["tokenizer.ggml.bos_token_id"]],
        "eos_token": {"content": tokens[metadata["tokenizer.ggml.eos_token_id"]]},
        "add_bos_token": False, "chat_template": metadata["tokenizer.chat_template"]}))


def write_hf_folder(gguf_path, folder, n_files=1):
    """The llama model of `gguf_path` in `folder`, its weights in `n_files` files."""
    source, folder = Gguf(gguf_path), Path(folder)
    folder.mkdir(parents=True)
    of = lambda key: source.metadata["llama." + key]
    head_dim = of("embedding_length") // of("attention.head_count")
    tensors = {}
    for name, (dims, _, _) in source.tensors.items():
        rows = source.floats(name)
        if ".attn_q." in name or ".attn_k." in name:
            rows = halves_apart(rows, head_dim)
        numbers = [x for row in rows for x in row]
        tensors[hf_name(name)] = (list(reversed(dims)), struct.pack(f"<{len(numbers)}f", *numbers))
    if n_files == 1:
        write_safetensors(folder / "model.safetensors", tensors)
    else:
        where = {name: f"model-{i % n_files + 1:05}-of-{n_files:05}.safetensors" for i, name in enumerate(tensors)}
        for file in set(where.values()):
            write_safetensors(folder / file, {name: tensors[name] for name in tensors if where[name] == file})
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    (folder / "config.json").write_text(json.dumps({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "num_hidden_layers": of("block_count"), "hidden_size": of("embedding_length"),
        "intermediate_size": of("feed_forward_length"), "num_attention_heads": of("attention.head_count"),
        "num_key_value_heads": of("attention.head_count_kv"), "max_position_embeddings": of("context_length"),
        "rms_norm_eps": of("attention.layer_norm_rms_epsilon"), "rope_theta": of("rope.freq_base"),
        "vocab_size": of("vocab_size"), "tie_word_embeddings": "output.weight" not in source.tensors}))
    write_tokenizer(folder, source.metadata)
