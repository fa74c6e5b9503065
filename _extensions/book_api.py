"""Sphinx extension: what the reference of the package needs beyond autodoc and sphinx-codeautolink."""

from __future__ import annotations

import re

from docutils import nodes
from sphinx_codeautolink.extension.block import CodeBlockAnalyser


def keep_bars(app, what, name, thing, options, lines: list[str]) -> None:
    """Escape vertical bars, but not within ``literals``: |x| is a formula and no substitution."""
    for i, line in enumerate(lines):
        parts = re.split(r"(`[^`]*`)", line)
        lines[i] = "".join(part if part.startswith("`") else part.replace("|", r"\|") for part in parts)


def depart_section(self: CodeBlockAnalyser, node: nodes.section) -> None:
    """Pop the title of a section that has one: those inside theorems and exercises have none (version 0.20.0)."""
    if any(isinstance(child, nodes.title) for child in node):
        self.title_stack.pop()


def setup(app) -> dict[str, bool]:
    CodeBlockAnalyser.depart_section = depart_section
    app.connect("autodoc-process-docstring", keep_bars, priority=400)  # before napoleon
    return {"parallel_read_safe": True, "parallel_write_safe": True}
