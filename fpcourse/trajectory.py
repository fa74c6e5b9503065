"""The object the whole course watches: a function moving through training, ``f(x, t)``.

A trained network yields a :class:`Trajectory`, so does the exact kernel gradient flow, so does the linear
frequency-principle model. Every diagnostic and figure takes one, which lays theory over experiment in one line.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields

import numpy as np

from fpcourse._arguments import as_array, as_inputs, as_number, require_same_length
from fpcourse._files import written_whole


@dataclass(frozen=True, eq=False)
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
        times, outputs = as_array("times", self.times, ndim=1), _finite("outputs", self.outputs, (2, 3))
        if (np.diff(times) <= 0).any():
            raise ValueError("times must increase strictly")
        outputs = outputs if outputs.ndim == 3 else outputs[:, :, None]
        losses, parameters = _finite("losses", self.losses, 1), _finite("parameters", self.parameters, 2)
        for name, rows in (("outputs", outputs), ("losses", losses), ("parameters", parameters)):
            if rows is not None:
                require_same_length("times", times, name, rows)
        inputs = None if self.inputs is None else as_inputs("inputs", self.inputs, dtype=_precision(self.inputs))
        if inputs is not None:
            require_same_length("inputs", inputs, "outputs", outputs, 0, 1)
        for field, value in zip(fields(self), (times, outputs, inputs, losses, parameters), strict=True):
            object.__setattr__(self, field.name, value)

    def __len__(self) -> int:
        return len(self.times)

    def nearest(self, time: float) -> int:
        """Index of the snapshot nearest to ``time`` (the earlier one where two are equally near).

        Raises ValueError unless ``time`` is a finite number: "never" (inf) is nearest to no snapshot.
        """
        if not np.isfinite(as_number("time", time)):
            raise ValueError(f"time must be finite; got {time!r}")
        return int(np.abs(self.times - float(time)).argmin())

    def save(self, path: str | os.PathLike) -> None:
        """Write the trajectory to ``path`` (npz), whole or not at all; a file of that name is replaced."""
        # An empty array stands for None: this distinguishes a truncated file from a missing optional field.
        with written_whole(path) as file:
            np.savez_compressed(file, **{k: np.empty(0) if v is None else v for k, v in vars(self).items()})

    @classmethod
    def load(cls, path: str | os.PathLike) -> Trajectory:
        """Read a trajectory written by :meth:`save`.

        Raises OSError (FileNotFoundError, ...) where the file cannot be opened, ValueError where it is damaged or
        holds something else.
        """
        with open(path, "rb") as file:
            try:
                arrays = dict(np.load(file, allow_pickle=False))
                if set(arrays) != {f.name for f in fields(cls)}:
                    raise ValueError(f"it holds {sorted(arrays)}")
                return cls(**{name: value if value.size else None for name, value in arrays.items()})
            except Exception as error:  # a damaged archive fails in a dozen ways: zip, zlib, header, checksum, ...
                raise ValueError(f"{path} is not a saved trajectory: {error}") from error


def _precision(value) -> type:
    """float32 for a float32 record (images make it large), else float64."""
    return np.float32 if str(getattr(value, "dtype", "")).endswith("float32") else np.float64


def _finite(name: str, value, ndim) -> np.ndarray | None:
    if value is None and name != "outputs":
        return None
    return as_array(name, value, ndim=ndim, dtype=_precision(value))
