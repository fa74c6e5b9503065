"""The first cell of every notebook, which finds the package: ``python tests/tools/bootstrap_cell.py --write``.

The cell stands here only; the notebooks carry copies, and ``tests/test_bootstrap.py`` compares them. Address and
version come from where they stand (``pyproject.toml``, ``fpcourse/__init__.py``): run the command after changing
either, and after adding a notebook.
"""

import sys
import tomllib
from pathlib import Path

import nbformat

REPOSITORY = Path(__file__).resolve().parents[2]
URL = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]["urls"]["Repository"]
sys.path.insert(0, str(REPOSITORY))
from fpcourse import __version__  # noqa: E402

CELL = '''\
# Find the course's package. On a fresh Colab: fetch fpcourse/ and data/, and
# leave torch and numpy as they are.
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import fpcourse.settings  # noqa: F401
except ModuleNotFoundError:
    url, tag = "URL", "vVERSION"
    root, module = Path.cwd() / f"fpcourse-{tag}", "fpcourse/settings.py"
    root = next((p for p in root.parents if (p / module).exists()), root)
    if root.exists() and not (root / module).exists():
        raise RuntimeError(
            f"{root} is incomplete: delete this folder, and run this cell again"
        ) from None
    if not root.exists():
        fetch = f"""git clone --quiet --depth 1 --branch {tag} --no-checkout
            --filter=blob:none {url} clone && cd clone &&
            git sparse-checkout set --no-cone /fpcourse/ /data/
            /_extensions/live/ &&
            git checkout --quiet {tag}"""
        # moved when complete: a failure leaves nothing behind
        with tempfile.TemporaryDirectory(dir=".") as folder:
            done = subprocess.run(
                " ".join(fetch.split()), shell=True, cwd=folder,
                capture_output=True, text=True,
            )
            if done.returncode:
                raise RuntimeError(
                    f"fetching {url} {tag} takes git and a network, and in a"
                    f" fork its tags (git push --tags):\\n{done.stderr}"
                ) from None
            Path(folder, "clone").rename(root)
    # a mere folder of this name may have been imported as an empty package
    sys.modules.pop("fpcourse", None)
    sys.path.insert(0, str(root))'''.replace("URL", URL).replace("VERSION", __version__)


def notebooks() -> list[Path]:
    """Return every notebook of the course, the students' homework included."""
    return sorted(p for p in (REPOSITORY / "chapters").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)


def is_bootstrap(cell) -> bool:
    """Tell the bootstrap cell, whatever its version, from the others."""
    return "remove-cell" in cell.metadata.get("tags", []) and "import fpcourse.settings" in cell.source


def write(path: Path) -> None:
    """Put the cell into the notebook at ``path``: in place of the old one, else before the first code cell."""
    notebook = nbformat.read(path, as_version=4)
    new = nbformat.v4.new_code_cell(CELL, id="bootstrap", metadata={"tags": ["remove-cell"]})
    first = next((i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"), len(notebook.cells))
    replaced = first < len(notebook.cells) and is_bootstrap(notebook.cells[first])
    notebook.cells[first : first + replaced] = [new]
    nbformat.write(notebook, path)


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    for path in notebooks():
        write(path)
        print(path.relative_to(REPOSITORY))
