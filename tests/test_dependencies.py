"""What the book and `make claims` run again after a change, and what they do not."""

import nbformat
import pytest
from dependencies import closure, meaning, version_of


@pytest.fixture
def repository(tmp_path):
    (tmp_path / "fpcourse").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "requirements.txt").write_text("numpy==2")
    (tmp_path / "data/points.csv").write_text("1,2")
    sources = {
        "low": '"""Low."""\nX = 1\n',
        "high": "from fpcourse import low\n",
        "other": "Y = 1\n",
        "data": "Z = 1\n",
    }
    for name, source in sources.items():
        (tmp_path / f"fpcourse/{name}.py").write_text(source)
    cells = [nbformat.v4.new_markdown_cell("Text."), nbformat.v4.new_code_cell("from fpcourse import high\nx = 1")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "lesson.ipynb")
    return tmp_path


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("fpcourse/low.py", "Low.", "A better sentence."),
        ("fpcourse/low.py", "X = 1", "X = 1  # why"),
        ("fpcourse/other.py", "Y = 1", "Y = 2"),
        ("data/points.csv", "1,2", "1,3"),
        ("lesson.ipynb", "Text.", "Other text."),
        ("lesson.ipynb", "x = 1", "x  =  1  # layout"),
    ],
)
def test_wording_and_what_is_not_imported_change_nothing(repository, file, old, new):
    before = version_of(repository / "lesson.ipynb", repository)
    change(repository / file, old, new)
    assert version_of(repository / "lesson.ipynb", repository) == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("fpcourse/low.py", "X = 1", "X = 2"),
        ("fpcourse/high.py", "import low", "import data"),
        ("requirements.txt", "2", "3"),
        ("lesson.ipynb", "x = 1", "x = 2"),
    ],
)
def test_what_it_computes_with_counts(repository, file, old, new):
    before = version_of(repository / "lesson.ipynb", repository)
    change(repository / file, old, new)
    assert version_of(repository / "lesson.ipynb", repository) != before


def test_data_count_where_they_are_read(repository):
    change(repository / "fpcourse/high.py", "import low", "import low, data")
    before = version_of(repository / "lesson.ipynb", repository)
    change(repository / "data/points.csv", "1,2", "1,3")
    assert version_of(repository / "lesson.ipynb", repository) != before


def test_imports_are_followed_wherever_they_stand():
    assert {"training", "recording", "trajectory", "_arguments"} <= closure({"flow"})  # within a function
    assert meaning("def f():\n    'text'\n    return 1") == meaning("def f():\n\n    return (1)")
