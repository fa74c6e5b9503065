"""Resumable grids of independent trainings: one file per grid point, on this machine's cores or on a cluster.

:func:`run` goes through joblib. By itself it computes one point after the other; inside
``joblib.parallel_config(backend="loky", n_jobs=4)`` on four cores, inside ``joblib.parallel_config(backend="dask")``
on a Dask cluster (with a ``distributed.Client`` open), and likewise on Ray. The results are the same numbers.
"""

from __future__ import annotations

import inspect
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from fpcourse import settings
from fpcourse._files import written_whole

Result = dict[str, np.ndarray]


def grid(**axes: Sequence) -> list[dict]:
    """Return all combinations of the values of ``axes`` as a list of points, the last axis running fastest.

    Examples
    --------
    >>> grid(width=[100, 400], seed=[0])
    [{'width': 100, 'seed': 0}, {'width': 400, 'seed': 0}]
    """
    for name, values in axes.items():
        if isinstance(values, (str, Mapping)) or not hasattr(values, "__len__") or not len(values):
            raise ValueError(f"axis {name!r} must be a non-empty sequence of values; got {values!r}")
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def run(
    function: Callable[..., Mapping],
    points: Sequence[Mapping[str, object]],
    *,
    folder: str | os.PathLike | None,
    progress: bool = True,
) -> list[Result]:
    """Return ``[function(**point) for point in points]``, reusing the results that ``folder`` already holds.

    Every point computes on one thread, so that the numbers do not depend on the machine's cores. An error in one point
    ends the sweep; the points before it are kept.

    Parameters
    ----------
    function : callable
        Returns a mapping of names to numbers or arrays, and draws at random only from seeds among its arguments: the
        points run in any order and in any process.
    points : sequence of mappings
        Arguments, each point once (see :func:`grid`).
    folder : path or None
        Each result is written there when it arrives, so a sweep that is killed loses the points in flight alone, and
        the same call resumes the rest. The name of a file is a hash of the arguments and of the function's source:
        change either and the point is computed again. A change in what the function *calls* is not seen; take a new
        folder then. None: nothing is kept.
    progress : bool
        Whether to show a bar.

    Examples
    --------
    >>> def mean(values):
    ...     return {"mean": np.mean(values)}
    >>> [float(result["mean"]) for result in run(mean, grid(values=[[1, 2, 6], [4, 5]]), folder=None)]
    [3.0, 4.5]
    """
    import joblib

    points = [dict(point) for point in points]
    keys = [_key(function, point) for point in points]
    if not points or len(set(keys)) < len(keys):
        raise ValueError(f"points must hold at least one mapping, and each once; got {repr(points)[:80]}")
    files = [None if folder is None else Path(folder) / f"{function.__name__}-{key}.npz" for key in keys]
    results = [None if file is None else _read(file) for file in files]
    missing = [i for i, result in enumerate(results) if result is None]
    with settings.progress_bar(len(points), function.__name__, show=progress) as bar:
        bar.update(len(points) - len(missing))
        # Unordered: a slow point must not keep the finished ones behind it from being written.
        done = joblib.Parallel(return_as="generator_unordered")(
            joblib.delayed(_compute)(function, i, points[i]) for i in missing
        )
        for i, result in done:
            results[i] = {name: np.asarray(value) for name, value in result.items()}
            if files[i] is not None:
                _write(files[i], results[i])
            bar.update()
    return results


def _key(function: Callable, point: dict) -> str:
    import joblib

    return joblib.hash([function.__module__, function.__qualname__, inspect.getsource(function), point])


def _compute(function: Callable[..., Mapping], i: int, point: dict) -> tuple[int, Mapping]:
    """Compute one point single-threaded; put the caller's number of threads back."""
    import threadpoolctl
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpoolctl.threadpool_limits(1):
            result = function(**point)
    finally:
        torch.set_num_threads(threads)
    if not isinstance(result, Mapping) or not result:
        raise ValueError(f"{function.__name__} must return a mapping of names to arrays; got {repr(result)[:60]}")
    return i, result


def _write(file: Path, result: Result) -> None:
    if any(array.dtype.hasobject for array in result.values()):
        raise ValueError(f"results must be numbers or text; got {[array.dtype for array in result.values()]}")
    file.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(file) as stream:
        np.savez(stream, **{f"={name}": array for name, array in result.items()})  # "=": savez has names of its own


def _read(file: Path) -> Result | None:
    """Return the arrays of ``file``, None if there is none or it is damaged (zip has a checksum of every array)."""
    try:
        with np.load(file, allow_pickle=False) as archive:
            return {name.removeprefix("="): array for name, array in archive.items()}
    except Exception:  # a damaged archive fails in a dozen ways: zip, zlib, header, checksum, ...
        return None
