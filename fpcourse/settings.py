"""Seed, scale, device and progress bars of a run, so that one notebook serves laptop, cluster and CI.

``FPCOURSE_SEED``   a whole number; the book runs at 0, the tests at 1, a reader at any.
``FPCOURSE_SCALE``  ``laptop`` (default: a minute on two cores) or ``paper`` (the published setting).
``FPCOURSE_DEVICE`` ``auto`` (default: the GPU, if there is one that works), ``cpu``, ``cuda`` or ``cuda:1``.
``TQDM_DISABLE``    1 silences all progress bars, as the build of the book does.
"""

from __future__ import annotations

import os
import random
import warnings
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from fpcourse._arguments import as_choice

if TYPE_CHECKING:  # both are slow to import
    import torch
    from tqdm import tqdm

T = TypeVar("T")

ROOM = 2**28  # bytes that a GPU must have left: more than any training at laptop scale takes


def seed(default: int = 0) -> int:
    """Return the seed of this run and seed ``random``, ``numpy`` and ``torch`` with it.

    Parameters
    ----------
    default : int
        The seed if ``FPCOURSE_SEED`` is not set.

    Returns
    -------
    int
        The seed, in 0..2**32-1.

    Examples
    --------
    >>> first = seed(), np.random.rand()
    >>> first == (seed(), np.random.rand())
    True
    """
    import torch

    text = os.environ.get("FPCOURSE_SEED", default)
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
    """Return ``laptop`` or ``paper`` as ``FPCOURSE_SCALE`` says.

    Examples
    --------
    >>> width = choose(laptop=100, paper=10_000)
    >>> width in (100, 10_000)
    True
    """
    scale = as_choice("FPCOURSE_SCALE", os.environ.get("FPCOURSE_SCALE", "laptop"), ("laptop", "paper"))
    return laptop if scale == "laptop" else paper


def device(name: str | torch.device = "auto") -> torch.device:
    """Return the device to train on.

    A GPU is tried with one small product. If it fails, because the GPU is too old for this build of torch or has no
    memory left, a warning says so and the CPU takes its place.

    Parameters
    ----------
    name : str or torch.device
        "auto": what ``FPCOURSE_DEVICE`` says; if it says nothing or "auto", a CUDA GPU if there is one, else the CPU.

    Raises
    ------
    ValueError
        If torch knows no such device, and for "mps", which has no float64.

    Examples
    --------
    >>> device("cpu")
    device(type='cpu')
    """
    import torch

    name = os.environ.get("FPCOURSE_DEVICE", "auto") if name == "auto" else name
    try:
        chosen = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
    except (RuntimeError, TypeError):
        raise ValueError(f"the device must be 'auto', 'cpu', 'cuda' or 'cuda:1'; got {name!r}") from None
    if chosen.type == "mps":
        raise ValueError("the device must not be 'mps': Apple's GPUs have no float64, use 'cpu'")
    if chosen.type == "cpu":
        return chosen
    try:
        room, unit = torch.empty(ROOM, dtype=torch.uint8, device=chosen), torch.ones(1, 1, device=chosen)
        float(unit @ unit)  # waits for the result
        del room
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        warnings.warn(f"{chosen} cannot be used, so the CPU takes its place: {reason}", stacklevel=2)
        return torch.device("cpu")
    return chosen


def progress_bar(total: int, description: str, *, show: bool = True) -> tqdm:
    """Return a ``tqdm`` bar, a widget in a notebook and text elsewhere; silent unless ``show``.

    Examples
    --------
    >>> with progress_bar(10, "training", show=False) as bar:
    ...     moved = bar.update(5)
    """
    from tqdm.auto import tqdm

    # tqdm's widget ignores TQDM_DISABLE, and its text bar reads it only when imported.
    disable = not show or os.environ.get("TQDM_DISABLE", "") not in ("", "0")
    return tqdm(total=total, desc=description, leave=False, mininterval=0.5, disable=disable)
