"""A small BERT-family encoder with random weights, as a folder in Hugging Face's layout.

For loads, not for meaning: four layers of 128, about the words of the loads' texts.
"""

import json
import random
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/e2e"))
from hf_folder import write_safetensors  # noqa: E402

N_LAYERS, N_HEADS, D_MODEL, D_FF, N_CONTEXT = 4, 4, 128, 256, 128
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
PIECES = [str(digit) for digit in range(10)] + [chr(letter) for letter in range(ord("a"), ord("z") + 1)]


def tensors(n_vocab):
    chance = random.Random(7)

    def matrix(rows, cols, spread=0.1):
        return [rows, cols], struct.pack(f"<{rows * cols}f", *(chance.gauss(0, spread) for _ in range(rows * cols)))

    def vector(n, mean=0.0):
        return [n], struct.pack(f"<{n}f", *(chance.gauss(mean, 0.05) for _ in range(n)))

    found = {"embeddings.word_embeddings.weight": matrix(n_vocab, D_MODEL, 1.0),
             "embeddings.position_embeddings.weight": matrix(N_CONTEXT, D_MODEL),
             "embeddings.token_type_embeddings.weight": matrix(2, D_MODEL)}
    norms = ["embeddings.LayerNorm"]
    for layer in range(N_LAYERS):
        prefix = f"encoder.layer.{layer}."
        for name, rows, cols in (("attention.self.query", D_MODEL, D_MODEL), ("attention.self.key", D_MODEL, D_MODEL),
                                 ("attention.self.value", D_MODEL, D_MODEL), ("attention.output.dense", D_MODEL, D_MODEL),
                                 ("intermediate.dense", D_FF, D_MODEL), ("output.dense", D_MODEL, D_FF)):
            found[f"{prefix}{name}.weight"] = matrix(rows, cols)
            found[f"{prefix}{name}.bias"] = vector(rows)
        norms += [f"{prefix}attention.output.LayerNorm", f"{prefix}output.LayerNorm"]
    for name in norms:
        found[f"{name}.weight"] = vector(D_MODEL, 1.0)
        found[f"{name}.bias"] = vector(D_MODEL)
    return found


def write_encoder(folder):
    folder = Path(folder)
    (folder / "1_Pooling").mkdir(parents=True, exist_ok=True)
    words = SPECIAL + PIECES + [f"##{piece}" for piece in PIECES]
    write_safetensors(folder / "model.safetensors", tensors(len(words)))
    (folder / "config.json").write_text(json.dumps({
        "architectures": ["BertModel"], "hidden_act": "gelu", "num_hidden_layers": N_LAYERS, "num_attention_heads": N_HEADS,
        "hidden_size": D_MODEL, "intermediate_size": D_FF, "max_position_embeddings": N_CONTEXT,
        "vocab_size": len(words), "type_vocab_size": 2, "layer_norm_eps": 1e-12}))
    (folder / "tokenizer.json").write_text(json.dumps({
        "added_tokens": [{"id": i, "content": word, "special": True} for i, word in enumerate(SPECIAL)],
        "normalizer": {"type": "BertNormalizer", "lowercase": True}, "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": {word: i for i, word in enumerate(words)}}}))
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}))
    (folder / "1_Pooling/config.json").write_text(json.dumps({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}))
