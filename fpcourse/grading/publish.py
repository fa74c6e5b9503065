"""What a teacher gives away: solutions to publish, and a zip for Gradescope.

``python -m fpcourse.grading.publish solutions FOLDER`` (or ``make solutions``) writes homework_N_solution.ipynb from
each master, with the answers and without hidden tests. ``python -m fpcourse.grading.publish gradescope FOLDER`` writes
homework_N_autograder.zip, which ``otter generate`` makes of the same hidden tests; README.md says what it lacks.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import nbformat
from otter.generate import main as otter_generate

from fpcourse import __version__
from fpcourse.grading.assign import CHAPTERS, KERNEL, convert, masters, number
from fpcourse.grading.submission import PRELUDE

MARKS = ("# BEGIN SOLUTION NO PROMPT", "# BEGIN SOLUTION", "# END SOLUTION")


def solution(master: Path) -> nbformat.NotebookNode:
    """Return a master with its answers, and without hidden tests and marks of the conversion."""
    notebook = nbformat.read(master, as_version=4)
    notebook.metadata = nbformat.from_dict(KERNEL)
    notebook.cells = [
        cell for cell in notebook.cells if cell.cell_type != "raw" and "BEGIN TEST CONFIG" not in cell.source
    ]
    for cell in notebook.cells:
        lines = (line for line in cell.source.splitlines() if line.strip() not in MARKS)
        cell.source = "\n".join(line.removesuffix("# SOLUTION").rstrip() for line in lines)
    return notebook


def autograder(master: Path, target: Path, repository: str) -> None:
    """Write the zip for Gradescope, where the course's package is fetched from ``repository`` at this version's tag."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "work").mkdir()
        (folder / "tests").mkdir()
        for question, source in convert(master, folder / "work")[1].items():
            (folder / "tests" / f"{question}.py").write_text(PRELUDE + source, "utf-8")
        package = f"fpcourse[grading] @ git+{repository}@v{__version__}\n"
        (folder / "requirements.txt").write_text(package, "utf-8")
        otter_generate(
            tests_dir=str(folder / "tests"),
            output_path=str(target),
            requirements=str(folder / "requirements.txt"),
            no_environment=True,
        )


def main() -> None:
    """Write the solutions or the zips of all masters."""
    parser = argparse.ArgumentParser(prog="python -m fpcourse.grading.publish", description=main.__doc__)
    parser.add_argument("what", choices=("solutions", "gradescope"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--chapters", type=Path, default=CHAPTERS, help="default: the clone's")
    parser.add_argument(
        "--repository", default="https://github.com/fpcourse/fpcourse", help="a public clone, with tags"
    )
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for master in masters(options.chapters):
        if options.what == "solutions":
            target = options.folder / f"homework_{number(master)}_solution.ipynb"
            nbformat.write(solution(master), target)
        else:
            target = options.folder / f"homework_{number(master)}_autograder.zip"
            autograder(master, target, options.repository)
        print(target)


if __name__ == "__main__":
    main()
