"""Trains ember: generates conversations, trains the tokenizer on them, then the model, and writes ember.gguf.

One pass over fresh text: nothing is shown twice.  Conversations are packed into rows; a token sees only its own
conversation.  The loss covers ember's own turns alone, and the first token of a turn counts twice: it decides whether
ember answers at all.
"""
import argparse
import pathlib
import time

import jax
import jax.numpy as jnp
import numpy as np

import export
import generate
import model
import vocabulary

FIRST_TOKEN_WEIGHT = 2.0
SHAPES = ((128, 16), (512, 4), (1024, 2))  # (row length, rows) of a batch, 2048 tokens each; a conversation goes
                                           # to the shortest row that holds it, and is left out if none does.
OPEN_ROWS_MAX = 48                  # Rows that wait for a conversation that fits.
TARGETS_MAX = 1280                  # Learned tokens of a batch; the few beyond are left out.
WHOLE_ANSWER_SHARE = 0.12           # Last answers shown to their end; the rest stop when they can be no other.
SURE_TOKENS = 2                     # Tokens kept beyond that point.
VOCABULARY_CONVERSATIONS = 60_000   # Conversations that the tokenizer is trained on.
REPORT_STEPS, SAVE_STEPS = 25, 250
MUON_RATE, ADAM_RATE, DECAY = 0.02, 4e-3, 0.1   # Peaks of the two learning rates; weight decay of the blocks' matrices.


def deciding_lengths(conversations, tokenizer):
    """Answer -> the number of its first tokens that no other answer begins with.

    What is hard is to choose the answer; to recite it is easy, and most of a conversation's tokens.  So most
    conversations stop after the choice.
    """
    answers = {text for turns in conversations for _, text, learn in turns if learn and text != generate.UNSURE}
    ids = {a: tokenizer.encode(a).ids for a in answers}

    def common(a, b):
        return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))

    ordered = sorted(ids.values())
    lengths = {}
    for i, own in enumerate(ordered):
        near = ordered[max(0, i - 1):i] + ordered[i + 1:i + 2]
        lengths[tuple(own)] = max((common(own, other) for other in near), default=0) + 1
    return lengths


def encode(conversations, tokenizer, random):
    """Each conversation -> (tokens, weights): weight of token i as a target, 0 for what is not learned."""
    deciding = deciding_lengths(conversations, tokenizer)
    ids = {t: tokenizer.token_to_id(t) for t in vocabulary.CONTROL}
    texts = [text for turns in conversations for _, text, _ in turns]
    encoded = iter(tokenizer.encode_batch(texts, add_special_tokens=False))
    out = []
    for turns in conversations:
        tokens, weights = [], []
        for turn, (role, text, learn) in enumerate(turns):
            body = next(encoded).ids
            if text == generate.UNSURE:
                body = [ids[vocabulary.UNSURE]]
            whole = len(body)
            if learn and turn == len(turns) - 1 and tuple(body) in deciding and random.random() > WHOLE_ANSWER_SHARE:
                whole = deciding[tuple(body)] + SURE_TOKENS
            tokens += [ids[vocabulary.USER if role == "user" else vocabulary.ASSISTANT], *body, ids[vocabulary.END]]
            weights += [0.0] + ([FIRST_TOKEN_WEIGHT] + [1.0] * len(body) if learn else [0.0] * (len(body) + 1))
        cut = len(tokens) - max(0, len(body) - whole) - (whole < len(body))  # The end goes with the rest.
        out.append((np.array(tokens[:cut], np.int32), np.array(weights[:cut], np.float32)))
    return out


def rows_of(encoded, length):
    """Conversations -> rows of at most `length` tokens, well filled: each goes to the fullest open row that has room."""
    open_rows, full = [], []
    for item in encoded:
        size = len(item[0])
        fitting = [row for row in open_rows if row[0] + size <= length]
        if fitting:
            row = max(fitting, key=lambda row: row[0])
            row[0] += size
            row[1].append(item)
        else:
            open_rows.append([size, [item]])
        if len(open_rows) > OPEN_ROWS_MAX:
            fullest = max(open_rows, key=lambda row: row[0])
            open_rows.remove(fullest)
            full.append(fullest[1])
    return full + [row[1] for row in open_rows]


def pack(encoded, random):
    """Rows of conversations -> a shuffled list of batches (tokens, segments, target places, targets, weights)."""
    batches, shorter = [], 0
    for length, n_rows in SHAPES:
        rows = rows_of([item for item in encoded if shorter < len(item[0]) <= length], length)
        random.shuffle(rows)
        for first in range(0, len(rows) - n_rows + 1, n_rows):
            tokens, segments = np.zeros((n_rows, length), np.int32), np.zeros((n_rows, length), np.int32)
            weights = np.zeros((n_rows, length), np.float32)
            for r, row in enumerate(rows[first:first + n_rows]):
                at = 0
                for segment, (ids, weight) in enumerate(row):
                    place = (r, slice(at, at + len(ids)))
                    tokens[place], segments[place], weights[place] = ids, segment + 1, weight
                    at += len(ids)
            batches.append(targets(tokens, segments, weights))
        shorter = length
    random.shuffle(batches)
    return batches


def targets(tokens, segments, weights):
    flat, weight = tokens.reshape(-1), weights.reshape(-1)
    places = np.flatnonzero(weight)[:TARGETS_MAX]
    n = len(places)
    source, target, w = np.zeros(TARGETS_MAX, np.int32), np.zeros(TARGETS_MAX, np.int32), np.zeros(TARGETS_MAX, np.float32)
    source[:n], target[:n], w[:n] = places - 1, flat[places], weight[places]
    return tokens, segments, source, target, w


def loss(w, batch, c):
    tokens, segments, source, target, weight = batch
    h = model.hidden(w, tokens, segments, c).reshape(-1, c.d_model)[source]
    log_p = jax.nn.log_softmax(h @ w["token_embd.weight"].T)
    return -jnp.sum(jnp.take_along_axis(log_p, target[:, None], 1)[:, 0] * weight) / jnp.sum(weight)


def orthogonal(g):
    """The nearest matrix to g whose singular values are near 1, by five Newton-Schulz steps (Muon, K. Jordan 2024)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g if g.shape[0] <= g.shape[1] else g.T
    x = x / (jnp.linalg.norm(x) + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if g.shape[0] <= g.shape[1] else x.T


def update(w, m, v, batch, at, rate, c):
    """Muon for the blocks' matrices, AdamW for the embedding and the norms; `rate` is in [0, 1], of the peak."""
    value, g = jax.value_and_grad(loss)(w, batch, c)
    clip = jnp.minimum(1.0, 1.0 / (jnp.sqrt(sum(jnp.sum(x * x) for x in g.values())) + 1e-6))
    new_w, new_m, new_v = {}, {}, {}
    for k in w:
        if k.startswith("blk.") and w[k].ndim == 2:
            new_m[k] = 0.95 * m[k] + g[k]
            new_v[k] = v[k]
            change = orthogonal(g[k] + 0.95 * new_m[k]) * max(1.0, w[k].shape[0] / w[k].shape[1]) ** 0.5
            new_w[k] = w[k] * (1 - rate * MUON_RATE * DECAY) - rate * MUON_RATE * change
            continue
        b1, b2, gk = 0.9, 0.98, g[k] * clip
        new_m[k] = b1 * m[k] + (1 - b1) * gk
        new_v[k] = b2 * v[k] + (1 - b2) * gk * gk
        change = new_m[k] / (1 - b1 ** at) / (jnp.sqrt(new_v[k] / (1 - b2 ** at)) + 1e-8)
        new_w[k] = w[k] - rate * ADAM_RATE * change
    return new_w, new_m, new_v, value


def rate_at(step, n_steps, warmup=20):
    """The share of the peak rates at a step: up in a line, down in a cosine to 2 %."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * (step - warmup) / max(1, n_steps - warmup)))


def prepare(n_conversations, seed, n_vocab):
    """(batches, tokenizer) of fresh conversations."""
    began = time.time()
    conversations = generate.Generator(seed).conversations(n_conversations)
    tokenizer = vocabulary.train([t for turns in conversations[:VOCABULARY_CONVERSATIONS] for _, t, _ in turns], n_vocab)
    encoded = encode(conversations, tokenizer, np.random.default_rng(seed))
    batches = pack(encoded, np.random.default_rng(seed))
    n_tokens = sum(len(tokens) for tokens, _ in encoded)
    print(f"{n_conversations} conversations, {n_tokens} tokens, {len(batches)} batches, "
          f"{tokenizer.get_vocab_size()} words in the vocabulary, {time.time() - began:.0f} s", flush=True)
    return batches, tokenizer


def fit(weights, batches, c, save):
    """Trains through all batches once; `save` gets the weights now and then, and at the end."""
    w = {k: jnp.asarray(x) for k, x in weights.items()}
    m = {k: jnp.zeros_like(x) for k, x in w.items()}
    v = {k: jnp.zeros_like(x) for k, x in w.items()}
    print(f"{sum(x.size for x in w.values())} parameters", flush=True)
    run = jax.jit(update, static_argnums=6, donate_argnums=(0, 1, 2))
    recent, began = [], time.time()
    for i, batch in enumerate(batches):
        w, m, v, value = run(w, m, v, batch, jnp.float32(i + 1), jnp.float32(rate_at(i, len(batches))), c)
        recent.append(value)
        last = i + 1 == len(batches)
        if (i + 1) % REPORT_STEPS == 0 or last:
            print(f"step {i + 1}/{len(batches)} loss {np.mean([float(x) for x in recent]):.4f} "
                  f"{time.time() - began:.0f} s", flush=True)
            recent = []
        if (i + 1) % SAVE_STEPS == 0 or last:
            save({k: np.asarray(x) for k, x in w.items()})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--conversations", type=int, default=260_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent / "ember.gguf")
    parser.add_argument("--type", choices=["Q8_0", "F16"], default="Q8_0")
    args = parser.parse_args()
    c = model.Config()
    batches, tokenizer = prepare(args.conversations, args.seed, c.n_vocab)
    fit(model.initial_weights(c, args.seed), batches, c, lambda w: export.write(args.out, w, c, tokenizer, args.type))
    print(f"{args.out} written")


if __name__ == "__main__":
    main()
