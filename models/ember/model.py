"""The llama architecture in JAX, small: what train.py trains and evaluate.py runs.

Weights are a flat dictionary under GGUF's own tensor names, each matrix [out, in], so that export is a loop and no
name is written twice.  The rotary pairs are adjacent (2i, 2i+1), as GGUF's `llama` has them.  The output matrix is
the embedding's transpose (tied): there is no `output.weight`.
"""
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np


@dataclasses.dataclass(frozen=True)
class Config:
    n_vocab: int = 3072
    d_model: int = 256
    n_layers: int = 3
    n_heads: int = 4
    n_kv_heads: int = 2
    d_ff: int = 512
    rope_theta: float = 10000.0
    norm_eps: float = 1e-5

    @property
    def head_dim(self):
        return self.d_model // self.n_heads


def shapes(c):
    """Tensor name -> shape."""
    kv = c.n_kv_heads * c.head_dim
    out = {"token_embd.weight": (c.n_vocab, c.d_model), "output_norm.weight": (c.d_model,)}
    for i in range(c.n_layers):
        out |= {f"blk.{i}.attn_norm.weight": (c.d_model,), f"blk.{i}.ffn_norm.weight": (c.d_model,),
                f"blk.{i}.attn_q.weight": (c.d_model, c.d_model), f"blk.{i}.attn_k.weight": (kv, c.d_model),
                f"blk.{i}.attn_v.weight": (kv, c.d_model), f"blk.{i}.attn_output.weight": (c.d_model, c.d_model),
                f"blk.{i}.ffn_gate.weight": (c.d_ff, c.d_model), f"blk.{i}.ffn_up.weight": (c.d_ff, c.d_model),
                f"blk.{i}.ffn_down.weight": (c.d_model, c.d_ff)}
    return out


def initial_weights(c, seed):
    random = np.random.default_rng(seed)
    weights = {}
    for name, shape in shapes(c).items():
        if len(shape) == 1:
            weights[name] = np.ones(shape, np.float32)
            continue
        scale = 0.02 if name == "token_embd.weight" else shape[1] ** -0.5
        if "attn_output" in name or "ffn_down" in name:
            scale /= (2 * c.n_layers) ** 0.5
        weights[name] = (random.standard_normal(shape) * scale).astype(np.float32)
    return weights


def norm(x, weight, c):
    return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + c.norm_eps) * weight


def rotate(x, positions, c):
    """x [batch, tokens, heads, head_dim], positions [batch, tokens]."""
    frequency = c.rope_theta ** (-jnp.arange(0, c.head_dim, 2) / c.head_dim)
    angle = positions[..., None, None] * frequency
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    even, odd = x[..., 0::2], x[..., 1::2]
    return jnp.stack([even * cos - odd * sin, even * sin + odd * cos], -1).reshape(x.shape)


def layer(w, i, x, positions, mask, c, cache=None, at=None):
    """One block.  With a cache (keys, values [batch, context, kv_heads, head_dim]) `at` is where x's token goes."""
    p = f"blk.{i}."
    batch, tokens, _ = x.shape
    h = norm(x, w[p + "attn_norm.weight"], c)
    q = rotate((h @ w[p + "attn_q.weight"].T).reshape(batch, tokens, c.n_heads, c.head_dim), positions, c)
    k = rotate((h @ w[p + "attn_k.weight"].T).reshape(batch, tokens, c.n_kv_heads, c.head_dim), positions, c)
    v = (h @ w[p + "attn_v.weight"].T).reshape(batch, tokens, c.n_kv_heads, c.head_dim)
    if cache is not None:
        k = jax.lax.dynamic_update_slice(cache[0], k, (0, at, 0, 0))
        v = jax.lax.dynamic_update_slice(cache[1], v, (0, at, 0, 0))
    groups = c.n_heads // c.n_kv_heads
    q = q.reshape(batch, tokens, c.n_kv_heads, groups, c.head_dim)
    scores = jnp.einsum("btkgd,bskd->bkgts", q, k) * c.head_dim ** -0.5
    scores = jnp.where(mask[:, None, None], scores, -1e9)
    mixed = jnp.einsum("bkgts,bskd->btkgd", jax.nn.softmax(scores, -1), v).reshape(batch, tokens, c.d_model)
    x = x + mixed @ w[p + "attn_output.weight"].T
    h = norm(x, w[p + "ffn_norm.weight"], c)
    h = jax.nn.silu(h @ w[p + "ffn_gate.weight"].T) * (h @ w[p + "ffn_up.weight"].T)
    return x + h @ w[p + "ffn_down.weight"].T, (k, v)


def hidden(w, tokens, segments, c):
    """tokens, segments [batch, tokens] -> [batch, tokens, d_model]; a token sees earlier ones of its own segment."""
    batch, n = tokens.shape
    order = jnp.arange(n)
    mask = (order[:, None] >= order[None, :])[None] & (segments[:, :, None] == segments[:, None, :])
    positions = jnp.broadcast_to(order.astype(jnp.float32), (batch, n))
    x = w["token_embd.weight"][tokens]
    for i in range(c.n_layers):
        x, _ = layer(w, i, x, positions, mask, c)
    return norm(x, w["output_norm.weight"], c)


def empty_cache(c, batch, context):
    shape = (batch, context, c.n_kv_heads, c.head_dim)
    return [(jnp.zeros(shape), jnp.zeros(shape)) for _ in range(c.n_layers)]


def step(w, cache, tokens, at, c):
    """One token of each row at position `at` -> (logits [batch, n_vocab], cache)."""
    batch, context = tokens.shape[0], cache[0][0].shape[1]
    mask = jnp.broadcast_to((jnp.arange(context) <= at)[None, None], (batch, 1, context))
    positions = jnp.full((batch, 1), at, jnp.float32)
    x = w["token_embd.weight"][tokens[:, None]]
    new_cache = []
    for i in range(c.n_layers):
        x, kv = layer(w, i, x, positions, mask, c, cache[i], at)
        new_cache.append(kv)
    return norm(x[:, 0], w["output_norm.weight"], c) @ w["token_embd.weight"].T, new_cache
