"""Sphinx extension: figures that follow the theme of the page, and whose panels stack on a phone.

Notebooks draw on white, so that a figure reads anywhere. For the book they draw SVG, which becomes a part of the page:
white grounds go, black and the greys near it take the colour of the text, light greys that of lines, the colours of
``fpcourse.plotting`` those of the style sheet. Pictures, maps of colours and landscapes stay as they were drawn.
A figure with panels side by side is cut between them, where nothing is drawn; the style sheet puts the pieces in a row
where there is room and below each other where there is none. Figures are numbered by chapter: 2.7, or F.1 in the
Fourier primer.
"""

from __future__ import annotations

import html
import os
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

from docutils import nodes
from sphinx.util import logging

from fpcourse.plotting import COLORS

logger = logging.getLogger(__name__)
SVG, LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
ElementTree.register_namespace("", SVG[1:-1])
ElementTree.register_namespace("xlink", LINK[1:-5])
HEAVY = 1_500_000  # characters: beyond, the figure is a file of its own, on a white card
PIXELS = 85 / 72  # of the page for a point of the figure: text of 10 points is 12 px high
PICTURES = ("QuadMesh", "QuadContourSet", "Poly3DCollection")
COLOUR = re.compile(r"(fill|stroke|stop-color): (#[0-9a-f]{6})")
NAMED = {value: f"var(--fpc-{name}, {value})" for name, value in COLORS.items() if name not in ("target", "noise")}


def ask_for_svg(app, config) -> None:
    """Tell the kernels; :func:`fpcourse.plotting.use_style` listens."""
    os.environ["FPCOURSE_FIGURES"] = "svg"


def number_through(app, env) -> list[str]:
    """Give Sphinx its own numbers back: it compares them with those it finds, and writes the pages that differ."""
    env.toc_fignumbers = getattr(env, "fignumbers_through", env.toc_fignumbers)
    return []


def number_by_chapter(app, env) -> list[str]:
    """Number figures, tables and listings in each chapter; chapters have their number in their name."""
    env.fignumbers_through, env.toc_fignumbers = env.toc_fignumbers, {}
    count = Counter()
    for page in map(str, env.external_site_map):
        chapter = page.removeprefix("chapters/")[0].upper()
        for kind, numbers in env.fignumbers_through.get(page, {}).items():
            for name in numbers:
                count[chapter, kind] += 1
                env.toc_fignumbers.setdefault(page, {}).setdefault(kind, {})[name] = (chapter, count[chapter, kind])
    return []


def bring_in(app, doctree: nodes.document, docname: str) -> None:
    """Replace the drawings of a page's notebook by their SVG."""
    if app.builder.format != "html":
        return
    for number, image in enumerate(list(doctree.findall(nodes.image))):
        path = Path(app.srcdir, image.get("candidates", {}).get("*", image.get("uri", "")))
        if path.suffix != ".svg" or "jupyter_execute" not in path.parts or not path.is_file():
            continue
        drawing = path.read_text("utf-8")
        if len(drawing) > HEAVY:
            logger.info("%s: a drawing of %.1f MB stays a file; rasterize it", docname, len(drawing) / 1e6)
            continue
        image.replace_self(nodes.raw("", on_page(drawing, f"f{number}", image.get("alt", "")), format="html"))


def on_page(drawing: str, name: str, alt: str) -> str:
    """Return HTML of the drawing; ``name`` is unique on the page."""
    root = ElementTree.fromstring(drawing)
    _, _, width, height = map(float, root.get("viewBox").split())
    figure = next(each for each in root if each.get("id", "").startswith("figure_"))
    pieces = cut(figure, width, height)
    colour(figure)
    for group in root.iter(SVG + "defs"):
        for style in group.findall(SVG + "style"):
            group.remove(style)  # it would hold for the whole page
    rename(root, name)
    shared = [each for each in root if each.tag != SVG + "metadata"]
    content = "".join(ElementTree.tostring(each, "unicode") for each in shared)
    content = re.sub(r' xmlns(:\w+)?="[^"]+"', "", content)
    drawn = []
    for i, (kind, (left, top, w, h)) in enumerate(pieces):
        inside = f'<use href="#{name}"/>' if i else f'<g id="{name}">{content}</g>'
        drawn.append(
            f'<svg class="fpc-{kind}" viewBox="{left:.2f} {top:.2f} {w:.2f} {h:.2f}" '
            f'style="--share:{w / width:.5f};--natural:{w * PIXELS:.0f}px">{inside}</svg>'
        )
    kinds = [kind for kind, _ in pieces]
    first, last = kinds.index("panel"), len(kinds) - kinds[::-1].index("panel")
    drawn[first:last] = ['<div class="fpc-row">' + "".join(drawn[first:last]) + "</div>"]
    kind = "fpc-figure" if len(pieces) > 1 or width * PIXELS < 500 else "fpc-figure fpc-single"
    return (
        f'<div class="{kind}" role="img" aria-label="{html.escape(alt, quote=True)}" '
        f'style="--natural:{width * PIXELS:.0f}px">{"".join(drawn)}</div>'
    )


# Colours


def colour(figure: ElementTree.Element) -> None:
    for group in list(figure):
        if not group.get("id", "").startswith("axes_"):
            if group.get("id") == "patch_1":
                figure.remove(group)  # the ground of the whole
            else:
                ink(group)
            continue
        if not any(each.tag == SVG + "image" or each.get("id", "").startswith(PICTURES) for each in group.iter()):
            if len(group) and group[0].get("id", "").startswith("patch_"):
                group.remove(group[0])
            ink(group)
            continue
        group.set("style", "fill: #000000")
        ground = box_of(group)
        for part in group:
            if part.get("id", "").startswith(("matplotlib.axis", "text_")) and not within(part, ground):
                part.set("style", "fill: currentColor")
                ink(part)


def ink(group: ElementTree.Element) -> None:
    """Let all colours of a group follow the theme."""
    for part in group.iter():
        text = part.get("id", "").startswith("text_")
        for each in part.iter() if text else (part,):
            if each.get("style"):
                each.set("style", COLOUR.sub(lambda found, text=text: themed(*found.groups(), text), each.get("style")))


def themed(what: str, value: str, text: bool) -> str:
    red, green, blue = (int(value[i : i + 2], 16) for i in (1, 3, 5))
    grey = max(red, green, blue) - min(red, green, blue) < 0x10
    if value in NAMED:
        value = NAMED[value]
    elif grey and red < 0x60:
        value = "currentColor"
    elif value == "#ffffff":
        value = value if text and what == "fill" else f"var(--fpc-ground, {value})"
    elif grey and red > 0xD0:
        value = f"var(--fpc-line, {value})"
    return f"{what}: {value}"


def within(part: ElementTree.Element, ground: tuple[float, float, float, float] | None) -> bool:
    """Whether a text begins inside the axes."""
    found = list(extents(part))
    if ground is None or not found or not part.get("id", "").startswith("text_"):
        return False
    left, right, top, bottom = ground
    return all(left < a < right and top < c < bottom for a, _, c, _ in found)


# Names: an id is unique on the page, and there only where something refers to it


def rename(root: ElementTree.Element, name: str) -> None:
    text = ElementTree.tostring(root, "unicode")
    wanted = set(re.findall(r"url\(#([^)]+)\)", text)) | set(re.findall(r'href="#([^"]+)"', text))
    for each, kind in figure_texts(root):
        each.set("class", kind)
    for each in root.iter():
        for place in {"d", "x", "y"} & set(each.attrib):
            each.set(place, re.sub(r"(\.\d\d)\d+", r"\1", each.get(place)))  # of a point; half the page's weight
        if each.get("id") in wanted:
            each.set("id", f"{name}-{each.get('id')}")
        elif "id" in each.attrib:
            del each.attrib["id"]
        if each.get(LINK, "").startswith("#"):
            each.set("href", f"#{name}-{each.attrib.pop(LINK)[1:]}")
        if each.get("clip-path"):
            each.set("clip-path", each.get("clip-path").replace("url(#", f"url(#{name}-"))


def figure_texts(root: ElementTree.Element, kind: str = "fpc-t") -> Iterator[tuple[ElementTree.Element, str]]:
    """Every text with a class that says to which side it may grow: of the axes matplotlib draws x first, then y."""
    axes = 0
    for each in root:
        name = each.get("id", "")
        if name.startswith("matplotlib.axis"):
            axes += 1
            yield from figure_texts(each, "fpc-x" if axes == 1 else "fpc-y")
        elif name.startswith("text_"):
            yield each, kind
        else:
            yield from figure_texts(each, kind)


# Panels


def numbers(path: str) -> tuple[list[float], list[float]]:
    values = [float(each) for each in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", path)]
    return values[0::2], values[1::2]


def box_of(axes: ElementTree.Element) -> tuple[float, float, float, float] | None:
    """Left, right, top and bottom of the axes' own rectangle."""
    path = axes.find(f"{SVG}g/{SVG}path")
    if path is None or not axes[0].get("id", "").startswith("patch_"):
        return None
    across, down = numbers(path.get("d"))
    return min(across), max(across), min(down), max(down)


def extents(group: ElementTree.Element) -> Iterator[tuple[float, float, float, float]]:
    """Left, right, top and bottom of everything drawn in a group outside of clipped areas, roughly for text."""
    for each in group:
        if each.get("clip-path") or each.tag == SVG + "defs":
            continue
        moved = re.match(r"translate\((-?[\d.]+) (-?[\d.]+)\)(?: rotate\((-?[\d.]+)\))?", each.get("transform", ""))
        if moved:
            x, y, turn = float(moved[1]), float(moved[2]), float(moved[3] or 0)
            scale = float(re.search(r"scale\(([\d.]+)|$", each.get("transform"))[1] or 1)
            ends = [float(a) for a in re.findall(r"translate\((-?[\d.]+)", ElementTree.tostring(each, "unicode"))[1:]]
            long, high = (max(ends, default=0) + 65) * scale, 80 * scale
            yield (x, x + long, y - high, y) if not turn else (x - high, x + high / 3, y - long, y)
        elif each.tag == SVG + "path":
            across, down = numbers(each.get("d"))
            yield min(across), max(across), min(down), max(down)
        elif each.tag == SVG + "use":
            x, y = float(each.get("x", 0)), float(each.get("y", 0))
            yield x, x, y, y
        elif each.tag == SVG + "image":
            x, y = float(each.get("x", 0)), float(each.get("y", 0))
            yield x, x + float(each.get("width")), y, y
        else:
            yield from extents(each)


def cut(figure: ElementTree.Element, width: float, height: float) -> list[tuple[str, tuple[float, ...]]]:
    """Return the pieces of a figure, "panel" or, for what spans the panels, "strip": left, top, width, height."""
    whole = [("panel", (0.0, 0.0, width, height))]
    axes = [(box_of(g), list(extents(g))) for g in figure if g.get("id", "").startswith("axes_")]
    if any(box is None or not drawn for box, drawn in axes):
        return whole
    columns: list[list[float]] = []  # left and right of the axes, and of all that belongs to them
    for box, drawn in sorted(axes, key=lambda pair: pair[0][0]):
        near = [min(each[0] for each in drawn), max(each[1] for each in drawn)]
        bar = box[1] - box[0] < 0.05 * width  # a colour bar goes with what stands left of it
        if columns and (box[0] < columns[-1][1] or bar):
            last = columns[-1]
            last[:] = [last[0], max(last[1], box[1]), min(last[2], near[0]), max(last[3], near[1])]
        else:
            columns.append([box[0], box[1], *near])
    cuts = [0.0]
    for before, after in pairwise(columns):
        if before[3] > after[2] + 1:
            return whole
        cuts.append((before[3] + after[2]) / 2)
    cuts.append(width)
    if len(columns) < 2:
        return whole
    high = min(each[2] for _, drawn in axes for each in drawn)
    low = max(each[3] for _, drawn in axes for each in drawn)
    top, bottom, strips = 0.0, height, []
    for group in figure:
        if group.get("id", "").startswith(("axes_", "patch_")):
            continue
        drawn = list(extents(group))
        if not drawn:
            continue
        left, right = min(each[0] for each in drawn), max(each[1] for each in drawn)
        over, under = min(each[2] for each in drawn), max(each[3] for each in drawn)
        if right < columns[0][2] + 1:
            continue  # a label of all rows, at the left
        if under <= high + 1:
            top = max(top, under + 2)
        elif over >= low - 1:
            bottom = min(bottom, over - 2)
        else:
            return whole
        strips.append((max(left - 4, 0), min(right + 4, width), over, under))
    pieces = [("panel", (a, top, b - a, bottom - top)) for a, b in pairwise(cuts)]
    above = [strip for strip in strips if strip[3] <= top]
    below = [strip for strip in strips if strip[2] >= bottom]
    for at, found, (y, h) in ((0, above, (0.0, top)), (len(columns) + 1, below, (bottom, height - bottom))):
        if found:
            left, right = min(each[0] for each in found), max(each[1] for each in found)
            pieces.insert(at, ("strip", (left, y, right - left, h)))
    return pieces


def setup(app) -> dict[str, bool]:
    app.connect("config-inited", ask_for_svg, priority=400)  # before the cache looks at the settings
    app.connect("env-get-updated", number_through, priority=400)  # Sphinx numbers at 500
    app.connect("env-get-updated", number_by_chapter, priority=600)
    app.connect("doctree-resolved", bring_in)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
