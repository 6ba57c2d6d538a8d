#!/usr/bin/env python3
"""Writes small vocabularies (NAME.gguf) of families of which shared/vocab has none.

Their texts (NAME.inp) are below; the ids (NAME.out) are those of llama.cpp (unslothai/llama.cpp,
build 9749), by llama_tokenize without special tokens.

Usage: pip install gguf && python3 make_vocabularies.py [FOLDER]
"""
import collections
import sys
from pathlib import Path

import gguf

SEPARATOR = "\n__ggml_vocab_test__\n"
LEARNT_FROM = """The hearth keeps the house warm, and the house keeps the hearth.
Every answer has a receipt; every byte that leaves has a row.  A model that is local stays local.
    for each row in rows:\n        total += row.bytes\n\n\nreturn total
naïve café — Grüße aus Köln, 東京と大阪, Привет, мир! 1234567890 3.14159
"""
TEXTS = ["", " ", "  ", "   ", "\n", "\n\n", "\n\n\n", "\n\n\n\n\n", "a", " a", "a ", "the hearth",
         " the hearth ", "The house keeps  the   hearth.", "\n the\n\nhouse\n\n\n\nkeeps\t it",
         "Every byte that leaves has a row", "naïve café", "Grüße aus Köln",
         "東京と大阪と京都", "Привет, мир", "1234567890", "3.14159265", "🙂 unknown letters ☃",
         "    for each row in rows:\n        total += row.bytes\n", "<bos>the<turn|>", "<0x41>",
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "hearthhearthhearthhearthhearthh",
         "a\rb\r\nc", "e\u0301", "tail\n"]


def merges_of(text, n):
    """The n most frequent merges, of words that start with their spaces and hold no newline."""
    words = collections.Counter()
    for line in text.split("\n"):
        word = ""
        for i, letter in enumerate(line):
            if letter == " " and i > 0 and line[i - 1] != " ":
                words[word] += 1
                word = ""
            word += "\u2581" if letter == " " else letter
        words[word] += 1
    split = {word: list(word) for word in words}
    merges = []
    for _ in range(n):
        pairs = collections.Counter()
        for word, parts in split.items():
            for pair in zip(parts, parts[1:]):
                pairs[pair] += words[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for word, parts in split.items():
            joined = []
            for part in parts:
                if joined and (joined[-1], part) == best:
                    joined[-1] += part
                else:
                    joined.append(part)
            split[word] = joined
    return merges


def make_gemma4(folder):
    """SentencePiece's letters, merged by a list."""
    merges = [("\n", "\n"), ("\n\n", "\n"), ("\u2581", "\u2581"), ("\u2581\u2581", "\u2581\u2581")]
    merges += [m for m in merges_of(LEARNT_FROM, 220) if m not in merges]
    tokens = [("<pad>", 3), ("<eos>", 3), ("<bos>", 3), ("<unk>", 2), ("<turn|>", 3), ("<|turn>", 3)]
    tokens += [(f"<0x{byte:02X}>", 6) for byte in range(256)]
    letters = sorted(set(LEARNT_FROM.replace(" ", "\u2581")))
    tokens += [(text, 1) for text in dict.fromkeys(letters + [a + b for a, b in merges])]
    w = gguf.GGUFWriter(folder / "gemma4.gguf", "gemma4")
    w.add_tokenizer_model("gemma4")
    w.add_token_list([text for text, _ in tokens])
    w.add_token_types([kind for _, kind in tokens])
    w.add_token_scores([0.0] * len(tokens))
    w.add_token_merges([f"{a} {b}" for a, b in merges])
    w.add_bos_token_id(2)
    w.add_eos_token_id(1)
    w.add_unk_token_id(3)
    w.add_add_space_prefix(False)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    (folder / "gemma4.inp").write_text(SEPARATOR.join(TEXTS), newline="")


if __name__ == "__main__":
    make_gemma4(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
