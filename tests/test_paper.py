"""The runner of `make paper`: at which scale it runs, what it keeps, and what it does not run again."""

import csv

import every_seed
import nbformat
import paper
from test_every_seed import small_book  # noqa: F401

CELLS = [
    "from fpcourse import settings\nfrom fpcourse.claims import check",
    'check("true of networks of any width", settings.choose(laptop=1.0, paper=2.0), above=1.5)',
    'check("true of narrow networks alone", settings.choose(laptop=1.0, paper=2.0), below=1.5)',
]


def test_it_runs_at_paper_scale_keeps_a_row_and_runs_once(small_book, monkeypatch, capsys):  # noqa: F811
    monkeypatch.setattr(paper, "RESULTS", small_book / "paper.csv")
    monkeypatch.setenv("FPCOURSE_SCALE", "laptop")  # as it was, afterwards
    monkeypatch.setenv("FPCOURSE_DEVICE", "cpu")
    cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), small_book / "chapters/one.ipynb")
    assert paper.main(["chapters/one.ipynb"]) == 1
    assert "1 of 1: chapters/one.ipynb" in capsys.readouterr().out
    with paper.RESULTS.open() as file:
        (row,) = csv.DictReader(file)
    assert row["lesson"] == "one" and row["claims"] == "2" and row["on"].startswith("CPU")
    assert row["what fails"].startswith("true of narrow networks alone") and "any width" not in row["what fails"]
    monkeypatch.setattr(every_seed, "run_notebook", None)
    assert paper.main(["chapters/one.ipynb"]) == 1  # from the row
    assert "1 of 1" not in capsys.readouterr().out
