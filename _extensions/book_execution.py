"""Sphinx extension: notebooks execute side by side, and again when something they depend on has changed.

The extensions stand in a top-level folder of their own because `_config.yml` names it as the place to import them
from, and because only the book needs them: Colab fetches ``fpcourse/`` and ``data/``.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import single_nb_execution
from sphinx.errors import ExtensionError
from sphinx.util import logging

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


def name_cache(app, config) -> None:
    """Name the cache after all that outputs depend on beside the notebook itself, so that a change re-executes.

    The name is part of the configuration, so Sphinx too reads every page again when it changes.
    """
    os.environ.update({name: value for name, value in ENVIRONMENT.items() if name not in os.environ})
    digest = hashlib.sha256(sys.version.encode())
    for name in sorted(os.environ):
        if name.startswith("FPCOURSE_") and name != "FPCOURSE_CLAIMS":
            digest.update(f"{name}={os.environ[name]}\n".encode())
    source = Path(app.srcdir)
    files = [*source.glob("requirements*.txt"), *(p for d in ("fpcourse", "data") for p in (source / d).rglob("*"))]
    for path in sorted(p for p in files if p.is_file() and p.suffix != ".pyc"):
        digest.update(str(path.relative_to(source)).encode())
        digest.update(path.read_bytes())
    caches = Path(app.outdir).parent / ".jupyter_cache"
    config.nb_execution_cache_path = str(caches / digest.hexdigest()[:16])
    for old in caches.glob("*"):
        if str(old) != config.nb_execution_cache_path:
            shutil.rmtree(old)


def execute(app, env, docnames: list[str]) -> None:
    """Execute those of the pages about to be read that the cache does not hold; myst-nb then finds them there."""
    if app.config.nb_execution_mode != "cache":
        return
    cache = get_cache(app.config.nb_execution_cache_path)
    waiting = []
    for path in (Path(env.doc2path(name)) for name in docnames):
        if path.suffix == ".ipynb" and not any(path.match(p) for p in app.config.nb_execution_excludepatterns):
            notebook = nbformat.read(path, as_version=4)
            try:
                cache.match_cache_notebook(notebook)
            except KeyError:
                waiting.append((path, notebook))
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
                executed = CacheBundleIn(result.nb, str(path), data={"execution_seconds": result.time})
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
    app.connect("config-inited", name_cache)
    app.connect("env-before-read-docs", execute)
    app.connect("build-finished", forget_warnings)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
