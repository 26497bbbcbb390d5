"""The demo's data: a trained digit classifier and digits it has not seen, made by examples/train_digits.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np

_FOLDER = Path(__file__).parent


def model_folder() -> Path:
    """The NNEF model: input `image` [N, 1, 8, 8] of grey levels 0 to 16, output `probabilities` [N, 10]."""
    return _FOLDER / "digits"


def held_out_digits() -> tuple[np.ndarray, np.ndarray]:
    """Digits the model was not trained on: images (uint8 [450, 8, 8], 0 to 16) and labels (uint8 [450])."""
    with np.load(_FOLDER / "digits.npz", allow_pickle=False) as data:
        return data["images"], data["labels"]
