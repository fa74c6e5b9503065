"""Sphinx extension: what the front page takes from the lessons, so that it cannot disagree with them.

``{course-map}`` draws which lesson comes after which, with the minutes that each lesson states; ``{living-figure}``
shows the first scrubber of another page, with a still picture of it until the scripts arrive. Below the opening of the
chapters 3 to 5 stands their common argument, with the step that the page is about.
"""

from __future__ import annotations

import base64
import html
import io
import json
import math
import posixpath
import re
from pathlib import Path

import nbformat
import numpy as np
from docutils import nodes
from docutils.parsers.rst import directives
from matplotlib import colormaps
from PIL import Image
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from fpcourse.plotting import COLORS

LINK = re.compile(r"\[([^\]]+)\]\(([^)#]+\.ipynb)\)")
# A line in the opening of every homework, and the one that closes that of every lesson:
# *About 20 minutes to read, half a minute to run. You need: ...*
HOMEWORK = re.compile(r", about (\w+) minutes\. Needs ")
TIMES = re.compile(r"^\*(?:About )?(\w+) minutes to read, ([^.]+?) to run(?: on two cores)?\. ?(.*)\*$", re.MULTILINE)

# The argument of the chapters 3 to 5: each step, and its pages, of which the first is the one that a link leads to.
ARGUMENT = {
    "small initialization": ["3_condensation", "3_condensation/conserved_quantities"],
    "few directions": [
        "3_condensation/initial_condensation",
        "3_condensation/number_of_directions",
        "3_condensation/phase_diagram",
    ],
    "saddles of narrow networks": [
        "4_loss_landscape",
        "4_loss_landscape/saddle_to_saddle",
        "4_loss_landscape/hessian_and_reduction",
    ],
    "low rank": ["5_generalization/model_rank"],
    "few samples": [
        "5_generalization",
        "5_generalization/recovery_heatmap",
        "5_generalization/recovery_convolution",
        "5_generalization/learning_curves",
        "5_generalization/back_to_the_mysteries",
    ],
}


def opening(path: Path) -> tuple[str, str, str, str]:
    """Title, minutes to read, time to run, and what is needed, as the first cell of a notebook states them."""
    text = nbformat.read(path, as_version=4).cells[0].source
    times = TIMES.search(text)
    if not times:
        raise ExtensionError(f"{path}: the opening has no line like '*About 20 minutes to read, ... to run. ...*'")
    return text.partition("\n")[0].removeprefix("# "), *times.groups()


def prerequisites(page: str, needs: str) -> list[str]:
    """The pages that ``needs`` links to, as names in the table of contents."""
    folder = posixpath.dirname(page)
    return [posixpath.normpath(posixpath.join(folder, link.removesuffix(".ipynb"))) for _, link in LINK.findall(needs)]


def parts(toc) -> dict[str, str]:
    """For each page in a part of its chapter that part, ``chapter#caption``: in _toc.yml a subtree with a caption."""
    return {
        str(page): f"{document.docname}#{subtree.caption}"
        for document in toc.values()
        for subtree in document.subtrees
        for page in subtree.items
        if subtree.caption
    }


def tree(needed: dict[str, list[str]], part: dict[str, str] | None = None) -> dict[str, str | None]:
    """For each page the one page under which the map shows it: of all that it needs, the last one on the way there.

    needed   page -> pages it needs, in reading order; a chapter's pages lie in the folder named like the chapter
    part     page -> part of its chapter; such a page stands below pages of its part, or else below the part itself
    """
    part = part or {}
    above: dict[str, str | None] = {name: name.partition("#")[0] for name in part.values()}
    depth = dict.fromkeys(above, 1)

    def home(page: str) -> str | None:
        chapter = posixpath.dirname(page)
        return part.get(page, chapter if chapter in needed else None)

    def place(page: str) -> None:
        if page in above:
            return
        own = [other for other in needed[page] if other in needed and home(page) and home(other) == home(page)]
        for other in own:
            place(other)
        above[page] = max(own, key=depth.__getitem__, default=home(page))
        if above[page] is not None:
            place(above[page])
        depth[page] = 0 if above[page] is None else depth[above[page]] + 1

    for page in needed:
        place(page)
    return above


class CourseMap(SphinxDirective):
    """A nested list of all lessons, each below the one it needs; the style sheet draws the lines between them."""

    def run(self) -> list[nodes.Node]:
        source, toc = Path(self.env.srcdir), self.env.external_site_map
        notebooks = [str(page) for page in toc if (source / f"{page}.ipynb").exists()]
        pages = [page for page in notebooks if not page.endswith("/homework")]
        openings = {page: opening(source / f"{page}.ipynb") for page in pages}
        for page in notebooks:
            self.env.note_dependency(str(source / f"{page}.ipynb"))
        part = {page: name for page, name in parts(toc).items() if page in openings}
        above = tree({page: prerequisites(page, openings[page][3]) for page in pages}, part)
        order = list(dict.fromkeys(each for page in pages for each in (part.get(page, page), page)))

        def passed(page: str) -> list[str]:
            return [] if above[page] is None else [above[page], *passed(above[page])]

        def lines(parent: str | None, indent: str) -> list[str]:
            result = []
            for page in (each for each in order if above[each] == parent):
                if page not in openings:
                    result += [f"{indent}- *{page.partition('#')[2]}*", *lines(page, indent + "  ")]
                    continue
                title, read, run, needs = openings[page]
                also = [each for each in prerequisites(page, needs) if each in openings and each not in passed(page)]
                times = f"{read.lower()} min, runs in {run}" + ("" if parent else ". " + LINK.sub(r"\1", needs))
                times += "".join(f"; also after [{openings[each][0]}](/{each}.ipynb)" for each in also)
                result += [f"{indent}- [{title}](/{page}.ipynb) {times}", *lines(page, indent + "  ")]
            if f"{parent}/homework" in notebooks:
                text = nbformat.read(source / f"{parent}/homework.ipynb", as_version=4).cells[0].source
                title = text.partition("\n")[0].removeprefix("# ")
                result.append(f"{indent}- [{title}](/{parent}/homework.ipynb) {HOMEWORK.search(text)[1]} min")
            return result

        container = nodes.container(classes=["fpc-map"])
        container += self.parse_text_to_nodes("\n".join(lines(None, "")))
        return [container]


def caption_menu(app, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Write the captions of a chapter's parts into the menu, where Sphinx shows them at the top level only."""
    if "generate_toctree_html" not in context:
        return
    draw, part = context["generate_toctree_html"], parts(app.env.external_site_map)
    firsts = {name: page for page, name in reversed(part.items())}
    captions = {context["pathto"](page): name.partition("#")[2] for name, page in firsts.items()}

    def captioned(*args, **options):
        soup = draw(*args, **options)
        for link in soup.select("li.toctree-l2 > a"):
            if link["href"] in captions and not link.parent.find_previous_sibling("li", string=captions[link["href"]]):
                caption = soup.new_tag("li", attrs={"class": "fpc-part"})
                caption.string = captions[link["href"]]
                link.parent.insert_before(caption)
        return soup

    context["generate_toctree_html"] = captioned


class living_figure(nodes.General, nodes.Element):
    """Stands for the figure until all pages have been read."""


class LivingFigure(SphinxDirective):
    """``{living-figure} page`` with a caption; ``:at: 100`` is the value of its slider to begin with."""

    required_arguments = 1
    has_content = True
    option_spec = {"at": directives.nonnegative_int}  # noqa: RUF012  (docutils reads it from the class)

    def run(self) -> list[nodes.Node]:
        page = self.arguments[0]
        self.env.note_dependency(str(Path(self.env.srcdir, f"{page}.ipynb")))
        return [living_figure(page=page, at=self.options.get("at", 0)), *self.parse_content_to_nodes()]


def bring_figures(app, doctree, docname: str) -> None:
    """Put the front page's figure in its place, and a still picture into every figure that moves."""
    if app.builder.format != "html":
        return
    for place in doctree.findall(living_figure):
        raws = app.env.get_doctree(place["page"]).findall(nodes.raw)
        scrubber = next((raw.astext() for raw in raws if 'class="fpc-scrub"' in raw.astext()), None)
        if scrubber is None:
            raise ExtensionError(f"{docname}: there is no scrubber on {place['page']}")
        place.replace_self(nodes.raw("", with_still(scrubber, place["at"]), format="html"))
    for raw in list(doctree.findall(nodes.raw)):
        if 'class="fpc-scrub"' in raw.astext() and "fpc-still" not in raw.astext():
            raw.replace_self(nodes.raw("", with_still(raw.astext()), format="html"))


def with_still(scrubber: str, at: float | None = None) -> str:
    """The scrubber over a still picture of the moment it begins with: its own, or the value nearest to ``at``."""
    head, data, tail = re.fullmatch(r'(.*<script type="application/json">)(.*)(</script>.*)', scrubber, re.S).groups()
    content = json.loads(data)
    values = [float(value) for value in content["slider"]["values"]]
    shown = content["layout"]["sliders"][0].get("active", 0)
    if at is not None:
        shown = min(range(len(values)), key=lambda i: abs(values[i] - at))
    content["layout"]["sliders"][0]["active"] = shown
    data = json.dumps(content, separators=(",", ":")).replace("</", "<\\/")
    still = f'<div class="fpc-still" aria-hidden="true">{"".join(panels(content, shown))}</div>'
    return head.replace("></div>", f">{still}</div>", 1) + data + tail


def panels(content: dict, shown: int) -> list[str]:
    """One SVG for each panel of a plotly figure, at one of its frames; a landscape is seen from above."""
    traces = [dict(trace) for trace in content["data"]]
    frame = content["frames"][shown]
    for index, change in zip(frame["traces"], frame["data"], strict=True):
        traces[index] = {**traces[index], **{key: value for key, value in change.items() if key != "type"}}
    axes = sorted({(trace.get("xaxis", "x"), trace.get("yaxis", "y")) for trace in traces})
    return [panel([t for t in traces if t.get("xaxis", "x") == x], content["layout"], x, y) for x, y in axes]


def panel(traces: list[dict], layout: dict, x: str, y: str, width: int = 400, height: int = 360) -> str:
    scene = layout.get("scene", {})
    across, up = (layout.get(f"{axis[0]}axis{axis[1:]}") or scene.get(f"{axis[0]}axis", {}) for axis in (x, y))

    def scaled(values: list[float], axis: dict) -> list[float]:
        if axis.get("type") != "log":
            return values
        return [math.log10(value) if value > 0 else math.nan for value in values]

    def limits(letter: str, axis: dict) -> tuple[float, float]:
        if "range" in axis:
            return tuple(axis["range"])
        every = [each for trace in traces for each in scaled(trace.get(letter) or [0, 1], axis) if math.isfinite(each)]
        space = 0.05 * ((max(every) - min(every)) or 1)
        return min(every) - space, max(every) + space

    (left, right), (bottom, top) = limits("x", across), limits("y", up)

    def place(trace: dict) -> list[tuple[float, float]]:
        return [
            (
                round(10 + (width - 20) * (a - left) / (right - left), 1),
                round(10 + (height - 50) * (top - b) / (top - bottom), 1),
            )
            for a, b in zip(scaled(trace["x"], across), scaled(trace["y"], up), strict=True)
            if math.isfinite(a) and math.isfinite(b)
        ]

    drawn = []
    for trace in traces:
        if "z" in trace and isinstance(trace["z"][0], list):
            flipped = up.get("autorange") != "reversed"
            side = "" if trace.get("x") else f' transform="translate({(width - height + 30) / 2 - 10})"'
            size = (width - 20, height - 50) if trace.get("x") else (height - 50, height - 50)
            drawn.append(
                f'<image href="{picture(trace["z"], flipped, trace["type"] == "surface")}" x="10" y="10" '
                f'width="{size[0]}" height="{size[1]}" preserveAspectRatio="none"{side}/>'
            )
            continue
        style, points = {**trace.get("line", {}), **trace.get("marker", {})}, place(trace)
        style |= {key: trace["line"][key] for key in ("dash",) if key in trace.get("line", {})}
        # the target is drawn in the colour of print, on the page in that of the text
        colour = style.get("color", COLORS["network"])
        colour = "currentColor" if colour == COLORS["target"] else colour
        dash = {"dot": ' stroke-dasharray="2 4"', "dash": ' stroke-dasharray="8 5"'}.get(style.get("dash"), "")
        if "lines" in trace.get("mode", "lines"):
            path = " ".join(f"{a},{b}" for a, b in points)
            drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        if "markers" in trace.get("mode", "lines"):
            open_circle = "open" in style.get("symbol", "")
            fill = "none" if open_circle else colour
            drawn += [f'<circle cx="{a}" cy="{b}" r="4" fill="{fill}" stroke="{colour}"/>' for a, b in points]
    title, name = (html.escape(axis.get("title", {}).get("text", "")) for axis in (across, up))
    return (
        f'<svg viewBox="0 0 {width} {height}"><rect x="10" y="10" width="{width - 20}" height="{height - 50}" '
        f'fill="none" stroke="currentColor" stroke-opacity="0.3"/>{"".join(drawn)}'
        f'<text x="{width / 2}" y="{height - 12}" text-anchor="middle" fill="currentColor">{title}</text>'
        f'<text x="16" y="28" fill="currentColor">{name}</text></svg>'
    )


def picture(values: list[list[float]], flipped: bool, coloured: bool) -> str:
    """Address of a small picture of grey values, or of heights in the colours of a landscape."""
    z = np.array(values, dtype=float)[:: -1 if flipped else 1]
    if coloured:
        z = 255 * colormaps["viridis"]((z - z.min()) / np.ptp(z))[..., :3]
    file = io.BytesIO()
    Image.fromarray(z.astype(np.uint8)).save(file, format="png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def show_argument(app, doctree, docname: str) -> None:
    """Put the argument of the chapters 3 to 5 below the opening of a page that is a step of it."""
    here = next((step for step, pages in ARGUMENT.items() if docname.removeprefix("chapters/") in pages), None)
    if here is None or app.builder.format != "html":
        return
    steps = ""
    for step, (first, *_) in ARGUMENT.items():
        address = app.builder.get_relative_uri(docname, f"chapters/{first}")
        steps += f'<li{" aria-current=step" * (step == here)}><a href="{address}">{step}</a></li>'
    times = next(text for text in doctree.findall(nodes.emphasis) if " to read, " in text.astext())
    nav = f'<nav class="fpc-argument" aria-label="The argument of chapters 3 to 5"><ol>{steps}</ol></nav>'
    opened = times.parent.parent
    opened.insert(opened.index(times.parent) + 1, nodes.raw("", nav, format="html"))


def setup(app) -> dict[str, bool]:
    app.add_node(living_figure)
    app.connect("doctree-resolved", show_argument)
    app.add_directive("course-map", CourseMap)
    app.add_directive("living-figure", LivingFigure)
    app.connect("doctree-resolved", bring_figures)
    app.connect("html-page-context", caption_menu, priority=900)  # after the theme has brought its function
    return {"parallel_read_safe": True, "parallel_write_safe": True}
