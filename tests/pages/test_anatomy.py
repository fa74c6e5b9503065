"""Guesses, folded checks and the switch for code, in a book of one page that is built for it."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from test_pages import DESKTOP, complaint

EXTENSIONS = Path(__file__).resolve().parents[2] / "_extensions"
sys.path.insert(0, str(EXTENSIONS))
from book_anatomy import only_checks  # noqa: E402

CONF = f"""
import sys
sys.path.insert(0, {str(EXTENSIONS)!r})
extensions = ["myst_nb", "book_anatomy", "book_search"]
book_index = {{"lesson": ["Spectral bias"]}}
html_search_scorer = {str(EXTENSIONS / "static" / "scorer.js")!r}
html_theme = "sphinx_book_theme"
html_static_path = [{str(EXTENSIONS / "static")!r}]
html_css_files = ["book.css"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
nb_execution_mode = "off"
mathjax_path = "none.js"
html_context = {{"default_mode": "auto"}}
def setup(app):
    app.connect("builder-inited", lambda app: setattr(app.env, "external_site_map", ["index", "lesson"]))
"""
GUESS = """# A lesson

:::{guess} lesson-first
:label: which comes first
Which mode comes first?

- mode 1
- mode 2, and $k^2$
:::

:::{guess} lesson-second
:label: how many
How many?

- one
- two
- three
:::
"""
ANSWERS = """
:::{answer} lesson-first
:choice: 1
Mode 1, a *low* one.
:::

:::{answer} lesson-second
:choice: 3
Three.
:::
"""
PYTHON = {"language_info": {"name": "python", "pygments_lexer": "ipython3"}}
BOX = '<div class="fpc-claim"><strong>✓ claim</strong></div>'


def built(folder: Path, text: str, strict: bool = True):
    (folder / "conf.py").write_text(CONF)
    toc = "```{toctree}\nlesson\nglossary\nchapters/back_matter/words\n```\n"
    (folder / "index.md").write_text(f"# Book\n\n:::{{progress}}\n:::\n\n{toc}")
    (folder / "chapters/back_matter").mkdir(parents=True)
    words = "# A\n\n:::{glossary}\nSpectral bias\n  A word.\n:::\n"
    (folder / "chapters/back_matter/words.md").write_text(words)
    (folder / "glossary.md").write_text("# Words\n\n:::{anki-deck}\n:::\n\n:::{glossary}\nmode\n  A $\\sin kx$.\n:::\n")
    boxes = [nbformat.v4.new_output("display_data", data={"text/html": BOX, "text/plain": "claim"}) for _ in range(3)]
    line = nbformat.v4.new_output("stream", text="done")
    cells = [
        nbformat.v4.new_markdown_cell(text),
        nbformat.v4.new_code_cell("x = 1", metadata={"tags": ["hide-input"]}),
        nbformat.v4.new_code_cell('check("claim", x, above=0)\nfor y in [x, x]:\n    check("claim", y)', outputs=boxes),
        nbformat.v4.new_code_cell('check("claim", x)', outputs=boxes[:2], metadata={"tags": ["hide-input"]}),
        nbformat.v4.new_code_cell('check("claim", x, above=0)\nprint("done")', outputs=[boxes[0], line]),
        nbformat.v4.new_markdown_cell(ANSWERS if strict else ""),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=PYTHON), folder / "lesson.ipynb")
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", *(["-W"] if strict else []), ".", "out"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ | {"NO_COLOR": "1"})


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    folder = tmp_path_factory.mktemp("book")
    result = built(folder, GUESS)
    assert result.returncode == 0, result.stderr
    return folder / "out"


@pytest.fixture
def lesson(book, browser):
    page = browser.new_context(viewport=DESKTOP).new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console", lambda line: errors.append(line.text) if complaint(line) and "none.js" not in line.text else None
    )
    page.goto((book / "lesson.html").as_uri())
    yield page
    page.context.close()
    assert not [error for error in errors if "ERR_FILE_NOT_FOUND" not in error and "none.js" not in error]


def test_without_scripts_a_guess_is_a_list_and_its_answer(book):
    text = BeautifulSoup((book / "lesson.html").read_text(), "html.parser")
    assert [item.get_text(strip=True) for item in text.select("#guess-lesson-second li")] == ["one", "two", "three"]
    assert all(button.has_attr("hidden") for button in text.select("fieldset input"))
    assert "Mode 1, a low one." in text.select_one("#answer-lesson-first").get_text()
    assert text.select_one("#answer-lesson-first .fpc-yours").has_attr("hidden")
    assert "which comes first" in text.select_one("#answer-lesson-first").get_text()


def test_a_guess_is_answered_and_remembered(lesson):
    yours = lesson.locator("#answer-lesson-second .fpc-yours")
    assert "guess first" in yours.inner_text()
    lesson.get_by_label("one").focus()
    lesson.keyboard.press("Space")
    assert yours.inner_text() == "You guessed: one ✗ incorrect"
    lesson.keyboard.press("ArrowDown")
    lesson.keyboard.press("ArrowDown")
    assert yours.inner_text() == "You guessed: three ✓ correct"
    lesson.reload()
    assert yours.inner_text() == "You guessed: three ✓ correct"
    assert lesson.get_by_label("three").is_checked()
    assert "guess first" in lesson.locator("#answer-lesson-first .fpc-yours").inner_text()


def test_answered_and_open_it_is_accessible(lesson):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    lesson.get_by_label("one").check()
    lesson.locator(".btn-fpc-code").click()
    for theme in ("light", "dark"):
        lesson.emulate_media(color_scheme=theme)
        lesson.wait_for_function("theme => document.documentElement.dataset.theme === theme", arg=theme)
        lesson.wait_for_timeout(300)
        where = {"include": [".bd-article", ".article-header-buttons"]}
        found = axe.run(lesson, context=where, options={"preload": False}).response["violations"]
        assert not [
            (each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")
        ]


def test_checks_are_one_line(lesson):
    lines = lesson.locator("details.fpc-claims > summary")
    assert lines.all_inner_texts() == ["3 measurements hold", "2 measurements hold", "1 measurement holds"]
    assert not lesson.locator(".fpc-claim").first.is_visible()
    assert lesson.locator("details.fpc-claims").nth(0).locator(".cell_input").count() == 1
    assert lesson.locator("details.fpc-claims").nth(1).locator(".cell_input").count() == 1
    assert lesson.locator("details.fpc-claims").nth(2).locator(".cell_input").count() == 0
    lines.first.click()
    assert lesson.locator(".fpc-claim").first.is_visible()


def test_one_switch_for_all_code_is_remembered(lesson):
    button = lesson.locator(".btn-fpc-code")
    code = lesson.locator(".cell_input", has_text="x = 1")
    assert button.get_attribute("aria-pressed") == "false"
    assert not code.is_visible()
    button.focus()
    lesson.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    assert code.is_visible()
    lesson.reload()
    assert code.is_visible()
    lesson.locator(".btn-fpc-code").click()
    assert not code.is_visible()


def test_progress_is_shown_and_forgotten(book, lesson):
    front = (book / "index.html").as_uri()
    lesson.get_by_label("mode 1").check()
    lesson.get_by_label("two").check()
    lesson.locator(".prev-next-footer").scroll_into_view_if_needed()
    lesson.wait_for_function("JSON.parse(localStorage.fpcourse).pages.lesson")
    lesson.goto(front)
    line = lesson.locator(".fpc-progress")
    assert "You have read 1 of 1 lessons and guessed 1 of 2 right." in line.inner_text()
    line.get_by_role("button").click()
    assert not line.is_visible()
    lesson.reload()
    assert not line.is_visible()


def test_cards_for_anki(book):
    head, *rows = (book / "_static" / "fpcourse_anki.txt").read_text().split("#tags column:3\n")
    rows = [row.split("\t") for row in rows[0].splitlines()]
    assert head == "#separator:tab\n#html:true\n"
    assert rows == [
        ["mode", r"A \(\sin kx\).", "glossary"],
        [
            r"Which mode comes first?<br>1. mode 1<br>2. mode 2, and \(k^2\)",
            "<b>mode 1</b><br>Mode 1, a low one.",
            "guess lesson",
        ],
        ["How many?<br>1. one<br>2. two<br>3. three", "<b>three</b><br>Three.", "guess lesson"],
    ]
    assert 'href="_static/fpcourse_anki.txt"' in (book / "glossary.html").read_text()


def test_search_finds_first_where_it_is_explained(book, browser):
    page = browser.new_page()
    page.goto(f"{(book / 'search.html').as_uri()}?q=spectral+bias")
    page.wait_for_selector("#search-results ul.search li:nth-child(2) a")
    found = page.evaluate("[...document.querySelectorAll('#search-results ul.search li a')].map(a => a.pathname)")
    page.close()
    assert [Path(each).stem for each in found][:2] == ["lesson", "words"]


WRONG = """
:::{answer} lesson-first
:choice: 3
No such choice.
:::

:::{answer} lesson-third
:choice: 1
No such guess.
:::

:::{guess} lesson-alone
:label: one choice
Which?

- this
:::
"""


def test_what_does_not_fit_is_a_warning(tmp_path):
    said = built(tmp_path, GUESS + WRONG, strict=False).stderr
    assert "guess 'lesson-first' has no choice 3, only 2" in said
    assert "the answer 'lesson-third' belongs to no guess of this page" in said
    assert "guess 'lesson-second' is never answered" in said
    assert "guess 'lesson-alone' must end in a list of two choices or more" in said


@pytest.mark.parametrize(
    ("source", "whole"),
    [('check("a", 1, above=0)', True), ("for k in a:\n    check(k, 1)", True), ("x = f()\ncheck(x, 1)", False),
     ("%timeit f()", False), ("", True)],
)  # fmt: skip
def test_cells_that_hold_only_checks(source, whole):
    assert only_checks(source) == whole
