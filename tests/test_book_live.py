"""What a notebook shows of a figure that trains in the page, and what the book makes of it."""

import html
import json
import re
from types import SimpleNamespace

import book_live
import pytest
from sphinx.errors import ExtensionError

from fpcourse import interactive


def test_a_notebook_shows_a_frame_that_holds_all_of_its_scripts():
    bundle = interactive.live("train", activation="relu", k9=1)._repr_mimebundle_()
    page = html.unescape(re.search(r'srcdoc="([^"]*)"', bundle["text/html"])[1])
    for name in ("engine", "frame", "train"):
        assert (book_live.LIVE / f"{name}.js").read_text("utf-8") in page
    assert not re.search(r"(src|href)=", page)  # asks for nothing
    state = re.search(r'data-state="([^"]*)"', page)[1]
    assert json.loads(html.unescape(state)) == {"activation": "relu", "k9": 1}
    for script in book_live.LIVE.glob("*.js"):  # which would end the script early
        assert "</script" not in script.read_text("utf-8")


def test_a_notebook_without_the_scripts_says_where_the_figure_is(monkeypatch, tmp_path):
    monkeypatch.setattr(interactive, "SCRIPTS", tmp_path / "none")
    bundle = interactive.live("train")._repr_mimebundle_()
    assert "in the page of the book" in bundle["text/html"] and "<iframe" not in bundle["text/html"]
    assert bundle["text/plain"] in html.unescape(bundle["text/html"])


def test_an_unknown_figure_is_refused():
    with pytest.raises(ValueError, match="train"):
        interactive.live("tram")
    with pytest.raises(ExtensionError, match="frame"):
        book_live.figure("frame")


def test_the_book_holds_the_figure_itself_and_loads_its_scripts_once():
    loaded = []
    app = SimpleNamespace(add_js_file=lambda name, **_: loaded.append(name), add_css_file=loaded.append)
    frame = interactive.live("train", k9=1)._repr_mimebundle_()["text/html"]
    context = {"body": f"<p>before</p>{frame}<p>between</p>{frame}<p>after</p>"}
    book_live.place_figures(app, "page", "page.html", context, None)
    assert loaded == ["live/live.css", "live/engine.js", "live/frame.js", "live/train.js"]
    assert "<iframe" not in context["body"] and "between" in context["body"] and "after" in context["body"]
    assert context["body"].count(book_live.figure("train", '{"k9": 1}')) == 2

    loaded.clear()
    bare = {"body": "<p>no figure</p>"}
    book_live.place_figures(app, "page", "page.html", bare, None)
    assert (loaded, bare["body"]) == ([], "<p>no figure</p>")


def test_only_what_has_a_role_is_named_in_a_poster():
    for path in book_live.LIVE.glob("*.poster.html"):
        named = re.findall(r"<[^>]*aria-label[^>]*>", path.read_text("utf-8"))
        assert named and all("role=" in tag for tag in named)
