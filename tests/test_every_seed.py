"""The runner of `make claims`: what it finds, what it runs again, and what it writes."""

import csv
import sys

import every_seed
import nbformat
import numpy as np
import pytest

CELLS = [
    "from fpcourse import settings\nfrom fpcourse.claims import check\nseed = settings.seed()",
    'check("fails at seed 1", 1.0 - seed, above=0.5)',
    'check("thinner with every seed", 10.0 - seed, above=5)',
]


@pytest.fixture
def small_book(tmp_path, monkeypatch):
    """A repository with one notebook of two claims, of which one fails at seed 1."""
    (tmp_path / "chapters/back_matter").mkdir(parents=True)
    (tmp_path / "_toc.yml").write_text("chapters: [{file: chapters/one}, {file: chapters/text}]")
    for name in ("requirements.txt", "requirements-hashed.txt"):
        (tmp_path / name).write_text("")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    nbformat.write(notebook, tmp_path / "chapters/one.ipynb")
    for name, path in {
        "KEPT": "kept",
        "RUNS": "runs.jsonl",
        "CLAIMS": "claims.csv",
        "PAGE": "chapters/back_matter/every_seed.md",
    }.items():
        monkeypatch.setattr(every_seed, name, tmp_path / path)
    source = every_seed.REPOSITORY
    monkeypatch.setattr(every_seed, "REPOSITORY", tmp_path)
    for name in ("fpcourse", "data"):
        (tmp_path / name).symlink_to(source / name)
    return tmp_path


def test_it_finds_the_seeds_that_fail_and_the_distance_to_the_bounds(small_book, capfd):
    assert every_seed.main(["--seeds", "2", "--jobs", "1"]) == 1
    assert "chapters/one.ipynb at seed 1: AssertionError: claim fails: fails at seed 1" in capfd.readouterr().out
    rows = {row["claim"]: row for row in csv.DictReader(every_seed.CLAIMS.open())}
    assert rows["fails at seed 1"]["least"] == "0"
    thin = rows["thinner with every seed"]
    expected = np.log([10, 9]).mean() - np.log(5)
    assert float(thin["deviations"]) == pytest.approx(expected / np.log([10, 9]).std(ddof=1), rel=1e-3)
    assert (thin["least"], thin["largest"], thin["above"], thin["below"]) == ("9", "10", "5", "")
    assert thin["one value at all seeds"] == "False"
    line = every_seed.PAGE.read_text().splitlines()[-1]
    assert line.startswith("| [one](../one.ipynb) | 2 | `·1` | 0.0 | fails at seed 1 | 0 |")
    if sys.platform == "linux":  # the kernel and numpy take more than 50 MB, and this notebook no gigabyte
        assert 50 < int(line.split("|")[-2]) < 1000


def test_the_distance_to_a_bound_is_counted_in_standard_deviations():
    assert every_seed.deviations(np.array([1.0, 3.0]), np.array([-2.0, -2.0]), 1, False) == pytest.approx(4 / 2**0.5)
    assert every_seed.deviations(np.array([1.0, 4.0]), np.array([8.0, 8.0]), -1, True) == pytest.approx(2**0.5)
    assert every_seed.deviations(np.array([1.0, 1.0]), np.array([0.5, 0.5]), 1, True) == np.inf
    assert every_seed.deviations(np.array([1.0, 2.0]), np.array([np.nan, np.nan]), 1, False) == np.inf


def test_a_full_disk_is_not_kept_as_a_failing_claim(small_book):
    cells = [nbformat.v4.new_code_cell(cell) for cell in ("import os", "raise OSError(28, os.strerror(28))", "1 / 0")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), small_book / "chapters/one.ipynb")
    with pytest.raises(RuntimeError, match=r"one.ipynb at seed 0 .* not kept.*No space left on device"):
        every_seed.main(["--seeds", "1", "--jobs", "1"])
    assert not list(every_seed.KEPT.glob("*.npz"))


@pytest.mark.parametrize("pins", ["requirements.txt", "requirements-hashed.txt"])
def test_only_what_has_changed_runs_again(small_book, monkeypatch, pins):
    ran = []

    def count(notebook, seed, version):
        ran.append((seed, version))
        result = dict.fromkeys(("least", "largest", "above", "below", "holds", "seconds", "peak_mb"), np.ones(1))
        return result | {"claims": np.array(["a"]), "errors": np.array([], dtype=str)}

    monkeypatch.setattr(every_seed, "run_notebook", count)
    for _ in range(2):
        assert every_seed.main(["--seeds", "2", "--jobs", "1"]) == 0
    assert [seed for seed, _ in ran] == [0, 1]
    (small_book / pins).write_text("numpy==2.4.6")
    every_seed.main(["--seeds", "2", "--jobs", "1"])
    assert len({version for _, version in ran}) == 2 and len(ran) == 4


def test_what_is_kept_in_git_is_not_run_again(small_book, monkeypatch):
    first = [*CELLS[:1], 'check("it is drawn", seed + 0.5, above=0)', 'check("it counts", 3, equals=3)']
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in first])
    nbformat.write(notebook, small_book / "chapters/one.ipynb")
    assert every_seed.main(["--seeds", "2", "--jobs", "1"]) == 0
    tables = every_seed.CLAIMS.read_text(), every_seed.PAGE.read_text()
    monkeypatch.setattr(every_seed, "run_notebook", None)
    assert every_seed.main(["--seeds", "2", "--jobs", "1"]) == 0
    assert (every_seed.CLAIMS.read_text(), every_seed.PAGE.read_text()) == tables
    assert "it is drawn,0.5,1.5,0," in tables[0]


def test_every_notebook_of_the_book_is_run():
    found = every_seed.notebooks()
    here = every_seed.REPOSITORY / "chapters"
    everywhere = {str(path.relative_to(every_seed.REPOSITORY)) for path in here.rglob("*.ipynb")}
    assert set(found) == {path for path in everywhere if "homework" not in path and "checkpoints" not in path}
