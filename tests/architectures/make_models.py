#!/usr/bin/env python3
"""Writes tiny models with random weights (NAME.gguf) and their true logits (NAME.logits).

The logits [8, n_vocab] are those of the last 8 of 40 tokens, 5, 12, 19, ...: token i is
(5 + 7 i) % 250 + 3.  src/model/architecture_test.cpp reads both.  The weights are halves, so that
the reference sees exactly what is in the file.

Usage: pip install numpy gguf && python3 make_models.py [FOLDER]
"""
import sys
import zlib
from pathlib import Path

import gguf
import numpy as np

import reference

D_MODEL, D_FF, HEAD_DIM, N_HEADS, N_KV_HEADS = 32, 48, 16, 2, 1
THETA, N_FIRST = 10000.0, 16
WITH_DELTA_NETS = ("qwen35", "qwen35moe", "qwen3next")
TOKENS = [(5 + 7 * i) % 250 + 3 for i in range(40)]
VOCABULARY = ([("<unk>", 2), ("<s>", 3), ("</s>", 3)] + [(f"<0x{b:02X}>", 6) for b in range(256)] +
              [(letter, 1) for letter in "\u2581etao"])


class Maker:
    """One model: its keys, its tensors, and what the reference reads of them."""

    def __init__(self, folder, name, architecture, n_layers, d_ff=D_FF):
        self.path = folder / f"{name}.gguf"
        self.writer = gguf.GGUFWriter(self.path, architecture)
        self.random = np.random.RandomState(zlib.crc32(name.encode()))
        self.weights = {}
        self.config = {"n_layers": n_layers, "head_dim": HEAD_DIM, "theta": THETA}
        w = self.writer
        w.add_block_count(n_layers)
        w.add_context_length(256)
        w.add_embedding_length(D_MODEL)
        w.add_feed_forward_length(d_ff)
        w.add_head_count(N_HEADS)
        if architecture != "gemma4":
            w.add_key_length(HEAD_DIM)
            w.add_value_length(HEAD_DIM)
        w.add_vocab_size(len(VOCABULARY))
        if architecture not in ("gemma4", *WITH_DELTA_NETS):
            w.add_rope_dimension_count(HEAD_DIM)
        w.add_rope_freq_base(THETA)
        w.add_layer_norm_rms_eps(1e-5)
        w.add_tokenizer_model("llama")
        w.add_token_list([text for text, _ in VOCABULARY])
        w.add_token_scores([-float(i) for i in range(len(VOCABULARY))])
        w.add_token_types([kind for _, kind in VOCABULARY])
        w.add_bos_token_id(1)
        w.add_eos_token_id(2)

    def matrix(self, name, *shape, gain=1.0):
        values = self.random.normal(0, gain * shape[-1] ** -0.5, shape).astype(np.float16)
        self._add(name, values)

    def vector(self, name, *shape, mean=1.0):
        self._add(name, (mean + self.random.normal(0, 0.2, shape)).astype(np.float32))

    def _add(self, name, values):
        self.writer.add_tensor(name, values)
        self.weights[name] = values.astype(np.float64)

    def embeddings(self, tied, norm="output_norm.weight"):
        self.matrix("token_embd.weight", len(VOCABULARY), D_MODEL, gain=D_MODEL ** 0.5)
        if not tied:
            self.matrix("output.weight", len(VOCABULARY), D_MODEL)
        self.vector(norm, D_MODEL)

    def attention(self, p):
        self.matrix(p + "attn_q.weight", N_HEADS * HEAD_DIM, D_MODEL, gain=1.5)
        self.matrix(p + "attn_k.weight", N_KV_HEADS * HEAD_DIM, D_MODEL, gain=1.5)
        self.matrix(p + "attn_v.weight", N_KV_HEADS * HEAD_DIM, D_MODEL)
        self.matrix(p + "attn_output.weight", D_MODEL, N_HEADS * HEAD_DIM)

    def feed_forward(self, p, d_ff=D_FF, ending=""):
        self.matrix(f"{p}ffn_gate{ending}.weight", d_ff, D_MODEL)
        self.matrix(f"{p}ffn_up{ending}.weight", d_ff, D_MODEL)
        self.matrix(f"{p}ffn_down{ending}.weight", D_MODEL, d_ff)

    def use_experts(self, n, d_ff, d_ff_shared=0):
        self.writer.add_expert_count(n)
        self.writer.add_expert_used_count(2)
        self.writer.add_expert_feed_forward_length(d_ff)
        if d_ff_shared:
            self.writer.add_expert_shared_feed_forward_length(d_ff_shared)
        self.config["n_used"] = 2

    def experts(self, p, n, d_ff, is_fused=False):
        self.matrix(p + "ffn_gate_inp.weight", n, D_MODEL)
        if is_fused:
            self.matrix(p + "ffn_gate_up_exps.weight", n, 2 * d_ff, D_MODEL)
        else:
            self.matrix(p + "ffn_gate_exps.weight", n, d_ff, D_MODEL)
            self.matrix(p + "ffn_up_exps.weight", n, d_ff, D_MODEL)
        self.matrix(p + "ffn_down_exps.weight", n, D_MODEL, d_ff)

    def mamba(self, p, d_inner, n_groups, size, n_heads, width):
        channels = d_inner + 2 * n_groups * size
        self.matrix(p + "ssm_in.weight", d_inner + channels + n_heads, D_MODEL)
        self.vector(p + "ssm_conv1d.weight", channels, width, mean=0.4)
        self.vector(p + "ssm_conv1d.bias", channels, mean=0.1)
        self.vector(p + "ssm_dt.bias", n_heads, mean=0.0)
        self.vector(p + "ssm_a", n_heads, 1, mean=-0.7)
        self.vector(p + "ssm_d", n_heads, 1)
        self.vector(p + "ssm_norm.weight", n_groups, d_inner // n_groups)
        self.matrix(p + "ssm_out.weight", D_MODEL, d_inner)

    def input_norms(self, p):
        self.vector(p + "attn_norm.weight", D_MODEL)
        self.vector(p + "ffn_norm.weight", D_MODEL)

    def yarn(self, factor):
        self.writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        self.writer.add_rope_scaling_factor(factor)
        self.writer.add_rope_scaling_orig_ctx_len(N_FIRST)
        self.config |= {"factor": factor, "n_first": N_FIRST}

    def finish(self, forward):
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()
        logits = forward(TOKENS, self.weights, self.config)[-8:]
        self.path.with_suffix(".logits").write_bytes(logits.astype("<f4").tobytes())


def make_olmo2(folder):
    m = Maker(folder, "olmo2", "olmo2", 4)
    m.writer.add_head_count_kv(N_KV_HEADS)
    m.writer.add_sliding_window(8)
    m.config |= {"window": 8, "slides": [True, True, True, False]}
    m.writer.add_sliding_window_pattern(m.config["slides"])
    m.yarn(4.0)
    m.embeddings(tied=False)
    for i in range(4):
        p = f"blk.{i}."
        m.attention(p)
        m.vector(p + "attn_q_norm.weight", N_HEADS * HEAD_DIM)
        m.vector(p + "attn_k_norm.weight", N_KV_HEADS * HEAD_DIM)
        m.vector(p + "post_attention_norm.weight", D_MODEL)
        m.feed_forward(p)
        m.vector(p + "post_ffw_norm.weight", D_MODEL)
    m.finish(reference.olmo2)


def make_granite(folder, name, n_experts, d_ff_shared=0):
    m = Maker(folder, name, name.removesuffix("-shared"), 2)
    m.writer.add_head_count_kv(N_KV_HEADS)
    m.config |= {"embedding_scale": 3.0, "residual_scale": 0.22, "attention_scale": 0.4,
                 "logit_scale": 4.0}
    m.writer.add_embedding_scale(3.0)
    m.writer.add_residual_scale(0.22)
    m.writer.add_attention_scale(0.4)
    m.writer.add_logit_scale(4.0)
    m.embeddings(tied=True)
    if n_experts:
        m.use_experts(n_experts, D_FF, d_ff_shared)
    for i in range(2):
        p = f"blk.{i}."
        m.input_norms(p)
        m.attention(p)
        if not n_experts:
            m.feed_forward(p)
            continue
        m.experts(p, n_experts, D_FF)
        if d_ff_shared:
            m.feed_forward(p, d_ff_shared, "_shexp")
    m.finish(reference.granite)


def make_mistral3(folder):
    m = Maker(folder, "mistral3", "mistral3", 2)
    m.writer.add_head_count_kv(N_KV_HEADS)
    m.yarn(4.0)
    m.config |= {"log_multiplier": 0.5, "growth": 0.3}
    m.writer.add_rope_scaling_yarn_log_mul(0.5)
    m.writer.add_float32("mistral3.attention.temperature_scale", 0.3)
    m.embeddings(tied=False)
    for i in range(2):
        p = f"blk.{i}."
        m.input_norms(p)
        m.attention(p)
        m.feed_forward(p)
    m.finish(reference.mistral3)


def make_lfm2(folder, name, n_experts=0):
    """With experts, the first layer has none."""
    m = Maker(folder, name, name, 3)
    m.config["n_kv_heads"] = [0, N_KV_HEADS, 0]
    m.writer.add_head_count_kv(m.config["n_kv_heads"])
    m.writer.add_shortconv_l_cache(3)
    if n_experts:
        m.use_experts(n_experts, 32)
        m.writer.add_leading_dense_block_count(1)
        m.writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)
    m.embeddings(tied=True, norm="token_embd_norm.weight")
    for i, n_kv_heads in enumerate(m.config["n_kv_heads"]):
        p = f"blk.{i}."
        m.input_norms(p)
        if n_kv_heads == 0:
            m.matrix(p + "shortconv.in_proj.weight", 3 * D_MODEL, D_MODEL)
            m.matrix(p + "shortconv.out_proj.weight", D_MODEL, D_MODEL)
            m.vector(p + "shortconv.conv.weight", D_MODEL, 3, mean=0.4)
        else:
            m.attention(p)
            m.vector(p + "attn_q_norm.weight", HEAD_DIM)
            m.vector(p + "attn_k_norm.weight", HEAD_DIM)
        if n_experts and i > 0:
            m.experts(p, n_experts, 32)
            m.vector(p + "exp_probs_b.bias", n_experts, mean=0.0)
        else:
            m.feed_forward(p)
    m.finish(reference.lfm2)


def make_qwen35(folder, name):
    """Delta nets around attention; two of the three have experts and a shared one, and one of these
    has its value heads that share a key head as neighbours."""
    m = Maker(folder, name, name, 3)
    m.writer.add_head_count_kv(N_KV_HEADS)
    size, n_k, n_v, width = 16, 2, 4, 4
    m.config |= {"is_recurrent": [True, False, True], "rope_dim": 8, "state_size": size,
                 "n_key_heads": n_k, "n_value_heads": n_v, "is_grouped": name == "qwen3next"}
    if name != "qwen35":
        m.use_experts(4, 32, 48)
    m.writer.add_rope_dimension_count(8)
    m.writer.add_rope_dimension_sections([2, 1, 1, 0])
    m.writer.add_ssm_conv_kernel(width)
    m.writer.add_ssm_inner_size(n_v * size)
    m.writer.add_ssm_state_size(size)
    m.writer.add_ssm_time_step_rank(n_v)
    m.writer.add_ssm_group_count(n_k)
    m.writer.add_uint32(name + ".full_attention_interval", 2)
    m.embeddings(tied=False)
    channels = (2 * n_k + n_v) * size
    for i, is_recurrent in enumerate(m.config["is_recurrent"]):
        p = f"blk.{i}."
        m.vector(p + "attn_norm.weight", D_MODEL)
        m.vector(p + "post_attention_norm.weight", D_MODEL)
        if is_recurrent:
            m.matrix(p + "attn_qkv.weight", channels, D_MODEL)
            m.matrix(p + "attn_gate.weight", n_v * size, D_MODEL)
            m.vector(p + "ssm_conv1d.weight", channels, width, mean=0.4)
            m.vector(p + "ssm_dt.bias", n_v, mean=0.0)
            m.vector(p + "ssm_a", n_v, mean=-0.7)
            if m.config["is_grouped"]:
                m.matrix(p + "ssm_ba.weight", 2 * n_v, D_MODEL)
            else:
                m.matrix(p + "ssm_beta.weight", n_v, D_MODEL)
                m.matrix(p + "ssm_alpha.weight", n_v, D_MODEL)
            m.vector(p + "ssm_norm.weight", size)
            m.matrix(p + "ssm_out.weight", D_MODEL, n_v * size)
        else:
            m.matrix(p + "attn_q.weight", 2 * N_HEADS * HEAD_DIM, D_MODEL, gain=1.5)
            m.matrix(p + "attn_k.weight", N_KV_HEADS * HEAD_DIM, D_MODEL, gain=1.5)
            m.matrix(p + "attn_v.weight", N_KV_HEADS * HEAD_DIM, D_MODEL)
            m.matrix(p + "attn_output.weight", D_MODEL, N_HEADS * HEAD_DIM)
            m.vector(p + "attn_q_norm.weight", HEAD_DIM)
            m.vector(p + "attn_k_norm.weight", HEAD_DIM)
        if name == "qwen35":
            m.feed_forward(p)
            continue
        m.experts(p, 4, 32, is_fused=m.config["is_grouped"])
        m.feed_forward(p, 48, "_shexp")
        m.vector(p + "ffn_gate_inp_shexp.weight", D_MODEL, mean=0.0)
    m.finish(reference.qwen35)


def make_ranker(folder):
    m = Maker(folder, "qwen3-reranker", "qwen3", 2)
    m.writer.add_head_count_kv(N_KV_HEADS)
    m.writer.add_pooling_type(gguf.PoolingType.RANK)
    m.writer.add_classifier_output_labels(["no", "yes"])
    m.writer.add_string("tokenizer.chat_template.rerank", "<s>e {query}t {document}</s>a")
    m.embeddings(tied=True)
    m.matrix("cls.output.weight", 2, D_MODEL)
    for i in range(2):
        p = f"blk.{i}."
        m.input_norms(p)
        m.attention(p)
        m.vector(p + "attn_q_norm.weight", HEAD_DIM)
        m.vector(p + "attn_k_norm.weight", HEAD_DIM)
        m.feed_forward(p)
    m.finish(reference.ranker)


def make_mamba(folder, name, kinds, n_experts=0):
    """`kinds` has a letter for each layer: Mamba-2, attention or (alone) a feed-forward block."""
    is_alone = name.startswith("nemotron")
    d_ff = [0 if is_alone and kind != "F" else D_FF for kind in kinds]
    m = Maker(folder, name, name, len(kinds), d_ff)
    n_kv_heads = [N_KV_HEADS if kind == "A" else 0 for kind in kinds]
    size, n_groups, n_heads, width = 16, 2, 4, 4
    m.config |= {"kinds": kinds, "state_size": size, "n_groups": n_groups, "n_heads": n_heads}
    w = m.writer
    w.add_head_count_kv(n_kv_heads)
    w.add_ssm_conv_kernel(width)
    w.add_ssm_inner_size(2 * D_MODEL)
    w.add_ssm_state_size(size)
    w.add_ssm_time_step_rank(n_heads)
    w.add_ssm_group_count(n_groups)
    if not is_alone:
        m.config |= {"embedding_scale": 3.0, "residual_scale": 0.22, "attention_scale": 0.4,
                     "logit_scale": 4.0}
        w.add_embedding_scale(3.0)
        w.add_residual_scale(0.22)
        w.add_attention_scale(0.4)
        w.add_logit_scale(4.0)
        w.add_rope_scaling_finetuned(False)
    if n_experts:
        m.use_experts(n_experts, D_FF, 32)
    if n_experts and is_alone:
        m.config |= {"expert_scale": 2.5}
        w.add_expert_weights_norm(True)
        w.add_expert_weights_scale(2.5)
        w.add_expert_group_count(1)
    m.embeddings(tied=not is_alone)
    for i, kind in enumerate(kinds):
        p = f"blk.{i}."
        m.vector(p + "attn_norm.weight", D_MODEL)
        if kind == "M":
            m.mamba(p, 2 * D_MODEL, n_groups, size, n_heads, width)
        elif kind == "A":
            m.attention(p)
        if not is_alone:
            m.vector(p + "ffn_norm.weight", D_MODEL)
            m.experts(p, n_experts, D_FF)
            m.feed_forward(p, 32, "_shexp")
        elif kind == "F" and n_experts:
            m.matrix(p + "ffn_gate_inp.weight", n_experts, D_MODEL)
            m.vector(p + "exp_probs_b.bias", n_experts, mean=0.0)
            m.matrix(p + "ffn_up_exps.weight", n_experts, D_FF, D_MODEL)
            m.matrix(p + "ffn_down_exps.weight", n_experts, D_MODEL, D_FF)
            m.matrix(p + "ffn_up_shexp.weight", 32, D_MODEL)
            m.matrix(p + "ffn_down_shexp.weight", D_MODEL, 32)
        elif kind == "F":
            m.matrix(p + "ffn_up.weight", D_FF, D_MODEL)
            m.matrix(p + "ffn_down.weight", D_MODEL, D_FF)
    m.finish(reference.nemotron_h if is_alone else reference.granitehybrid)


def make_gemma4(folder, name, slides, n_borrowing, d_per_layer, n_kv_heads, n_experts):
    n = len(slides)
    m = Maker(folder, name, "gemma4", n,
              [D_FF * (2 if i >= n - n_borrowing else 1) for i in range(n)])
    head_dims = [HEAD_DIM if s else 2 * HEAD_DIM for s in slides]
    m.config |= {"slides": slides, "window": 8, "softcap": 20.0, "n_borrowing": n_borrowing,
                 "n_kv_heads": n_kv_heads, "head_dims": head_dims, "sliding_theta": 1000.0}
    w = m.writer
    w.add_head_count_kv(n_kv_heads)
    w.add_sliding_window(8)
    w.add_sliding_window_pattern(slides)
    w.add_key_length(2 * HEAD_DIM)
    w.add_value_length(2 * HEAD_DIM)
    w.add_key_length_swa(HEAD_DIM)
    w.add_value_length_swa(HEAD_DIM)
    w.add_rope_dimension_count(2 * HEAD_DIM)
    w.add_rope_dimension_count_swa(HEAD_DIM)
    w.add_rope_freq_base_swa(1000.0)
    w.add_shared_kv_layers(n_borrowing)
    w.add_embedding_length_per_layer_input(d_per_layer)
    w.add_final_logit_softcapping(20.0)
    m.embeddings(tied=True)
    m._add("rope_freqs.weight", np.array([1.0] * 4 + [1e30] * 12, np.float32))
    if d_per_layer:
        m.matrix("per_layer_token_embd.weight", len(VOCABULARY), n * d_per_layer,
                 gain=(n * d_per_layer) ** 0.5)
        m.matrix("per_layer_model_proj.weight", n * d_per_layer, D_MODEL)
        m.vector("per_layer_proj_norm.weight", d_per_layer)
    if n_experts:
        m.use_experts(n_experts, 32)
    for i in range(n):
        p = f"blk.{i}."
        m.input_norms(p)
        m.matrix(p + "attn_q.weight", N_HEADS * head_dims[i], D_MODEL)
        m.vector(p + "attn_q_norm.weight", head_dims[i], mean=0.5)
        if i < n - n_borrowing:
            m.matrix(p + "attn_k.weight", n_kv_heads[i] * head_dims[i], D_MODEL)
            m.vector(p + "attn_k_norm.weight", head_dims[i], mean=0.5)
            if slides[i] or not n_experts:
                m.matrix(p + "attn_v.weight", n_kv_heads[i] * head_dims[i], D_MODEL)
        m.matrix(p + "attn_output.weight", D_MODEL, N_HEADS * head_dims[i])
        m.vector(p + "post_attention_norm.weight", D_MODEL)
        m.feed_forward(p, D_FF * (2 if i >= n - n_borrowing else 1))
        m.vector(p + "post_ffw_norm.weight", D_MODEL)
        m.vector(p + "layer_output_scale.weight", 1, mean=0.7)
        if d_per_layer:
            m.matrix(p + "inp_gate.weight", d_per_layer, D_MODEL)
            m.matrix(p + "proj.weight", D_MODEL, d_per_layer)
            m.vector(p + "post_norm.weight", D_MODEL)
        if n_experts:
            m.experts(p, n_experts, 32, is_fused=True)
            m.vector(p + "ffn_gate_inp.scale", D_MODEL)
            m.vector(p + "ffn_down_exps.scale", n_experts)
            for norm in ("pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2"):
                m.vector(f"{p}{norm}.weight", D_MODEL)
    m.finish(reference.gemma4)


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    make_olmo2(folder)
    make_granite(folder, "granite", 0)
    make_granite(folder, "granitemoe", 4)
    make_mistral3(folder)
    make_lfm2(folder, "lfm2")
    make_lfm2(folder, "lfm2moe", 4)
    make_granite(folder, "granitemoe-shared", 4, 32)
    for name in WITH_DELTA_NETS:
        make_qwen35(folder, name)
    make_ranker(folder)
    make_mamba(folder, "granitehybrid", "MAM", 4)
    make_mamba(folder, "nemotron_h", "MFAFMF")
    make_mamba(folder, "nemotron_h_moe", "MFAF", 4)
    make_gemma4(folder, "gemma4", [True, False, True, False, True, False], 2, 16, [1] * 6, 0)
    make_gemma4(folder, "gemma4-experts", [True, False, True], 0, 0, [2, 1, 2], 4)


if __name__ == "__main__":
    main()
