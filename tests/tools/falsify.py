"""What would make each claim false? ``make falsify``.

Beside the tests stands for each lesson a list of errors that a person could make, tests/falsify/LESSON.yml::

    - error: the labels are permuted
      replace: {"train(model, x, y)": "train(model, x, rng.permutation(y))"}  # text of code cells, which must occur
    - error: the kernel carries a factor 2
      code: |  # or a cell that runs after the imports
        ...

Runs each lesson once with each of its errors, at one seed, and prints for each claim the first error that makes it
false. With all lessons it writes the table tests/reports/falsified.csv and the page falsified.md of the book.
``python tests/tools/falsify.py chapters/1_mysteries.ipynb`` runs one lesson and writes nothing. Results are kept, as
those of ``make claims`` are, and a lesson that stands in the table does not run again until it or its list changes.
Ends with status 1 where a claim survives all errors.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import sys
from pathlib import Path

import every_seed
import joblib
import nbformat
import yaml
from every_seed import KEPT, notebooks, run_notebook
from every_seed import REPOSITORY as HERE

from fpcourse import sweep
from fpcourse._files import digest, written_whole

sys.path.insert(0, str(HERE / "_extensions"))
from dependencies import version_of

ERRORS = HERE / "tests/falsify"
TABLE = HERE / "tests/reports/falsified.csv"
PAGE = HERE / "chapters/back_matter/falsified.md"
IMPORTS = "from fpcourse.claims import check"
# A false claim is recorded and does not stop its cell, so that those below it are tried as well.
KEEP_ON = """\
def keep_on(check):
    def tried(*args, **kwargs):
        try:
            check(*args, **kwargs)
        except AssertionError as error:
            print(error)
    return tried
check = keep_on(check)
"""


def errors_of(notebook: str) -> list[dict]:
    """The errors listed for a notebook, each with a sentence and a text to replace or code to run."""
    path = ERRORS / f"{Path(notebook).stem}.yml"
    return yaml.safe_load(path.read_text("utf-8")) if path.exists() else []


def planted(notebook: str, error: dict) -> nbformat.NotebookNode:
    """The notebook with the error in it. Raises ValueError where a text to replace does not occur."""
    book = nbformat.read(HERE / notebook, as_version=4)
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    for old, new in error.get("replace", {}).items():
        if not any(old in cell.source for cell in cells):
            raise ValueError(f"{notebook}, {error['error']!r}: no code cell holds {old!r}")
        for cell in cells:
            cell.source = cell.source.replace(old, new)
    after = next(i for i, cell in enumerate(book.cells) if cell.cell_type == "code" and IMPORTS in cell.source)
    code = KEEP_ON + error.get("code", "")
    book.cells.insert(after + 1, nbformat.v4.new_code_cell(code))
    return book


def run_planted(notebook: str, error: str, version: str) -> dict:
    """Run a notebook with an error planted, at seed 0; ``version`` is there to name the result after."""
    (planned,) = (each for each in errors_of(notebook) if each["error"] == error)
    return run_notebook(notebook, 0, version, planted(notebook, planned))


def truth(notebook: str, version: str) -> dict:
    """The run of a notebook as it is, at seed 0: that of ``make claims`` if there is one."""
    point = {"notebook": notebook, "seed": 0, "version": version}
    return every_seed.recalled(point, every_seed.known()) or sweep.run(run_notebook, [point], folder=KEPT)[0]


def killers(truth: dict, runs: dict[str, dict]) -> dict[str, str]:
    """For each claim that holds, the first error that makes it false: "" where none does.

    A claim that is not reached, since a cell above it fails, counts as alive.
    """
    killed = {}
    for claim in truth["claims"].tolist():
        false = (error for error, run in runs.items() if not run["holds"][run["claims"] == claim].all())
        killed[claim] = next(false, "")
    return killed


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("notebooks", nargs="*", help="from the repository's root; all of the book where none is given")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args(arguments)
    chosen = options.notebooks or notebooks()
    versions = {notebook: version_of(HERE / notebook, HERE) for notebook in chosen}
    marks = {notebook: digest(versions[notebook], json.dumps(errors_of(notebook)))[:16] for notebook in chosen}
    rows = [row for row in known() if marks.get(row[0]) == row[1]]
    chosen = [notebook for notebook in chosen if not any(row[0] == notebook for row in rows)]
    points = [
        {
            "notebook": notebook,
            "error": error["error"],
            "version": versions[notebook] + hashlib.sha256(repr(error).encode()).hexdigest()[:8],
        }
        for notebook in chosen
        for error in errors_of(notebook)
    ]
    for notebook in chosen:
        for error in errors_of(notebook):
            planted(notebook, error)  # a text that does not occur is found before anything runs
    with joblib.parallel_config(backend="loky", n_jobs=options.jobs):
        true = {notebook: truth(notebook, versions[notebook]) for notebook in chosen}
        runs = sweep.run(run_planted, points, folder=KEPT) if points else []
    for notebook in chosen:
        own = {p["error"]: run for p, run in zip(points, runs, strict=True) if p["notebook"] == notebook}
        rows += [[notebook, marks[notebook], *pair] for pair in killers(true[notebook], own).items()]
    rows.sort(key=lambda row: list(marks).index(row[0]))
    for notebook, _, claim, error in rows:
        print(f"{notebook}: {claim}: {error or 'NOTHING MAKES IT FALSE'}")
    if not options.notebooks:
        write_tables(rows)
    survivors = sum(not error for *_, error in rows)
    print(f"{len(rows)} claims, {len(points)} errors planted, {survivors} claims survive")
    return int(survivors > 0)


def known() -> list[list[str]]:
    """The rows of falsified.csv: notebook, a digest of it and of its errors, claim, error."""
    if not TABLE.exists():
        return []
    with TABLE.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]


def write_tables(rows: list[list[str]]) -> None:
    """Write falsified.csv and the page of the book."""
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(["notebook", "version", "claim", "made false by"])
    table.writerows(rows)
    lines = [
        "# What would make each claim false",
        "",
        "A check that cannot fail says nothing. For each lesson a few errors that a person could make are planted, and"
        " the lesson is run with each of them (`make falsify`, seed 0). The table names for every claim the first error"
        " that makes it false. The errors stand in `tests/falsify/`.",
    ]
    for notebook in dict.fromkeys(row[0] for row in rows):
        link = f"../{Path(notebook).relative_to('chapters')}"
        lines += ["", f"## [{Path(notebook).stem}]({link})", "", "| claim | made false by |", "|---|---|"]
        lines += [
            f"| {claim.replace('|', chr(92) + '|')} | {error or '**nothing tried**'} |"
            for where, _, claim, error in rows
            if where == notebook
        ]
    for path, text in ((TABLE, written.getvalue()), (PAGE, "\n".join(lines) + "\n")):
        with written_whole(path) as file:
            file.write(text.encode())


if __name__ == "__main__":
    sys.exit(main())
