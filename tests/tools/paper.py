"""Lessons at paper scale: ``make paper LESSON=chapters/3_condensation.ipynb``, or several in quotation marks.

Runs one notebook after the other at seed 0 with FPCOURSE_SCALE=paper, on one thread and on the GPU if there is one
(FPCOURSE_DEVICE chooses). Every cell runs, also after a claim that fails. tests/reports/paper.csv has a row for each,
which the page paper_scale.md of the book shows. A notebook whose row is of its present version (its code, the modules
it imports, the data, the pins and Python) is not run again, so that what was stopped goes on where it was; the sweeps
inside a notebook keep their points themselves.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import every_seed
from dependencies import version_of

from fpcourse import settings
from fpcourse._files import written_whole

RESULTS = every_seed.REPOSITORY / "tests/reports/paper.csv"
HOURS = 12  # what Colab gives
FAILS = "AssertionError: claim fails: "


def device() -> str:
    """Say what computes: the GPU by its name, or the processor."""
    import torch

    chosen = settings.device()
    return torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else f"CPU, {platform.machine()}"


def write(rows: dict[str, dict]) -> None:
    """Write the rows in reading order."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(next(iter(rows.values()))), lineterminator="\n")
    writer.writeheader()
    lessons = [Path(notebook).stem for notebook in every_seed.notebooks()]
    writer.writerows(rows[lesson] for lesson in lessons if lesson in rows)
    with written_whole(RESULTS) as file:
        file.write(text.getvalue().encode())


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("notebooks", nargs="+", help="from the repository's root")
    chosen = parser.parse_args(arguments).notebooks
    os.environ["FPCOURSE_SCALE"] = "paper"
    rows = {row["lesson"]: row for row in csv.DictReader(RESULTS.open(encoding="utf-8"))} if RESULTS.exists() else {}
    failing = 0
    for i, notebook in enumerate(chosen, 1):
        version, lesson = version_of(every_seed.REPOSITORY / notebook, every_seed.REPOSITORY)[:8], Path(notebook).stem
        if rows.get(lesson, {}).get("version") != version:
            print(f"{i} of {len(chosen)}: {notebook}, from {time.strftime('%H:%M')}", flush=True)
            result = every_seed.run_notebook(notebook, 0, version, timeout=HOURS * 3600)
            rows[lesson] = {
                "lesson": lesson,
                "claims": len(result["claims"]),
                "what fails": "; ".join(error.removeprefix(FAILS) for error in result["errors"]) or "nothing",
                "s": f"{result['seconds']:.0f}",
                "MB": f"{result['peak_mb']:.0f}",
                "on": device(),
                "date": f"{datetime.now(UTC):%Y-%m-%d}",
                "version": version,
            }
            write(rows)
        row = rows[lesson]
        failing += row["what fails"] != "nothing"
        print(f"{lesson}: {row['claims']} claims, {row['what fails']} fails; {row['s']} s, {row['MB']} MB")
    return int(failing > 0)


if __name__ == "__main__":
    sys.exit(main())
