"""MOMENT: a T5 encoder over patches of a normalised series (Goswami et al. 2024, arXiv 2402.03885).

Parameters have the names and shapes of the published checkpoints, so that these load strictly. Importing this
module imports torch and transformers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import T5Config
from transformers.models.t5.modeling_t5 import T5Stack

_LONGEST = 5000  # patches there are positions for
_EPSILON = 1e-5  # added to the SD of a series (Kim et al. 2022, reversible instance normalisation)
_DROPOUT = 0.1  # of patch embeddings and head while training (Goswami et al. 2024, as of T5)


class Moment(nn.Module):
    """Masked patches in, the whole series out (Goswami et al. 2024, section 3.2).

    A series is normalised by the mean and SD of the samples that both masks keep, and cut into patches of
    `patch_len` samples. A patch is embedded linearly; one that is not kept as a whole gets a learned
    embedding that says so. A T5 encoder without its words sees all patches but those that are padding; a
    linear head turns each into its samples, which are scaled back.

    Parameters
    ----------
    config : mapping
        The checkpoint's `config.json`.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        encoder = {"is_decoder": False, "is_encoder_decoder": False, "use_cache": False}
        t5 = T5Config.from_dict({**config["t5_config"], **encoder})
        self.patch_len: int = config["patch_len"]
        self.seq_len: int = config["seq_len"]
        self.width: int = t5.d_model
        if config["patch_stride_len"] != self.patch_len or config.get("revin_affine", False):
            raise ValueError(
                "MOMENT: patches that overlap (patch_stride_len) and a learned normalisation (revin_affine) "
                "are not in the published checkpoints, and not known here"
            )
        self.patch_embedding = _PatchEmbedding(self.patch_len, self.width)
        self.encoder = T5Stack(t5, nn.Embedding(t5.vocab_size, t5.d_model))
        self.head = _Head(self.width, self.patch_len)

    def reconstruct(self, x: Tensor, input_mask: Tensor, mask: Tensor) -> Tensor:
        """Return the series as the network sees them, same shape and unit.

        Parameters
        ----------
        x : Tensor, shape (batch, channels, samples)
            `samples` is a multiple of `patch_len`. What a mask leaves out may be anything.
        input_mask : Tensor, shape (batch, samples)
            1 for a sample, 0 for padding.
        mask : Tensor, shape (batch, samples)
            1 for what the network may see, 0 for what it is to reconstruct.

        Returns
        -------
        Tensor, shape (batch, channels, samples)
            NaN where the masks keep no sample of a series: it has no level then.
        """
        mean, sd = _level(x, (input_mask * mask).bool())
        patches = self._encode(x, mean, sd, shown=mask, input_mask=input_mask)
        return self.head(patches) * sd + mean

    def embed(self, x: Tensor, input_mask: Tensor) -> Tensor:
        """Return one vector per series, shape (batch, width).

        The mean over the channels, then over the patches that are not padding; NaN where all are. Arguments
        as in `reconstruct`.
        """
        mean, sd = _level(x, input_mask.bool())
        patches = self._encode(x, mean, sd, shown=input_mask, input_mask=input_mask).mean(dim=1)
        kept = self._whole_patches(input_mask).unsqueeze(-1)
        return (patches * kept).sum(dim=1) / kept.sum(dim=1)

    def _encode(self, x: Tensor, mean: Tensor, sd: Tensor, shown: Tensor, input_mask: Tensor) -> Tensor:
        """Return the encoder's output, shape (batch, channels, patches, width)."""
        batch, channels, samples = x.shape
        normal = torch.nan_to_num((x - mean) / sd, nan=0.0, posinf=0.0, neginf=0.0)
        patches = normal.reshape(batch, channels, samples // self.patch_len, self.patch_len)
        embedded = self.patch_embedding(patches, self._whole_patches(shown)).flatten(0, 1)
        attended = self._whole_patches(input_mask).repeat_interleave(channels, dim=0)
        encoded = self.encoder(inputs_embeds=embedded, attention_mask=attended).last_hidden_state
        return encoded.unflatten(0, (batch, channels))

    def _whole_patches(self, mask: Tensor) -> Tensor:
        """Return 1 where a patch is kept as a whole, shape (batch, patches)."""
        return mask.bool().unflatten(-1, (-1, self.patch_len)).all(dim=-1).long()


class _PatchEmbedding(nn.Module):
    """Linear embedding of what is shown, a learned vector for what is not, and the patch's position."""

    def __init__(self, patch_len: int, width: int) -> None:
        super().__init__()
        self.value_embedding = nn.Linear(patch_len, width, bias=False)
        self.mask_embedding = nn.Parameter(torch.zeros(width))
        self.position_embedding = _Position(width)
        self.dropout = nn.Dropout(_DROPOUT)

    def forward(self, patches: Tensor, shown: Tensor) -> Tensor:
        """Return (batch, channels, patches, width) for patches (batch, channels, patches, samples)."""
        visible = shown.bool()[:, None, :, None]
        embedded = torch.where(visible, self.value_embedding(patches), self.mask_embedding)
        return self.dropout(embedded + self.position_embedding.pe[:, : patches.shape[2]])


class _Position(nn.Module):
    """Fixed sine and cosine waves (Vaswani et al. 2017, section 3.5); part of the checkpoint."""

    pe: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        angle = torch.arange(_LONGEST)[:, None] * torch.exp(
            torch.arange(0, width, 2) * (-math.log(10000.0) / width)
        )
        waves = torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[None]
        self.register_buffer("pe", waves)


class _Head(nn.Module):
    """A patch's samples from its vector."""

    def __init__(self, width: int, patch_len: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout(_DROPOUT)
        self.linear = nn.Linear(width, patch_len)

    def forward(self, patches: Tensor) -> Tensor:
        """Return (batch, channels, samples) for (batch, channels, patches, width)."""
        return self.linear(self.dropout(patches)).flatten(-2)


def load_moment(folder: Path) -> Moment:
    """Return the network of a checkpoint folder, in evaluation mode.

    Parameters
    ----------
    folder : Path
        Holds `config.json` and `model.safetensors`.

    Raises
    ------
    ValueError
        If the files are damaged or not those of this network: a parameter is missing, or has another shape.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        with torch.random.fork_rng(devices=[]):  # every weight is drawn first, and then replaced
            network = Moment(config)
        network.load_state_dict(load_file(folder / "model.safetensors"), strict=True)
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise ValueError(
            f"the weights {folder.name} cannot be read ({type(error).__name__}: {str(error)[:200]}); remove "
            f"their folder and get them anew: python scripts/fetch_weights.py {folder.name}"
        ) from error
    return network.eval()


def _level(x: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and SD of the kept samples of each series, shapes (batch, channels, 1)."""
    known = torch.where(kept[:, None], x, torch.nan)
    mean = known.nanmean(dim=-1, keepdim=True)
    sd = (known - mean).square().nanmean(dim=-1, keepdim=True).sqrt()
    return mean, sd + _EPSILON
