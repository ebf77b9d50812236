"""MOMENT's forward pass in plain numpy, one patch and one head at a time: slow, and easy to check."""

from __future__ import annotations

import math

import numpy as np

PATCH = 8


def reconstruct(w, sizes, series, input_mask, mask):
    """One series (samples,) with its two masks; returns (samples,)."""
    mean, sd, states = encode(w, sizes, series, input_mask, mask)
    pieces = [w["head.linear.weight"] @ state + w["head.linear.bias"] for state in states]
    return np.concatenate(pieces) * sd + mean


def embed(w, sizes, series, input_mask):
    _, _, states = encode(w, sizes, series, input_mask, input_mask)
    whole = [input_mask[p : p + PATCH].all() for p in range(0, len(series), PATCH)]
    return np.mean([state for state, kept in zip(states, whole, strict=True) if kept], axis=0)


def encode(w, sizes, series, input_mask, mask):
    kept = series[(input_mask * mask) == 1]
    mean, sd = kept.mean(), kept.std() + 1e-5
    normal = (series - mean) / sd
    states, visible = [], []
    for number, start in enumerate(range(0, len(series), PATCH)):
        part = slice(start, start + PATCH)
        if mask[part].all():
            vector = w["patch_embedding.value_embedding.weight"] @ normal[part]
        else:
            vector = w["patch_embedding.mask_embedding"]
        states.append(vector + w["patch_embedding.position_embedding.pe"][0, number])
        visible.append(bool(input_mask[part].all()))
    for layer in range(sizes["num_layers"]):
        states = attend(w, sizes, layer, states, visible)
        states = [feed_forward(w, layer, state) for state in states]
    return mean, sd, [rms_norm(state, w["encoder.final_layer_norm.weight"]) for state in states]


def rms_norm(state, weight):
    return weight * state / math.sqrt(np.mean(state**2) + 1e-6)


def attend(w, sizes, layer, states, visible):
    name = f"encoder.block.{layer}.layer.0"
    normal = [rms_norm(state, w[f"{name}.layer_norm.weight"]) for state in states]
    q, k, v = ([w[f"{name}.SelfAttention.{part}.weight"] @ s for s in normal] for part in "qkv")
    bias = w["encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
    result = []
    for i, state in enumerate(states):
        heads = []
        for head in range(sizes["num_heads"]):
            part = slice(head * sizes["d_kv"], (head + 1) * sizes["d_kv"])
            score = {
                j: q[i][part] @ k[j][part] + bias[bucket(j - i), head]
                for j in range(len(states))
                if visible[j]
            }
            top = max(score.values())
            weight = {j: math.exp(s - top) for j, s in score.items()}
            heads.append(sum(weight[j] * v[j][part] for j in weight) / sum(weight.values()))
        result.append(state + w[f"{name}.SelfAttention.o.weight"] @ np.concatenate(heads))
    return result


def bucket(distance):
    """Relative positions share 32 buckets, 16 to each side: 8 of one step, 8 growing up to 128 steps.

    Raffel et al. 2020, section 2.1.
    """
    far = abs(distance)
    if far >= 8:
        far = min(8 + int(8 * math.log(far / 8) / math.log(128 / 8)), 15)
    return far + (16 if distance > 0 else 0)


def feed_forward(w, layer, state):
    name = f"encoder.block.{layer}.layer.1"
    normal = rms_norm(state, w[f"{name}.layer_norm.weight"])
    gate = gelu(w[f"{name}.DenseReluDense.wi_0.weight"] @ normal)
    linear = w[f"{name}.DenseReluDense.wi_1.weight"] @ normal
    return state + w[f"{name}.DenseReluDense.wo.weight"] @ (gate * linear)


def gelu(x):
    """Hendrycks & Gimpel 2016, the tanh approximation."""
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
