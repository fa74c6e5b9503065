"""A claim of the text, checked where it is made: ``check("low before high", ratio, above=5)``."""

from __future__ import annotations

import html
import json
import math
import os


def check(name: str, value: float, *, above: float | None = None, below: float | None = None) -> None:
    """Assert ``above < value < below`` (one bound or both, strictly) and show the claim as a line.

    ``name`` is the claim in words a reader understands; ``value`` a real number (NaN fails; inf may pass ``above``).
    Raises AssertionError where the claim is false, ValueError where no bound is given or the value is no number.
    With ``FPCOURSE_CLAIMS`` set, appends a JSON line (name, value, above, below, margin) to that file, pass or fail.
    The margin is the distance to the nearer bound as a fraction of that bound (absolute for a bound of 0).
    """
    if above is None and below is None:
        raise ValueError(f"claim {name!r} needs a bound: give above=... or below=...")
    try:
        number = float(value)
        bounds = [None if bound is None else float(bound) for bound in (above, below)]
    except (TypeError, ValueError):
        raise ValueError(
            f"claim {name!r} needs numbers; got value {value!r}, above {above!r}, below {below!r}"
        ) from None
    if any(bound is not None and math.isnan(bound) for bound in bounds):
        raise ValueError(f"claim {name!r}: a bound is NaN")
    margin = min(_margins(number, *bounds))
    _record({"name": name, "value": number, "above": bounds[0], "below": bounds[1], "margin": margin})
    claimed = " and ".join(f"{sign} {bound:.4g}" for sign, bound in zip("><", bounds, strict=True) if bound is not None)
    if not margin > 0:
        raise AssertionError(f"claim fails: {name}: measured {number:.4g}, claimed {claimed}")
    _show(name, f"{number:.4g}", claimed)


def _margins(value: float, above: float | None, below: float | None):
    for bound, sign in ((above, 1), (below, -1)):
        if bound is not None:
            yield math.nan if math.isnan(value) else sign * (value - bound) / (abs(bound) or 1.0)


def _record(row: dict) -> None:
    path = os.environ.get("FPCOURSE_CLAIMS")
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def _show(name: str, measured: str, claimed: str) -> None:
    text = f"✓ {name}: measured {measured}, claimed {claimed}"
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        get_ipython = None
    if get_ipython is None or get_ipython() is None:
        print(text)
        return
    rich = (
        '<div class="fpc-claim" style="border-left:4px solid #2a9d8f;padding:.15em .8em;margin:.3em 0">'
        f"<strong>✓ {html.escape(name)}</strong><br>"
        f"<span>measured <strong>{measured}</strong>, claimed {html.escape(claimed)}</span></div>"
    )
    display({"text/plain": text, "text/html": rich}, raw=True)
