"""The object the whole course watches: a function moving through training, ``f(x, t)``.

A trained network yields a :class:`Trajectory`, so does the exact kernel gradient flow, so does the linear
frequency-principle model. Every diagnostic and figure takes one, which lays theory over experiment in one line.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from fpcourse import checks


@dataclass(frozen=True)
class Trajectory:
    """Snapshots of a function during training.

    times       (T,) float64, strictly increasing: optimiser steps, or time of a flow
    outputs     (T, n, c) float: the function's values at n points, c channels ((T, n) counts as c = 1)
    inputs      (n, ...) float or None: where it was evaluated
    losses      (T,) float or None: training loss at each time
    parameters  (T, P) float or None: all parameters in one vector, in the order of ``model.parameters()``

    Raises ValueError where shapes disagree or an entry is NaN or infinite.
    """

    times: np.ndarray
    outputs: np.ndarray
    inputs: np.ndarray | None = None
    losses: np.ndarray | None = None
    parameters: np.ndarray | None = None

    def __post_init__(self) -> None:
        times = checks.array("times", self.times, ndim=1)
        if (np.diff(times) <= 0).any():
            raise ValueError("times must increase strictly")
        outputs = _finite("outputs", self.outputs)
        if outputs.ndim == 2:
            outputs = outputs[:, :, None]
        if outputs.ndim != 3:
            raise ValueError(f"outputs must have shape (T, n, c) or (T, n); got {outputs.shape}")
        columns = {
            "outputs": outputs,
            "losses": _finite("losses", self.losses),
            "parameters": _finite("parameters", self.parameters),
        }
        for name, ndim in (("losses", 1), ("parameters", 2)):
            if columns[name] is not None and columns[name].ndim != ndim:
                raise ValueError(f"{name} must have {ndim} dimension(s); got shape {columns[name].shape}")
        for name, value in columns.items():
            if value is not None:
                checks.same_length("times", times, name, value)
        inputs = _finite("inputs", self.inputs)
        if inputs is not None:
            inputs = inputs[:, None] if inputs.ndim == 1 else inputs
            checks.same_length("inputs", inputs, "outputs", outputs, 0, 1)
        for name, value in (("times", times), ("inputs", inputs), *columns.items()):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.times)

    def nearest(self, time: float) -> int:
        """Index of the snapshot nearest to ``time`` (the earlier one where two are equally near)."""
        return int(np.abs(self.times - float(time)).argmin())

    def save(self, path: str | os.PathLike) -> None:
        """Write the trajectory to ``path`` (npz), whole or not at all."""
        path = Path(path)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            try:
                np.savez_compressed(file, **{k: v for k, v in vars(self).items() if v is not None})
                file.close()
                os.replace(file.name, path)
            except BaseException:
                file.close()
                os.unlink(file.name)
                raise

    @classmethod
    def load(cls, path: str | os.PathLike) -> Trajectory:
        """Read a trajectory written by :meth:`save`. Raises FileNotFoundError, or ValueError for another file."""
        try:
            with np.load(path, allow_pickle=False) as file:
                known = {f.name for f in fields(cls)}
                if not {"times", "outputs"} <= set(file.files) <= known:
                    raise ValueError(f"{path} holds {sorted(file.files)}, which is no trajectory")
                return cls(**{name: file[name] for name in file.files})
        except (OSError, ValueError, EOFError) as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise ValueError(f"{path} is not a saved trajectory: {error}") from None


def _finite(name: str, value) -> np.ndarray | None:
    """Keep a float32 record float32 (images make it large); everything else becomes float64."""
    if value is None:
        return None
    single = str(getattr(value, "dtype", "")).endswith("float32")
    return checks.array(name, value, dtype=np.float32 if single else np.float64)
