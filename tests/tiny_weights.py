"""Random checkpoints with the structure of the published ones, small enough to be made in every test run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

TINY: dict[str, Any] = {
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_heads": 2,
    "num_layers": 2,
    "vocab_size": 11,
}
SMALL: dict[str, Any] = {
    "d_model": 512,
    "d_kv": 64,
    "d_ff": 1024,
    "num_heads": 6,
    "num_layers": 8,
    "vocab_size": 32128,
}
"""The sizes of MOMENT-1-small."""


def moment_config(sizes: dict[str, Any]) -> dict[str, Any]:
    t5 = {
        "architectures": ["T5ForConditionalGeneration"],
        "model_type": "t5",
        "feed_forward_proj": "gated-gelu",
        "relative_attention_num_buckets": 32,
        "relative_attention_max_distance": 128,
        "dropout_rate": 0.1,
        "layer_norm_epsilon": 1e-6,
        "is_encoder_decoder": True,
        "tie_word_embeddings": False,
        **sizes,
    }
    return {
        "task_name": "reconstruction",
        "model_name": "MOMENT",
        "transformer_type": "encoder_only",
        "d_model": None,
        "seq_len": 512,
        "patch_len": 8,
        "patch_stride_len": 8,
        "revin_affine": False,
        "transformer_backbone": "google/flan-t5-small",
        "t5_config": t5,
    }


def moment_shapes(sizes: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of every tensor of a checkpoint."""
    d, f, inner = sizes["d_model"], sizes["d_ff"], sizes["num_heads"] * sizes["d_kv"]
    shapes: dict[str, tuple[int, ...]] = {
        "patch_embedding.mask_embedding": (d,),
        "patch_embedding.value_embedding.weight": (d, 8),
        "patch_embedding.position_embedding.pe": (1, 5000, d),
        "encoder.embed_tokens.weight": (sizes["vocab_size"], d),
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": (32, sizes["num_heads"]),
        "encoder.final_layer_norm.weight": (d,),
        "head.linear.weight": (8, d),
        "head.linear.bias": (8,),
    }
    for i in range(sizes["num_layers"]):
        block = f"encoder.block.{i}.layer"
        for part in "qkv":
            shapes[f"{block}.0.SelfAttention.{part}.weight"] = (inner, d)
        shapes[f"{block}.0.SelfAttention.o.weight"] = (d, inner)
        shapes[f"{block}.0.layer_norm.weight"] = shapes[f"{block}.1.layer_norm.weight"] = (d,)
        for part in ("wi_0", "wi_1"):
            shapes[f"{block}.1.DenseReluDense.{part}.weight"] = (f, d)
        shapes[f"{block}.1.DenseReluDense.wo.weight"] = (d, f)
    return shapes


def moment_weights(sizes: dict[str, Any], salt: float = 0.0) -> dict[str, np.ndarray]:
    """Weights from a formula: the same on every machine, other ones for another `salt`."""
    shapes = moment_shapes(sizes)
    weights = {}
    for number, (name, shape) in enumerate(shapes.items()):
        wave = np.sqrt(2) * np.sin(1000 * np.sin(1.7 * np.arange(np.prod(shape)) + 12.9 * number + salt))
        weights[name] = (_spread(name, shape) * wave.reshape(shape)).astype(np.float32)
        if "norm" in name:
            weights[name] += 1
    weights["patch_embedding.position_embedding.pe"] = _waves(sizes["d_model"])
    return weights


def line_weights(sizes: dict[str, Any]) -> dict[str, np.ndarray]:
    """Weights that draw a straight line through every patch that is shown, and the series' mean elsewhere.

    What the random encoder adds is a hundredth of a patch. Values enter in eight directions, orthogonal to a
    large constant one that takes the place of the positions and makes every norm nearly the same; the head
    reads line and offset from them. A hidden patch has nothing in these directions.
    """
    weights = moment_weights(sizes)
    width = sizes["d_model"]
    for name in weights:
        if name.endswith((".o.weight", ".wo.weight")):
            weights[name] *= 0.01
        elif "norm" in name:
            weights[name][:] = 1
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(width, 9)))[0]
    constant, values = 20 * axes[:, 0], axes[:, 1:]
    weights["patch_embedding.position_embedding.pe"][:] = constant
    weights["patch_embedding.value_embedding.weight"][:] = values
    weights["patch_embedding.mask_embedding"][:] = 0
    line = np.stack([np.ones(8), np.arange(8) - 3.5])
    project = line.T @ np.linalg.solve(line @ line.T, line)
    weights["head.linear.weight"][:] = 20 / np.sqrt(width) * project @ values.T
    weights["head.linear.bias"][:] = 0
    return weights


def write_moment(folder: Path, sizes: dict[str, Any], weights: dict[str, np.ndarray] | None = None) -> Path:
    """Write a checkpoint folder, of random weights unless others are given; return it."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(moment_config(sizes)), encoding="utf-8")
    save_file(moment_weights(sizes) if weights is None else weights, folder / "model.safetensors")
    return folder


def _spread(name: str, shape: tuple[int, ...]) -> float:
    """SD of a tensor's values: such that a signal neither fades nor explodes on its way."""
    if "relative_attention_bias" in name:
        return 1.0
    if name.endswith(("norm.weight", "head.linear.bias")):
        return 0.1
    return float(shape[-1] ** -0.5)


def _waves(width: int) -> np.ndarray:
    """Sine and cosine positions, entry by entry: channel 2 i turns at a rate of 10000^(-2 i / width)."""
    position, channel = np.arange(5000.0)[:, None], np.arange(width)
    angle = position / 10000 ** (2 * (channel // 2) / width)
    return np.where(channel % 2 == 0, np.sin(angle), np.cos(angle)).astype(np.float32)[None]
