"""The teacher's tables and texts, made from the results: marks, students, statistics, explanations, feedback."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import yaml

from fpcourse._files import written_whole
from fpcourse.grading.submission import Unreadable, clean, content_of
from fpcourse.homework import plain_id

ALL_RIGHT = "all right"
# What platforms call the column of ids in the tables of a class that they export and import.
ID_COLUMNS = (
    *("student_id", "id number", "sis user id", "sis login id", "sid", "student id", "id", "username"),
    *("email address", "email"),
)
LATE = re.compile(r"_LATE_\d+_\d+_")  # in the names of the files that Canvas gives out
OVERRIDES = ("student_id", "question", "points", "comment")


def choose(rows: list[dict], due: datetime | None = None) -> None:
    """Say in each row whether it counts (of one student's files the latest does), and what to look at.

    What comes after the date ``due`` by the platform's own times is noted as late; no points are taken off.
    """
    ids = [plain_id(row["result"]["student_id"]) for row in rows]
    copies = Counter(row["key"] for row in rows)
    names = Counter(row["name"].casefold() for row in rows)
    for row, student in zip(rows, ids, strict=True):
        same = [other for other, its in zip(rows, ids, strict=True) if student and its == student]
        latest = max(same, key=lambda other: (_changed(other), other["name"]), default=row)
        result, notes = row["result"], []
        if result["status"] != "graded":
            notes.append(result["status"])
        elif not student:
            notes.append("no student_id in the notebook")
        if LATE.search(row["name"]):
            notes.append("late, says Canvas")
        if due and row.get("handed_in") and row["handed_in"] > due:
            notes.append(f"late by {(row['handed_in'] - due).total_seconds() / 3600:.1f} hours, says Gradescope")
        if result["id_changed"]:
            notes.append("the student_id changes while answers are asked for: look at the notebook")
        if len(same) > 1:
            times = len({_changed(other) for other in same})
            which = "the latest counts" if times == len(same) else "some of one time: of these the last by name counts"
            notes.append(f"{len(same)} files carry this id, {which}: check who handed in which")
        if copies[row["key"]] > 1:
            notes.append(f"{copies[row['key']]} files have the same content")
        if result["errors"]:
            notes.append(f"{len(result['errors'])} cell{'s fail' if len(result['errors']) > 1 else ' fails'}")
        earned, possible = points(result)
        if not notes and earned < possible:
            notes.append(f"{possible - earned:g} points missing")
        row |= {"id": student, "counts": row is latest, "note": "; ".join(notes) or ALL_RIGHT}
        row["namesake"] = names[row["name"].casefold()] > 1


def _changed(row: dict) -> float:
    if row.get("handed_in"):
        return row["handed_in"].timestamp()
    try:
        return row["file"].lstat().st_mtime
    except OSError:
        return 0.0


def handed_in(paths: Iterable[Path]) -> dict[Path, datetime]:
    """Return when each folder of an export of Gradescope was handed in, by its submission_metadata.yml; else nothing.

    Raises
    ------
    ValueError
        If there is such a file, and it says something else: a student may have handed it in.
    """
    named = (path for path in paths if path.name == "submission_metadata.yml")
    found = min(named, key=lambda path: len(path.parts), default=None)
    if found is None:
        return {}
    try:
        entries = yaml.safe_load(content_of(found).decode("utf-8"))
        times = {name: entry[":created_at"] for name, entry in entries.items() if name.startswith("submission_")}
        return {found.parent / name: time if time.tzinfo else time.replace(tzinfo=UTC) for name, time in times.items()}
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError, RecursionError, Unreadable) as error:
        raise ValueError(f"{found.name} is not as Gradescope writes it, and ignored: {error}") from None


def _add_note(row: dict, note: str) -> None:
    row["note"] = "; ".join(filter(None, [row["note"].replace(ALL_RIGHT, ""), note]))


def _word(text: object) -> str:
    """Return the letters and digits of a text, which is what platforms put of a name into the name of a file."""
    return "".join(filter(str.isalnum, text.casefold())) if isinstance(text, str) else ""


def compare_names(rows: list[dict], roster: Path) -> None:
    """Note where the name of a file belongs to another student of the roster than the id in it.

    Canvas begins the name with the student's name and number there, Moodle that of the folder with the name.
    """
    known, column, _ = roster_of(roster, [row["id"] for row in rows])
    owners: dict[str, set[str]] = {}
    for student in known:
        cells = list(student.values())
        for text in [*cells, *(f"{one}{other}" for one, other in pairwise(cells))]:  # first and last name, say
            if len(_word(text)) >= 4 and plain_id(student[column] or ""):  # shorter ones are anybody's
                owners.setdefault(_word(text), set()).add(plain_id(student[column]))
    for row in rows:
        found = [owners.get(_word(part), ()) for part in re.split(r"[/_]", row["name"].removesuffix(".ipynb"))]
        said = {owner for each in found if len(each) == 1 for owner in each}
        if said and row["id"] not in said:
            _add_note(row, f"the name of the file says {', '.join(sorted(said))}: check whose it is")


def points(result: dict) -> tuple[float, float]:
    """Return the points of a result, and the possible ones."""
    questions = result.get("questions", {}).values()
    return sum(question["points"] for question in questions), sum(question["possible"] for question in questions)


def override(rows: list[dict], path: Path) -> list[str]:
    """Put a teacher's own marks in place of the graded ones; begin the file where there is none.

    Returns
    -------
    list of str
        What is wrong with a line: a student, a question or a number that does not exist. The other lines count.
    """
    if not path.exists():
        path.write_text(",".join(OVERRIDES) + "\n", "utf-8")
    wrong = []
    try:
        lines, _ = _read(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return [f"which cannot be read, and no mark by hand counts: {error}"]
    for i, line in enumerate(lines, 2):
        line = {name: (line.get(name) or "").strip() for name in OVERRIDES}
        found = [row for row in rows if row["counts"] and row["id"] and row["id"] == plain_id(line["student_id"])]
        question = found[0]["result"].get("questions", {}).get(line["question"]) if found else None
        if question is None:
            wrong.append(f"line {i}: there is no " + (f"question {line['question']!r}" if found
                                                      else f"student {line['student_id']!r}"))  # fmt: skip
            continue
        try:
            question["points"] = float(line["points"] or question["points"])
        except ValueError:
            wrong.append(f"line {i}: points must be a number; got {line['points']!r}")
            continue
        question["comment"] = clean(line["comment"])
        _add_note(found[0], "marks by hand")
    return wrong


def _read(path: Path) -> tuple[list[dict[str, str]], str]:
    """Return the rows of a table, and what separates its cells: a spreadsheet decides that by country."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        text = file.read()
    separator = max(",;\t", key=text.partition("\n")[0].count)
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)), separator


def roster_of(path: Path, ids: Collection[str] = ()) -> tuple[list[dict[str, str]], str, str]:
    """Return the rows of a class list, the name of its column of ids, and what separates its cells.

    Of several such columns it is the one that holds most of ``ids``; ValueError where there is none.
    """
    rows, separator = _read(path)
    columns = {name.strip().casefold(): name for name in rows[0] if name} if rows else {}
    there = [columns[name] for name in ID_COLUMNS if name in columns]
    found = max(there, key=lambda name: sum(plain_id(row[name] or "") in ids for row in rows), default=None)
    if found is None:
        raise ValueError(f"needs a column of ids ({', '.join(ID_COLUMNS)}); it has {', '.join(columns) or 'no rows'}")
    return rows, found, separator


def safe(text: object) -> object:
    """Return a cell of a table that no spreadsheet takes for a formula."""
    if not isinstance(text, str):
        return text
    text = clean(text, 5000)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t")) else text


def write_table(path: Path, rows: Iterable[Iterable]) -> None:
    """Write a table, whole or not at all, in the encoding that Excel recognises."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([safe(cell) for cell in row] for row in rows)
    with written_whole(path) as file:
        file.write(text.getvalue().encode("utf-8-sig", "backslashreplace"))


def marks_of(row: dict, questions: list[str]) -> list[float]:
    """Return the points of each question."""
    return [row["result"].get("questions", {}).get(name, {"points": 0})["points"] for name in questions]


def write_marks(path: Path, rows: list[dict], questions: list[str]) -> None:
    """Write a row for every file."""
    table = [["file", "student_id", "counts", "status", *questions, "total", "possible", "seconds", "note"]]
    for row in rows:
        result = row["result"]
        status = "graded" if result["status"] == "graded" else "not graded"
        first = [row["name"], result["student_id"], "yes" if row["counts"] else "no", status]
        table.append([*first, *marks_of(row, questions), *points(result), result["seconds"], row["note"]])
    write_table(path, table)


def write_students(path: Path, rows: list[dict], questions: list[str], roster: Path | None, column: str) -> None:
    """Write a row for every student: those of the roster, in its own columns, then those that it does not know."""
    counting = {row["id"]: row for row in rows if row["counts"] and row["id"]}
    known = [{"student_id": row["result"]["student_id"]} for row in counting.values()]
    known, name, _ = roster_of(roster, counting) if roster else (known, "student_id", ",")
    columns = [each for each in known[0] if each and each != column] if known else ["student_id"]
    table = [[*columns, column, *questions, "file", "note"]]
    blank = [""] * len(questions)
    for student in known:
        if not plain_id(student[name] or ""):
            continue  # the row of possible points in Canvas's table
        row = counting.pop(plain_id(student[name]), None)
        mine = [student[each] for each in columns]
        if row is None:
            table.append([*mine, "", *blank, "", "nothing handed in under this id"])
        else:
            table.append([*mine, points(row["result"])[0], *marks_of(row, questions), row["name"], row["note"]])
    for row in counting.values() if roster else ():
        mine = [row["result"]["student_id"] if each == name else "" for each in columns]
        note = f"not in the roster; {row['note']}"
        table.append([*mine, points(row["result"])[0], *marks_of(row, questions), row["name"], note])
    write_table(path, table)


def write_upload(path: Path, rows: list[dict], roster: Path, column: str) -> None:
    """Write the roster as it came, with the points in one column and nothing else: platforms refuse other columns.

    Who has handed in nothing keeps what stood there, and so does the row of possible points in Canvas's table.
    """
    counting = {row["id"]: points(row["result"])[0] for row in rows if row["counts"] and row["id"]}
    known, name, separator = roster_of(roster, counting)
    columns = dict.fromkeys([*(each for each in known[0] if each), column])
    lines = [
        student | {column: counting.get(plain_id(student[name] or ""), student.get(column, ""))} for student in known
    ]
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, columns, extrasaction="ignore", delimiter=separator)
    table.writeheader()
    table.writerows(lines)
    with written_whole(path) as file:
        file.write(text.getvalue().encode())


def write_statistics(path: Path, rows: list[dict]) -> None:
    """Write for each test how many of the counting files pass it, and what the others are told most often."""
    graded = [row for row in rows if row["counts"] and row["result"]["status"] == "graded"]
    table = [["question", "test", "files", "passed", "most frequent message", "times"]]
    tests: dict[tuple[str, str], list[dict]] = {}
    for row in graded:
        for question, marks in row["result"]["questions"].items():
            for test in marks["tests"]:
                tests.setdefault((question, test["test"].removeprefix("test_")), []).append(test)
    for (question, name), results in tests.items():
        told = Counter(test["message"] for test in results if not test["passed"])
        message, times = (told.most_common(1) or [("", 0)])[0]
        table.append([question, name, len(results), sum(test["passed"] for test in results), message, times])
    totals = [points(row["result"])[0] for row in graded]
    if totals:
        table.append(["total", "", len(totals), "", f"mean {np.mean(totals):.3g}, median {np.median(totals):.3g}", ""])
    write_table(path, table)


def write_explanations(path: Path, rows: list[dict]) -> None:
    """Write all explanations on one page, without names, in an order that says nothing; the ids stand in a comment."""
    texts = [row for row in rows if row["counts"] and row["result"]["explanation"]]
    texts.sort(key=lambda row: hashlib.sha256(row["key"].encode()).hexdigest())
    lines = [
        "# Explanations",
        "",
        "What counts: the claim is stated; a measurement of one's own supports it; the text says what would have shown",
        "the contrary. Marks by hand go into overrides.csv; key.csv beside this page says whose text it is.",
    ]
    for i, row in enumerate(texts, 1):
        lines += ["", f"## {i}", "", *(f"> {line}" for line in row["result"]["explanation"].splitlines())]
    with written_whole(path) as file:
        file.write(("\n".join(lines) + "\n").encode("utf-8", "backslashreplace"))
    write_table(path.with_name("key.csv"), [["text", "student_id"], *([i, row["result"]["student_id"]]
                                            for i, row in enumerate(texts, 1))])  # fmt: skip


def summary(result: dict) -> str:
    """Return one line on a result."""
    if result["status"] != "graded":
        return f"not graded: {result['status']}"
    earned, possible = points(result)
    return f"{earned:g} of {possible:g} points in {result['seconds']} s"


def feedback(row: dict) -> str:
    """Return the text that a student gets."""
    result = row["result"]
    lines = [row["name"], f"student_id: {result['student_id'] or '(none)'}", summary(result), f"note: {row['note']}"]
    for name, question in result.get("questions", {}).items():
        lines += ["", f"{name}: {question['points']:g} of {question['possible']:g} points"]
        for test in question["tests"]:
            label = test["test"].removeprefix("test_")
            mark = f"+{test['points']:g}" if test["passed"] else " 0"
            lines.append(f"  {mark}  {label}" + (f": {test['message']}" if not test["passed"] else ""))
        if question.get("comment"):
            lines.append(f"  Your teacher: {question['comment']}")
    if result["errors"]:
        lines += ["", "Cells that fail (counted among the code cells, from 1):"]
        lines += [f"  {number}: {text}" for number, text in result["errors"].items()]
    if result["explanation"]:
        lines += ["", "Your explanation, for your teacher to read:", ""]
        lines += [f"  {line}" for line in result["explanation"].splitlines()]
    return "\n".join(lines) + "\n"
