"""Frequencies of a function known at scattered points: spectra, low/high splits, and when each part is learned.

The transform is the course's, ``e^{-2 pi i k . x}``. In high dimension one cannot scan all k; two views remain:

* projection: :func:`nudft` along one direction, usually :func:`principal_direction`;
* filtering: :func:`gaussian_split` into a smooth part and the rest, which needs no k at all.

x are points (n, d), y is a target (n, c) and h what a model makes of it, (n, c), or its whole trajectory (T, n, c).
Vectors count as one column. Arrays may be numpy or torch; results are numpy, in double precision.

References
----------
Xu, Zhang, Luo, Xiao, Ma, Commun. Comput. Phys. 28, 2020, "Frequency principle: Fourier analysis sheds light on deep
neural networks".
"""

from __future__ import annotations

from collections.abc import Callable
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
    """Return the nonuniform Fourier transform ``y_k = 1/n sum_i y_i e^{-2 pi i k . x_i}``, (K, c) or (T, K, c) complex.

    It is a direct sum over blocks of samples, n K sines and cosines in tens of megabytes; or finufft's, where that is
    installed and faster, to 1e-12 of the mean of ``|y|``.

    Parameters
    ----------
    x, y : array_like
        (n, d) points and real values there, (n, c) or (T, n, c).
    k : array_like
        (K, d) frequencies in cycles per unit of x.

    Examples
    --------
    >>> x = np.arange(8) / 8
    >>> np.abs(nudft(x, np.cos(2 * np.pi * 3 * x), [0, 1, 3]))[:, 0].round(6)
    array([0. , 0. , 0.5])
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
    """Return whether finufft is cheaper: its grid has a few nodes per cycle, and each column costs it a run."""
    terms = len(x) * len(k)
    if finufft is None or x.shape[1] > 3 or terms < _FAST_SUM_FROM or columns > len(k) / 4:
        return False
    return np.prod(1 + np.ptp(x, axis=0) * np.ptp(k, axis=0)) < terms / 16


def _fast_sum(x: np.ndarray, columns: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Return the sum over the points of the columns (n, C) times e^{-2 pi i k . x}, (K, C)."""
    transform = (finufft.nufft1d3, finufft.nufft2d3, finufft.nufft3d3)[x.shape[1] - 1]
    values = np.ascontiguousarray(columns.T, dtype=np.complex128)
    points, frequencies = np.asfortranarray(2 * np.pi * x), np.asfortranarray(k)
    return transform(*points.T, values, *frequencies.T, isign=-1, eps=1e-13).reshape(len(values), -1).T


def tanh_transform(xi: ArrayLike, w: ArrayLike, b: ArrayLike = 0.0) -> np.ndarray:
    """Return the transform ``-i pi / |w| e^{2 pi i b xi / w} / sinh(pi^2 xi / w)`` of one neuron, tanh(w x + b).

    It decays like ``e^{-pi^2 |xi / w|}``. In the convention ``e^{-i k x}``, k = 2 pi xi, these are the values at k.

    Parameters
    ----------
    xi : array_like
        (K,) frequencies in cycles per unit of x, not 0, where the transform has its pole.
    w, b : array_like
        Numbers or (m,), one per neuron; w is not 0. The result is (K,), or (K, m) where one of them is a vector.

    Examples
    --------
    >>> np.abs(tanh_transform([0.1, 0.2, 0.4], w=1.0)).round(3)
    array([2.72 , 0.89 , 0.121])
    """
    xi, w, b = as_array("xi", xi, ndim=1), as_array("w", w, ndim=(0, 1)), as_array("b", b, ndim=(0, 1))
    if not (xi.all() and w.all()):
        raise ValueError("xi and w must be non-zero: the transform diverges there")
    w, b = np.broadcast_arrays(w, b)
    ratio = np.divide.outer(xi, w)
    u = np.pi**2 * np.abs(ratio)
    over_sinh = np.sign(ratio) * 2 * np.exp(-u) / -np.expm1(-2 * u)  # 1 / sinh, which would overflow
    return -1j * np.pi / np.abs(w) * np.exp(2j * np.pi * b * ratio) * over_sinh


def principal_direction(x: ArrayLike) -> np.ndarray:
    """Return the unit vector (d,) along which the points x (n, d) vary most.

    Examples
    --------
    >>> principal_direction([[0.0, 1.0], [3.0, 5.0]]).round(3)
    array([0.6, 0.8])
    """
    return principal_directions(x, 1)[0]


def principal_directions(x: ArrayLike, count: int) -> np.ndarray:
    """Return the orthogonal unit vectors (count, d) along which x (n, d) varies most: singular vectors of centred x.

    The sign is such that the entry of largest magnitude is positive, the first of them where several tie.

    Raises
    ------
    ValueError
        If the points vary in fewer directions.

    Examples
    --------
    >>> principal_directions([[0.0, 0.0], [4.0, 0.0], [2.0, 1.0]], 2).round(3) + 0.0
    array([[1., 0.],
           [0., 1.]])
    """
    from scipy.linalg import eigh  # slow to import, and only this needs it

    x, count = as_points("x", x), as_count("count", count)
    centred = x - x.mean(axis=0)
    n, d = centred.shape
    # Of the two matrices with the same eigenvalues the smaller one is decomposed.
    matrix = centred.T @ centred if d <= n else centred @ centred.T
    first = max(0, len(matrix) - count)
    variances, vectors = eigh(matrix, subset_by_index=[first, len(matrix) - 1])
    spread = int((variances > 1e-12 * variances[-1]).sum()) if np.ptp(x, axis=0).any() else 0
    if spread < count:
        raise ValueError(f"x must vary in {count} direction(s); it does so in {spread}")
    directions = (vectors if d <= n else centred.T @ vectors).T[::-1]
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    magnitudes = np.abs(directions)
    # Tied entries differ by rounding, which must not choose the sign.
    leading = np.argmax(magnitudes > (1 - 1e-6) * magnitudes.max(axis=1, keepdims=True), axis=1)
    return directions * np.sign(directions[np.arange(count), leading])[:, None]


def project(x: ArrayLike, direction: ArrayLike) -> np.ndarray:
    """Return the coordinate (n, 1) of x (n, d) along direction (d,), shifted and rescaled to [0, 1].

    After this k counts oscillations across the data set, whatever its units: the projected spectrum is
    ``nudft(project(x, principal_direction(x)), y, k)`` with k = 0, 1, 2, ...

    Examples
    --------
    >>> project([[0.0, 0.0], [1.0, 1.0], [4.0, 9.0]], [2.0, 0.0])[:, 0]
    array([0.  , 0.25, 1.  ])
    """
    x, direction = as_points("x", x), as_array("direction", direction, ndim=1)
    if len(direction) != x.shape[1]:
        raise ValueError(f"direction must have one entry per dimension of x; got {direction.shape} and {x.shape}")
    centred = x - x.mean(axis=0)
    coordinate = centred @ direction
    width = np.ptp(coordinate)
    if width <= 1e-12 * np.abs(centred).max() * np.linalg.norm(direction):  # rounding, which must not be stretched
        raise ValueError(f"x must spread along direction; the {len(x)} points given all project onto one value")
    return ((coordinate - coordinate.min()) / width)[:, None]


def noise_floor(p: ArrayLike, n: int) -> np.ndarray:
    """Return the root mean square ``sqrt(p (1 - p) / n)`` of ``|nudft|`` of n random labels, 1 with probability p.

    They do not depend on x, and their mean is taken out. Peaks below twice this floor mean nothing. p has any shape.

    Examples
    --------
    >>> noise_floor([0.5, 0.1], 100)
    array([0.05, 0.03])
    """
    p, n = as_array("p", p), as_count("n", n)
    if p.min() < 0 or p.max() > 1:
        raise ValueError(f"p must be a fraction in [0, 1]; got values from {p.min():g} to {p.max():g}")
    return np.sqrt(p * (1 - p) / n)


def permutation_baseline(x: ArrayLike, y: ArrayLike, k: ArrayLike, *, draws: int = 100, seed: int = 0) -> np.ndarray:
    """Return ``|nudft|``, (draws, K, c), of y (n, c) after its rows are permuted among the points, ``draws`` times.

    ``np.quantile(result, 0.95, axis=0)`` bounds, for each k, what labels unrelated to x show 95 % of the time. The mean
    of y is not removed, so that the band may be laid over ``|nudft(x, y, k)|``: it contains what the density of the
    points does by itself, which :func:`noise_floor` leaves out. Takes 8 * draws * n * c bytes.

    Examples
    --------
    >>> x = np.arange(100) / 100
    >>> band = permutation_baseline(x, np.cos(2 * np.pi * x), [1.0, 2.0])
    >>> band.shape, bool(band.max() < 0.25)  # the spectrum has 0.5 at k = 1
    ((100, 2, 1), True)
    """
    x = as_points("x", x)
    y = _values("y", y, len(x), ndim=(1, 2))
    rng = np.random.default_rng(as_count("seed", seed, minimum=0))
    permuted = np.stack([rng.permutation(y) for _ in range(as_count("draws", draws))])
    return np.abs(nudft(x, permuted, k))


def relative_error(x: ArrayLike, h: ArrayLike, y: ArrayLike, k: ArrayLike) -> np.ndarray:
    """Return the error by frequency, ``Delta_F(k) = |h_k - y_k| / |y_k|``, (K,) or (T, K), norms over channels.

    Parameters
    ----------
    x, h, y : array_like
        (n, d), (n, c) or (T, n, c), (n, c). With x = arange(n) / n and whole k this is the discrete Fourier transform.
    k : array_like
        (K, d) frequencies, at each of which ``|y_k|`` exceeds 1e-12 rms(y).

    Examples
    --------
    >>> x = np.arange(8) / 8
    >>> low, high = np.cos(2 * np.pi * x), np.cos(2 * np.pi * 3 * x)
    >>> relative_error(x, low + high / 4, low + high, [1, 3]).round(6)
    array([0.  , 0.75])
    """
    x, h, y = _triple(x, h, y)
    return _relative_error(lambda values: np.linalg.norm(values, axis=-1), x, h, y, k)


def channel_errors(x: ArrayLike, h: ArrayLike, y: ArrayLike, k: ArrayLike) -> np.ndarray:
    """Return ``Delta_F(k)`` of every channel by itself, (K, c) or (T, K, c): for an ensemble, of each member.

    Arguments are those of :func:`relative_error`; y may also be one target, (n,) or (n, 1), for all channels.

    Examples
    --------
    >>> x = np.arange(8) / 8
    >>> y = np.cos(2 * np.pi * x)
    >>> channel_errors(x, np.stack([y, y / 4], axis=1), y, [1]).round(6)
    array([[0.  , 0.75]])
    """
    return _relative_error(np.abs, *_triple(x, h, y, one_target=True), k)


def _relative_error(
    norm: Callable[[np.ndarray], np.ndarray], x: np.ndarray, h: np.ndarray, y: np.ndarray, k: ArrayLike
) -> np.ndarray:
    k = as_points("k", k)
    target = norm(nudft(x, y, k))
    absent = (target <= 1e-12 * np.sqrt(np.mean(norm(y) ** 2, axis=0))).reshape(len(k), -1).any(axis=1)
    if absent.any():
        raise ValueError(f"y must have a component at every k; it has none at k = {k[absent].squeeze().tolist()}")
    return norm(nudft(x, h - y, k)) / target


def gaussian_split(x: ArrayLike, y: ArrayLike, delta: float) -> tuple[np.ndarray, np.ndarray]:
    """Split y into (low, high): ``low_i = sum_j w_ij y_j / sum_j w_ij``, ``w_ij = exp(-|x_i - x_j|^2 / (2 delta))``.

    Memory is O(512 n), and the weights are right to about 1e-5: single precision where that is enough, else double.

    Parameters
    ----------
    x, y : array_like
        (n, d) points and values, (n, c) or (T, n, c).
    delta : float
        A variance, in squared units of x. A large one leaves only the mean in ``low``, a small one everything.

    Examples
    --------
    >>> x = np.arange(200) / 200
    >>> low, high = gaussian_split(x, np.cos(2 * np.pi * x) + np.cos(2 * np.pi * 40 * x), 1e-3)
    >>> low[50:151:50, 0].round(1) + 0.0  # the first wave, little damped
    array([ 0., -1.,  0.])
    """
    x, delta = as_points("x", x), as_positive("delta", delta)
    y = _values("y", y, len(x), ndim=(1, 2, 3))
    columns = _columns(y)
    mean = columns.mean(axis=0)  # a constant passes unchanged; without it single precision serves what varies
    weighted = np.hstack([columns - mean, np.ones((len(x), 1))])  # last: the row sums
    sums = _gaussian_sums((x - x.mean(axis=0)) / np.sqrt(delta), weighted)
    low = _uncolumns(sums[:, :-1] / sums[:, -1:] + mean, y.shape)
    return low, y - low


def _gaussian_sums(z: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return ``sum_j exp(-|z_i - z_j|^2 / 2) columns_j``, by strips of the matrix right of its diagonal."""
    half = np.sum(z**2, axis=1) / 2
    # The exponent is z_i.z_j - half_i - half_j. It cancels, and so is off by about eps max(half).
    enough = [t for t in (np.float32, np.float64) if np.finfo(t).eps * half.max() <= _SPLIT_ACCURACY]
    if not enough:
        raise ValueError("delta must be > 1e-11 times the largest squared distance of x from its mean")
    z, half, columns = (array.astype(enough[0]) for array in (z, half, columns))
    sums = np.zeros(columns.shape)
    for start in range(0, len(z), _BLOCK):
        stop = min(start + _BLOCK, len(z))
        weights = z[start:stop] @ z[start:].T
        weights -= half[start:stop, None]
        weights -= half[start:]
        np.clip(weights, -80, 0, out=weights)  # rounding above 0; below -80 a weight is nil, but denormals are slow
        np.fill_diagonal(weights, 0)
        np.exp(weights, out=weights)
        sums[start:stop] += weights @ columns[start:]
        sums[stop:] += weights[:, stop - start :].T @ columns[start:stop]
    return sums


def split_errors(x: ArrayLike, h: ArrayLike, y: ArrayLike, delta: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the relative errors (e_low, e_high) of the two parts of :func:`gaussian_split`, numbers or (T,).

    ``e_low = sqrt(sum |h_low - y_low|^2 / sum |y_low|^2)``, sums over samples and channels, and likewise e_high. Each
    part of y must be at least 1e-5 of y, which is what the split resolves.

    Examples
    --------
    >>> x = np.arange(200) / 200
    >>> low, high = np.cos(2 * np.pi * x), np.cos(2 * np.pi * 40 * x)
    >>> [round(float(e), 1) for e in split_errors(x, low, low + high, 1e-3)]  # the smooth part has been learned
    [0.0, 1.0]
    """
    x, h, y = _triple(x, h, y)
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
    """Return the first recorded time at which errors < threshold; inf where that never happens.

    The error may rise again later: a learning time is :func:`learned_at`.

    Parameters
    ----------
    errors, times : array_like
        (T,) or (T, ...), and (T,) strictly ascending, in any unit. The result is a float, or has shape (...).

    Examples
    --------
    >>> first_below([1.0, 0.1, 0.5, 0.1], [0, 1, 2, 3], threshold=0.2)
    1.0
    """
    errors, times = _errors_over_time(errors, times, threshold)
    below = errors < threshold
    found = np.where(below.any(axis=0), times[below.argmax(axis=0)], np.inf)
    return found if errors.ndim > 1 else float(found)


def learned_at(errors: ArrayLike, times: ArrayLike, threshold: float) -> float | np.ndarray:
    """Return the first recorded time from which errors *stay* below the threshold; inf if the last one is not below it.

    Arguments are those of :func:`first_below`, which misleads where curves oscillate: Adam's dip early, and rise again.

    Examples
    --------
    >>> learned_at([1.0, 0.1, 0.5, 0.1], [0, 1, 2, 3], threshold=0.2)
    3.0
    """
    errors, times = _errors_over_time(errors, times, threshold)
    above = ~(errors < threshold)
    last = len(times) - 1 - above[::-1].argmax(axis=0)  # the last one that is not below
    found = np.append(times, np.inf)[np.where(above.any(axis=0), last + 1, 0)]
    return found if errors.ndim > 1 else float(found)


def slope(x: ArrayLike, y: ArrayLike) -> float:
    """Return the power p of the law y ~ x^p fitted to positive numbers (K,), by least squares on the logarithms.

    Examples
    --------
    >>> round(slope([1, 2, 4], [3, 12, 48]), 6)
    2.0
    """
    x, y = as_array("x", x, ndim=1), as_array("y", y, ndim=1)
    require_same_length("x", x, "y", y)
    smallest = min(x.min(), y.min())
    if len(x) < 2 or smallest <= 0:
        raise ValueError(f"a power law takes at least two points, all > 0; got {len(x)}, down to {smallest:g}")
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def _errors_over_time(errors: ArrayLike, times: ArrayLike, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    errors, times = as_array("errors", errors), as_array("times", times, ndim=1)
    as_positive("threshold", threshold)
    require_same_length("errors", np.atleast_1d(errors), "times", times)
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


def _triple(
    x: ArrayLike, h: ArrayLike, y: ArrayLike, *, one_target: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return points (n, d), outputs (n, c) or (T, n, c) and their target (n, c), one column of which may serve all."""
    x = as_points("x", x)
    h, y = _values("h", h, len(x), ndim=(1, 2, 3)), _values("y", y, len(x), ndim=(1, 2))
    if one_target and y.shape[1] == 1:
        y = np.tile(y, h.shape[-1])
    if h.shape[-1] != y.shape[-1]:
        raise ValueError(f"h and y must have the same number of channels; got shapes {h.shape} and {y.shape}")
    return x, h, y


def _columns(y: np.ndarray) -> np.ndarray:
    """(T, n, c) -> (n, T c): every channel of every snapshot a column, so that one matrix product serves them all."""
    return np.moveaxis(y, -2, 0).reshape(y.shape[-2], -1)


def _uncolumns(columns: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Undo ``_columns`` for a y of this shape; the number of rows may have changed."""
    return np.moveaxis(columns.reshape(len(columns), *shape[:-2], shape[-1]), 0, -2)


@dataclass(frozen=True, eq=False)
class Projection:
    """The spectrum of the targets along one direction, what chance alone gives, and the errors of the network in it.

    Examples
    --------
    >>> x = np.arange(60) / 60
    >>> y = np.cos(2 * np.pi * 3 * x)
    >>> (along,) = diagnose(Trajectory([0.0], y[None] / 4, inputs=x), y, highest=5).projections
    >>> along.k[along.trusted], along.errors[:, along.trusted].round(2)
    (array([3]), array([[0.75]]))
    """

    positions: np.ndarray  #: (n, 1) in [0, 1]
    k: np.ndarray  #: (K,) oscillations across the data
    spectrum: np.ndarray  #: (K,) norm of the transform of the targets over the channels
    floor: float  #: its root mean square for labels unrelated to the inputs
    baseline: np.ndarray  #: (draws, K) spectra of permuted targets
    trusted: np.ndarray  #: (K,) bool, where the spectrum exceeds both, and the errors mean something
    errors: np.ndarray  #: (T, K) relative errors by frequency
    #: How much of a wave shows up at the next frequency, 0 for positions spread evenly. Near 1, for bunched points,
    #: neighbouring frequencies have one error and one learning time.
    leak: float


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What :func:`diagnose` found.

    Examples
    --------
    >>> x = np.arange(60) / 60
    >>> y = np.cos(2 * np.pi * 3 * x)
    >>> found = diagnose(Trajectory([0.0, 1.0], [0 * y, y], inputs=x), y, highest=5)
    >>> found.e_low.round(4), bool(abs(found.rough_shares - 0.5).min() < 0.2)
    (array([1., 0.]), True)
    """

    times: np.ndarray  #: (T,)
    projections: tuple[Projection, ...]  #: one per principal direction
    deltas: np.ndarray  #: (D,) variances of the filter
    rough_shares: np.ndarray  #: (D,) the fraction of the targets' power that each leaves in the rough part
    delta: float  #: the variance used for the errors
    e_low: np.ndarray  #: (T,) as by :func:`split_errors`
    e_high: np.ndarray  #: (T,)


def diagnose(
    trajectory: Trajectory, y: ArrayLike, *, x: ArrayLike | None = None, directions: int = 1, highest: int = 20
) -> Diagnosis:
    """Read a recorded training in frequency, by projection and by filtering.

    A frequency is trusted where the spectrum exceeds twice the noise floor and the largest value, over all k, of 95 %
    of 200 permutations: targets that mean nothing get any frequency trusted one time in twenty. The filter's variance
    is the one of 25 that comes nearest to cutting the targets' power in half. Distances are Euclidean: scale the inputs
    as the network sees them. Takes 25 Gaussian splits of y and one of the trajectory.

    Parameters
    ----------
    trajectory : Trajectory
        Outputs (T, n, c) with inputs (n, ...).
    y : array_like
        (n, c) targets: values, or one-hot classes where the outputs are probabilities.
    x : array_like, optional
        (n, ...) inputs, where the trajectory holds none.
    directions : int
        Number of principal directions of the inputs to project on.
    highest : int
        The largest of the frequencies k = 1, 2, ...

    Examples
    --------
    >>> x = np.arange(60) / 60
    >>> y = np.cos(2 * np.pi * x) + np.cos(2 * np.pi * 4 * x)
    >>> learned = Trajectory([0.0, 1.0], [0 * x, np.cos(2 * np.pi * x)], inputs=x)
    >>> found = diagnose(learned, y, highest=6)
    >>> found.projections[0].k[found.projections[0].trusted]
    array([1, 4])
    """
    if x is None and trajectory.inputs is None:
        raise ValueError("the trajectory holds no inputs (they came from a loader): give x of shape (n, ...)")
    x = as_inputs("x", trajectory.inputs if x is None else x)
    x, y, highest = x.reshape(len(x), -1), as_points("y", y), as_count("highest", highest)
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
    shares = np.array([(gaussian_split(x, y, delta)[1] ** 2).sum() for delta in deltas]) / (y**2).sum()
    delta = float(deltas[np.abs(shares - 0.5).argmin()])
    return Diagnosis(trajectory.times, projections, deltas, shares, delta, *split_errors(x, h, y, delta))


def _projection(positions: np.ndarray, h: np.ndarray, y: np.ndarray, k: np.ndarray) -> Projection:
    spectrum = np.linalg.norm(nudft(positions, y, k), axis=1)
    floor = float(np.sqrt(y.var(axis=0).sum() / len(y)))  # noise_floor, for targets of any variance
    baseline = np.linalg.norm(permutation_baseline(positions, y, k, draws=200), axis=2)
    trusted = spectrum > max(2 * floor, np.quantile(baseline.max(axis=1), 0.95))
    leak = float(np.abs(nudft(positions, np.ones(len(y)), [1.0])[0, 0]))
    return Projection(positions, k, spectrum, floor, baseline, trusted, relative_error(positions, h, y, k), leak)
