"""From a master to the student's copy: ``python tests/homework/assign.py`` (or ``make homework``) writes all of them.

A master ``tests/homework/N_name.ipynb`` becomes ``chapters/N_name/homework.ipynb``, without solutions and hidden
tests. The conversion is otter-grader's ``otter assign``; README.md beside this file describes the format.
"""

import logging
import sys
import tempfile
from pathlib import Path

import nbformat
from otter.assign import main as otter_assign

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))
import bootstrap_cell  # noqa: E402

KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def masters() -> list[Path]:
    """Return the masters, in the order of their chapters."""
    return sorted(HERE.glob("[0-9]_*.ipynb"))


def copy_of(master: Path) -> Path:
    """Return where the student's copy of a master stands."""
    return REPOSITORY / "chapters" / master.stem / "homework.ipynb"


def convert(master: Path, folder: Path) -> tuple[nbformat.NotebookNode, dict[str, str]]:
    """Return the student's copy of ``master`` and the hidden test file of each question, by name; uses ``folder``."""
    logging.getLogger("otter").setLevel(logging.ERROR)
    otter_assign(str(master), str(folder), no_pdfs=True, no_run_tests=True)
    notebook = nbformat.read(folder / "student" / master.name, as_version=4)
    notebook.metadata = nbformat.from_dict(KERNEL)
    notebook.nbformat_minor = 5
    for i, cell in enumerate(notebook.cells):
        cell.metadata, cell["id"] = nbformat.from_dict({}), f"cell-{i:02d}"
    written = folder / "homework.ipynb"
    nbformat.write(notebook, written)
    bootstrap_cell.write(written)
    tests = {path.stem: path.read_text("utf-8") for path in sorted((folder / "autograder" / "tests").glob("*.py"))}
    return nbformat.read(written, as_version=4), tests


if __name__ == "__main__":
    for master in masters():
        with tempfile.TemporaryDirectory() as folder:
            notebook, tests = convert(master, Path(folder))
        copy_of(master).parent.mkdir(exist_ok=True)
        nbformat.write(notebook, copy_of(master))
        print(f"{copy_of(master).relative_to(REPOSITORY)}: questions {', '.join(tests)}")
