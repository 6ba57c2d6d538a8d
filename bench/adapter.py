"""A LoRA adapter with random weights for a model of `hearth bench model`, as a folder in PEFT's layout."""

import json
import random
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/e2e"))
from hf_folder import write_safetensors  # noqa: E402

RANK = 8
# Of the shape 0.1b: what each adapted matrix reads and writes.
N_LAYERS, D_MODEL, D_FF, D_KV = 12, 768, 2048, 256
MATRICES = {"self_attn.q_proj": (D_MODEL, D_MODEL), "self_attn.v_proj": (D_MODEL, D_KV), "mlp.down_proj": (D_FF, D_MODEL)}


def write_adapter(folder, seed):
    """An adapter for the shape 0.1b; one of another seed answers otherwise."""
    chance = random.Random(seed)

    def matrix(rows, cols):
        return [rows, cols], struct.pack(f"<{rows * cols}f", *(chance.gauss(0, 0.05) for _ in range(rows * cols)))

    tensors = {}
    for layer in range(N_LAYERS):
        for name, (n_in, n_out) in MATRICES.items():
            prefix = f"base_model.model.model.layers.{layer}.{name}"
            tensors[f"{prefix}.lora_A.weight"] = matrix(RANK, n_in)
            tensors[f"{prefix}.lora_B.weight"] = matrix(n_out, RANK)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(folder / "adapter_model.safetensors", tensors)
    (folder / "adapter_config.json").write_text(json.dumps({
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": 2 * RANK, "bias": "none",
        "target_modules": sorted({name.split(".")[1] for name in MATRICES})}))
