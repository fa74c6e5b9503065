"""Sphinx extension: notebooks execute side by side, and again when something they depend on has changed.

The extensions stand in a top-level folder of their own because `_config.yml` names it as the place to import them
from, and because only the book needs them: Colab fetches ``fpcourse/`` and ``data/``.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import nbformat
from dependencies import version_of
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import single_nb_execution
from sphinx.errors import ExtensionError
from sphinx.util import logging

from fpcourse._files import digest

logger = logging.getLogger(__name__)

# What the kernels find unless the reader's own environment says otherwise. One thread each: they run side by side, and
# a figure then looks the same on any number of cores.
ENVIRONMENT = {
    "FPCOURSE_SEED": "0",
    "TQDM_DISABLE": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
WORKERS = min(4, os.cpu_count() or 1)  # a kernel with torch takes up to a gigabyte


def set_up(app, config) -> None:
    """Give the kernels their environment, and the cache a place."""
    os.environ.update({name: value for name, value in ENVIRONMENT.items() if name not in os.environ})
    config.nb_execution_cache_path = str(Path(app.outdir).parent / ".jupyter_cache")


def depends(path: Path) -> str:
    """Digest of all that the outputs of a notebook depend on, the reader's settings included."""
    settings = {name: value for name, value in os.environ.items() if name.startswith("FPCOURSE_")}
    settings.pop("FPCOURSE_CLAIMS", None)
    return digest(version_of(path), repr(sorted(settings.items())))


def stale(app, docnames) -> dict[str, tuple[Path, nbformat.NotebookNode]]:
    """Those of the pages whose notebook is to be executed: the cache holds nothing, or what other code computed."""
    if app.config.nb_execution_mode != "cache":
        return {}
    cache, found = get_cache(app.config.nb_execution_cache_path), {}
    for name in docnames:
        path = Path(app.env.doc2path(name))
        if path.suffix != ".ipynb" or any(path.match(p) for p in app.config.nb_execution_excludepatterns):
            continue
        notebook = nbformat.read(path, as_version=4)
        try:
            record = cache.match_cache_notebook(notebook)
        except KeyError:
            found[name] = path, notebook
        else:
            if record.data.get("depends") != depends(path) and os.environ.get("BOOK_PAGE", name) == name:
                found[name] = path, notebook
    return found


def outdated(app, env, added, changed, removed) -> list[str]:
    """Pages to read again although they have not changed: what their notebooks depend on has."""
    return list(stale(app, env.found_docs - added - changed))


def execute(app, env, docnames: list[str]) -> None:
    """Execute those of the pages about to be read that are stale; myst-nb then finds them in the cache."""
    waiting = list(stale(app, docnames).values())
    if not waiting:
        return
    cache = get_cache(app.config.nb_execution_cache_path)
    failures = []
    with ThreadPoolExecutor(WORKERS) as pool:
        timeout = app.config.nb_execution_timeout
        running = {
            pool.submit(
                single_nb_execution,
                notebook,
                cwd=str(path.parent),
                timeout=timeout,
                allow_errors=False,
                extra_arguments=["--IPKernelApp.log_level=ERROR"],  # kernels warn that they listen on this machine
            ): path
            for path, notebook in waiting
        }
        try:
            for done in as_completed(running):
                path, result = running[done], done.result()
                if result.err is not None:
                    failures.append(f"{path}\n{result.exc_string}")
                    continue
                logger.info("executed %s in %.1f s", path.relative_to(app.srcdir), result.time)
                executed = CacheBundleIn(
                    result.nb, str(path), data={"execution_seconds": result.time, "depends": depends(path)}
                )
                cache.cache_notebook_bundle(executed, check_validity=False, overwrite=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if failures:
        raise ExtensionError("notebooks failed:\n" + "\n".join(failures))


def forget_warnings(app, exception: Exception | None) -> None:
    """Where warnings count as errors, let the next build read every page: Sphinx would not repeat the warnings."""
    if exception is None and app.keep_going and app._warncount:
        Path(app.doctreedir, "environment.pickle").unlink(missing_ok=True)


def setup(app) -> dict[str, bool]:
    app.connect("config-inited", set_up)
    app.connect("env-get-outdated", outdated)
    app.connect("env-before-read-docs", execute)
    app.connect("build-finished", forget_warnings)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
