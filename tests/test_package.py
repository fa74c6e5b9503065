"""The package as a whole: what an import costs, that every example runs, and that cells of lessons stay short."""

import doctest
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest

import fpcourse

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted(path.stem for path in (ROOT / "fpcourse").glob("*.py") if path.stem != "__init__")
LESSONS = sorted(path for path in (ROOT / "chapters").rglob("*.ipynb") if "homework" not in path.name)


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        (MODULES, {"matplotlib", "plotly", "IPython", "ipywidgets", "sklearn", "pandas"}),
        (("_arguments", "settings", "claims", "trajectory", "flow", "fourier"), {"torch", "scipy"}),
    ],
    ids=["plotting libraries", "torch"],
)
def test_what_is_slow_to_import_comes_when_it_is_used(modules, heavy):
    program = f"import sys, fpcourse.{', fpcourse.'.join(modules)}\nprint(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


@pytest.mark.parametrize("module", [name for name in MODULES if not name.startswith("_")])
def test_examples_run(module):
    loaded = importlib.import_module(f"fpcourse.{module}")
    missing = [name for name, thing in vars(loaded).items()
               if callable(thing) and getattr(thing, "__module__", "") == loaded.__name__ and not name.startswith("_")
               and ">>> " not in (thing.__doc__ or "")]  # fmt: skip
    assert not missing, f"no example in the docstring of {missing}"
    failed, tried = doctest.testmod(loaded, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert tried and not failed


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_code_cell_has_at_most_fifteen_lines(path):
    """Of 80 columns: those ruff counts (chapters/ruff.toml)."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    lines = {cell.id: sum(bool(line.strip()) for line in cell.source.splitlines()) for cell in cells}
    assert {name: count for name, count in lines.items() if count > 15 and name != "bootstrap"} == {}


def test_version_is_what_the_package_is_built_with():
    assert re.fullmatch(r"\d+\.\d+\.\d+", fpcourse.__version__)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert "version" not in project["project"] and project["project"]["dynamic"] == ["version"]
    configuration = pytest.importorskip("setuptools.config.pyprojecttoml")
    built = configuration.read_configuration(ROOT / "pyproject.toml", expand=True, ignore_option_errors=True)
    assert built["project"]["version"] == fpcourse.__version__
    assert built["tool"]["setuptools"]["packages"] == ["fpcourse", "fpcourse.grading"]
