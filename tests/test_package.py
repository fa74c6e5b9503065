"""The package as a whole: who may import whom, what an import costs, and that every public name explains itself."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import fpcourse

ROOT = Path(__file__).resolve().parents[1]
MODULES = {path.stem: path for path in sorted((ROOT / "fpcourse").glob("*.py")) if path.stem != "__init__"}

# Lowest first: no arrow runs upwards. Every module may use `checks`, the argument checks; they use nothing.
MAY_IMPORT = {
    "checks": set(),
    "settings": set(),
    "claims": set(),
    "trajectory": set(),
    "data": {"settings"},
    "models": {"settings"},
    "recording": {"trajectory", "settings"},
    "training": {"trajectory", "settings", "recording"},
    "harmonics": set(),
    "images": set(),
    "kernels": {"settings", "models", "harmonics"},
    "sweep": {"settings"},
    "phases": {"settings"},
    "flow": {"trajectory", "kernels"},
    "fourier": {"trajectory"},
    "diagnosis": {"trajectory", "fourier"},
    "critical_points": {"trajectory"},
    "embedding": {"models"},
    "landscape": {"models", "critical_points", "embedding"},
    "recovery": {"models", "training"},
    "plotting": {"trajectory", "fourier", "diagnosis"},
    "interactive": {"trajectory", "fourier", "plotting"},
    "live": set(),
    "homework": set(),
}


def imports(source: str) -> set[str]:
    """Modules of the package that ``source`` imports anywhere, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            prefix = f"fpcourse.{node.module}." if node.module else "fpcourse."
            names = [prefix + alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("fpcourse.")}
    return found & (set(MODULES) | set(MAY_IMPORT))


def test_every_way_to_import_is_seen():
    assert imports("import fpcourse.flow") == {"flow"}
    assert imports("import numpy, fpcourse.flow as f") == {"flow"}
    assert imports("from fpcourse import checks, flow as f") == {"checks", "flow"}
    assert imports("from fpcourse.flow import kernel_flow") == {"flow"}
    assert imports("from . import flow, checks") == {"flow", "checks"}
    assert imports("from .flow import kernel_flow") == {"flow"}
    assert imports("def f():\n    from fpcourse.flow import kernel_flow") == {"flow"}
    assert imports("from fpcourse import __version__\nimport flow\nfrom flow import checks") == set()


def test_the_table_has_no_circle():
    above = list(MAY_IMPORT)
    for name, lower in MAY_IMPORT.items():
        assert all(above.index(other) < above.index(name) for other in lower)


@pytest.mark.parametrize("module", MODULES)
def test_imports_never_run_upwards(module):
    assert module in MAY_IMPORT, f"{module} has no room in the table"
    base = {"checks"} - {module}
    assert imports(MODULES[module].read_text("utf-8")) <= MAY_IMPORT[module] | base


def test_the_package_itself_imports_nothing():
    tree = ast.parse((ROOT / "fpcourse/__init__.py").read_text("utf-8"))
    assert not [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        (MODULES, {"matplotlib", "plotly", "IPython", "ipywidgets", "sklearn", "pandas"}),
        (("checks", "settings", "claims", "trajectory"), {"torch", "scipy"}),
    ],
    ids=["plotting libraries", "torch"],
)
def test_what_is_slow_to_import_comes_when_it_is_used(modules, heavy):
    program = f"import sys, fpcourse.{', fpcourse.'.join(modules)}\nprint(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def public(tree: ast.Module):
    """(name, node) of the module's public classes and functions and of the classes' public methods."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for node in tree.body:
        if isinstance(node, kinds) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                for method in node.body:
                    # What a network computes is said once, in the docstring of its class.
                    if isinstance(method, kinds) and not method.name.startswith("_") and method.name != "forward":
                        yield f"{node.name}.{method.name}", method


@pytest.mark.parametrize("module", MODULES)
def test_everything_public_explains_itself(module):
    tree = ast.parse(MODULES[module].read_text("utf-8"))
    assert ast.get_docstring(tree), f"{module} has no docstring"
    assert [name for name, node in public(tree) if not ast.get_docstring(node)] == []


@pytest.mark.parametrize("module", MODULES)
def test_public_arguments_that_choose_are_annotated(module):
    """Arrays come as anything array-like and carry their shapes in the docstring; keyword options state their type."""
    tree = ast.parse(MODULES[module].read_text("utf-8"))
    options = [
        f"{name}({argument.arg})"
        for name, node in public(tree)
        if isinstance(node, ast.FunctionDef)
        for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
        if isinstance(default, ast.Constant) and isinstance(default.value, (bool, int, float, str))
        and argument.annotation is None
    ]  # fmt: skip
    assert options == []


def test_version_is_what_the_package_is_built_with():
    assert re.fullmatch(r"\d+\.\d+\.\d+", fpcourse.__version__)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert "version" not in project["project"] and project["project"]["dynamic"] == ["version"]
    configuration = pytest.importorskip("setuptools.config.pyprojecttoml")
    built = configuration.read_configuration(ROOT / "pyproject.toml", expand=True, ignore_option_errors=True)
    assert built["project"]["version"] == fpcourse.__version__
    assert built["tool"]["setuptools"]["packages"] == ["fpcourse"]
