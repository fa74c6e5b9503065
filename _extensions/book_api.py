"""Sphinx extension: docstrings write |x| as formulas do; reStructuredText would take the bars for a substitution."""

from __future__ import annotations

import re


def keep_bars(app, what, name, thing, options, lines: list[str]) -> None:
    """Escape vertical bars, but not within ``literals``."""
    for i, line in enumerate(lines):
        parts = re.split(r"(`[^`]*`)", line)
        lines[i] = "".join(part if part.startswith("`") else part.replace("|", r"\|") for part in parts)


def setup(app) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", keep_bars, priority=400)  # before napoleon
    return {"parallel_read_safe": True, "parallel_write_safe": True}
