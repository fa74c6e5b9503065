"""Drawings become a part of the page: their colours follow the theme; panels are cut where nothing is drawn."""

import io
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_extensions"))
from book_figures import number_by_chapter, number_through, on_page

from fpcourse import plotting


def drawn(figure: Figure, name: str = "f0") -> str:
    file = io.StringIO()
    figure.savefig(file, format="svg", bbox_inches="tight")
    return on_page(file.getvalue(), name, "what it shows")


@pytest.fixture
def panels():
    with mpl.rc_context():
        plotting.use_style()
        figure = Figure()
        axes = figure.subplots(1, 2)
        for axis in axes:
            axis.plot([1, 2], color="target", label="target")
            axis.plot([2, 1], color="network", label="network")
            axis.set(xlabel="k", ylabel="error", title="panel")
        yield figure, axes


def boxes(page: str) -> list[list[float]]:
    return [[float(each) for each in box.split()] for box in re.findall(r'viewBox="([^"]+)"', page)]


def test_colours_follow_the_page(panels):
    page = drawn(panels[0])
    assert "stroke: currentColor" in page
    assert "stroke: var(--fpc-network, #0072b2)" in page
    assert "stroke: var(--fpc-line, #e6e6e6)" in page
    assert "#3b3b3b" not in page
    assert "fill: #ffffff" not in page
    assert "<style" not in page
    assert 'role="img" aria-label="what it shows"' in page


def test_dark_theme_names_the_colours_of_the_package():
    style = (Path(__file__).resolve().parents[1] / "_extensions/static/book.css").read_text()
    light = dict(re.findall(r"--fpc-(\w+): (#[0-9a-f]{6});", re.search(r":root \{[^}]+\}", style)[0]))
    assert light == {name: value for name, value in plotting.COLORS.items() if name not in ("target", "noise")}


def test_panels_are_cut_between_what_they_draw(panels):
    figure, _ = panels
    left, right = boxes(drawn(figure))
    assert left[0] == 0
    assert right[0] == pytest.approx(left[2], abs=0.02)
    assert left[2] == pytest.approx(right[2], rel=0.1)
    plotting.outside_legend(figure)
    above, left, right = boxes(drawn(figure))
    assert above[1] == 0
    assert above[3] == pytest.approx(left[1], abs=0.02)
    assert above[2] < right[0] + right[2]


def test_panels_that_reach_into_each_other_are_not_cut(panels):
    figure, axes = panels
    axes[0].set_title("a heading that is so long that it cannot end above its own panel, whatever the width")
    assert len(boxes(drawn(figure))) == 1


def test_a_colour_bar_stays_with_its_map(panels):
    figure, axes = panels
    figure.colorbar(axes[0].pcolormesh(np.eye(3)), ax=axes[0])
    assert len(boxes(drawn(figure))) == 2


def test_a_picture_stays_as_it_was_drawn():
    with mpl.rc_context():
        plotting.use_style()
        figure = Figure()
        axis = figure.subplots()
        axis.imshow(np.eye(3), cmap="gray")
        axis.plot([0, 2], [0, 2], color="black")
        axis.set_title("a digit")
        page = drawn(figure)
    assert "stroke: #000000" in page
    assert re.search(r'<g (class="fpc-t" style="fill: currentColor"|style="fill: currentColor" class="fpc-t")', page)


def test_names_are_unique_and_lead_somewhere(panels):
    page = drawn(panels[0], "f0") + drawn(panels[0], "f1")
    names = re.findall(r' id="([^"]+)"', page)
    assert len(names) == len(set(names))
    referred = set(re.findall(r'href="#([^"]+)"', page)) | set(re.findall(r"url\(#([^)]+)\)", page))
    assert referred <= set(names)
    assert set(names) - referred <= {"f0", "f1"}


def test_figures_are_numbered_by_chapter_and_sphinx_compares_its_own_numbers():
    through = {
        "chapters/fourier_primer": {"figure": {"a": (1,)}},
        "chapters/2_frequency_principle": {"figure": {"b": (2,), "c": (3,)}, "table": {"d": (1,)}},
        "chapters/2_frequency_principle/circle": {"figure": {"e": (4,)}},
    }
    env = SimpleNamespace(external_site_map=["index", *through], toc_fignumbers=through)
    number_by_chapter(None, env)
    numbers = {}
    for kinds in env.toc_fignumbers.values():
        for found in kinds.values():
            numbers |= found
    assert numbers == {"a": ("F", 1), "b": ("2", 1), "c": ("2", 2), "d": ("2", 1), "e": ("2", 3)}
    number_through(None, env)
    assert env.toc_fignumbers == through
