"""The command: grade a folder of submissions.

Writes RESULTS/marks.csv (a row for every file), then feedback/ (a text for every file), students.csv (a row for every
student), statistics.csv, explanations.md, similar.md and log.txt. One result is kept for each submission, so the
command may be stopped at any time and started again. What this machine cannot protect against is named, and has to be
accepted by name: ``--without network``.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path

import psutil

from fpcourse._files import digest, written_whole
from fpcourse.grading import desk, sandbox, similar, submission
from fpcourse.grading.assign import CHAPTERS, convert, masters, number

LOG = logging.getLogger("homework")
MOST_FOLDERS = 50  # one in the other
NOT_WORK = {"__MACOSX", ".DS_Store", ".ipynb_checkpoints", ".git", "Thumbs.db", "desktop.ini"}  # a machine's own


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, or those of the process.

    Returns
    -------
    int
        The exit status: 0; 1 where this machine failed on a file, which the next run grades; 2 where a protection is
        missing and was not given up by name.
    """
    options = _options(arguments)
    missing = set(sandbox.PROTECTIONS) - sandbox.available()
    refused = missing - set(options.without)
    for name in sorted(refused):
        print(f"No protection of {name} here: {sandbox.PROTECTIONS[name]}.", file=sys.stderr)
    if refused:
        print(
            f"The reason: {sandbox.complaint() or 'unknown'}. The page 'Collect and grade' of the book says what helps"
            " on Debian, Ubuntu and WSL 2, and how to grade in a container. Or accept it with: --without"
            f" {' '.join(sorted(missing))}",
            file=sys.stderr,
        )
        return 2
    if "files" in missing and os.geteuid() == 0:
        print("Not as root: without a protection of files a submission could delete everything.", file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "assignment").write_text(options.assignment)
    handlers = [logging.FileHandler(options.out / "log.txt", encoding="utf-8"), logging.StreamHandler()]
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", handlers=handlers, force=True)
    LOG.setLevel(logging.INFO)
    with tempfile.TemporaryDirectory() as folder:
        copy, tests = convert(options.master, Path(folder))
    rows = _grade_all(options, tests, frozenset(sandbox.PROTECTIONS) - missing)
    desk.choose(rows, options.due)
    if options.roster:
        desk.compare_names(rows, options.roster)
    desk.write_marks(options.out / "marks.csv", rows, list(tests))
    for complaint in desk.override(rows, options.out / "overrides.csv"):
        LOG.warning("overrides.csv, %s", complaint)
    desk.write_marks(options.out / "marks.csv", rows, list(tests))
    _write_feedback(options.out / "feedback", rows)
    desk.write_students(options.out / "students.csv", rows, list(tests), options.roster, options.column)
    if options.roster:
        desk.write_upload(options.out / "upload.csv", rows, options.roster, options.column)
    desk.write_statistics(options.out / "statistics.csv", rows)
    desk.write_explanations(options.out / "explanations.md", rows)
    given = [cell.source for cell in copy.cells if cell.cell_type == "code"]
    similar.write_page(options.out / "similar.md", rows, options.assignment, given)
    graded = sum(row["result"]["status"] == "graded" for row in rows)
    failed = sum("questions" not in row["result"] for row in rows)
    LOG.info("%d files, %d graded: %s", len(rows), graded, options.out / "marks.csv")
    if failed:
        LOG.warning("this machine failed on %d files: run the same command again", failed)
    return int(failed > 0)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    limits = sandbox.Limits()
    parser = argparse.ArgumentParser(prog="python -m fpcourse.grading", description="Grade a folder of submissions.")
    parser.add_argument("folder", type=Path, help="the submissions, in subfolders too")
    parser.add_argument("--assignment", required=True, help="its number: 2 for homework 2")
    parser.add_argument("--out", type=Path, required=True, help="where the results go; may exist")
    parser.add_argument(
        "--roster", type=Path, help="csv of the class, with a column of ids: as your platform exports it"
    )
    parser.add_argument("--column", help="name of the column of points in students.csv (default: Homework N)")
    parser.add_argument("--due", type=datetime.fromisoformat,
                        help="what comes later by Gradescope's own times is noted: 2026-11-27T23:59+01:00")  # fmt: skip
    parser.add_argument("--again", nargs="*", default=None, metavar="NAME",
                        help="grade anew: all, or files and students whose name or id holds NAME")  # fmt: skip
    parser.add_argument("--chapters", type=Path, default=CHAPTERS, help="where the masters are (default: the clone's)")
    parser.add_argument("--jobs", type=int, help="processes at a time (default: as cores and free memory allow)")
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
    if options.out.resolve() == options.folder.resolve():
        parser.error(f"--out must be another folder than that of the submissions; both are {options.out}")
    marker = options.out / "assignment"
    if marker.exists() and marker.read_text() != options.assignment:
        parser.error(f"{options.out} holds the results of homework {marker.read_text()}: say another --out")
    if options.roster is not None:
        try:
            desk.roster_of(options.roster)
        except (OSError, ValueError) as error:
            parser.error(f"--roster {options.roster}: {error}")
    if options.due is not None and options.due.tzinfo is None:
        options.due = options.due.astimezone()  # this machine's
    options.column = options.column or f"Homework {options.assignment}"
    options.master = there[options.assignment]
    options.limits = sandbox.Limits(
        seconds=options.seconds, cell_seconds=options.cell_seconds, memory=int(options.memory * 2**30)
    )
    if options.jobs is None:
        room = int(psutil.virtual_memory().available / options.limits.memory)
        options.jobs = max(1, min(len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(), room))
    return options


def _files(folder: Path, out: Path) -> Iterator[Path]:
    """Yield all that was handed in, in subfolders too; not what machines leave, and not our own results."""
    for here, folders, names in os.walk(folder, onerror=lambda error: LOG.warning("not read: %s", error)):
        folders[:] = sorted(
            name for name in folders if name not in NOT_WORK and Path(here, name).resolve() != out.resolve()
        )
        if folders and len(Path(here).parts) > len(folder.parts) + MOST_FOLDERS:
            LOG.warning("not read: folders inside %s", here)
            folders.clear()
        links = [name for name in folders if Path(here, name).is_symlink()]  # os.walk does not follow them
        for name in sorted([*names, *links]):
            if name not in NOT_WORK and not name.startswith("._"):
                yield Path(here, name)


def _grade_all(options: argparse.Namespace, tests: dict[str, str], protections: frozenset[str]) -> list[dict]:
    """Grade every file that has no result yet; return a row for each file."""
    kept = options.out / "submissions"
    kept.mkdir(exist_ok=True)
    rows, paths, times = [], list(_files(options.folder, options.out)), {}
    try:
        times = desk.handed_in(paths)
    except ValueError as error:
        LOG.warning("%s", error)
    for path in paths:
        # bytes that are no UTF-8 become a sign that can be written
        name = os.fsencode(path.relative_to(options.folder)).decode("utf-8", "replace")
        row = {"file": path, "name": submission.clean(name, 2000), "key": digest(os.fsencode(path)), "result": None}
        row["handed_in"] = next((times[parent] for parent in path.parents if parent in times), None)
        try:
            row["key"] = submission.key(submission.content_of(path), tests, protections, options.limits)
            row["result"] = _kept(kept / f"{row['key']}.json", row, options.again)
        except submission.Unreadable as reason:
            row["result"] = _nothing(str(reason)) | {"questions": {}}
        rows.append(row)
    missing = {row["key"]: row["file"] for row in reversed(rows) if row["result"] is None}
    LOG.info("%d files, %d of them to grade, %d at a time", len(rows), len(missing), options.jobs)
    common = options.assignment, tests, protections, options.limits, kept
    results = {}
    os.environ.update(sandbox.ONE_THREAD)  # the processes that grade start later, and share the processors
    # Also where one works at a time: the hidden tests import PyTorch, and a crash of one would end this process.
    with ProcessPoolExecutor(options.jobs, get_context("spawn")) as workers:
        jobs = [workers.submit(_grade_one, path, name, *common) for name, path in missing.items()]
        try:
            for job in as_completed(jobs):
                key, result = job.result()
                results[key] = result
                (name, *_) = (row["name"] for row in rows if row["key"] == key)
                LOG.info("%s: %s", name, desk.summary(result))
        except BrokenExecutor as error:  # this machine has ended a worker, for want of memory say
            LOG.warning("grading stopped: %s", error)
        finally:
            workers.shutdown(cancel_futures=True)  # else Ctrl+C would wait for all of them
    for row in rows:
        row["result"] = row["result"] or results.get(row["key"]) or _nothing("not graded yet: run the command again")
    return rows


def _kept(path: Path, row: dict, again: list[str] | None) -> dict | None:
    """Return the result of an earlier run; None where there is none, or it is asked for again."""
    try:
        result = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    asked = again is not None and (
        not again or any(each.casefold() in f"{row['name']}\n{result['student_id']}".casefold() for each in again)
    )
    return None if asked else result


def _nothing(status: str) -> dict:
    """Return the result of a file without marks."""
    empty = {"student_id": "", "id_changed": False, "errors": {}, "explanation": "", "seconds": 0.0}
    return empty | {"status": submission.clean(status)}


def _grade_one(
    path: Path,
    key: str,
    assignment: str,
    tests: dict[str, str],
    protections: frozenset[str],
    limits: sandbox.Limits,
    kept: Path,
) -> tuple[str, dict]:
    """Grade one file in a worker, and keep the result by its key: complete or not at all.

    A fault of this machine or of the grader costs no other submission its marks, and is no mark: it is not kept.
    """
    try:
        result = submission.grade(submission.content_of(path), assignment, tests, protections, limits)
        with written_whole(kept / f"{key}.json") as file:
            file.write(json.dumps(result, ensure_ascii=True).encode())
    except Exception as error:
        result = _nothing(f"this machine or the grader failed, grade it again: {type(error).__name__}: {error}")
    return key, result


def _write_feedback(folder: Path, rows: list[dict]) -> None:
    """Write a text for each file, at the file's own place; under another name where that one cannot be."""
    for row in rows:
        name = Path(f"{row['name']}.txt")
        own = max(len(os.fsencode(part)) for part in name.parts) <= 200 and ".." not in name.parts
        text = desk.feedback(row).encode("utf-8", "backslashreplace")
        short = submission.clean(name.name, 40).replace(os.sep, "_")
        spare = Path(f"{short}-{digest(os.fsencode(row['file']))[:12]}.txt")
        for place in (folder / name, folder / spare) if own and not row.get("namesake") else (folder / spare,):
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(text)
                break
            except OSError as error:
                LOG.warning("no feedback at %s: %s", place, error.strerror)
