"""Read a training in frequency: what the data can show above their noise, and when the network learned it.

Two instruments (Xu, Zhang, Luo, Xiao, Ma, 2020): projection on principal directions, with a noise floor and a
permutation baseline, and filtering with a Gaussian whose variance is chosen by the data. Both see what varies: the
mean of the targets is taken out of targets and outputs first, because networks learn it in the first steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fpcourse import checks, fourier
from fpcourse.trajectory import Trajectory


@dataclass(frozen=True, eq=False)
class Projection:
    """The targets' spectrum along one direction, what chance alone would give, and the network's errors in it.

    positions (n, 1) in [0, 1]; k (K,) oscillations across the data; spectrum (K,) |y_k|; floor: what labels unrelated
    to the inputs give, root mean square; baseline (draws, K) |y_k| of permuted targets; trusted (K,) bool, where the
    spectrum stands out of both; errors (T, K), Delta_F(k) over training: read them where k is trusted; leak in [0, 1]:
    how much of a wave shows up at the next frequency, 0 for positions spread evenly. Where the points are bunched it
    is near 1, and neighbouring frequencies have one error and one learning time.
    """

    positions: np.ndarray
    k: np.ndarray
    spectrum: np.ndarray
    floor: float
    baseline: np.ndarray
    trusted: np.ndarray
    errors: np.ndarray
    leak: float


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What :func:`diagnose` found.

    times (T,); projections, one per principal direction; deltas (D,) variances of the filter and rough_shares (D,),
    the share of the targets' power that each leaves in the rough part; delta, the one used for e_low, e_high (T,).
    """

    times: np.ndarray
    projections: tuple[Projection, ...]
    deltas: np.ndarray
    rough_shares: np.ndarray
    delta: float
    e_low: np.ndarray
    e_high: np.ndarray


def diagnose(
    trajectory: Trajectory, y: ArrayLike, *, x: ArrayLike | None = None, directions: int = 1, highest: int = 20
) -> Diagnosis:
    """Turn both instruments on a recorded training.

    trajectory  T snapshots of outputs (T, n, c) with inputs (n, ...), or without and x (n, ...) given beside it
    y           (n, c) targets: values, or one-hot classes where the outputs are probabilities
    directions  how many principal directions of the inputs to project on
    highest     the largest of the frequencies k = 1, 2, ...

    A frequency is trusted where the spectrum exceeds twice the noise floor and the largest value, over all k, of 95 %
    of 200 permutations: targets that mean nothing get any frequency trusted one time in twenty. The filter's variance
    is the one, of 25, that comes nearest to cutting the targets' power in half. Distances are Euclidean: scale the
    inputs as the network sees them. Takes 25 Gaussian splits of y and one of the trajectory.
    Raises ValueError for shapes that do not match, and for targets that do not vary.
    """
    if not isinstance(trajectory, Trajectory):
        raise ValueError(f"trajectory must be a Trajectory; got {type(trajectory).__name__}")
    if x is None and trajectory.inputs is None:
        raise ValueError("the trajectory holds no inputs (they came from a loader): give x of shape (n, ...)")
    x = checks.inputs("x", trajectory.inputs if x is None else x)
    x = x.reshape(len(x), -1)
    y, highest, directions = (
        checks.points("y", y),
        checks.count("highest", highest),
        checks.count("directions", directions),
    )
    if y.shape != trajectory.outputs.shape[1:]:
        raise ValueError(f"y must have the shape of the outputs, {trajectory.outputs.shape[1:]}; got {y.shape}")
    checks.same_length("x", x, "y", y)
    if (y == y[0]).all():
        raise ValueError("y must vary; all targets are the same")
    mean = y.mean(axis=0)
    h, y = trajectory.outputs - mean, y - mean
    projections = tuple(
        _projection(fourier.project(x, direction), h, y, np.arange(1, highest + 1))
        for direction in fourier.principal_directions(x, directions)
    )
    deltas = 2 * x.var(axis=0).sum() * np.geomspace(1e-4, 1, 25)  # up to the mean squared distance of two points
    power = (y**2).sum()
    shares = np.array([(fourier.gaussian_split(x, y, delta)[1] ** 2).sum() / power for delta in deltas])
    delta = float(deltas[np.abs(shares - 0.5).argmin()])
    e_low, e_high = fourier.split_errors(x, h, y, delta)
    return Diagnosis(trajectory.times, projections, deltas, shares, delta, e_low, e_high)


def _projection(positions: np.ndarray, h: np.ndarray, y: np.ndarray, k: np.ndarray) -> Projection:
    spectrum = np.linalg.norm(fourier.nudft(positions, y, k), axis=1)
    floor = float(np.sqrt(y.var(axis=0).sum() / len(y)))  # fourier.noise_floor, for targets of any variance
    baseline = np.linalg.norm(fourier.permutation_baseline(positions, y, k, draws=200), axis=2)
    return Projection(
        positions=positions,
        k=k,
        spectrum=spectrum,
        floor=floor,
        baseline=baseline,
        trusted=spectrum > max(2 * floor, np.quantile(baseline.max(axis=1), 0.95)),
        errors=fourier.relative_error(positions, h, y, k),
        leak=float(np.abs(fourier.nudft(positions, np.ones(len(y)), [1.0])[0, 0])),
    )
