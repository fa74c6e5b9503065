"""Right answers get every mark on every id; a wrong answer loses the marks it should, and no other."""

import os
import tempfile
from functools import cache
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import pytest
from assign import convert, masters
from submission import PRELUDE, HiddenTests
from wrong_answers import COPIED, WRONG

# More ids: HOMEWORK_IDS=24 pytest tests/homework/test_wrong_answers.py
IDS = ["ada", "Zoë 7", *(f"student {i}" for i in range(int(os.environ.get("HOMEWORK_IDS", "2")) - 2))]
MASTERS = {master.stem[0]: master for master in masters()}


@cache
def hidden_tests(chapter):
    """The hidden tests of a chapter, by question."""
    with tempfile.TemporaryDirectory() as folder:
        sources = convert(MASTERS[chapter], Path(folder))[1]
    return {name: HiddenTests.from_string(PRELUDE + source) for name, source in sources.items()}


@cache
def solved(chapter, student_id):
    """The names that the master's solution defines for one id: its cells, run here."""
    names = {"__name__": "__main__"}
    for cell in nbformat.read(MASTERS[chapter], as_version=4).cells:
        if cell.cell_type == "code" and "BEGIN TEST CONFIG" not in cell.source:
            lines = [f"student_id = {student_id!r}" if line.startswith("student_id =") else line
                     for line in cell.source.splitlines()]  # fmt: skip
            exec("\n".join(lines), names)
    plt.close("all")
    return names


class Reading(dict):
    """Answers that remember which of them were asked for."""

    def __init__(self, answers):
        super().__init__(answers)
        self.read = set()

    def __getitem__(self, name):
        self.read.add(name)
        return super().__getitem__(name)


@cache
def read_by(chapter):
    """Which answers the tests of each question ask for."""
    read = {}
    for name, file in hidden_tests(chapter).items():
        answers = Reading(solved(chapter, IDS[0]))
        file.run(answers)
        read[name] = answers.read
    return read


def failing(chapter, answers, changed=None):
    """The tests that fail, as "2.1 gain" (with ``changed``, of the questions whose tests read this answer)."""
    return {
        f"{name} {case.test_case.body.test_func.__name__.removeprefix('test_')}": case.message
        for name, file in hidden_tests(chapter).items()
        if changed is None or changed in read_by(chapter)[name]
        for case in _results(file, answers)
        if not case.passed
    }


def _results(file, answers):
    file.run(answers)
    return file.test_case_results


@pytest.mark.parametrize("student_id", IDS)
@pytest.mark.parametrize("chapter", MASTERS)
def test_the_solution_gets_full_marks(chapter, student_id):
    assert failing(chapter, solved(chapter, student_id)) == {}


@pytest.mark.parametrize(
    ("chapter", "name", "wrong", "lost"),
    [
        pytest.param(c, name, wrong, lost, id=f"{c} {name}: {what}")
        for c in WRONG
        for what, name, wrong, lost in WRONG[c]
    ],
)
def test_a_wrong_answer_loses_its_own_marks(chapter, name, wrong, lost):
    right = solved(chapter, IDS[0])
    assert set(failing(chapter, right | {name: wrong(right[name])}, name)) == set(lost.split(", "))


@pytest.mark.parametrize("chapter", COPIED)
def test_answers_copied_from_another_id_fail_and_the_messages_tell_no_value(chapter):
    names, lost = (text.split(", ") for text in COPIED[chapter])
    mine, other = (solved(chapter, student_id) for student_id in IDS[:2])
    found = failing(chapter, mine | {name: other[name] for name in names})
    assert set(found) == set(lost)
    told = " ".join(found.values())
    for name in names:
        if isinstance(mine[name], float):
            assert f"{mine[name]:.3g}" not in told


def test_every_chapter_has_wrong_answers():
    assert set(WRONG) == set(COPIED) == set(MASTERS)
