"""Decoders in numpy, in double, written from the papers' formulas: what Hearth is compared with.

Every function takes all tokens of one sequence at once and has no caches.  `w` maps GGUF tensor
names to arrays [rows, cols] as in W [out, in]; `c` is the configuration that make_models.py writes.

Checked once by hand against llama.cpp (unslothai/llama.cpp, build 9749) on the same files: relative
errors of 2e-4 to 8e-4, which is what its products in half precision cost.
"""
import math

import numpy as np


def rms_norm(x, weight, eps=1e-5):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps) * weight


def silu(x):
    return x / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def plain_frequencies(theta, dim):
    return theta ** (-np.arange(0, dim, 2) / dim)


def yarn(theta, dim, factor, n_first, log_multiplier=0.0, beta_fast=32.0, beta_slow=1.0):
    """Frequencies and magnitude of YaRN (arxiv.org/abs/2309.00071)."""
    def pair_of(turns):
        return dim * math.log(n_first / (turns * 2 * math.pi)) / (2 * math.log(theta))

    low = max(math.floor(pair_of(beta_fast)), 0)
    high = min(math.ceil(pair_of(beta_slow)), dim - 1)
    ramp = np.clip((np.arange(dim // 2) - low) / max(high - low, 1e-3), 0, 1)
    plain = plain_frequencies(theta, dim)
    growth = 0.1 * math.log(factor)
    magnitude = (1 + growth) / (1 + log_multiplier * growth)
    return plain / factor * ramp + plain * (1 - ramp), magnitude


def rotate(x, frequencies, magnitude=1.0, adjacent=False):
    """x [n, heads, dim], turned by each token's position."""
    angles = np.arange(len(x))[:, None, None] * frequencies
    cos, sin = np.cos(angles) * magnitude, np.sin(angles) * magnitude
    out = np.empty_like(x)
    half = x.shape[-1] // 2
    first, second = ((slice(0, None, 2), slice(1, None, 2)) if adjacent
                     else (slice(0, half), slice(half, None)))
    a, b = x[..., first], x[..., second]
    out[..., first], out[..., second] = a * cos - b * sin, a * sin + b * cos
    return out


def attend(q, k, v, scale, window=0):
    """q [n, heads, dim], k and v [n, kv_heads, dim]; causal; a window counts the token itself."""
    group = q.shape[1] // k.shape[1]
    k, v = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)
    scores = np.einsum("ihd,jhd->hij", q, k) * scale
    i, j = np.arange(len(q))[:, None], np.arange(len(q))[None, :]
    hidden = (j > i) | ((i - j >= window) if window else False)
    scores = np.where(hidden, -np.inf, scores)
    return np.einsum("hij,jhd->ihd", softmax(scores), v).reshape(len(q), -1)


def heads(x, dim):
    return x.reshape(len(x), -1, dim)


def gelu(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))


def gated(x, gate, up, down, activation=silu):
    return (activation(x @ gate.T) * (x @ up.T)) @ down.T


def expert(w, prefix, e):
    """Gate, up and down of one expert; the first two may be one matrix."""
    fused = w.get(prefix + "ffn_gate_up_exps.weight")
    gate, up = (np.split(fused[e], 2) if fused is not None else
                (w[f"{prefix}ffn_{part}_exps.weight"][e] for part in ("gate", "up")))
    return gate, up, w[prefix + "ffn_down_exps.weight"][e]


def experts(x, w, prefix, n_used, activation=silu, logits=None):
    """The softmax of the best experts' logits weighs their outputs."""
    out = np.zeros_like(x)
    scale = w.get(prefix + "ffn_down_exps.scale")
    if logits is None:
        logits = x @ w[prefix + "ffn_gate_inp.weight"].T
    for row, of_row in enumerate(logits):
        best = np.argsort(-of_row, kind="stable")[:n_used]
        for e, share in zip(best, softmax(of_row[best])):
            share = share if scale is None else share * scale[e]
            out[row] += share * gated(x[row:row + 1], *expert(w, prefix, e), activation)[0]
    return out


def feed_forward(x, w, prefix, activation=silu, ending=""):
    return gated(x, *(w[f"{prefix}ffn_{part}{ending}.weight"] for part in ("gate", "up", "down")),
                 activation)


def experts_and_shared(x, w, prefix, c):
    """Beside the experts one that all tokens take, weighed by a gate where it has one."""
    out = experts(x, w, prefix, c["n_used"])
    if prefix + "ffn_up_shexp.weight" not in w:
        return out
    shared = feed_forward(x, w, prefix, ending="_shexp")
    gate = w.get(prefix + "ffn_gate_inp_shexp.weight")
    return out + (shared if gate is None else shared * sigmoid(x @ gate)[:, None])


def qkv(x, w, prefix):
    return (x @ w[f"{prefix}attn_{part}.weight"].T for part in "qkv")


def olmo2(tokens, w, c):
    """Norms of outputs instead of inputs, and of whole queries and keys (arxiv.org/abs/2501.00656).

    As Olmo 3 has it: sliding layers turn without YaRN."""
    x = w["token_embd.weight"][tokens]
    stretched = yarn(c["theta"], c["head_dim"], c["factor"], c["n_first"])
    plain = (plain_frequencies(c["theta"], c["head_dim"]), 1.0)
    for i, slides in enumerate(c["slides"]):
        p = f"blk.{i}."
        q, k, v = qkv(x, w, p)
        q = rms_norm(q, w[p + "attn_q_norm.weight"])
        k = rms_norm(k, w[p + "attn_k_norm.weight"])
        rope = plain if slides else stretched
        q, k = (rotate(heads(t, c["head_dim"]), *rope) for t in (q, k))
        out = attend(q, k, heads(v, c["head_dim"]), c["head_dim"] ** -0.5,
                     c["window"] if slides else 0) @ w[p + "attn_output.weight"].T
        x = x + rms_norm(out, w[p + "post_attention_norm.weight"])
        x = x + rms_norm(feed_forward(x, w, p), w[p + "post_ffw_norm.weight"])
    return rms_norm(x, w["output_norm.weight"]) @ w["output.weight"].T


def granite(tokens, w, c):
    """llama with four factors; with `n_used`, experts instead of one feed-forward block."""
    x = w["token_embd.weight"][tokens] * c["embedding_scale"]
    frequencies = plain_frequencies(c["theta"], c["head_dim"])
    for i in range(c["n_layers"]):
        p = f"blk.{i}."
        q, k, v = qkv(rms_norm(x, w[p + "attn_norm.weight"]), w, p)
        q, k = (rotate(heads(t, c["head_dim"]), frequencies, adjacent=True) for t in (q, k))
        out = attend(q, k, heads(v, c["head_dim"]), c["attention_scale"])
        x = x + c["residual_scale"] * (out @ w[p + "attn_output.weight"].T)
        normed = rms_norm(x, w[p + "ffn_norm.weight"])
        out = experts_and_shared(normed, w, p, c) if "n_used" in c else feed_forward(normed, w, p)
        x = x + c["residual_scale"] * out
    return rms_norm(x, w["output_norm.weight"]) @ w["token_embd.weight"].T / c["logit_scale"]


def mistral3(tokens, w, c):
    """llama with YaRN whose magnitude is taken back in part, and queries that grow with distance."""
    x = w["token_embd.weight"][tokens]
    rope = yarn(c["theta"], c["head_dim"], c["factor"], c["n_first"], c["log_multiplier"])
    growth = 1 + c["growth"] * np.log(1 + np.floor(np.arange(len(tokens)) / c["n_first"]))
    for i in range(c["n_layers"]):
        p = f"blk.{i}."
        q, k, v = qkv(rms_norm(x, w[p + "attn_norm.weight"]), w, p)
        q, k = (rotate(heads(t, c["head_dim"]), *rope, adjacent=True) for t in (q, k))
        out = attend(q * growth[:, None, None], k, heads(v, c["head_dim"]), c["head_dim"] ** -0.5)
        x = x + out @ w[p + "attn_output.weight"].T
        x = x + feed_forward(rms_norm(x, w[p + "ffn_norm.weight"]), w, p)
    return rms_norm(x, w["output_norm.weight"]) @ w["output.weight"].T


def short_convolution(x, w, prefix):
    """Gated causal convolution over each channel's last few values."""
    b, c, x = np.split(x @ w[prefix + "shortconv.in_proj.weight"].T, 3, axis=-1)
    bx = b * x
    kernel = w[prefix + "shortconv.conv.weight"]  # [d_model, width], the newest last.
    width = kernel.shape[1]
    padded = np.concatenate([np.zeros((width - 1, bx.shape[1])), bx])
    mixed = sum(padded[k:k + len(bx)] * kernel[:, k] for k in range(width))
    return (c * mixed) @ w[prefix + "shortconv.out_proj.weight"].T


def lfm2(tokens, w, c):
    """Layers of short convolutions among layers of attention."""
    x = w["token_embd.weight"][tokens]
    frequencies = plain_frequencies(c["theta"], c["head_dim"])
    for i, n_kv_heads in enumerate(c["n_kv_heads"]):
        p = f"blk.{i}."
        normed = rms_norm(x, w[p + "attn_norm.weight"])
        if n_kv_heads == 0:
            x = x + short_convolution(normed, w, p)
        else:
            q, k, v = (heads(t, c["head_dim"]) for t in qkv(normed, w, p))
            q = rotate(rms_norm(q, w[p + "attn_q_norm.weight"]), frequencies)
            k = rotate(rms_norm(k, w[p + "attn_k_norm.weight"]), frequencies)
            out = attend(q, k, v, c["head_dim"] ** -0.5)
            x = x + out @ w[p + "attn_output.weight"].T
        normed = rms_norm(x, w[p + "ffn_norm.weight"])
        if p + "exp_probs_b.bias" in w:
            x = x + by_sigmoids(normed, w, p, c["n_used"], 1.0,
                                lambda row, e: gated(row[None], *expert(w, p, e))[0])
        else:
            x = x + feed_forward(normed, w, p)
    return rms_norm(x, w["token_embd_norm.weight"]) @ w["token_embd.weight"].T


def ranker(tokens, w, c):
    """qwen3 with a classifier: the probabilities of its labels at every token."""
    x = w["token_embd.weight"][tokens]
    frequencies = plain_frequencies(c["theta"], c["head_dim"])
    for i in range(c["n_layers"]):
        p = f"blk.{i}."
        q, k, v = (heads(t, c["head_dim"])
                   for t in qkv(rms_norm(x, w[p + "attn_norm.weight"]), w, p))
        q = rotate(rms_norm(q, w[p + "attn_q_norm.weight"]), frequencies)
        k = rotate(rms_norm(k, w[p + "attn_k_norm.weight"]), frequencies)
        x = x + attend(q, k, v, c["head_dim"] ** -0.5) @ w[p + "attn_output.weight"].T
        x = x + feed_forward(rms_norm(x, w[p + "ffn_norm.weight"]), w, p)
    return softmax(rms_norm(x, w["output_norm.weight"]) @ w["cls.output.weight"].T)


def softplus(x):
    return np.logaddexp(0, x)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def unit(x, eps=1e-5):
    return x / np.maximum(np.sqrt((x * x).sum(axis=-1, keepdims=True)), eps)


def delta_net(x, w, prefix, c):
    """A gated delta net (arxiv.org/abs/2412.06464): a matrix per head that forgets by a gate, and
    learns what of a token's value its key does not give already."""
    n, size, n_k, n_v = len(x), c["state_size"], c["n_key_heads"], c["n_value_heads"]
    mixed = x @ w[prefix + "attn_qkv.weight"].T
    kernel = w[prefix + "ssm_conv1d.weight"]  # [channels, width], the newest last.
    width = kernel.shape[1]
    padded = np.concatenate([np.zeros((width - 1, mixed.shape[1])), mixed])
    mixed = silu(sum(padded[k:k + n] * kernel[:, k] for k in range(width)))
    q, k, v = np.split(mixed, [n_k * size, 2 * n_k * size], axis=1)
    q, k = (unit(heads(t, size)) for t in (q, k))
    v = heads(v, size)
    if c["is_grouped"]:  # Neighbours share a key head, and are neighbours in a matrix of both rates.
        q, k = (np.repeat(t, n_v // n_k, axis=1) for t in (q, k))
        both = (x @ w[prefix + "ssm_ba.weight"].T).reshape(n, n_k, 2, n_v // n_k)
        beta, alpha = both[:, :, 0].reshape(n, n_v), both[:, :, 1].reshape(n, n_v)
    else:
        q, k = (np.tile(t, (1, n_v // n_k, 1)) for t in (q, k))
        beta, alpha = (x @ w[f"{prefix}ssm_{rate}.weight"].T for rate in ("beta", "alpha"))
    beta = sigmoid(beta)
    decay = np.exp(w[prefix + "ssm_a"] * softplus(alpha + w[prefix + "ssm_dt.bias"]))
    state = np.zeros((n_v, size, size))  # [value, key]
    out = np.empty((n, n_v, size))
    for t in range(n):
        state *= decay[t][:, None, None]
        known = np.einsum("hvk,hk->hv", state, k[t])
        state += np.einsum("hv,hk->hvk", (v[t] - known) * beta[t][:, None], k[t])
        out[t] = np.einsum("hvk,hk->hv", state, q[t]) * size ** -0.5
    z = heads(x @ w[prefix + "attn_gate.weight"].T, size)
    out = rms_norm(out, w[prefix + "ssm_norm.weight"]) * silu(z)
    return out.reshape(n, -1) @ w[prefix + "ssm_out.weight"].T


def qwen35(tokens, w, c):
    """Gated delta nets, and at intervals attention whose outputs are gated."""
    x = w["token_embd.weight"][tokens]
    turned = c["rope_dim"]
    frequencies = plain_frequencies(c["theta"], turned)

    def turn(t):
        return np.concatenate([rotate(t[..., :turned], frequencies), t[..., turned:]], axis=-1)

    for i, is_recurrent in enumerate(c["is_recurrent"]):
        p = f"blk.{i}."
        normed = rms_norm(x, w[p + "attn_norm.weight"])
        if is_recurrent:
            x = x + delta_net(normed, w, p, c)
        else:
            q, k, v = (t for t in qkv(normed, w, p))
            q, gate = np.split(heads(q, 2 * c["head_dim"]), 2, axis=-1)
            k, v = heads(k, c["head_dim"]), heads(v, c["head_dim"])
            q = turn(rms_norm(q, w[p + "attn_q_norm.weight"]))
            k = turn(rms_norm(k, w[p + "attn_k_norm.weight"]))
            out = attend(q, k, v, c["head_dim"] ** -0.5) * sigmoid(gate.reshape(len(x), -1))
            x = x + out @ w[p + "attn_output.weight"].T
        normed = rms_norm(x, w[p + "post_attention_norm.weight"])
        x = x + (experts_and_shared(normed, w, p, c) if "n_used" in c else
                 feed_forward(normed, w, p))
    return rms_norm(x, w["output_norm.weight"]) @ w["output.weight"].T


def mamba(x, w, prefix, c):
    """Mamba-2 (arxiv.org/abs/2405.21060): a matrix per head that forgets by a rate of its token's."""
    n, size, n_groups, n_heads = len(x), c["state_size"], c["n_groups"], c["n_heads"]
    norm = w[prefix + "ssm_norm.weight"]
    d_inner = norm.size
    z, mixed, rate = np.split(x @ w[prefix + "ssm_in.weight"].T,
                              [d_inner, 2 * d_inner + 2 * n_groups * size], axis=1)
    kernel = w[prefix + "ssm_conv1d.weight"]
    width = kernel.shape[1]
    padded = np.concatenate([np.zeros((width - 1, mixed.shape[1])), mixed])
    mixed = silu(sum(padded[k:k + n] * kernel[:, k] for k in range(width)) +
                 w[prefix + "ssm_conv1d.bias"])
    x, b, read = np.split(mixed, [d_inner, d_inner + n_groups * size], axis=1)
    x = heads(x, d_inner // n_heads)
    b, read = (np.repeat(heads(t, size), n_heads // n_groups, axis=1) for t in (b, read))
    rate = softplus(rate + w[prefix + "ssm_dt.bias"])
    decay = np.exp(rate * w[prefix + "ssm_a"][:, 0])
    state = np.zeros((n_heads, x.shape[2], size))
    out = np.empty_like(x)
    for t in range(n):
        written = np.einsum("hd,hs->hds", x[t] * rate[t][:, None], b[t])
        state = state * decay[t][:, None, None] + written
        out[t] = np.einsum("hds,hs->hd", state, read[t]) + w[prefix + "ssm_d"] * x[t]
    out = out.reshape(n, -1) * silu(z)
    out = rms_norm(heads(out, norm.shape[1]), norm).reshape(n, -1)
    return out @ w[prefix + "ssm_out.weight"].T


def unturned_attention(x, w, prefix, c, scale):
    q, k, v = (heads(t, c["head_dim"]) for t in qkv(x, w, prefix))
    return attend(q, k, v, scale) @ w[prefix + "attn_output.weight"].T


def granitehybrid(tokens, w, c):
    """granite with Mamba-2 layers among those of attention, which has no rotary embedding."""
    x = w["token_embd.weight"][tokens] * c["embedding_scale"]
    for i, kind in enumerate(c["kinds"]):
        p = f"blk.{i}."
        normed = rms_norm(x, w[p + "attn_norm.weight"])
        x = x + c["residual_scale"] * (mamba(normed, w, p, c) if kind == "M" else
                                       unturned_attention(normed, w, p, c, c["attention_scale"]))
        normed = rms_norm(x, w[p + "ffn_norm.weight"])
        x = x + c["residual_scale"] * experts_and_shared(normed, w, p, c)
    return rms_norm(x, w["output_norm.weight"]) @ w["token_embd.weight"].T / c["logit_scale"]


def by_sigmoids(x, w, prefix, n_used, scale, run):
    """The best sigmoids with their biases choose; the sigmoids, to a sum of `scale`, weigh what
    run(row, expert) gives."""
    out = np.zeros_like(x)
    for row, scores in enumerate(sigmoid(x @ w[prefix + "ffn_gate_inp.weight"].T)):
        best = np.argsort(-(scores + w[prefix + "exp_probs_b.bias"]), kind="stable")[:n_used]
        for e in best:
            out[row] += scores[e] / scores[best].sum() * scale * run(x[row], e)
    return out


def ungated(x, up, down):
    return np.maximum(x @ up.T, 0) ** 2 @ down.T


def nemotron_experts(x, w, prefix, c):
    shared = ungated(x, w[prefix + "ffn_up_shexp.weight"], w[prefix + "ffn_down_shexp.weight"])
    return shared + by_sigmoids(
        x, w, prefix, c["n_used"], c["expert_scale"],
        lambda row, e: ungated(row, w[prefix + "ffn_up_exps.weight"][e],
                               w[prefix + "ffn_down_exps.weight"][e]))


def nemotron_h(tokens, w, c):
    """Each layer is one block: Mamba-2, attention or a feed-forward block."""
    x = w["token_embd.weight"][tokens]
    for i, kind in enumerate(c["kinds"]):
        p = f"blk.{i}."
        normed = rms_norm(x, w[p + "attn_norm.weight"])
        if kind == "M":
            x = x + mamba(normed, w, p, c)
        elif kind == "A":
            x = x + unturned_attention(normed, w, p, c, c["head_dim"] ** -0.5)
        elif "n_used" in c:
            x = x + nemotron_experts(normed, w, p, c)
        else:
            x = x + ungated(normed, w[p + "ffn_up.weight"], w[p + "ffn_down.weight"])
    return rms_norm(x, w["output_norm.weight"]) @ w["output.weight"].T


def gemma4_inputs(tokens, x, w, c):
    """For each layer a vector of every token, [layer][token, d]; None where there are none."""
    if "per_layer_token_embd.weight" not in w:
        return None
    d = len(w["per_layer_proj_norm.weight"])
    table = heads(w["per_layer_token_embd.weight"][tokens], d) * math.sqrt(d)
    projected = heads(x @ w["per_layer_model_proj.weight"].T, d) / math.sqrt(x.shape[1])
    both = (rms_norm(projected, w["per_layer_proj_norm.weight"]) + table) / math.sqrt(2)
    return both.transpose(1, 0, 2)


def gemma4_feed_forward(x, w, prefix, c):
    out = feed_forward(rms_norm(x, w[prefix + "ffn_norm.weight"]), w, prefix, gelu)
    if "n_used" in c:
        router = rms_norm(x, w[prefix + "ffn_gate_inp.scale"]) / math.sqrt(x.shape[1])
        mixed = experts(rms_norm(x, w[prefix + "pre_ffw_norm_2.weight"]), w, prefix, c["n_used"],
                        gelu, router @ w[prefix + "ffn_gate_inp.weight"].T)
        out = (rms_norm(out, w[prefix + "post_ffw_norm_1.weight"]) +
               rms_norm(mixed, w[prefix + "post_ffw_norm_2.weight"]))
    return rms_norm(out, w[prefix + "post_ffw_norm.weight"])


def gemma4(tokens, w, c):
    """Layers that slide have other heads than the others; the last read the keys and values of
    earlier ones; values are normed, and may be the keys as projected."""
    x = w["token_embd.weight"][tokens] * math.sqrt(w["token_embd.weight"].shape[1])
    inputs = gemma4_inputs(tokens, x, w, c)
    kept = {}
    for i, slides in enumerate(c["slides"]):
        p = f"blk.{i}."
        dim = c["head_dims"][i]
        frequencies = (plain_frequencies(c["sliding_theta"], dim) if slides else
                       plain_frequencies(c["theta"], dim) / w["rope_freqs.weight"])
        normed = rms_norm(x, w[p + "attn_norm.weight"])
        q = rms_norm(heads(normed @ w[p + "attn_q.weight"].T, dim), w[p + "attn_q_norm.weight"])
        if i < len(c["slides"]) - c["n_borrowing"]:
            k = heads(normed @ w[p + "attn_k.weight"].T, dim)
            v = (heads(normed @ w[p + "attn_v.weight"].T, dim) if p + "attn_v.weight" in w else k)
            k = rotate(rms_norm(k, w[p + "attn_k_norm.weight"]), frequencies)
            kept[slides] = (k, rms_norm(v, 1.0))
        out = attend(rotate(q, frequencies), *kept[slides], 1.0, c["window"] if slides else 0)
        x = x + rms_norm(out @ w[p + "attn_output.weight"].T, w[p + "post_attention_norm.weight"])
        x = x + gemma4_feed_forward(x, w, p, c)
        if inputs is not None:
            gate = gelu(x @ w[p + "inp_gate.weight"].T) * inputs[i]
            x = x + rms_norm(gate @ w[p + "proj.weight"].T, w[p + "post_norm.weight"])
        x = x * w[p + "layer_output_scale.weight"]
    logits = rms_norm(x, w["output_norm.weight"]) @ w["token_embd.weight"].T
    return c["softcap"] * np.tanh(logits / c["softcap"])
