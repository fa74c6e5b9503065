"""The command: grade a folder of submissions.

Writes RESULTS/marks.csv (a row for every file), RESULTS/feedback/ (a text for every file) and RESULTS/log.txt. One
result is kept for each submission, so the command may be stopped at any time and started again. What this machine
cannot protect against is named, and has to be accepted by name: ``--without network``.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import logging
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import joblib

from fpcourse._files import written_whole
from fpcourse.grading import sandbox, submission
from fpcourse.grading.assign import CHAPTERS, convert, masters, number

LOG = logging.getLogger("homework")
ALL_RIGHT = "all right"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, or those of the process.

    Returns
    -------
    int
        The exit status: 0, or 2 where a protection is missing and was not given up by name.
    """
    options = _options(arguments)
    missing = set(sandbox.PROTECTIONS) - sandbox.available()
    refused = missing - set(options.without)
    for name in sorted(refused):
        print(f"No protection of {name} here: {sandbox.PROTECTIONS[name]}.", file=sys.stderr)
    if refused:
        print(
            "Debian and Ubuntu offer all with: apt install bubblewrap. Or grade in the container (README.md beside"
            f" the grader), or accept it with: --without {' '.join(sorted(missing))}",
            file=sys.stderr,
        )
        return 2
    if "files" in missing and os.geteuid() == 0:
        print("Not as root: without a protection of files a submission could delete everything.", file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    handlers = [logging.FileHandler(options.out / "log.txt", encoding="utf-8"), logging.StreamHandler()]
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", handlers=handlers, force=True)
    LOG.setLevel(logging.INFO)
    with tempfile.TemporaryDirectory() as folder:
        tests = convert(options.master, Path(folder))[1]
    rows = _grade_all(options, tests, frozenset(sandbox.PROTECTIONS) - missing)
    _write_table(options.out / "marks.csv", rows, list(tests))
    graded = sum(row["result"]["status"] == "graded" for row in rows)
    LOG.info("%d files, %d graded: %s", len(rows), graded, options.out / "marks.csv")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    limits = sandbox.Limits()
    parser = argparse.ArgumentParser(prog="python -m fpcourse.grading", description="Grade a folder of submissions.")
    parser.add_argument("folder", type=Path, help="the submissions, in subfolders too")
    parser.add_argument("--assignment", required=True, help="its number: 2 for homework 2")
    parser.add_argument("--out", type=Path, required=True, help="where the results go; may exist")
    parser.add_argument("--chapters", type=Path, default=CHAPTERS, help="where the masters are (default: the clone's)")
    parser.add_argument("--jobs", type=int, default=-1, help="processes at a time (default: as many as cores)")
    parser.add_argument("--seconds", type=float, default=limits.seconds, help="for one submission")
    parser.add_argument("--cell-seconds", type=float, default=limits.cell_seconds, help="for one cell")
    parser.add_argument("--memory", type=float, default=limits.memory / 2**30, help="for one submission, in GiB")
    parser.add_argument("--without", nargs="*", choices=sandbox.PROTECTIONS, default=[], help="do without a protection")
    options = parser.parse_args(arguments)
    if not options.folder.is_dir():
        parser.error(f"{options.folder} is not a folder")
    there = {number(master): master for master in masters(options.chapters)}
    if not there:
        parser.error(f"{options.chapters} holds no N_name/homework_master.ipynb: say with --chapters where they are")
    if options.assignment not in there:
        parser.error(f"--assignment must be one of {', '.join(there)}; got {options.assignment}")
    options.master = there[options.assignment]
    return options


def _grade_all(options: argparse.Namespace, tests: dict[str, str], protections: frozenset[str]) -> list[dict]:
    """Grade every file that has no result yet; return a row for each file, and write the feedback."""
    limits = sandbox.Limits(
        seconds=options.seconds, cell_seconds=options.cell_seconds, memory=int(options.memory * 2**30)
    )
    kept = options.out / "submissions"
    kept.mkdir(exist_ok=True)
    files = sorted(path for path in options.folder.rglob("*") if path.is_file() and not _hidden(path, options.folder))
    keys = {path: submission.key(path.read_bytes(), tests) for path in files}
    missing = {keys[path]: path for path in reversed(files) if not (kept / f"{keys[path]}.json").exists()}
    LOG.info("%d files, %d of them graded before", len(files), len(files) - len(missing))
    jobs = (
        joblib.delayed(_grade_one)(path, options.assignment, tests, protections, limits, kept / f"{name}.json")
        for name, path in missing.items()
    )
    for path, result in joblib.Parallel(n_jobs=options.jobs, return_as="generator_unordered")(jobs):
        LOG.info("%s: %s", path.relative_to(options.folder), _summary(result))
    rows = [
        {
            "file": path,
            "name": str(path.relative_to(options.folder)),
            "key": keys[path],
            "result": json.loads((kept / f"{keys[path]}.json").read_text("utf-8")),
        }
        for path in files
    ]
    _choose(rows)
    feedback = options.out / "feedback"
    feedback.mkdir(exist_ok=True)
    for row in rows:
        (feedback / f"{row['name'].replace(os.sep, '__')}.txt").write_text(_feedback(row), "utf-8")
    return rows


def _hidden(path: Path, folder: Path) -> bool:
    """Tell whether a file is the machine's own (.DS_Store, __MACOSX, .ipynb_checkpoints)."""
    return any(part.startswith((".", "__MACOSX")) for part in path.relative_to(folder).parts)


def _grade_one(
    path: Path,
    assignment: str,
    tests: dict[str, str],
    protections: frozenset[str],
    limits: sandbox.Limits,
    target: Path,
) -> tuple[Path, dict]:
    """Grade one file in a worker, and keep the result: complete or not at all."""
    try:
        result = submission.grade(path, assignment, tests, protections, limits)
    except Exception as error:  # the grader's own fault must cost no other submission its marks
        status = f"the grader failed: {type(error).__name__}: {error}"
        result = {"student_id": "", "status": status, "errors": {}, "explanation": "", "questions": {}, "seconds": 0.0}
    with written_whole(target) as file:
        file.write(json.dumps(result, ensure_ascii=True).encode())
    return path, result


def _points(result: dict) -> tuple[float, float]:
    questions = result["questions"].values()
    return sum(question["points"] for question in questions), sum(question["possible"] for question in questions)


def _summary(result: dict) -> str:
    if result["status"] != "graded":
        return f"not graded: {result['status']}"
    points, possible = _points(result)
    return f"{points:g} of {possible:g} points in {result['seconds']} s"


def _choose(rows: list[dict]) -> None:
    """Say in each row whether it counts (of one student's files the latest does), and what to look at."""
    ids = [row["result"]["student_id"].casefold() for row in rows]
    copies = Counter(row["key"] for row in rows)
    for row, student in zip(rows, ids, strict=True):
        same = [other for other, its in zip(rows, ids, strict=True) if student and its == student]
        latest = max(same, key=lambda other: (other["file"].stat().st_mtime, other["name"]), default=row)
        notes = [] if row["result"]["status"] == "graded" else [row["result"]["status"]]
        if row["result"]["status"] == "graded" and not student:
            notes.append("no student_id in the notebook")
        if len(same) > 1:
            notes.append(f"{len(same)} files carry this id; the latest counts: check who handed in which")
        if copies[row["key"]] > 1:
            notes.append(f"{copies[row['key']]} files have the same content")
        if row["result"]["errors"]:
            notes.append(f"{len(row['result']['errors'])} cells fail")
        row |= {"counts": row is latest, "note": "; ".join(notes) or ALL_RIGHT}


def _safe(text: str) -> str:
    """Return a cell of a table that no spreadsheet takes for a formula."""
    text = " ".join(text.split())
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _write_table(path: Path, rows: list[dict], questions: list[str]) -> None:
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(["file", "student_id", "counts", "status", *questions, "total", "possible", "seconds", "note"])
    for row in rows:
        result = row["result"]
        marks = [result["questions"].get(name, {"points": 0})["points"] for name in questions]
        status = "graded" if result["status"] == "graded" else "not graded"
        counts = "yes" if row["counts"] else "no"
        first = [_safe(row["name"]), _safe(result["student_id"]), counts, status]
        table.writerow([*first, *marks, *_points(result), result["seconds"], _safe(row["note"])])
    with written_whole(path) as file:
        file.write(text.getvalue().encode("utf-8-sig"))  # the mark that tells Excel the encoding


def _feedback(row: dict) -> str:
    """Return the text that a student gets."""
    result = row["result"]
    lines = [row["name"], f"student_id: {result['student_id'] or '(none)'}", _summary(result), f"note: {row['note']}"]
    for name, question in result["questions"].items():
        lines += ["", f"{name}: {question['points']:g} of {question['possible']:g} points"]
        for test in question["tests"]:
            label = test["test"].removeprefix("test_")
            mark = f"+{test['points']:g}" if test["passed"] else " 0"
            lines.append(f"  {mark}  {label}" + (f": {test['message']}" if not test["passed"] else ""))
    if result["errors"]:
        lines += ["", "Cells that fail (counted among the code cells, from 1):"]
        lines += [f"  {number}: {' '.join(text.split())}" for number, text in result["errors"].items()]
    if result["explanation"]:
        lines += ["", "Your explanation, for your teacher to read:", "", result["explanation"]]
    return "\n".join(lines) + "\n"
