"""Seed, scale, device and progress bars of a run, so that one notebook serves laptop, cluster and CI.

``FPCOURSE_SEED``   a whole number; the book runs at 0, the tests at 1, a reader at any.
``FPCOURSE_SCALE``  ``laptop`` (default: a minute on two cores) or ``paper`` (the published setting, for a GPU).
``TQDM_DISABLE``    1 silences all progress bars, as the build of the book does.
"""

from __future__ import annotations

import os
import random
from typing import TypeVar

import numpy as np

from fpcourse._arguments import as_choice, as_count

T = TypeVar("T")


def seed(default: int = 0) -> int:
    """Return the seed of this run and seed ``random``, ``numpy`` and ``torch`` with it.

    Reads ``FPCOURSE_SEED``, else takes ``default``. Raises ValueError unless it is a whole number in 0..2**32-1.
    """
    import torch

    text = os.environ.get("FPCOURSE_SEED", as_count("default", default, minimum=0))
    try:
        value = int(text)
    except ValueError:
        raise ValueError(f"FPCOURSE_SEED must be a whole number; got {text!r}") from None
    if not 0 <= value < 2**32:
        raise ValueError(f"the seed must lie in 0..2**32-1; got {value}")
    random.seed(value)
    np.random.seed(value)
    torch.manual_seed(value)
    return value


def choose(laptop: T, paper: T) -> T:
    """Return ``laptop`` or ``paper`` as ``FPCOURSE_SCALE`` says. Raises ValueError for any other scale."""
    scale = as_choice("FPCOURSE_SCALE", os.environ.get("FPCOURSE_SCALE", "laptop"), ("laptop", "paper"))
    return laptop if scale == "laptop" else paper


def device():
    """Return the ``torch.device`` to train on: a CUDA GPU where there is one, else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def progress_bar(total: int, description: str, *, show: bool = True):
    """Return a ``tqdm`` bar, a widget in a notebook and text elsewhere; silent unless ``show``.

    ``TQDM_DISABLE`` is read here because tqdm's widget ignores it and its text bar reads it only when imported.
    """
    from tqdm.auto import tqdm

    disable = not show or os.environ.get("TQDM_DISABLE", "") not in ("", "0")
    return tqdm(total=total, desc=description, leave=False, mininterval=0.5, disable=disable)
