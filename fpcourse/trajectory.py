"""The object the whole course watches: a function moving through training, ``f(x, t)``.

A trained network yields a :class:`Trajectory`, so does the exact kernel gradient flow, so does the linear
frequency-principle model. Every diagnostic and figure takes one, which lays theory over experiment in one line.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from fpcourse import checks


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
        times = checks.array("times", self.times, ndim=1)
        if (np.diff(times) <= 0).any():
            raise ValueError("times must increase strictly")
        if self.outputs is None:
            raise ValueError("outputs must be an array of shape (T, n, c) or (T, n); got None")
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
            if inputs.ndim == 0:
                raise ValueError(f"inputs must have shape (n, ...); got the single number {inputs}")
            inputs = inputs[:, None] if inputs.ndim == 1 else inputs
            checks.same_length("inputs", inputs, "outputs", outputs, 0, 1)
        for name, value in (("times", times), ("inputs", inputs), *columns.items()):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.times)

    def nearest(self, time: float) -> int:
        """Index of the snapshot nearest to ``time`` (the earlier one where two are equally near).

        Raises ValueError unless ``time`` is a finite number: "never" (inf) is nearest to no snapshot.
        """
        if not np.isfinite(checks.number("time", time)):
            raise ValueError(f"time must be finite; got {time!r}")
        return int(np.abs(self.times - float(time)).argmin())

    def save(self, path: str | os.PathLike) -> None:
        """Write the trajectory to ``path`` (npz), whole or not at all; a file of that name is replaced."""
        path = Path(path)
        part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
        try:
            with open(part, "xb") as file:
                # An empty array stands for None: so a file that lost an entry is told from one that never had it.
                np.savez_compressed(file, **{k: np.empty(0) if v is None else v for k, v in vars(self).items()})
            os.replace(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

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


def _finite(name: str, value) -> np.ndarray | None:
    """Keep a float32 record float32 (images make it large); everything else becomes float64."""
    if value is None:
        return None
    single = str(getattr(value, "dtype", "")).endswith("float32")
    return checks.array(name, value, dtype=np.float32 if single else np.float64)
