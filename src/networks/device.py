"""Where networks run."""

from __future__ import annotations

import torch


def torch_device(device: str) -> torch.device:
    """Return torch's device of this name; 'auto' is a GPU where there is one, else the processor."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)
