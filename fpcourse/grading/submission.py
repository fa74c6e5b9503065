"""Grades one submitted notebook: its cells run in a sandbox, the hidden tests run here and ask it for named answers."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from otter.test_files.exception_test import ExceptionTestFile

from fpcourse import homework
from fpcourse._files import digest
from fpcourse.grading.cell_runner import decode, encode
from fpcourse.grading.sandbox import Ended, Limits, Sandbox

MOST_BYTES = 20 * 2**20  # of a submitted file
MOST_RESTARTS = 3
PRELUDE = "import numpy as np\nfrom fpcourse import homework\n"
OWN_NUMBER = re.compile(r"homework\.(?:variant|passed)\(\s*[\"'](\d+)")


class Unreadable(Exception):
    """A file that is no notebook of this assignment; the message is the reason in the table of marks."""


class HiddenTests(ExceptionTestFile):
    """A test file whose messages do not quote it."""

    def _generate_error_message(self, excp: Exception, context: int = 0) -> str:
        return str(excp) if isinstance(excp, AssertionError) else f"not gradable: {type(excp).__name__}: {excp}"


class Function:
    """A function of the student's: called here, computed in the sandbox."""

    def __init__(self, answers: Answers, name: str) -> None:
        self._answers, self._name = answers, name

    def __call__(self, *arguments: object) -> Any:
        """Call it in the sandbox, and return what comes back; raises homework.Wrong where it fails."""
        what = f"`{self._name}({', '.join('...' for _ in arguments)})`"
        return self._answers.ask(what, "call", self._name, [encode(argument) for argument in arguments])


class Answers(Mapping):
    """What a notebook defines, by name, asked for one by one; what cannot be had raises homework.Wrong.

    Cells that end the process are left out, and calls that end it fail: the process is started again and the others
    run once more, so one question costs no other.
    """

    def __init__(self, cells: list[str], protections: frozenset[str], limits: Limits) -> None:
        self._cells, self._protections, self._limits = cells, protections, limits
        self._left = {"cells": limits.seconds, "calls": limits.seconds}
        self._sandbox: Sandbox | None = None
        self._starts = 0
        self._left_out: set[int] = set()
        self.errors: dict[int, str] = {}  # by number of the code cell, from 1
        self._ready()

    def __getitem__(self, name: str) -> Any:
        value = self.ask(f"`{name}`", "get", name)
        return Function(self, name) if value is Function else value

    def get(self, name: str, default: object = None) -> Any:
        """Return the value of a name: what is missing raises homework.Wrong here too, and never is the default."""
        return self[name]

    def __iter__(self) -> NoReturn:
        raise TypeError("a notebook's names are not listed")

    def __len__(self) -> NoReturn:
        raise TypeError("a notebook's names are not counted")

    def ask(self, what: str, do: str, *arguments: object) -> Any:
        """Ask the sandbox and return the value; where there is none, homework.Wrong says so of ``what``."""
        try:
            reply = self._timed("calls", self._limits.call_seconds, self._ready(), do, *arguments)
        except Ended as error:
            raise homework.Wrong(f"{what} could not be computed: {error}.") from None
        if reply.get("missing"):
            raise homework.Wrong(f"{what} is not defined: no cell that ran assigns it.")
        if "error" in reply:
            raise homework.Wrong(f"{what} cannot be read, or fails: {str(reply['error'])[:500]}")
        if reply.get("value") == {"kind": "function"}:
            return Function
        try:
            return decode(reply["value"])
        except (KeyError, ValueError, TypeError, RecursionError, MemoryError):
            raise homework.Wrong(f"{what} cannot be read.") from None

    def _ready(self) -> Sandbox:
        """Return a living sandbox in which the cells have run."""
        while self._sandbox is None or self._sandbox.closed:
            if self._starts > MOST_RESTARTS:
                raise Ended(f"the notebook ended its process {self._starts} times")
            self._starts += 1
            self._sandbox = Sandbox(self._protections, self._limits)
            for number, source in enumerate(self._cells, 1):
                if number not in self._left_out and not self._run(number, source):
                    break
        return self._sandbox

    def _run(self, number: int, source: str) -> bool:
        if self._left["cells"] <= 0:
            self.errors[number] = f"not run: the time for the whole notebook, {self._limits.seconds:g} s, is over"
            return True
        try:
            reply = self._timed("cells", self._limits.cell_seconds, self._sandbox, "run", source)
        except Ended as error:
            self._left_out.add(number)
            self.errors[number] = f"{error}; the notebook was run without this cell"
            return False
        self.errors.pop(number, None)
        if "error" in reply:
            self.errors[number] = str(reply["error"])[:500]
            if self.errors[number].startswith("MemoryError"):  # what it has taken would be missing in every later cell
                self._left_out.add(number)
                self.errors[number] = "it ran out of memory; the notebook was run without this cell"
                self._sandbox.close()
                return False
        return True

    def _timed(self, account: str, seconds: float, sandbox: Sandbox, do: str, *arguments: object) -> dict:
        """Ask the sandbox within the time that is left, for all cells or for all calls."""
        if self._left[account] <= 0:
            raise Ended(f"the time for all {account}, {self._limits.seconds:g} s, is over")
        began = time.monotonic()
        try:
            return sandbox.ask(do, *arguments, seconds=min(seconds, self._left[account]))
        finally:
            self._left[account] -= time.monotonic() - began

    def close(self) -> None:
        """End the sandbox."""
        if self._sandbox is not None:
            self._sandbox.close()


def read(content: bytes, assignment: str) -> list[str]:
    """Return the sources of a notebook's code cells, whatever its metadata; raise Unreadable with the reason."""
    if not content.strip():
        raise Unreadable("the file is empty")
    if len(content) > MOST_BYTES:
        raise Unreadable(
            f"the file has {len(content) / 2**20:.0f} MiB; a notebook with outputs cleared has less than 1"
        )
    try:
        notebook = json.loads(content.decode("utf-8-sig"))
        cells = notebook["cells"] if "cells" in notebook else notebook["worksheets"][0]["cells"]
        code = [cell.get("source", cell.get("input", "")) for cell in cells if cell.get("cell_type") == "code"]
        sources = ["".join(source).replace("\r\n", "\n") for source in code]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        raise Unreadable("the file is not a notebook (.ipynb is JSON with cells)") from None
    numbers = set(OWN_NUMBER.findall("\n".join(sources)))
    if numbers and assignment not in numbers:
        raise Unreadable(f"this is homework {', '.join(sorted(numbers))}, not {assignment}")
    return sources


def key(content: bytes, tests: dict[str, str]) -> str:
    """Return what a result depends on, as a name for it: the file, and the tests it meets."""
    return digest(content, json.dumps(tests, sort_keys=True))[:32]


def grade(
    path: Path, assignment: str, tests: dict[str, str], protections: frozenset[str], limits: Limits
) -> dict[str, object]:
    """Grade one file.

    Parameters
    ----------
    path : Path
        The file, whatever it holds.
    assignment : str
        The number of the homework.
    tests : dict
        The test file of each question by the question's name.
    protections : frozenset
        The names of the protections that this machine offers.
    limits : Limits
        What the submission may use.

    Returns
    -------
    dict
        What goes into the table and the feedback: student_id, status ("graded" or why not), seconds, errors by code
        cell, and for each question its points, possible points and the message of each test.
    """
    began = time.monotonic()
    files = {name: HiddenTests.from_string(PRELUDE + source) for name, source in tests.items()}
    result = {"student_id": "", "status": "graded", "errors": {}, "explanation": ""}
    answers = None
    try:
        content = path.read_bytes()
        answers = Answers(read(content, assignment), protections, limits)
        result["student_id"] = _text(answers, "student_id", 100)
        for file in files.values():
            file.run(answers)
        result["explanation"] = _text(answers, "explanation", 10_000)
        result["errors"] = answers.errors
    except (Unreadable, Ended, OSError) as error:
        result["status"] = str(error)
    finally:
        if answers is not None:
            answers.close()
    result["questions"] = {name: _marks(file) for name, file in files.items()}
    return result | {"seconds": round(time.monotonic() - began, 1)}


def _text(answers: Answers, name: str, most: int) -> str:
    """Return a text of the student's, for people to read; empty where there is none."""
    try:
        value = answers[name]
    except (homework.Wrong, Ended):
        return ""
    value = str(value) if isinstance(value, (str, int, np.integer)) else ""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in value).strip()[:most]


def _marks(file: HiddenTests) -> dict[str, object]:
    messages = [
        {
            "test": case.test_case.body.test_func.__name__,
            "points": case.test_case.points,
            "passed": case.passed,
            "message": "" if case.passed else case.message.removeprefix("❌ Test case failed\n"),
        }
        for case in file.test_case_results
    ]
    return {"points": file.score, "possible": file.possible, "tests": messages}
