"""What the numbers of a notebook depend on: its code, the modules it imports, data, pins and the version of Python.

Comments, docstrings, layout and Markdown do not count: polishing a sentence runs nothing again.
"""

from __future__ import annotations

import ast
import functools
import sys
from pathlib import Path

import nbformat

from fpcourse._files import digest

REPOSITORY = Path(__file__).resolve().parents[1]


def version_of(notebook: Path, root: Path = REPOSITORY) -> str:
    """Return the digest of all that ``notebook`` depends on."""
    cells = nbformat.read(notebook, as_version=4).cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    code = "\n".join(line for line in code.splitlines() if not line.startswith(("%", "!")))
    modules = closure(imported(ast.parse(code)), root)
    files = sorted(root.glob("requirements*.txt"))
    if "data" in modules:
        files += sorted(path for path in (root / "data").iterdir() if path.suffix not in {".md", ".txt"})
    return digest(sys.version, meaning(code), *(meaning(_source(root, name)) for name in sorted(modules)), *files)


def meaning(source: str) -> str:
    """Return ``source`` as a syntax tree without docstrings: the same for two texts that do the same thing."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [each for each in body if not _is_text(each)]
    return ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def imported(tree: ast.AST) -> set[str]:
    """Return the modules of the package that are imported anywhere in ``tree``, inside functions too."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("fpcourse.")}
        elif isinstance(node, ast.ImportFrom) and node.module == "fpcourse":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fpcourse."):
            found.add(node.module.split(".")[1])
    return found


def closure(modules: set[str], root: Path = REPOSITORY) -> set[str]:
    """Return ``modules`` and all that they import in turn."""
    found, waiting = set(), set(modules)
    while waiting:
        name = waiting.pop()
        if name not in found and (root / "fpcourse" / f"{name}.py").exists():
            found.add(name)
            waiting |= imported(ast.parse(_source(root, name)))
    return found


@functools.cache
def _read(path: Path, changed: int) -> str:
    return path.read_text("utf-8")


def _source(root: Path, name: str) -> str:
    path = root / "fpcourse" / f"{name}.py"
    return _read(path, path.stat().st_mtime_ns)
