"""The runner of `make falsify`: what it plants, and what it calls false; and the lists of errors themselves."""

import csv

import every_seed
import falsify
import nbformat
import numpy as np
import pytest

CELLS = [
    "from fpcourse import settings\nfrom fpcourse.claims import check\nsize = settings.seed()",
    'size = 3\ncheck("size is three", size, equals=3)\ncheck("size is small", size, below=9)\n'
    'check("one is one", 1, equals=1)',
]


@pytest.fixture
def lesson(tmp_path, monkeypatch):
    for name in ("chapters", "tests/falsify", "chapters/back_matter"):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
    for name in ("requirements.txt", "requirements-hashed.txt"):
        (tmp_path / name).write_text("")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    nbformat.write(notebook, tmp_path / "chapters/one.ipynb")
    for name in ("fpcourse", "data"):
        (tmp_path / name).symlink_to(falsify.HERE / name)
    monkeypatch.setattr(every_seed, "REPOSITORY", tmp_path)
    monkeypatch.setattr(every_seed, "RUNS", tmp_path / "runs.jsonl")
    for name, value in {
        "HERE": tmp_path,
        "KEPT": tmp_path / "kept",
        "ERRORS": tmp_path / "tests/falsify",
        "TABLE": tmp_path / "falsified.csv",
        "PAGE": tmp_path / "falsified.md",
        "notebooks": lambda: ["chapters/one.ipynb"],
    }.items():
        monkeypatch.setattr(falsify, name, value)
    return tmp_path / "tests/falsify/one.yml"


def test_each_claim_is_listed_with_the_error_that_makes_it_false(lesson, capfd):
    lesson.write_text('- error: the size is wrong\n  replace: {"size = 3": "size = 10"}\n')
    assert falsify.main(["chapters/one.ipynb", "--jobs", "1"]) == 1
    lines = capfd.readouterr().out.splitlines()
    assert "chapters/one.ipynb: size is three: the size is wrong" in lines
    assert "chapters/one.ipynb: size is small: the size is wrong" in lines  # the claim above it did not stop the cell
    assert "chapters/one.ipynb: one is one: NOTHING MAKES IT FALSE" in lines
    assert lines[-1] == "3 claims, 1 errors planted, 1 claims survive"


def test_a_lesson_runs_again_when_its_list_changes(lesson, capfd):
    lesson.write_text('- error: the size is wrong\n  replace: {"size = 3": "size = 10"}\n')
    for planted in (1, 0):
        assert falsify.main(["--jobs", "1"]) == 1
        assert f"3 claims, {planted} errors planted, 1 claims survive" in capfd.readouterr().out
    lesson.write_text('- error: one is two\n  replace: {"is one\\", 1": "is one\\", 2"}\n')
    assert falsify.main(["--jobs", "1"]) == 1
    assert "3 claims, 1 errors planted, 2 claims survive" in capfd.readouterr().out


def test_a_text_that_does_not_occur_is_refused_before_anything_runs(lesson):
    lesson.write_text('- error: nowhere\n  replace: {"size = 4": "size = 10"}\n')
    with pytest.raises(ValueError, match="'nowhere': no code cell holds 'size = 4'"):
        falsify.main(["chapters/one.ipynb"])


def test_code_runs_after_the_imports(lesson):
    book = falsify.planted("chapters/one.ipynb", {"error": "e", "code": "size = 4"})
    assert [cell.source.splitlines()[-1] for cell in book.cells][:2] == ["size = settings.seed()", "size = 4"]


def test_a_claim_that_is_not_reached_counts_as_alive():
    truth = {"claims": np.array(["a", "b"]), "holds": np.array([True, True])}
    run = {"claims": np.array(["a"]), "holds": np.array([False])}
    assert falsify.killers(truth, {"e": run}) == {"a": "e", "b": ""}


def test_the_tables_name_every_claim(tmp_path, monkeypatch):
    monkeypatch.setattr(falsify, "TABLE", tmp_path / "falsified.csv")
    monkeypatch.setattr(falsify, "PAGE", tmp_path / "falsified.md")
    falsify.write_tables([["chapters/one.ipynb", "0", "|a|", "an error"], ["chapters/one.ipynb", "0", "b", ""]])
    assert [row["made false by"] for row in csv.DictReader(falsify.TABLE.open())] == ["an error", ""]
    assert falsify.PAGE.read_text().splitlines()[-2:] == ["| \\|a\\| | an error |", "| b | **nothing tried** |"]


@pytest.mark.parametrize("path", sorted(falsify.ERRORS.glob("*.yml")), ids=lambda path: path.stem)
def test_every_listed_error_can_be_planted(path):
    (notebook,) = (each for each in falsify.notebooks() if each.rpartition("/")[2] == f"{path.stem}.ipynb")
    errors = falsify.errors_of(notebook)
    assert len({error["error"] for error in errors}) == len(errors)
    for error in errors:
        assert error.keys() <= {"error", "replace", "code"} and error.keys() & {"replace", "code"}
        falsify.planted(notebook, error)
