"""The students' copies: what their masters make, without a solution in them, and of use to who opens one."""

import ast
import html
import json
import re
import zipfile
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import pytest

from fpcourse import homework
from fpcourse.grading import publish
from fpcourse.grading.assign import CHAPTERS, convert, copy_of, masters

BUILT = CHAPTERS.parent / "_build" / "html"
MARKERS = ("# SOLUTION", "BEGIN SOLUTION", "BEGIN TEST", "END TEST", "hidden: true", "(env)", "env[")
MASTERS = pytest.mark.parametrize("master", masters(), ids=lambda master: master.parent.name)


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


@pytest.mark.slow
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


def solution_lines(source: str) -> list[str]:
    """The lines of a master's cell that its copy must not have."""
    if "BEGIN TEST CONFIG" in source:
        return source.splitlines()
    inside, found = False, []
    for line in source.splitlines():
        inside = (inside or "# BEGIN SOLUTION" in line) and "# END SOLUTION" not in line
        if inside or line.endswith("# SOLUTION"):
            found.append(line.removesuffix("# SOLUTION"))
    return found


def secrets() -> set[str]:
    """The lines of solutions and hidden tests, long enough to belong to nobody else."""
    sources = [source for master in masters() for source in code(nbformat.read(master, as_version=4))]
    hidden = {line.strip() for source in sources for line in solution_lines(source)}
    lessons = [path for path in CHAPTERS.rglob("*.ipynb") if not path.name.startswith("homework")]
    public = lines(source for path in lessons for source in code(nbformat.read(path, as_version=4)))
    for source in sources:
        public |= lines([source]) - {line.strip() for line in source.splitlines() if line in solution_lines(source)}
    return {line for line in hidden - public if len(line) >= 40}


def search(path: Path, hidden: set[str]) -> set[str]:
    """The hidden lines that a file of the site holds, whatever is written between their words."""
    text = path.read_text("utf-8", errors="replace")
    if path.suffix == ".html":
        text = html.unescape(re.sub(r"<[^>]*>", "", text))
    elif path.suffix == ".ipynb":
        text = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
    return hidden & {" ".join(line.split()) for line in text.splitlines()}


@MASTERS
def test_a_marked_line_is_a_whole_statement(master):
    """Else the lines that follow it would stay in the copy."""
    for source in code(nbformat.read(master, as_version=4)):
        for line in source.splitlines():
            if line.endswith("# SOLUTION"):
                ast.parse(line.strip())


def test_no_solution_stands_in_a_copy():
    hidden = secrets()
    assert len(hidden) > 30 * len(masters())
    for path in map(copy_of, masters()):
        assert not [marker for marker in MARKERS if marker in path.read_text("utf-8")]
        assert not search(path, hidden)


@MASTERS
def test_the_solution_to_publish_has_the_answers_and_no_hidden_test(master):
    notebook = publish.solution(master)
    text = "\n".join(code(notebook))
    assert not [marker for marker in MARKERS if marker in text]
    assert not [line for line in text.splitlines() if line.strip() == "..."] and "= ..." not in text
    for source in code(notebook):
        compile(source, "cell", "exec")


def test_the_zip_for_gradescope_holds_the_hidden_tests_and_the_version(tmp_path):
    master = masters()[0]
    publish.autograder(master, tmp_path / "autograder.zip", "https://example.org/course")
    with zipfile.ZipFile(tmp_path / "autograder.zip") as file:
        tests = [name for name in file.namelist() if name.startswith("tests/")]
        assert len(tests) == 5 and b"from fpcourse import homework" in file.read(tests[0])
        assert b"fpcourse[grading] @ git+https://example.org/course@v" in file.read("environment.yml")


def test_the_search_finds_what_it_looks_for(tmp_path):
    line = max(secrets(), key=len)
    marked = "".join(f'<span class="n">{html.escape(character)}</span>' for character in line)
    (tmp_path / "page.html").write_text(f"<pre>x = 1\n   {marked}\n</pre>", "utf-8")
    (tmp_path / "page.ipynb").write_text(json.dumps({"cells": [{"source": ["x = 1\n", f"   {line}\n"]}]}), "utf-8")
    assert [search(path, {" ".join(line.split())}) for path in sorted(tmp_path.iterdir())] == [
        {" ".join(line.split())}
    ] * 2


@pytest.mark.skipif(not BUILT.exists(), reason="no book has been built")
def test_no_solution_stands_on_the_built_site():
    hidden = {" ".join(line.split()) for line in secrets()}
    paths = [path for path in BUILT.rglob("*") if path.suffix in (".html", ".ipynb", ".txt", ".md", ".json")]
    assert any(path.name == "index.html" for path in paths)
    assert {path: found for path in paths if (found := search(path, hidden))} == {}
