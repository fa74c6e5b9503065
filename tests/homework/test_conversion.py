"""The students' copies: what their masters make, without a solution in them, and of use to who opens one."""

import html
import json
import re

import matplotlib.pyplot as plt
import nbformat
import pytest
from assign import REPOSITORY, convert, copy_of, masters

from fpcourse import homework

BUILT = REPOSITORY / "_build" / "html"
MARKERS = ("# SOLUTION", "BEGIN SOLUTION", "BEGIN TEST", "END TEST", "hidden: true", "(env)", "env[")
MASTERS = pytest.mark.parametrize("master", masters(), ids=lambda master: master.stem)


def code(notebook) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def lines(sources) -> set[str]:
    return {line.strip() for source in sources for line in source.splitlines()}


@MASTERS
def test_the_copy_is_what_the_master_makes(master, tmp_path):
    notebook, tests = convert(master, tmp_path)
    assert copy_of(master).exists(), "run `make homework`"
    assert nbformat.read(copy_of(master), as_version=4) == notebook, "run `make homework`"
    assert len(tests) >= 4 and all("hidden=True" in source for source in tests.values())


@MASTERS
def test_every_cell_of_the_copy_is_python(master):
    for source in code(nbformat.read(copy_of(master), as_version=4)):
        compile(source, "cell", "exec")


@MASTERS
def test_the_copy_runs_to_the_first_unanswered_question_and_says_so(master):
    cells = code(nbformat.read(copy_of(master), as_version=4))
    with pytest.raises(homework.Wrong, match="`student_id` is not answered yet"):
        exec("\n".join(cells), {})
    ran, names = [], {}
    with pytest.raises(homework.Wrong, match=r"is not answered yet|is None"):
        for source in cells:
            ran.append(source)
            exec(source.replace("student_id = ...", "student_id = 'ada'"), names)
    assert "homework.passed(" in ran[-1] and not any("homework.passed(" in source for source in ran[:-1])
    plt.close("all")


def secrets() -> set[str]:
    """The lines that only masters hold, long enough to belong to nobody else."""
    public = [path.read_text("utf-8") for path in (REPOSITORY / "fpcourse").glob("*.py")]
    hidden = set()
    for path in (REPOSITORY / "chapters").rglob("*.ipynb"):
        public += code(nbformat.read(path, as_version=4))
    for master in masters():
        hidden |= lines(code(nbformat.read(master, as_version=4)))
    return {line for line in hidden - lines(public) if len(line) >= 50}


def test_no_solution_stands_in_a_copy():
    for master in masters():
        text = copy_of(master).read_text("utf-8")
        assert not [marker for marker in MARKERS if marker in text]
    hidden = secrets()
    assert len(hidden) > 30 * len(masters())


@pytest.mark.skipif(not BUILT.exists(), reason="no book has been built")
def test_no_solution_stands_on_the_built_site():
    hidden = {" ".join(line.split()) for line in secrets()}
    paths = [path for path in BUILT.rglob("*") if path.suffix in (".html", ".ipynb", ".txt", ".js", ".json", ".md")]
    assert any(path.name == "index.html" for path in paths)
    assert not [path for path in BUILT.rglob("*") if path.name in {master.name for master in masters()} and
                "tests" in path.parts]  # fmt: skip
    for path in paths:
        text = path.read_text("utf-8", errors="replace")
        if path.suffix == ".html":
            text = html.unescape(re.sub(r"<[^>]*>", "", text))
        elif path.suffix == ".ipynb":
            text = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
        elif not re.search("solution|student_id", text):
            continue
        found = hidden & {" ".join(line.split()) for line in text.splitlines()}
        assert not found, f"{path} holds {found}"
