"""Frequencies of a function known at scattered points: spectra, low/high splits, and when each part is learned.

The transform is the course's: e^{-2 pi i k.x}. In high dimension one cannot scan all k, so two views are offered
(Xu, Zhang, Luo, Xiao, Ma, 2020, "Frequency principle: Fourier analysis sheds light on deep neural networks"):

* projection: ``nudft`` along one direction, usually ``principal_direction``;
* filtering: ``gaussian_split`` into a smooth part and the rest, which needs no k at all.

``y`` is a target (n, c); ``h`` is what a model makes of it, (n, c), or its whole trajectory (T, n, c).
A vector of n numbers counts as (n, 1). Arrays may be numpy or torch; results are numpy, in double precision.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fpcourse._arguments import as_array, as_count, as_inputs, as_points, as_positive, require_same_length
from fpcourse.trajectory import Trajectory

try:
    import finufft
except ImportError:  # as on Colab: the direct sum gives the same numbers
    finufft = None

_FAST_SUM_FROM = 2**19  # terms of the direct sum; below, it takes a few milliseconds
_BLOCK = 512  # rows of the kernel matrix held at once by gaussian_split
_SPLIT_ACCURACY = 1e-5  # relative accuracy of the weights in gaussian_split


def nudft(x: ArrayLike, y: ArrayLike, k: ArrayLike) -> np.ndarray:
    """Nonuniform discrete Fourier transform: y_k = 1/n sum_i y_i e^{-2 pi i k.x_i}.

    x (n, d) points, y (n, c) or (T, n, c) real values there, k (K, d) frequencies in cycles per unit of x;
    x and k may be vectors when d = 1. Returns complex128 of shape (K, c) or (T, K, c).

    A direct sum over blocks of samples: it costs n K sines and cosines, and tens of megabytes whatever n and K. Where
    finufft is installed it takes the larger sums in up to three dimensions, to 1e-12 of the mean of |y|.
    Raises ValueError for shapes that do not match and for values that are not finite. Source: Xu et al. (2020).
    """
    x, k = as_points("x", x), as_points("k", k)
    y = _values("y", y, len(x), ndim=(1, 2, 3))
    if k.shape[1] != x.shape[1]:
        raise ValueError(f"k must have one column per dimension of x; got shapes {k.shape} and {x.shape}")

    if _fast_sum_pays(x, k, y.size // len(x)):
        return _uncolumns(_fast_sum(x, _columns(y), k) / len(x), y.shape)
    real, imaginary = np.zeros((2, len(k), y.size // len(x)))
    block = max(1, 2**20 // len(k))
    for start in range(0, len(x), block):
        part = slice(start, start + block)
        phase = 2 * np.pi * (k @ x[part].T)
        columns = _columns(y[..., part, :])
        real += np.cos(phase) @ columns
        imaginary -= np.sin(phase) @ columns
    return _uncolumns((real + 1j * imaginary) / len(x), y.shape)


def _fast_sum_pays(x: np.ndarray, k: np.ndarray, columns: int) -> bool:
    """Whether finufft is there and cheaper: its grid has a few nodes per cycle, and each column costs it a run."""
    terms = len(x) * len(k)
    if finufft is None or x.shape[1] > 3 or terms < _FAST_SUM_FROM or columns > len(k) / 4:
        return False
    return np.prod(1 + np.ptp(x, axis=0) * np.ptp(k, axis=0)) < terms / 16


def _fast_sum(x: np.ndarray, columns: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Sum over the points of the columns (n, C) times e^{-2 pi i k.x}, (K, C)."""
    transform = (finufft.nufft1d3, finufft.nufft2d3, finufft.nufft3d3)[x.shape[1] - 1]
    values = np.ascontiguousarray(columns.T, dtype=np.complex128)
    points, frequencies = np.asfortranarray(2 * np.pi * x), np.asfortranarray(k)
    return transform(*points.T, values, *frequencies.T, isign=-1, eps=1e-13).reshape(len(values), -1).T


def tanh_transform(xi: ArrayLike, w: ArrayLike, b: ArrayLike = 0.0) -> np.ndarray:
    """Exact transform of one neuron, F[tanh(w x + b)](xi) = -i pi / |w| e^{2 pi i b xi / w} / sinh(pi^2 xi / w).

    xi (K,) frequencies in cycles per unit of x, none of them 0, where the transform has its pole; w (not 0) and b are
    numbers or (m,), one per neuron. Returns complex128 of shape (K,), or (K, m) where w or b is a vector.
    In the convention e^{-ikx}, k = 2 pi xi, these are the values at k. Falls like e^{-pi^2 |xi / w|}.
    Raises ValueError for xi = 0, w = 0, and w so small that b xi / w overflows.
    Source: Xu et al. (2020), with the prefactor and the phase in full.
    """
    xi, w, b = as_array("xi", xi, ndim=1), as_array("w", w, ndim=(0, 1)), as_array("b", b, ndim=(0, 1))
    for name, value in (("xi", xi), ("w", w)):
        if (value == 0).any():
            raise ValueError(f"{name} must not be 0; got {value.squeeze().tolist()}")
    if w.ndim and b.ndim:
        require_same_length("w", w, "b", b)
    xi = xi[:, None] if w.ndim or b.ndim else xi
    with np.errstate(over="ignore"):
        ratio = as_array("xi / w", xi / w)
        phase = as_array("b xi / w", b * ratio)
    u = np.pi**2 * np.abs(ratio)
    with np.errstate(over="ignore", divide="ignore"):
        over_sinh = 2 * np.sign(ratio) * np.exp(-u) / -np.expm1(-2 * u)  # 1 / sinh, without its overflow
    with np.errstate(over="ignore", invalid="ignore"):  # beside the pole
        transform = -1j * np.pi / np.abs(w) * np.exp(2j * np.pi * phase) * over_sinh
    return as_array("the transform at xi", transform, dtype=np.complex128)


def principal_direction(x: ArrayLike) -> np.ndarray:
    """Unit vector (d,) along which the points x (n, d) vary most: the first of :func:`principal_directions`."""
    return principal_directions(x, 1)[0]


def principal_directions(x: ArrayLike, count: int) -> np.ndarray:
    """The ``count`` orthogonal unit vectors (count, d) along which x (n, d) varies most: singular vectors of centred x.

    The entry of largest magnitude (the first of them, where several tie) is positive, which fixes the sign.
    Where directions tie for their variance any vectors of their plane may come back.
    Raises ValueError where the points vary in fewer directions.
    """
    from scipy.linalg import eigh  # slow to import, and only this needs it

    x, count = as_points("x", x), as_count("count", count)
    if (x == x[0]).all():
        raise ValueError(f"x must hold at least two different points; got {len(x)} copies of one point")
    centred = x - x.mean(axis=0)
    centred /= np.abs(centred).max()  # so that no square under- or overflows
    n, d = centred.shape
    # Of the two matrices with the same eigenvalues the smaller one is decomposed.
    matrix = centred.T @ centred if d <= n else centred @ centred.T
    first = max(0, len(matrix) - count)
    variances, vectors = eigh(matrix, subset_by_index=[first, len(matrix) - 1])
    spread = int((variances > 1e-12 * variances[-1]).sum())
    if spread < count:
        raise ValueError(f"x must vary in {count} directions; it does so in {spread}")
    directions = (vectors if d <= n else centred.T @ vectors).T[::-1]
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    magnitudes = np.abs(directions)
    # Tied entries differ by rounding, which must not choose the sign.
    leading = np.argmax(magnitudes > (1 - 1e-6) * magnitudes.max(axis=1, keepdims=True), axis=1)
    return directions * np.sign(directions[np.arange(count), leading])[:, None]


def project(x: ArrayLike, direction: ArrayLike) -> np.ndarray:
    """Coordinate of x (n, d) along direction (d,), shifted and rescaled to [0, 1]; shape (n, 1).

    After this k counts oscillations across the data set, whatever its units: the projected spectrum is
    ``nudft(project(x, principal_direction(x)), y, k)`` with k = 0, 1, 2, ...
    Raises ValueError where all points project onto one value. Source: Xu et al. (2020).
    """
    x, direction = as_points("x", x), as_array("direction", direction, ndim=1)
    if len(direction) != x.shape[1]:
        raise ValueError(f"direction must have one entry per dimension of x; got {direction.shape} and {x.shape}")
    centred = x - x.mean(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        coordinate = centred @ direction
        coordinate -= coordinate.min()
    width = as_array("x along direction", coordinate).max()
    with np.errstate(over="ignore"):
        rounding = 1e-12 * np.abs(centred).max() * np.linalg.norm(direction)
    if not width > rounding:  # which must not be stretched
        raise ValueError(f"x must spread along direction; the {len(x)} points given all project onto one value")
    return (coordinate / width)[:, None]


def noise_floor(p: ArrayLike, n: int) -> np.ndarray:
    """Size that |nudft| has from chance alone when a fraction p of n labels is one and the rest zero: sqrt(p(1-p)/n).

    It is the root mean square of |y_k - p 1_k| for labels drawn independently of x. p may have any shape, and the
    result has the same. Peaks under twice this floor mean nothing.
    Raises ValueError unless 0 <= p <= 1 and n is a whole number >= 1.
    """
    p, n = as_array("p", p), as_count("n", n)
    if (p < 0).any() or (p > 1).any():
        raise ValueError(f"p must be a fraction in [0, 1]; got values from {p.min():g} to {p.max():g}")
    return np.sqrt(p * (1 - p) / n)


def permutation_baseline(x: ArrayLike, y: ArrayLike, k: ArrayLike, *, draws: int = 100, seed: int = 0) -> np.ndarray:
    """|nudft| of y (n, c) after its rows are permuted among the points, ``draws`` times; float64 (draws, K, c).

    ``np.quantile(result, 0.95, axis=0)`` bounds, for each k, what labels unrelated to x would show 95 % of the time.
    The mean of y is *not* removed, so the band may be laid over |nudft(x, y, k)| as it is: it contains what the density
    of the points does by itself (mean(y) times the transform of 1), which ``noise_floor`` leaves out. At k = 0 a
    permutation changes nothing, hence the band is the single value |mean(y)| there.
    Takes 8 * draws * n * c bytes.
    """
    x = as_points("x", x)
    y = _values("y", y, len(x), ndim=(1, 2))
    draws, seed = as_count("draws", draws), as_count("seed", seed, minimum=0)
    rng = np.random.default_rng(seed)
    permuted = np.stack([rng.permutation(y) for _ in range(draws)])
    return np.abs(nudft(x, permuted, k))


def relative_error(x: ArrayLike, h: ArrayLike, y: ArrayLike, k: ArrayLike) -> np.ndarray:
    """Error by frequency, Delta_F(k) = |h_k - y_k| / |y_k|, with | | the Euclidean norm over channels.

    x (n, d), h (n, c) or (T, n, c), y (n, c), k (K, d) as in ``nudft``. Returns (K,) or (T, K).
    On a uniform 1-d grid the slides index the discrete Fourier transform: that is x = arange(n) / n and whole k.

    Raises ValueError, naming the k, where |y_k| <= 1e-12 rms(y): there is nothing to be relative to.
    Source: Xu et al. (2020).
    """
    x, k = as_points("x", x), as_points("k", k)
    h, y = _pair(h, y, len(x))
    target = np.linalg.norm(nudft(x, y, k), axis=-1)
    absent = target <= 1e-12 * np.sqrt(np.mean(np.sum(y**2, axis=-1)))
    if absent.any():
        raise ValueError(f"y must have a component at every k; it has none at k = {k[absent].squeeze().tolist()}")
    return np.linalg.norm(nudft(x, h - y, k), axis=-1) / target


def channel_errors(x: ArrayLike, h: ArrayLike, y: ArrayLike, k: ArrayLike) -> np.ndarray:
    """Delta_F(k) of every channel by itself: |h_k - y_k| / |y_k|, (K, c) or (T, K, c).

    For an ensemble, whose channels are its members. Arguments and errors as in ``relative_error``.
    """
    x, k = as_points("x", x), as_points("k", k)
    h, y = _pair(h, y, len(x))
    channels = [relative_error(x, h[..., c : c + 1], y[:, c : c + 1], k) for c in range(y.shape[1])]
    return np.stack(channels, axis=-1)


def gaussian_split(x: ArrayLike, y: ArrayLike, delta: float) -> tuple[np.ndarray, np.ndarray]:
    """Split y into (low, high): low_i = sum_j w_ij y_j / sum_j w_ij with w_ij = exp(-|x_i - x_j|^2 / (2 delta)).

    x (n, d), y (n, c) or (T, n, c); high = y - low, both of the shape of y. delta is a variance, in squared units of x:
    a large one moves everything but the mean into ``high``, a small one moves everything into ``low``.

    Works on strips of 512 rows, right of the diagonal only since w is symmetric, so memory is O(512 n) and time half
    that of the full matrix. Weights are good to about 1e-5: single precision where that is enough, else double.
    Raises ValueError for a delta so small against the spread of x (1e-11 of its square) that not even double will do.
    Source: Xu et al. (2020), Gaussian filter with normalised rows.
    """
    x, delta = as_points("x", x), as_positive("delta", delta)
    y = _values("y", y, len(x), ndim=(1, 2, 3))
    with np.errstate(over="ignore"):
        z = (x - x.mean(axis=0)) / np.sqrt(delta)
        half = np.sum(z**2, axis=1) / 2
    # The exponent is z_i.z_j - half_i - half_j. It cancels, and so is off by about eps max(half).
    enough = [t for t in (np.float32, np.float64) if np.finfo(t).eps * half.max() <= _SPLIT_ACCURACY]
    if not enough:
        raise ValueError(f"delta must be > 1e-11 times the largest squared distance of x from its mean; got {delta:g}")
    dtype = enough[0]
    z, half = z.astype(dtype), half.astype(dtype)

    # A constant passes the filter unchanged. Taking the mean out keeps single precision for what varies.
    columns = _columns(y)
    mean = columns.mean(axis=0)
    columns = columns - mean
    scale = np.abs(columns).max() or 1.0
    weighted = np.hstack([columns / scale, np.ones((len(x), 1))]).astype(dtype)  # last: the row sums

    sums = np.zeros(weighted.shape)
    for start in range(0, len(x), _BLOCK):
        stop = min(start + _BLOCK, len(x))
        weights = z[start:stop] @ z[start:].T
        weights -= half[start:stop, None]
        weights -= half[start:]
        np.clip(weights, -80, 0, out=weights)  # rounding above 0; below -80 a weight is nil, but denormals are slow
        np.fill_diagonal(weights, 0)
        np.exp(weights, out=weights)
        sums[start:stop] += weights @ weighted[start:]
        sums[stop:] += weights[:, stop - start :].T @ weighted[start:stop]
    low = _uncolumns(sums[:, :-1] / sums[:, -1:] * scale + mean, y.shape)
    return low, y - low


def split_errors(x: ArrayLike, h: ArrayLike, y: ArrayLike, delta: float) -> tuple[np.ndarray, np.ndarray]:
    """Relative errors (e_low, e_high) of the two parts of ``gaussian_split``; shapes () or (T,).

    e_low = sqrt(sum |y_low - h_low|^2 / sum |y_low|^2), sums over samples and channels, and likewise e_high.
    x (n, d), h (n, c) or (T, n, c), y (n, c); delta is a variance.
    Raises ValueError where a part of y is less than 1e-5 of y, which is all that the split resolves.
    Source: Xu et al. (2020).
    """
    x = as_points("x", x)
    h, y = _pair(h, y, len(x))
    snapshots = h if h.ndim == 3 else h[None]
    # The split is linear, so that of h - y is the difference of the splits.
    parts = gaussian_split(x, np.concatenate([y[None], snapshots - y]), delta)
    errors = []
    for name, part in zip(("low", "high"), parts, strict=True):
        target, *differences = np.linalg.norm(part, axis=(1, 2))
        if target <= _SPLIT_ACCURACY * np.linalg.norm(y):
            raise ValueError(f"y must have a {name} part at delta = {delta:g}; got one of norm {target:.3g}")
        errors.append(np.array(differences) / target)
    e_low, e_high = errors if h.ndim == 3 else (e[0] for e in errors)
    return e_low, e_high


def first_below(errors: ArrayLike, times: ArrayLike, threshold: float) -> float | np.ndarray:
    """First recorded time at which errors < threshold (strictly); inf where that never happens.

    errors (T,) or (T, ...), times (T,) ascending, in whatever unit they carry. Returns a float, or errors' shape
    without T. The error may rise again later: a learning time is :func:`learned_at`.
    """
    errors, times = _errors_over_time(errors, times, threshold)
    below = errors < threshold
    found = np.where(below.any(axis=0), times[below.argmax(axis=0)], np.inf)
    return found if errors.ndim > 1 else float(found)


def learned_at(errors: ArrayLike, times: ArrayLike, threshold: float) -> float | np.ndarray:
    """First recorded time from which errors *stay* below the threshold; inf where the last one is not below it.

    Arguments and shapes as in :func:`first_below`. First passage misleads where curves oscillate: Adam's dip early, and
    rise again.
    """
    errors, times = _errors_over_time(errors, times, threshold)
    above = ~(errors < threshold)
    last = len(times) - 1 - above[::-1].argmax(axis=0)  # the last one that is not below
    since = np.where(above.any(axis=0), last + 1, 0)
    found = np.append(times, np.inf)[since]
    return found if errors.ndim > 1 else float(found)


def slope(x: ArrayLike, y: ArrayLike) -> float:
    """The power p of the law y ~ x^p fitted to positive numbers (K,): the slope of log y against log x, least squares."""
    x, y = as_array("x", x, ndim=1), as_array("y", y, ndim=1)
    require_same_length("x", x, "y", y)
    if len(x) < 2 or min(x.min(), y.min()) <= 0:
        raise ValueError(
            f"a power law takes at least two points, all > 0; got {len(x)}, down to {min(x.min(), y.min())}"
        )
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def _errors_over_time(errors: ArrayLike, times: ArrayLike, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    errors, times = as_array("errors", errors), as_array("times", times, ndim=1)
    as_positive("threshold", threshold)
    if errors.ndim == 0:
        raise ValueError("errors must have shape (T,) or (T, ...); got a single number")
    require_same_length("errors", errors, "times", times)
    if (np.diff(times) <= 0).any():
        raise ValueError("times must be strictly ascending")
    return errors, times


def _values(name: str, y: ArrayLike, n: int, *, ndim: tuple[int, ...]) -> np.ndarray:
    """Return ``y`` as (n, c) or (T, n, c) after checking that it has one row per point."""
    y = as_array(name, y, ndim=ndim)
    y = y[:, None] if y.ndim == 1 else y
    if y.shape[-2] != n:
        raise ValueError(f"{name} must have one row for each of the {n} points of x; got shape {y.shape}")
    return y


def _pair(h: ArrayLike, y: ArrayLike, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return outputs h, (n, c) or (T, n, c), and their target y (n, c)."""
    h, y = _values("h", h, n, ndim=(1, 2, 3)), _values("y", y, n, ndim=(1, 2))
    if h.shape[-1] != y.shape[-1]:
        raise ValueError(f"h and y must have the same number of channels; got shapes {h.shape} and {y.shape}")
    return h, y


def _columns(y: np.ndarray) -> np.ndarray:
    """(T, n, c) -> (n, T c): every channel of every snapshot a column, so that one matrix product serves them all."""
    return np.moveaxis(y, -2, 0).reshape(y.shape[-2], -1)


def _uncolumns(columns: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Undo ``_columns`` for a y of this shape; the number of rows may have changed."""
    return np.moveaxis(columns.reshape(len(columns), *shape[:-2], shape[-1]), 0, -2)


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
    x = as_inputs("x", trajectory.inputs if x is None else x)
    x = x.reshape(len(x), -1)
    y, highest, directions = (
        as_points("y", y),
        as_count("highest", highest),
        as_count("directions", directions),
    )
    if y.shape != trajectory.outputs.shape[1:]:
        raise ValueError(f"y must have the shape of the outputs, {trajectory.outputs.shape[1:]}; got {y.shape}")
    require_same_length("x", x, "y", y)
    if (y == y[0]).all():
        raise ValueError("y must vary; all targets are the same")
    mean = y.mean(axis=0)
    h, y = trajectory.outputs - mean, y - mean
    projections = tuple(
        _projection(project(x, direction), h, y, np.arange(1, highest + 1))
        for direction in principal_directions(x, directions)
    )
    deltas = 2 * x.var(axis=0).sum() * np.geomspace(1e-4, 1, 25)  # up to the mean squared distance of two points
    power = (y**2).sum()
    shares = np.array([(gaussian_split(x, y, delta)[1] ** 2).sum() / power for delta in deltas])
    delta = float(deltas[np.abs(shares - 0.5).argmin()])
    e_low, e_high = split_errors(x, h, y, delta)
    return Diagnosis(trajectory.times, projections, deltas, shares, delta, e_low, e_high)


def _projection(positions: np.ndarray, h: np.ndarray, y: np.ndarray, k: np.ndarray) -> Projection:
    spectrum = np.linalg.norm(nudft(positions, y, k), axis=1)
    floor = float(np.sqrt(y.var(axis=0).sum() / len(y)))  # noise_floor, for targets of any variance
    baseline = np.linalg.norm(permutation_baseline(positions, y, k, draws=200), axis=2)
    return Projection(
        positions=positions,
        k=k,
        spectrum=spectrum,
        floor=floor,
        baseline=baseline,
        trusted=spectrum > max(2 * floor, np.quantile(baseline.max(axis=1), 0.95)),
        errors=relative_error(positions, h, y, k),
        leak=float(np.abs(nudft(positions, np.ones(len(y)), [1.0])[0, 0])),
    )
