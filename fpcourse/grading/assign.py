"""From a master to the student's copy: ``python -m fpcourse.grading.assign`` (or ``make homework``) writes all of them.

A master ``chapters/N_name/homework_master.ipynb`` becomes ``homework.ipynb`` beside it, without solutions and hidden
tests. The conversion is otter-grader's ``otter assign``; README.md beside this file describes the format.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import tempfile
from pathlib import Path

import nbformat
from otter.assign import main as otter_assign

CHAPTERS = Path(__file__).resolve().parents[2] / "chapters"
SETTINGS = Path(__file__).resolve().with_name("otter.yml")
KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
FIRST_CELL = "remove-cell"  # the tag of the cell that finds the package: the master carries it, and hands it on


def masters(chapters: Path = CHAPTERS) -> list[Path]:
    """Return the masters below a folder of chapters, in the order of their chapters."""
    return sorted(chapters.glob("[0-9]_*/homework_master.ipynb"))


def number(master: Path) -> str:
    """Return the number of a master's chapter, which is that of the homework."""
    return master.parent.name.partition("_")[0]


def copy_of(master: Path) -> Path:
    """Return where the student's copy of a master stands."""
    return master.with_name("homework.ipynb")


def convert(master: Path, folder: Path) -> tuple[nbformat.NotebookNode, dict[str, str]]:
    """Make the student's copy of a master, and its hidden tests.

    Parameters
    ----------
    master : Path
        A notebook in the format that README.md describes.
    folder : Path
        An empty folder to work in.

    Returns
    -------
    tuple
        The copy, and the test file of each question by the question's name.
    """
    logging.getLogger("otter").setLevel(logging.ERROR)
    source = folder / "homework.ipynb"
    shutil.copy(master, source)
    shutil.copy(SETTINGS, folder)  # a master names its settings as a file beside it
    otter_assign(str(source), str(folder / "out"), no_pdfs=True, no_run_tests=True)
    notebook = nbformat.read(folder / "out" / "student" / source.name, as_version=4)
    notebook.metadata = nbformat.from_dict(KERNEL)
    notebook.nbformat_minor = 5
    for i, cell in enumerate(notebook.cells):
        first = FIRST_CELL in cell.metadata.get("tags", [])
        cell.metadata = nbformat.from_dict({"tags": [FIRST_CELL]} if first else {})
        cell["id"] = "bootstrap" if first else f"cell-{i:02d}"
        cell.source = cell.source.strip("\n")  # blank lines are left where a solution stood
    files = sorted((folder / "out" / "autograder" / "tests").glob("*.py"))
    return notebook, {path.stem: path.read_text("utf-8") for path in files}


def main() -> None:
    """Write the student's copy of every master."""
    parser = argparse.ArgumentParser(prog="python -m fpcourse.grading.assign", description=main.__doc__)
    parser.add_argument("chapters", type=Path, nargs="?", default=CHAPTERS, help="default: the clone's")
    for master in masters(parser.parse_args().chapters):
        with tempfile.TemporaryDirectory() as folder:
            notebook, tests = convert(master, Path(folder))
        nbformat.write(notebook, copy_of(master))
        print(f"{copy_of(master)}: questions {', '.join(tests)}")


if __name__ == "__main__":
    main()
