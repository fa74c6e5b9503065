"""Right answers get every mark on every id; a wrong one gets no tick, a hint, and loses its own marks and no others."""

import copy
import os
import re
import tempfile
from functools import cache
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import pytest
from wrong_answers import COPIED, HINTS, WRONG

from fpcourse import homework
from fpcourse.grading.assign import convert, masters, number
from fpcourse.grading.submission import PRELUDE, HiddenTests

# More ids: HOMEWORK_IDS=24 pytest tests/homework/test_wrong_answers.py -k full_marks
IDS = ["ada", "Zoë 7", *(f"student {i}" for i in range(int(os.environ.get("HOMEWORK_IDS", "2")) - 2))]
MASTERS = {number(master): master for master in masters()}
pytestmark = pytest.mark.slow


@cache
def hidden_tests(chapter):
    """The hidden tests of a chapter by question and name ("2.1 gain"), each as a test file of its own."""
    with tempfile.TemporaryDirectory() as folder:
        sources = convert(MASTERS[chapter], Path(folder))[1]
    tests = {}
    for question, source in sources.items():
        file = HiddenTests.from_string(PRELUDE + source)
        for case in file.test_cases:
            alone = copy.copy(file)
            alone.test_cases = [case]
            tests[f"{question} {case.body.test_func.__name__.removeprefix('test_')}"] = alone
    return tests


@cache
def solved(chapter, student_id):
    """The names that the master's solution defines for one id: its cells, run here."""
    names = {"__name__": "__main__"}
    for cell in nbformat.read(MASTERS[chapter], as_version=4).cells:
        if cell.cell_type == "code" and "BEGIN TEST CONFIG" not in cell.source:
            lines = cell.source.splitlines()
            own = (f"student_id = {student_id!r}" if line.startswith("student_id =") else line for line in lines)
            exec("\n".join(own), names)
    plt.close("all")
    return names


@cache
def checks(chapter):
    """The cells in which a student sees a tick."""
    cells = nbformat.read(MASTERS[chapter], as_version=4).cells
    return [cell.source for cell in cells if cell.cell_type == "code" and "homework.passed(" in cell.source]


def hint(chapter, name, answers):
    """What the first check that is not passed says, of those that read an answer."""
    for source in checks(chapter):
        if re.search(rf"\b{name}\b", source):
            try:
                exec(source, dict(answers))
            except homework.Wrong as told:
                return str(told)
    raise AssertionError("a tick for a wrong answer")


class Reading(dict):
    """Answers that remember which of them were asked for."""

    def __init__(self, answers):
        super().__init__(answers)
        self.read = set()

    def __getitem__(self, name):
        self.read.add(name)
        return super().__getitem__(name)


def message(test, answers):
    """What a failing test says; None where it passes."""
    test.run(answers)
    (result,) = test.test_case_results
    return None if result.passed else result.message


@cache
def judged(chapter, student_id):
    """Of the right answers: what each test says, and which answers it asks for."""
    found = {}
    for name, test in hidden_tests(chapter).items():
        answers = Reading(solved(chapter, student_id))
        found[name] = message(test, answers), answers.read
    return found


@pytest.mark.parametrize("student_id", IDS)
@pytest.mark.parametrize("chapter", MASTERS)
def test_the_solution_gets_full_marks(chapter, student_id):
    assert {name: told for name, (told, _) in judged(chapter, student_id).items() if told} == {}


@pytest.mark.parametrize(
    ("chapter", "name", "wrong", "lost"),
    [
        pytest.param(c, name, wrong, lost, id=f"{c} {name}: {what}")
        for c in WRONG
        for what, name, wrong, lost in WRONG[c]
    ],
)
def test_a_wrong_answer_gets_no_tick_and_loses_its_own_marks(chapter, name, wrong, lost):
    right = solved(chapter, IDS[0])
    answers = right | {name: wrong(right[name])}
    asking = [test for test, (_, read) in judged(chapter, IDS[0]).items() if name in read]
    assert {test for test in asking if message(hidden_tests(chapter)[test], answers)} == set(lost.split(", "))
    told = hint(chapter, name, answers)
    others = [word for names, words in HINTS[chapter].items() if name in names.split(", ") for word in words]
    assert re.search(rf"\b{name}\b", told) or any(word in told for word in others), told


@pytest.mark.parametrize("chapter", COPIED)
def test_answers_copied_from_another_id_fail_and_the_messages_tell_no_value(chapter):
    names, lost = (text.split(", ") for text in COPIED[chapter])
    mine, other = (solved(chapter, student_id) for student_id in IDS[:2])
    answers = mine | {name: other[name] for name in names}
    asking = [test for test, (_, read) in judged(chapter, IDS[0]).items() if read & set(names)]
    found = {test: told for test in asking if (told := message(hidden_tests(chapter)[test], answers))}
    assert set(found) == set(lost)
    told = " ".join(found.values())
    for name in names:
        if isinstance(mine[name], float):
            assert f"{mine[name]:.3g}" not in told


def test_every_chapter_has_wrong_answers():
    assert set(WRONG) == set(COPIED) == set(MASTERS)
