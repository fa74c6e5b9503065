"""A claim of the text, checked where it is made: ``check("low before high", ratio, above=5)``."""

from __future__ import annotations

import html
import json
import math
import os
import sys

from fpcourse._arguments import as_number


def check(name: str, value: float, *, above: float | None = None, below: float | None = None) -> None:
    """Assert ``above < value < below`` (one bound or both, strictly) and show the claim as a line.

    With ``FPCOURSE_CLAIMS`` set, a JSON line (name, value, above, below, margin) is appended to that file, pass or
    fail. The margin is the distance to the nearer bound as a fraction of that bound (absolute for a bound of 0 or inf).
    JSON knows no NaN and no infinity: they are written as "nan", "inf" and "-inf", which ``float`` reads.

    Parameters
    ----------
    name : str
        The claim, a sentence that a reader understands.
    value : float
        The measurement; NaN fails, inf may pass ``above``.
    above, below : float, optional
        The bounds. ``below=math.inf`` claims that something happens at all, such as a first time below a threshold.

    Raises
    ------
    AssertionError
        If the claim is false.
    ValueError
        If no number can satisfy the bounds, or the value is not a number.

    Examples
    --------
    >>> check("k = 3 takes more than 5 times as long as k = 1", 31.0, above=5)
    ✓ k = 3 takes more than 5 times as long as k = 1: measured 31, claimed > 5
    """
    if above is None and below is None:
        raise ValueError(f"claim {name!r} needs a bound: give above=... or below=...")
    number = as_number(f"the value of claim {name!r}", value)
    bounds = {
        sign: as_number(f"the bound of claim {name!r}", bound)
        for sign, bound in ((">", above), ("<", below))
        if bound is not None
    }
    if any(map(math.isnan, bounds.values())) or (len(bounds) == 2 and not bounds[">"] < bounds["<"]):
        raise ValueError(f"claim {name!r}: no number lies above {above!r} and below {below!r}")
    margin = min(_margin(number, sign, bound) for sign, bound in bounds.items())
    _record({"name": name, "value": number, "above": bounds.get(">"), "below": bounds.get("<"), "margin": margin})
    measured, claimed = _written(number, bounds)
    if not margin > 0:
        raise AssertionError(f"claim fails: {name}: measured {measured}, claimed {claimed}")
    _show(name, measured, claimed)


def _margin(value: float, sign: str, bound: float) -> float:
    if value == bound:
        return 0.0  # inf - inf would be NaN
    distance = value - bound if sign == ">" else bound - value
    return distance / (abs(bound) if bound and math.isfinite(bound) else 1.0)


def _written(value: float, bounds: dict[str, float]) -> tuple[str, str]:
    """Value and claim with four digits, or as many as keep the line from contradicting itself (0.99999 < 1)."""
    for digits in range(4, 18):
        measured, *limits = (f"{number:.{digits}g}" for number in (value, *bounds.values()))
        rounded = float(measured)
        if all(
            (rounded < float(limit), rounded > float(limit)) == (value < bound, value > bound)
            for limit, bound in zip(limits, bounds.values(), strict=True)
        ):
            break
    return measured, " and ".join(f"{sign} {limit}" for sign, limit in zip(bounds, limits, strict=True))


def _record(row: dict) -> None:
    path = os.environ.get("FPCOURSE_CLAIMS")
    if path:
        strict = {k: str(v) if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(strict) + "\n")


def _show(name: str, measured: str, claimed: str) -> None:
    text = f"✓ {name}: measured {measured}, claimed {claimed}"
    ipython = sys.modules.get("IPython")  # what runs inside it has imported it
    if ipython is None or ipython.get_ipython() is None:
        print(text)
        return
    from IPython.display import display

    rich = (
        '<div class="fpc-claim" style="border-left:4px solid #2a9d8f;padding:.15em .8em;margin:.3em 0">'
        f"<strong>✓ {html.escape(name)}</strong><br>"
        f"<span>measured <strong>{measured}</strong>, claimed {html.escape(claimed)}</span></div>"
    )
    display({"text/plain": text, "text/html": rich}, raw=True)
