"""The front page's map and still picture, and the openings of chapters and lessons from which they are made."""

import re
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from sphinx_external_toc.parsing import parse_toc_yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "_extensions"))
from book_front import ARGUMENT, HOMEWORK, LINK, opening, panels, parts, prerequisites, tree, with_still  # noqa: E402

from fpcourse.interactive import dial, neurons, scrub_images, surface  # noqa: E402

LESSONS = sorted(p for p in (ROOT / "chapters").rglob("*.ipynb") if "homework" not in p.name and "." not in p.parts[-2])
CHAPTERS = sorted((ROOT / "chapters").glob("[1-9]_*.ipynb"))
LISTED = re.compile(r"^- \[[^\]]+\]\(([^)]+)\), (\w+) minutes: .+$", re.MULTILINE)


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_every_opening_has_one_form(path):
    """Title, question in bold, then the minutes; what it needs is named, and what it links to exists."""
    title, _, run, needs = opening(path)
    assert title
    assert "minute" in run or "second" in run
    assert re.search(r"^# .+\n\n\*\*.+\?\*\*$", nbformat.read(path, as_version=4).cells[0].source, re.MULTILINE)
    assert path.stem == "fourier_primer" or needs.startswith(("You need", "Comes after", "Needs"))
    for page in prerequisites(str(path.relative_to(ROOT).with_suffix("")), needs):
        assert (ROOT / f"{page}.ipynb").exists()


def test_every_lesson_of_chapters_3_to_5_is_one_step_of_their_argument():
    steps = [page for pages in ARGUMENT.values() for page in pages]
    paths = [path.relative_to(ROOT / "chapters").with_suffix("").as_posix() for path in LESSONS]
    assert sorted(steps) == sorted(path for path in paths if path[0] in "345")


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_chapters_list_their_lessons_with_the_lessons_own_minutes(path):
    listed = dict(LISTED.findall(nbformat.read(path, as_version=4).cells[0].source))
    lessons = {f"{path.stem}/{each.name}": opening(each)[1] for each in LESSONS if each.parent.name == path.stem}
    assert listed == lessons


@pytest.mark.parametrize("path", sorted((ROOT / "chapters").rglob("homework.ipynb")), ids=lambda path: path.parent.name)
def test_a_homework_says_how_long_it_takes(path):
    assert HOMEWORK.search(nbformat.read(path, as_version=4).cells[0].source)


def test_the_map_puts_a_lesson_below_the_last_one_it_needs():
    needed = {
        "c/1": [],
        "c/1/a": [],
        "c/1/b": ["c/1/a"],
        "c/2": ["c/1"],
        "c/2/x": ["c/1/b", "c/2/z", "c/2"],
        "c/2/z": [],
    }
    assert tree(needed) == {
        "c/1": None,
        "c/1/a": "c/1",
        "c/1/b": "c/1/a",
        "c/2": None,
        "c/2/x": "c/2/z",
        "c/2/z": "c/2",
    }


def test_the_map_keeps_the_parts_of_a_chapter_apart():
    needed = {"c/1": [], "c/1/a": ["c/1"], "c/1/b": ["c/1/a"], "c/1/d": ["c/1/b"], "c/1/e": ["c/1/d", "c/1/a"]}
    part = {"c/1/a": "c/1#See", "c/1/b": "c/1#See", "c/1/d": "c/1#Know", "c/1/e": "c/1#Know"}
    assert tree(needed, part) == {
        "c/1": None,
        "c/1#See": "c/1",
        "c/1/a": "c/1#See",
        "c/1/b": "c/1/a",
        "c/1#Know": "c/1",
        "c/1/d": "c/1#Know",
        "c/1/e": "c/1/d",
    }


def test_the_parts_of_a_chapter_have_captions():
    part = parts(parse_toc_yaml(ROOT / "_toc.yml"))
    chapter = "chapters/2_frequency_principle"
    captions = ["See it", "Understand it", "Further"]
    assert list(dict.fromkeys(part.values())) == [f"{chapter}#{caption}" for caption in captions]
    assert part[f"{chapter}/parity"] == f"{chapter}#See it"
    assert part[f"{chapter}/limits"] == f"{chapter}#Understand it"


def test_prerequisites_are_read_relative_to_the_lesson():
    needs = "Comes after [a](../2_b.ipynb) and [c](c.ipynb#part), not [d](d.md)."
    assert LINK.findall(needs) == [("a", "../2_b.ipynb")]
    assert prerequisites("chapters/2_b/e", needs) == ["chapters/2_b"]


def test_the_still_picture_is_the_shown_moment():
    turned = dial(
        [0.0, 1.0], {"network": [[0.0, 0.0], [0.0, 2.0], [1.0, 2.0]]}, [1, 10, 100], label="t", description="a"
    )
    page = with_still(turned._repr_mimebundle_()["text/html"], 13)
    assert '"active":1' in page
    assert page.count("<svg") == 1
    (points,) = re.findall(r'points="([^"]+)"', page)
    (left, low), (right, high) = (map(float, point.split(",")) for point in points.split())
    assert left < right
    assert low > high  # the screen's second axis points down
    content = {"data": turned.figure.to_dict()["data"], "layout": turned.figure.to_dict()["layout"]}
    content["frames"] = [frame.to_plotly_json() for frame in turned.figure.frames]
    flat = re.findall(r'points="([^"]+)"', panels(content, 0)[0])[0].split()
    assert flat[0].split(",")[1] == flat[1].split(",")[1]


def test_every_kind_of_scrubber_has_a_still_picture():
    x, side = np.array([1.0, 10.0, 100.0]), np.linspace(-1, 1, 5)
    shown = [
        dial(
            x, {"a": [[1, 2, 3], [3, 2, 1]]}, [1, 2], label="", description="", log="xy", points=([10.0], [2.0]), at=2
        ),
        scrub_images(np.ones((2, 4, 4)), [0, 10], x, np.ones((2, 3)), description=""),
        neurons([0, 1], [[0.0, 90.0], [40.0, 50.0]], np.ones((2, 2)), description="", marks=[45]),
        surface(
            side, side, np.add.outer(side**2, side**2), [[[1.0, 1.0, 2.0], [0.0, 0.0, 0.0]]], [0, 1], description=""
        ),
    ]
    dialled, photo, dots, bowl = (with_still(each._repr_mimebundle_()["text/html"]) for each in shown)
    (points,) = re.findall(r'points="([^"]+)"', dialled)
    (a, low), (b, _), (c, high) = (map(float, point.split(",")) for point in points.split())
    assert b - a == pytest.approx(c - b, abs=0.2)  # a logarithmic axis
    assert low < high  # at the second value the curve falls
    assert dialled.count("<circle") == 1
    assert photo.count("<svg") == 2
    assert photo.count('<image href="data:image/png') == bowl.count('<image href="data:image/png') == 1
    assert dots.count("<circle") == 2
