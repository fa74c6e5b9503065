"""The page of similar code: a copy with other names is found, another way to the same answers is not."""

import json
import re

import another_solution
import pytest
import synthetic

from fpcourse.grading import similar
from fpcourse.grading.assign import copy_of, masters, number
from fpcourse.grading.submission import read

MASTER = next(master for master in masters() if number(master) == "2")
GIVEN = read(copy_of(MASTER).read_bytes(), "2")
OWN = ("remaining", "missing", "times", "weights", "rates", "mixed", "fraction", "pairs", "inputs", "between", "energy")


def disguised(cells: list[str]) -> list[str]:
    """The same code with other names, comments and texts, and two functions in the other order."""
    names = {name: f"my_{i}" for i, name in enumerate(OWN)}
    cells = [re.sub(rf"\b({'|'.join(OWN)})\b", lambda found: names[found[0]], cell) for cell in cells]
    cells = [re.sub(r'""".*?"""', '"""Mine."""', cell, flags=re.DOTALL) for cell in cells]
    return ["\n\n\n".join(reversed(cell.split("\n\n\n"))) for cell in cells]


@pytest.fixture(scope="module")
def sources():
    """The code of one student, a copy in disguise, and another student's."""
    notebook = synthetic.solved(json.loads(MASTER.read_text("utf-8")), "ada")
    one = read(json.dumps(notebook).encode(), "2")
    copy = json.loads(copy_of(MASTER).read_text("utf-8"))
    return {"ada": one, "ben": disguised(one), "cleo": another_solution.cells(copy, "cleo")}


def row(name, content, folder):
    path = folder / f"{name}.ipynb"
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": cell} for cell in content]}), "utf-8")
    return {"file": path, "name": path.name, "counts": True, "result": {"status": "graded", "student_id": name}}


def test_a_copy_in_disguise_is_listed_and_another_way_is_not(sources, tmp_path):
    rows = [row(name, cells, tmp_path) for name, cells in sources.items()]
    similar.write_page(tmp_path / "similar.md", rows, "2", GIVEN)
    lines = (tmp_path / "similar.md").read_text("utf-8").splitlines()
    (line,) = [line for line in lines if ".ipynb" in line]
    assert "| ada | ada.ipynb | ben | ben.ipynb |" in line
    assert "3 submissions compared; 1 pairs" in lines[2]


def test_what_was_given_out_and_what_is_short_makes_nobody_alike(tmp_path):
    short = [*GIVEN, "t_stop = 1.0", "gain = 2.0"]
    rows = [row(name, GIVEN, tmp_path) for name in "ab"] + [row(name, short, tmp_path) for name in "cd"]
    similar.write_page(tmp_path / "similar.md", rows, "2", GIVEN)
    assert "4 submissions compared; 0 pairs" in (tmp_path / "similar.md").read_text("utf-8")


def test_a_file_that_is_gone_costs_its_own_comparison_only(sources, tmp_path):
    rows = [row(name, cells, tmp_path) for name, cells in sources.items()]
    rows[2]["file"].unlink()
    similar.write_page(tmp_path / "similar.md", rows, "2", GIVEN)
    assert "2 submissions compared; 1 pairs" in (tmp_path / "similar.md").read_text("utf-8")
