"""Sphinx extension: ``:::{freshness}`` says what a build was made from, with which versions, and how long it took."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from sphinx.util.docutils import SphinxDirective

VERSIONS = ["torch", "numpy", "scipy", "scikit-learn", "matplotlib", "plotly", "jupyter-book", "myst-nb", "Sphinx"]


def git(*arguments: str) -> str:
    """The answer of git, and nothing where there is no git or no history, as in an archive of the files."""
    try:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def state_of_the_source(folder: Path) -> list[tuple[str, str]]:
    """Commit and date. The date is the source's, not the clock's: the same commit gives the same page."""
    at = ("-C", str(folder))
    seconds = os.environ.get("SOURCE_DATE_EPOCH") or git(*at, "log", "-1", "--format=%ct")
    commit = git(*at, "rev-parse", "--short=10", "HEAD")
    date = f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%d %H:%M} UTC" if seconds else "unknown"
    changed = commit and git(*at, "status", "--porcelain", "--untracked-files=no")
    return [
        ("Date", date),
        ("Commit", f"`{commit}`{', with changes not yet committed' if changed else ''}" if commit else "unknown"),
    ]


def settings() -> list[tuple[str, str]]:
    """What the notebooks ran with."""
    scale = os.environ.get("FPCOURSE_SCALE", "laptop")
    return [
        ("Seed", os.environ["FPCOURSE_SEED"]),
        ("Scale", f"`{scale}`, on one thread for each notebook"),
        ("System", f"{platform.system()} on {platform.machine()}"),
        ("Python", platform.python_version()),
        *((name, version(name)) for name in VERSIONS),
    ]


def run_times(app) -> list[tuple[str, float]]:
    """(page, seconds) of every notebook that the cache holds, in the order of the table of contents."""
    cache = get_cache(app.config.nb_execution_cache_path)
    times = []
    for page in app.env.external_site_map:
        path = Path(app.env.doc2path(page))
        if path.suffix == ".ipynb":
            try:
                record = cache.match_cache_notebook(nbformat.read(path, as_version=4))
            except KeyError:  # not executed, as when only links are checked
                continue
            times.append((page, record.data["execution_seconds"]))
    return times


def table(head: tuple[str, str], rows) -> str:
    return "\n".join(f"| {left} | {right} |" for left, right in [head, (":--", ":--"), *rows])


class Freshness(SphinxDirective):
    """Two tables: what the book was built from, and how long each notebook ran."""

    def run(self) -> list:
        times = run_times(self.env.app)
        minutes = sum(seconds for _, seconds in times) / 60
        made_from = table(("What", "This build"), state_of_the_source(Path(self.env.srcdir)) + settings())
        rows = [(f"[](/{page})", f"{seconds:.0f} s") for page, seconds in times]
        ran = table(("Notebook", "Time to run"), [*rows, ("**all of them**", f"**{minutes:.0f} min**")])
        return self.parse_text_to_nodes(f"{made_from}\n\n{ran}\n")


def always_read(app, env, added, changed, removed) -> list[str]:
    """A page that shows the state of the build is out of date with every build."""
    return [page for page in env.found_docs if page.endswith("/freshness")]


def setup(app) -> dict[str, bool]:
    app.add_directive("freshness", Freshness)
    app.connect("env-get-outdated", always_read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
