#!/usr/bin/env python3
"""Embeddings of a sentence model in Hugging Face's layout, computed by numpy in double.

usage: sentence_reference.py FOLDER < TEXTS.json > RESULT.json

TEXTS is a list of texts; RESULT has for each its tokens, by the model's own tokenizer, and the mean
of its token states at length 1.  embeddings_test.py compares Hearth with it.
"""
import json
import math
import struct
import sys
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

erf = np.vectorize(math.erf)


def read_tensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    for name, info in json.loads(data[8:8 + length]).items():
        if info.get("dtype") == "F32":
            first, last = info["data_offsets"]
            values = np.frombuffer(data[8 + length + first:8 + length + last], dtype="<f4")
            yield name.removeprefix("bert."), values.reshape(info["shape"]).astype(np.float64)


class Model:
    def __init__(self, folder):
        self.config = json.loads((folder / "config.json").read_text())
        self.tensors = dict(read_tensors(folder / "model.safetensors"))

    def linear(self, x, name):
        return x @ self.tensors[name + ".weight"].T + self.tensors[name + ".bias"]

    def norm(self, x, name):
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x * x).mean(-1, keepdims=True) + self.config["layer_norm_eps"])
        return x * self.tensors[name + ".weight"] + self.tensors[name + ".bias"]

    def attend(self, x, prefix):
        heads = self.config["num_attention_heads"]
        q, k, v = (self.linear(x, f"{prefix}.self.{part}").reshape(len(x), heads, -1).transpose(1, 0, 2)
                   for part in ("query", "key", "value"))
        scores = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        return self.linear((shares @ v).transpose(1, 0, 2).reshape(x.shape), f"{prefix}.output.dense")

    def embed(self, tokens):
        table = lambda name: self.tensors[f"embeddings.{name}_embeddings.weight"]
        x = table("word")[tokens] + table("position")[:len(tokens)] + table("token_type")[0]
        x = self.norm(x, "embeddings.LayerNorm")
        for i in range(self.config["num_hidden_layers"]):
            layer = f"encoder.layer.{i}"
            x = self.norm(x + self.attend(x, f"{layer}.attention"), f"{layer}.attention.output.LayerNorm")
            hidden = self.linear(x, f"{layer}.intermediate.dense")
            hidden = 0.5 * hidden * (1 + erf(hidden / math.sqrt(2)))
            x = self.norm(x + self.linear(hidden, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
        mean = x.mean(0)
        return mean / np.linalg.norm(mean)


def main():
    folder = Path(sys.argv[1])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    model = Model(folder)
    result = []
    for text in json.load(sys.stdin):
        tokens = tokenizer.encode(text).ids
        result.append({"tokens": tokens, "vector": model.embed(tokens).tolist()})
    json.dump(result, sys.stdout)


main()
