"""Sphinx extension: everything a page loads comes with the book, so that it asks no other host for anything.

MathJax and plotly.js travel in Python packages (no Node needed); both are copied into the book with their licences.
"""

from __future__ import annotations

from importlib.metadata import files
from importlib.resources import as_file
from importlib.resources import files as resources
from pathlib import Path

from docutils import nodes
from PIL import Image
from sphinx.util.fileutil import copy_asset

STATIC = Path(__file__).parent / "static"


def mark_wide_figures(app, doctree, docname: str) -> None:
    """Mark figures too wide for a phone: there they scroll in their own box instead of shrinking out of sight."""
    for image in doctree.findall(nodes.image):
        path = Path(app.srcdir, image.get("candidates", {}).get("*", ""))
        if path.suffix == ".png" and path.is_file():
            width, height = Image.open(path).size
            if width > 2.2 * height:
                image["classes"].append("wide")


def add_scrubber(app, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Load the scrubber's script on the pages that hold one; the script fetches plotly when a scrubber comes near."""
    if 'class="fpc-scrub"' in context.get("body", ""):
        app.add_js_file("scrub.js", loading_method="defer")


def copy_plotly(app, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        out = Path(app.outdir) / "_static"
        with as_file(resources("plotly") / "package_data" / "plotly.min.js") as script:
            copy_asset(script, out)
        licence = next(f for f in files("plotly") if f.name.startswith("LICENSE"))
        (out / "licences" / "plotly.txt").write_text(licence.read_text(), encoding="utf-8")


def drop_header(app, config) -> None:
    """Leave out the theme's bar across the top: it would hold a second search field and nothing else."""
    config.html_theme_options["navbar_persistent"] = []


def setup(app) -> dict[str, bool]:
    app.setup_extension("sphinx-mathjax-offline")
    app.config.html_static_path.append(str(STATIC))
    app.add_css_file("book.css")
    app.connect("config-inited", drop_header)
    app.connect("doctree-resolved", mark_wide_figures)
    app.connect("html-page-context", add_scrubber)
    app.connect("build-finished", copy_plotly)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
