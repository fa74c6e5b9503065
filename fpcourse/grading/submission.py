"""Grades one submitted notebook: its cells run in a sandbox, the hidden tests run here and ask it for named answers."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
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
from fpcourse.grading.sandbox import Ended, Limits, Sandbox, busy

MOST_BYTES = 16 * 2**20  # of a submitted file
MOST_CODE = 2**20  # characters of all its cells
MOST_PARTS = 500_000  # lists, objects and their entries in it: each takes up to 120 bytes here
MOST_RESTARTS = 3  # after calls that end the process; a cell that does is left out, and ends it no second time
PACKAGE = Path(__file__).resolve().parents[1]
PRELUDE = "import numpy as np\nfrom fpcourse import homework\n"
OWN_NUMBER = re.compile(r"homework\.(?:variant|passed)\(\s*[\"'](\d+)")


class Unreadable(Exception):
    """A file that is no notebook of this assignment; the message is the reason in the table of marks."""


def clean(text: str, most: int = 500) -> str:
    """Return a text of unknown origin as one line that can be shown and written anywhere."""
    text = "".join(each if each.isprintable() else " " for each in text[: 4 * most])
    return " ".join(text.split())[:most]


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
        # Cells that run again, for one that has ended the process, take no time from those that have not run yet.
        self._left = dict.fromkeys(("cells", "cells again", "calls"), limits.seconds)
        self._reached = 0  # the last cell that has been run
        self._sandbox: Sandbox | None = None
        self._restarts = 0
        self._left_out: set[int] = set()
        self.errors: dict[int, str] = {}  # by number of the code cell, from 1
        self._ready()
        self._id: Any = None
        with contextlib.suppress(homework.Wrong):  # asked once, before any function of the student's runs
            self._id = self.ask("`student_id`", "get", "student_id")

    def __getitem__(self, name: str) -> Any:
        if name == "student_id" and self._id is not None:
            return self._id
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
            raise homework.Wrong(f"{what} cannot be read, or fails: {clean(str(reply['error']))}")
        if reply.get("value") == {"kind": "function"}:
            return Function
        try:
            return decode(reply["value"])
        except (KeyError, ValueError, TypeError, RecursionError, MemoryError):
            raise homework.Wrong(f"{what} cannot be read.") from None

    def id_changed(self) -> bool:
        """Tell whether the id is another one now than when it was asked for."""
        try:
            return homework.plain_id(self.ask("`student_id`", "get", "student_id")) != homework.plain_id(self._id)
        except (homework.Wrong, Ended):
            return False

    def _ready(self) -> Sandbox:
        """Return a living sandbox in which the cells have run."""
        while self._sandbox is None or self._sandbox.closed:
            if self._restarts > MOST_RESTARTS:
                raise Ended(f"calls have ended the process {self._restarts} times")
            self._restarts += self._sandbox is not None
            while not self._start():  # once more for each cell that ends the process, without it
                pass
        return self._sandbox

    def _start(self) -> bool:
        self._sandbox = Sandbox(self._protections, self._limits)
        try:
            self._sandbox.ask("start", seconds=60.0 * busy())
        except Ended as error:  # no code of the student's has run
            raise OSError(f"a process did not start: {error}") from None
        return all(self._run(*cell) for cell in enumerate(self._cells, 1) if cell[0] not in self._left_out)

    def _run(self, number: int, source: str) -> bool:
        account = "cells again" if number <= self._reached else "cells"
        if self._left[account] <= 0:
            self.errors[number] = f"not run: the time for the whole notebook, {self._limits.seconds:g} s, is over"
            return True
        self._reached = max(self._reached, number)
        try:
            reply = self._timed(account, self._limits.cell_seconds, self._sandbox, "run", source)
        except Ended as error:
            self._left_out.add(number)
            self.errors[number] = f"{error}; the notebook was run without this cell"
            return False
        self.errors.pop(number, None)
        if "error" in reply:
            self.errors[number] = clean(str(reply["error"]))
            if self.errors[number].startswith("MemoryError"):  # what it has taken would be missing in every later cell
                self._left_out.add(number)
                self.errors[number] = "it ran out of memory; the notebook was run without this cell"
                self._sandbox.close()
                return False
        return True

    def _timed(self, account: str, seconds: float, sandbox: Sandbox, do: str, *arguments: object) -> dict:
        """Ask the sandbox within the time that is left to an account: for all cells, or for all calls."""
        if self._left[account] <= 0:
            raise Ended(f"the time for all {account}, {self._limits.seconds:g} s, is over")
        began, times = time.monotonic(), busy()
        try:
            return sandbox.ask(do, *arguments, seconds=round(times * min(seconds, self._left[account]), 1))
        finally:
            self._left[account] -= (time.monotonic() - began) / times

    def close(self) -> None:
        """End the sandbox."""
        if self._sandbox is not None:
            self._sandbox.close()


def read(content: bytes, assignment: str) -> list[str]:
    """Return the sources of a notebook's code cells, whatever its metadata; raise Unreadable with the reason."""
    if not content.strip():
        raise Unreadable("the file is empty")
    if content.startswith(b"PK"):
        raise Unreadable("the file is a zip archive: unpack it, and grade what it holds")
    if _parts(content) > MOST_PARTS:
        raise Unreadable(f"the file has more than {MOST_PARTS} parts; one with outputs cleared has some hundred")
    try:
        notebook = json.loads(content.decode("utf-8-sig"))
        cells = notebook["cells"] if "cells" in notebook else notebook["worksheets"][0]["cells"]
        code = [cell.get("source", cell.get("input", "")) for cell in cells if cell.get("cell_type") == "code"]
        if (characters := sum(len(part) for source in code for part in source)) > MOST_CODE:
            raise Unreadable(f"its cells hold {characters:.1g} characters of code; an answer has some thousand")
        sources = ["".join(source).replace("\r\n", "\n") for source in code]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        raise Unreadable("the file is not a notebook (.ipynb is JSON with cells)") from None
    numbers = set(OWN_NUMBER.findall("\n".join(sources)))
    if numbers and assignment not in numbers:
        raise Unreadable(f"this is homework {', '.join(sorted(numbers))}, not {assignment}")
    return sources


def _parts(content: bytes) -> int:
    """Return about how many lists, objects and entries a JSON text has, without reading it: what it takes in memory."""
    unescaped = content.replace(rb"\\", b"").replace(rb"\"", b"")
    outside = unescaped.split(b'"', 2 * MOST_PARTS)[::2]  # of texts
    return sum(map(b"".join(outside).count, (b",", b"[", b"{")))


def content_of(path: Path) -> bytes:
    """Return what a file holds; raise Unreadable where it is no plain file, too large, or cannot be read."""
    try:
        if path.is_symlink() or not path.is_file():
            raise Unreadable("it is a link or a device, not a file")
        if path.stat().st_size > MOST_BYTES:
            size = path.stat().st_size / 2**20
            raise Unreadable(f"the file has {size:.0f} MiB; a notebook with outputs cleared has less than 1")
        return path.read_bytes()
    except OSError as error:
        raise Unreadable(f"the file cannot be read: {error.strerror}") from None


def key(content: bytes, tests: dict[str, str], protections: frozenset[str], limits: Limits) -> str:
    """Return what a result depends on, as a name for it: the file, the tests, the course, protections and limits."""
    settings = json.dumps([tests, sorted(protections), dataclasses.asdict(limits)], sort_keys=True)
    return digest(content, settings, _course())[:32]


@functools.cache
def _course() -> str:
    return digest(*sorted(PACKAGE.rglob("*.py")))


def grade(
    content: bytes, assignment: str, tests: dict[str, str], protections: frozenset[str], limits: Limits
) -> dict[str, object]:
    """Grade what one file holds.

    Parameters
    ----------
    content : bytes
        Of the file, whatever it is.
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
        What goes into the table and the feedback: student_id, id_changed, status ("graded" or why not), seconds, errors
        by code cell, and for each question its points, possible points and the message of each test.

    Raises
    ------
    OSError
        If this machine cannot start a process: no mark of the student's.
    """
    began = time.monotonic()
    files = {name: HiddenTests.from_string(PRELUDE + source) for name, source in tests.items()}
    result = {"student_id": "", "id_changed": False, "status": "graded", "errors": {}, "explanation": ""}
    answers = None
    try:
        answers = Answers(read(content, assignment), protections, limits)
        result["student_id"] = clean(_text(answers, "student_id", 100))
        for file in files.values():
            file.run(answers)
        result["explanation"] = _text(answers, "explanation", 10_000)
        result["id_changed"] = answers.id_changed()
        result["errors"] = answers.errors
    except (Unreadable, Ended) as error:
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
    if isinstance(value, (float, np.floating, np.ndarray)) and np.size(value) == 1 and float(value).is_integer():
        value = int(value)  # an id without quotes
    value = str(value) if isinstance(value, (str, int, np.integer)) else ""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in value).strip()[:most]


def _marks(file: HiddenTests) -> dict[str, object]:
    messages = [
        {
            "test": case.test_case.body.test_func.__name__,
            "points": case.test_case.points,
            "passed": case.passed,
            "message": "" if case.passed else clean(case.message.removeprefix("❌ Test case failed\n"), 1000),
        }
        for case in file.test_case_results
    ]
    return {"points": file.score, "possible": file.possible, "tests": messages}
