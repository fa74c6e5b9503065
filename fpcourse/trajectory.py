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
    """Snapshots of a function during training; float32 arrays stay float32, all others become float64.

    Parameters
    ----------
    times : array_like
        (T,) strictly increasing: optimizer steps, or the time of a flow.
    outputs : array_like
        (T, n, c): the function at n points in c channels; (T, n) counts as c = 1.
    inputs : array_like, optional
        (n, ...): where it was evaluated; (n,) counts as (n, 1).
    losses : array_like, optional
        (T,): the training loss.
    parameters : array_like, optional
        (T, P): all parameters in one vector, in the order of ``model.parameters()``.

    Raises
    ------
    ValueError
        If shapes disagree or an entry is NaN or infinite.

    Examples
    --------
    >>> run = Trajectory(times=[0, 1, 2], outputs=np.exp(-np.outer([0, 1, 2], [1.0, 3.0])), inputs=[0.0, 0.5])
    >>> len(run), run.outputs.shape, run.inputs.shape, run.nearest(1.3)
    (3, (3, 2, 1), (2, 1), 1)
    """

    times: np.ndarray
    outputs: np.ndarray
    inputs: np.ndarray | None = None
    losses: np.ndarray | None = None
    parameters: np.ndarray | None = None

    def __post_init__(self) -> None:
        arrays = {"times": as_array("times", self.times, ndim=1)}
        if (np.diff(arrays["times"]) <= 0).any():
            raise ValueError("times must increase strictly")
        for name, ndim in (("outputs", (2, 3)), ("losses", 1), ("parameters", 2)):
            if name == "outputs" or getattr(self, name) is not None:
                arrays[name] = as_array(name, getattr(self, name), ndim=ndim, dtype=None)
                require_same_length("times", arrays["times"], name, arrays[name])
        arrays["outputs"] = arrays["outputs"].reshape(*arrays["outputs"].shape[:2], -1)
        if self.inputs is not None:
            arrays["inputs"] = as_inputs("inputs", self.inputs, dtype=None)
            require_same_length("inputs", arrays["inputs"], "outputs", arrays["outputs"], 0, 1)
        for name, array in arrays.items():
            object.__setattr__(self, name, array if array.dtype == np.float32 else array.astype(np.float64, copy=False))

    def __len__(self) -> int:
        return len(self.times)

    def nearest(self, time: float) -> int:
        """Return the index of the snapshot nearest to ``time``, the earlier of two that are equally near.

        Raises
        ------
        ValueError
            If ``time`` is not finite: "never" (inf) is nearest to no snapshot.
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

        Raises
        ------
        OSError
            If the file cannot be opened.
        ValueError
            If it is damaged or holds something else.
        """
        with open(path, "rb") as file:
            try:
                arrays = dict(np.load(file, allow_pickle=False))
                if set(arrays) != {f.name for f in fields(cls)}:
                    raise ValueError(f"it holds {sorted(arrays)}")
                return cls(**{name: value if value.size else None for name, value in arrays.items()})
            except Exception as error:  # a damaged archive fails in a dozen ways: zip, zlib, header, checksum, ...
                raise ValueError(f"{path} is not a saved trajectory: {error}") from error
