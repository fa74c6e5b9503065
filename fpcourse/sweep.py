"""Resumable grids of independent trainings: one file per grid point, on this machine's cores or on a cluster.

``run`` goes through joblib. Unchanged, it computes one point after the other; inside
``joblib.parallel_config(backend="loky", n_jobs=4)`` on four cores, inside ``joblib.parallel_config(backend="dask")``
on a Dask cluster (with a ``distributed.Client`` open), and likewise on Ray. The results are the same numbers.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import itertools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from fpcourse import settings
from fpcourse._files import written_whole

Point = Mapping[str, object]
Result = dict[str, np.ndarray]


def grid(**axes: Sequence) -> list[dict]:
    """All combinations of the values of ``axes`` as a list of points, the last axis running fastest.

    ``grid(width=[100, 400], seed=[0, 1])`` gives four points ``{"width": 100, "seed": 0}``, ... Raises ValueError for
    an axis that is empty or no sequence (a single value is written ``[value]``).
    """
    for name, values in axes.items():
        if isinstance(values, (str, bytes, Mapping)) or not hasattr(values, "__len__"):
            raise ValueError(f"axis {name!r} must be a sequence of values; got {values!r}")
        if len(values) == 0:
            raise ValueError(f"axis {name!r} must not be empty")
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def run(
    function: Callable[..., Mapping],
    points: Sequence[Point],
    *,
    folder: str | os.PathLike | None,
    progress: bool = True,
) -> list[Result]:
    """Return ``[function(**point) for point in points]``, in this order, reusing what ``folder`` already holds.

    function  returns a mapping of names to numbers or arrays, and draws at random only from seeds among its arguments:
              the points run in any order and in any process
    points    mappings of arguments (see :func:`grid`): numbers, texts, None, arrays, and lists and mappings of these
    folder    each result is written there as soon as it arrives, whole or not at all, so a sweep that is killed loses
              at most the points in flight and the same call takes up the rest. None: nothing is kept

    A file's name is a hash of the arguments and of the function's name and source: change either and the point is
    computed anew. A change in what the function *calls* is not seen; take a new folder then. A damaged file counts as
    missing. Every point computes on one thread, wherever it runs, so that the numbers do not depend on the machine's
    cores. An error in one point ends the sweep; the points before it are kept. Two sweeps at once may share a folder:
    each computes what it did not find there when it began.

    Raises ValueError for points that are no mappings of such arguments or occur twice, and for results that are no
    mappings of names to arrays of numbers; OSError naming the file where a result cannot be written.
    """
    import joblib

    if not callable(function) or not hasattr(function, "__name__"):
        raise ValueError(f"function must be a function with a name; got {function!r}")
    if isinstance(points, Mapping) or not isinstance(points, Sequence) or not len(points):
        raise ValueError(f"points must be a non-empty list of mappings; got {repr(points)[:60]}")
    keys = [_key(function, point) for point in points]
    if len(set(keys)) < len(keys):
        twice = next(point for key, point in zip(keys, points, strict=True) if keys.count(key) > 1)
        raise ValueError(f"every point must occur once; {repr(dict(twice))[:80]} occurs more often")
    files = [None if folder is None else Path(folder) / f"{function.__name__}-{key}.npz" for key in keys]
    results = [None if file is None else _read(file) for file in files]
    missing = [i for i, result in enumerate(results) if result is None]
    with settings.progress_bar(len(points), function.__name__, show=progress) as bar:
        bar.update(len(points) - len(missing))
        # Unordered: a slow point must not keep the finished ones behind it from being written.
        done = joblib.Parallel(return_as="generator_unordered")(
            joblib.delayed(_compute)(function, i, dict(points[i])) for i in missing
        )
        for i, result in done:
            results[i] = _arrays(function, result)
            if files[i] is not None:
                _write(files[i], results[i])
            bar.update()
    if folder is not None:
        for part in Path(folder).glob(f"{function.__name__}-*.part"):  # left by a sweep that was killed as it wrote
            if part.with_suffix("").with_suffix("") in files:
                with contextlib.suppress(OSError):
                    part.unlink()
    return results


def _compute(function: Callable[..., Mapping], i: int, point: dict) -> tuple[int, Mapping]:
    """One point on one thread, whoever computes it; the caller's number of threads is put back."""
    import threadpoolctl
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpoolctl.threadpool_limits(1):
            return i, function(**point)
    finally:
        torch.set_num_threads(threads)


def _key(function: Callable, point: Point) -> str:
    if not isinstance(point, Mapping) or not all(isinstance(name, str) for name in point):
        raise ValueError(f"each point must be a mapping of argument names to values; got {repr(point)[:60]}")
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        raise ValueError(f"{function.__name__} has no source to read: define it in a file or a notebook") from None
    written = json.dumps([function.__module__, function.__qualname__, source, _plain(dict(point))], sort_keys=True)
    return hashlib.sha256(written.encode()).hexdigest()[:24]


def _plain(value):
    """What JSON can write without losing a digit or a type: arrays become their dtype, shape and bytes' hash."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (bool, int, float, str)) or value is None:
        return value
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        return {"array": [value.dtype.str, list(value.shape), hashlib.sha256(value.tobytes()).hexdigest()]}
    raise ValueError(
        f"arguments must be numbers, texts, None, arrays, or lists and mappings of these; got {repr(value)[:60]}"
    )


def _arrays(function: Callable, result) -> Result:
    if not isinstance(result, Mapping) or not result or not all(isinstance(name, str) for name in result):
        raise ValueError(f"{function.__name__} must return a mapping of names to arrays; got {repr(result)[:60]}")
    arrays = {name: np.asarray(value) for name, value in result.items()}
    for name, array in arrays.items():
        if array.dtype.kind not in "biufcU":
            raise ValueError(f"result {name!r} of {function.__name__} must be numbers or text; got {array.dtype}")
    return arrays


def _write(file: Path, result: Result) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with written_whole(file) as stream:
            np.savez(stream, **{f"={name}": array for name, array in result.items()})  # "=": savez has names of its own
    except FileNotFoundError:
        if not file.exists():  # else another sweep has finished and cleared ours away
            raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(file)) from error  # a full disk names no file


def _read(file: Path) -> Result | None:
    """The arrays of ``file``; None where there is none or it is damaged (zip keeps a checksum of every array)."""
    try:
        with np.load(file, allow_pickle=False) as archive:
            return {name.removeprefix("="): array for name, array in archive.items()}
    except Exception:  # a damaged archive fails in a dozen ways: zip, zlib, header, checksum, ...
        return None
