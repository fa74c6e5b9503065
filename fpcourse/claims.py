"""A claim of the text, checked where it is made: ``check("low before high", ratio, above=5)``."""

from __future__ import annotations

import html
import json
import math
import os
import sys

import numpy as np
from numpy.typing import ArrayLike


def check(
    claim: str,
    value: ArrayLike,
    *,
    above: float | None = None,
    below: float | None = None,
    equals: ArrayLike | None = None,
) -> None:
    """Assert that every entry of ``value`` lies above, below or at what is claimed, and show the claim as a line.

    The bounds are strict. NaN satisfies no claim, and inf none but ``equals=math.inf``: a frequency that is never
    learned is no large learning time. With ``FPCOURSE_CLAIMS`` set, a JSON line (claim, least, largest, above, below,
    equals, holds) is appended to that file, pass or fail; inf and NaN are written as text, which ``float`` reads.

    Parameters
    ----------
    claim : str
        A sentence that a reader understands.
    value : array-like
        The measurement, a number or an array of any shape, of which the range is shown.
    above, below : float, optional
        One bound or both. ``below=math.inf`` claims that something happens at all, such as learning.
    equals : array-like, optional
        In place of bounds, for counts: a number, or an array of the shape of ``value``. Compared exactly.

    Raises
    ------
    AssertionError
        If the claim is false.
    ValueError
        If no number can satisfy the bounds, or the value is not made of numbers.

    Examples
    --------
    >>> check("k = 3 takes more than 5 times as long as k = 1", [28.0, 31.0], above=5)
    ✓ k = 3 takes more than 5 times as long as k = 1: measured 28 to 31, claimed > 5
    >>> check("The rank is k (d + 1)", [3, 6], equals=[3, 6])
    ✓ The rank is k (d + 1): measured 3, 6, claimed the same
    """
    values = _numbers(claim, "value", value)
    bounds = {
        sign: float(_numbers(claim, "bound", bound).item())
        for sign, bound in ((">", above), ("<", below))
        if bound is not None
    }
    low, high = bounds.get(">", -math.inf), bounds.get("<", math.inf)
    if bool(bounds) == (equals is not None):
        raise ValueError(f"claim {claim!r} needs above=..., below=... or both, or else equals=...")
    if bounds and not low < high:
        raise ValueError(f"claim {claim!r}: no number lies above {above!r} and below {below!r}")
    if bounds:
        holds = bool(np.all((values > low) & (values < high)))
        measured, claimed = _written(values, bounds)
    else:
        wanted = _numbers(claim, "equals", equals)
        if wanted.shape not in ((), values.shape):
            raise ValueError(f"claim {claim!r}: equals must be a number or of shape {values.shape}; got {wanted.shape}")
        holds = bool(np.all(values == wanted))
        measured, claimed = _listed(values), "the same" if wanted.shape and holds else f"= {_listed(wanted)}"
    row = {"claim": claim, "least": values.min(), "largest": values.max(), "above": above, "below": below}
    _record(row | {"equals": None if equals is None else _listed(wanted), "holds": holds})
    if not holds:
        raise AssertionError(f"claim fails: {claim}: measured {measured}, claimed {claimed}")
    _show(claim, measured, claimed)


def _numbers(claim: str, what: str, value: ArrayLike) -> np.ndarray:
    try:
        numbers = np.asarray(value.numpy(force=True) if hasattr(value, "detach") else value, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(
            f"the {what} of claim {claim!r} must be a number or numbers; got {type(value).__name__}"
        ) from None
    if value is None or numbers.size == 0 or (what == "bound" and numbers.size > 1):
        raise ValueError(f"the {what} of claim {claim!r} must hold {'one number' if what == 'bound' else 'numbers'}")
    return numbers


def _written(values: np.ndarray, bounds: dict[str, float]) -> tuple[str, str]:
    """Range and claim with four digits, or as many as keep the line from contradicting itself (0.99999 < 1)."""
    ends = sorted({float(values.min()), float(values.max())}, key=lambda end: (math.isnan(end), end))
    for digits in range(4, 18):
        texts = [f"{end:.{digits}g}" for end in ends]
        limits = {sign: f"{bound:.{digits}g}" for sign, bound in bounds.items()}
        if all(
            (float(text) < float(limits[sign]), float(text) > float(limits[sign])) == (end < bound, end > bound)
            for text, end in zip(texts, ends, strict=True)
            for sign, bound in bounds.items()
        ):
            break
    return " to ".join(dict.fromkeys(texts)), " and ".join(f"{sign} {limit}" for sign, limit in limits.items())


def _listed(values: np.ndarray) -> str:
    """Up to eight numbers one by one, more as their range."""
    texts = list(dict.fromkeys(f"{each:.17g}" for each in values.ravel()))
    return ", ".join(texts) if len(texts) <= 8 else f"{values.min():.17g} to {values.max():.17g}"


def _record(row: dict) -> None:
    path = os.environ.get("FPCOURSE_CLAIMS")
    if path:
        row = {key: float(each) if isinstance(each, np.generic | int) and key != "holds" else each
               for key, each in row.items()}  # fmt: skip
        strict = {k: str(v) if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(strict) + "\n")


def _show(claim: str, measured: str, claimed: str) -> None:
    text = f"✓ {claim}: measured {measured}, claimed {claimed}"
    ipython = sys.modules.get("IPython")  # what runs inside it has imported it
    if ipython is None or ipython.get_ipython() is None:
        print(text)
        return
    from IPython.display import display

    rich = (
        '<div class="fpc-claim" style="border-left:4px solid #2a9d8f;padding:.15em .8em;margin:.3em 0">'
        f"<strong>✓ {html.escape(claim)}</strong><br>"
        f"<span>measured <strong>{measured}</strong>, claimed {html.escape(claimed)}</span></div>"
    )
    display({"text/plain": text, "text/html": rich}, raw=True)
