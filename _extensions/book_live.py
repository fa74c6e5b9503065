"""Sphinx extension: the figures that train in the page.

``interactive.live`` leaves a frame with all scripts inside, which works wherever a notebook is read. A page of the book
holds the figure itself: a poster, and the scripts in files that pages share, on pages with such a figure only.
``{live-figure}`` does the same in Markdown pages.
"""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from urllib.parse import parse_qsl

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective
from sphinx.util.fileutil import copy_asset

LIVE = Path(__file__).parent / "live"
# Whatever has parsed the page before writes an attribute that holds " between single quotes.
FRAME = re.compile(
    r"""<iframe class="fpc-lab-frame" data-figure="(\w+)" data-state=(?:"([^"]*)"|'([^']*)').*?</iframe>""", re.DOTALL
)
PLACE = re.compile(r'<div class="fpc-lab" id="live-(\w+)"')


def poster(name: str, state: dict[str, object]) -> Path:
    """The file of a figure's picture in the state that a page sets, which ``tests/tools/live_posters.py`` draws."""
    own = "".join(f".{key}-{re.sub(r'[^0-9a-z]+', '-', str(value).lower())}" for key, value in sorted(state.items()))
    return LIVE / f"{name}{own}.poster.html"


def figure(name: str, state: str = "{}") -> str:
    """The figure as a page holds it: the poster of its state, until the script takes its place."""
    script, still = LIVE / f"{name}.js", poster(name, json.loads(state))
    if not script.is_file() or name in ("engine", "frame"):
        raise ExtensionError(f"there is no figure {name!r} in {LIVE}")
    still = still.read_text("utf-8") if still.is_file() else ""
    return (
        f'<div class="fpc-lab" id="live-{name}" data-figure="{name}" data-state="{html.escape(state, quote=True)}">'
        f'<div class="fpc-poster">{still}</div>'
        '<noscript><p class="fpc-without">This figure trains in the page; it takes JavaScript.</p></noscript></div>'
    )


class LiveFigure(SphinxDirective):
    """``{live-figure} name``, with ``:state: key=value&key=value`` as in an address."""

    required_arguments = 1
    option_spec = {"state": directives.unchanged}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        state = dict(parse_qsl(self.options.get("state", "")))
        return [nodes.raw("", figure(self.arguments[0], json.dumps(state)), format="html")]


def place_figures(app, pagename: str, templatename: str, context: dict, doctree) -> None:
    body = FRAME.sub(lambda frame: figure(frame[1], html.unescape(frame[2] or frame[3])), context.get("body", ""))
    names = list(dict.fromkeys(PLACE.findall(body)))
    if names:
        context["body"] = body
        app.add_css_file("live/live.css")
        for name in ["engine", "frame", *names]:
            app.add_js_file(f"live/{name}.js", loading_method="defer")


def copy_scripts(app) -> None:
    """Before the pages are written: Sphinx puts a script's digest into its address only where the script is there."""
    if app.builder.format == "html":
        copy_asset(LIVE, Path(app.outdir) / "_static" / "live", lambda path: path.endswith(".html"))


def setup(app) -> dict[str, bool]:
    app.add_directive("live-figure", LiveFigure)
    app.connect("builder-inited", copy_scripts)
    app.connect("html-page-context", place_figures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
