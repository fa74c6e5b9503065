"""Sphinx extension: everything a page loads comes with the book, so that it asks no other host for anything.

Scripts travel in Python packages (no Node needed), and into the book with the licences of those packages.
What other sites read, the sitemap and the card of a shared link, is written for the address the book is published at.
"""

from __future__ import annotations

from html import escape
from importlib.metadata import files
from importlib.resources import as_file
from importlib.resources import files as resources
from pathlib import Path
from xml.etree import ElementTree

from docutils import nodes
from PIL import Image
from sphinx.util.fileutil import copy_asset

STATIC = Path(__file__).parent / "static"
SCRIPTS_FROM = (
    "plotly",
    "pydata-sphinx-theme",
    "Sphinx",
    "sphinx-book-theme",
    "sphinx-copybutton",
    "sphinx-design",
    "sphinx-togglebutton",
)


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


def add_comments(app, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Put a discussion under every page of text, where a repository for them is named: giscus.app says how."""
    chosen = {"mapping": "pathname", "theme": "preferred_color_scheme", "loading": "lazy"} | app.config.book_comments
    if app.config.book_comments and doctree is not None:
        settings = " ".join(f'data-{name}="{escape(value)}"' for name, value in chosen.items())
        script = f'<script src="https://giscus.app/client.js" {settings} crossorigin="anonymous" async></script>'
        context["body"] += f'<section class="fpc-comments" aria-label="Comments">{script}</section>'


def copy_mathjax(app) -> None:
    """Copy the bundle that the pages load and what its menu may ask for, but none of the other bundles: 14 MB less.

    Before the pages are written: Sphinx puts a script's digest into its address only where the script is there, and a
    book of which some pages are written anew would have two addresses for it.
    """
    if app.builder.format == "html":
        others = ("latest", "mml-", "node-", "tex-mml-", "tex-svg", "tex-chtml-")
        with as_file(resources("sphinx-mathjax-offline") / "static" / "mathjax") as bundles:
            copy_asset(bundles, Path(app.outdir) / "_static" / "mathjax", lambda path: path.startswith(others))


def copy_plotly(app, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        with as_file(resources("plotly") / "package_data" / "plotly.min.js") as script:
            copy_asset(script, Path(app.outdir) / "_static")


def copy_licences(app, exception: Exception | None) -> None:
    """Copy the licence of each package that leaves scripts in the book; MathJax's lies in ``static/licences``."""
    if exception is None and app.builder.format == "html":
        for package in SCRIPTS_FROM:
            licence = next(file for file in files(package) if file.name.startswith("LICENSE"))
            copy = Path(app.outdir) / "_static" / "licences" / f"{package}.txt"
            copy.write_text(licence.read_text(), encoding="utf-8")


def set_address(app, config) -> None:
    """The address of the published book, which GitHub Pages derives from that of the repository; elsewhere none."""
    host, owner, name = config.html_theme_options["repository_url"].rstrip("/").split("/")[-3:]
    if host == "github.com":
        config.html_baseurl = config.ogp_site_url = f"https://{owner.lower()}.github.io/{name}/"


def write_sitemap(app, exception: Exception | None) -> None:
    """List every page, also those that this build did not have to write again."""
    if exception is None and app.builder.format == "html" and app.config.html_baseurl:
        sitemap = ElementTree.Element("urlset", xmlns="http://www.sitemaps.org/schemas/sitemap/0.9")
        for page in sorted(app.env.found_docs):
            address = app.config.html_baseurl + app.builder.get_target_uri(page)
            ElementTree.SubElement(ElementTree.SubElement(sitemap, "url"), "loc").text = address
        path = Path(app.outdir, "sitemap.xml")
        ElementTree.ElementTree(sitemap).write(path, encoding="utf-8", xml_declaration=True)


def drop_header(app, config) -> None:
    """Leave out the theme's bar across the top: it would hold a second search field and nothing else."""
    config.html_theme_options["navbar_persistent"] = []


def setup(app) -> dict[str, bool]:
    app.config.mathjax_path = "mathjax/tex-chtml.js"
    app.config.html_static_path.append(str(STATIC))
    app.add_css_file("book.css")
    app.add_js_file("print.js", loading_method="defer")
    app.connect("config-inited", drop_header)
    app.connect("config-inited", set_address)
    app.connect("doctree-resolved", mark_wide_figures)
    app.connect("html-page-context", add_scrubber)
    app.add_config_value("book_comments", {}, "html", dict)
    app.connect("html-page-context", add_comments)
    app.connect("builder-inited", copy_mathjax)
    app.connect("build-finished", copy_plotly)
    app.connect("build-finished", copy_licences)
    app.connect("build-finished", write_sitemap)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
