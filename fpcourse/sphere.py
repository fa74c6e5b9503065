"""Spherical harmonics: what waves become on S^dim, the unit sphere in R^(dim+1).

The degree k of a harmonic takes the place of a frequency. The harmonics of one degree form a space of
:func:`multiplicity` dimensions that every rotation maps to itself; :func:`zonal` is the one in it that depends on a
single direction. :func:`zonal_waves` builds targets from such harmonics, :func:`degree_norms` measures how much of a
function lies in each degree.

References
----------
C. Müller, Spherical Harmonics, Springer, 1966.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from math import comb

import numpy as np
from numpy.typing import ArrayLike

from fpcourse._arguments import as_array, as_count, as_counts, as_points, require_same_length

SPHERE_TOLERANCE = 1e-6  # how far a norm or a cosine may pass 1: the rounding of float32 inputs


def multiplicity(degree: int, dim: int) -> int:
    """Return the number of independent harmonics of ``degree`` >= 0 on S^dim, dim >= 1.

    Examples
    --------
    >>> [multiplicity(k, dim=2) for k in range(4)]  # 2 k + 1 on the ordinary sphere
    [1, 3, 5, 7]
    """
    k, d = as_count("degree", degree, minimum=0), as_count("dim", dim)
    # homogeneous polynomials of degree k in d + 1 variables, less those that |x|^2 times degree k - 2 accounts for
    return comb(k + d, d) - (comb(k + d - 2, d) if k else 0)


def zonal(t: ArrayLike, degree: int, dim: int) -> np.ndarray:
    """Return ``C_k(t) / C_k(1)``, the harmonic of degree k on S^dim that depends on one direction only.

    ``C_k`` is the Gegenbauer polynomial of index (dim - 1) / 2: Legendre's for dim = 2, cos(k angle) for dim = 1. Its
    mean square over the sphere is 1 / multiplicity(degree, dim).

    Parameters
    ----------
    t : array_like
        Cosines of the angle to the direction, any shape.
    degree, dim : int
        k >= 0 and dim >= 1.

    Examples
    --------
    >>> zonal([1.0, 0.0, -1.0], degree=2, dim=2)  # (3 t^2 - 1) / 2
    array([ 1. , -0.5,  1. ])
    """
    t, degree, dim = _cosines(t), as_count("degree", degree, minimum=0), as_count("dim", dim)
    return next(islice(zonals(t, dim), degree, None))


def zonals(t: np.ndarray, dim: int) -> Iterator[np.ndarray]:
    """Yield :func:`zonal` for degree 0, 1, 2, ... without end, by the recurrence in k.

    Examples
    --------
    >>> [float(p) for p in islice(zonals(np.array(0.5), dim=2), 4)]
    [1.0, 0.5, -0.125, -0.4375]
    """
    before, polynomial = np.zeros_like(t), np.ones_like(t)
    for k in count():
        yield polynomial
        after = ((2 * k + dim - 1) * t * polynomial - k * before) / (k + dim - 1) if k else t
        before, polynomial = polynomial, after


def fibonacci_sphere(n: int) -> np.ndarray:
    """Return n points spread evenly over S^2, (n, 3): equal steps in height, the golden angle in longitude.

    Means over them approximate integrals: of products of harmonics up to degree 6, n = 1000, to about 1e-3.

    References
    ----------
    Gonzalez, Math. Geosci. 42, 2010.

    Examples
    --------
    >>> x = fibonacci_sphere(1000)
    >>> np.mean(x[:, 0] ** 2).round(3).item()  # 1/3 over the sphere
    0.333
    """
    i = np.arange(as_count("n", n))
    height = 1 - (2 * i + 1) / n
    longitude = np.pi * (3 - np.sqrt(5)) * i
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(longitude), radius * np.sin(longitude), height], axis=1)


def zonal_waves(x: ArrayLike, degrees: ArrayLike, directions: ArrayLike) -> np.ndarray:
    """Return a zonal harmonic of unit mean square for each degree, ``sqrt(multiplicity) zonal(x . direction)``.

    Parameters
    ----------
    x : array_like
        (n, dim+1) points on S^dim.
    degrees : array_like of int
        (K,), >= 0.
    directions : array_like
        (K, dim+1), or (dim+1,) for one in common; of any length but 0.

    Returns
    -------
    ndarray
        (n, K).

    Examples
    --------
    >>> zonal_waves([[1.0, 0.0], [0.0, 1.0]], [0, 2], [1.0, 0.0]).round(3)  # on the circle: 1 and sqrt 2 cos(2 angle)
    array([[ 1.   ,  1.414],
           [ 1.   , -1.414]])
    """
    x, degrees = _on_sphere("x", x), as_counts("degrees", degrees, minimum=0)
    directions, dim = as_array("directions", directions, ndim=(1, 2)), x.shape[1] - 1
    if directions.shape not in ((dim + 1,), (len(degrees), dim + 1)):
        raise ValueError(f"directions must be {(dim + 1,)} or {(len(degrees), dim + 1)}; got {directions.shape}")
    units = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
    units = np.broadcast_to(units, (len(degrees), dim + 1))
    return np.stack(
        [multiplicity(k, dim) ** 0.5 * zonal(x @ u, k, dim) for k, u in zip(degrees, units, strict=True)], axis=1
    )


def degree_norms(x: ArrayLike, y: ArrayLike, degrees: ArrayLike) -> np.ndarray:
    """Return the root mean square, over the sphere, of the part of y in the harmonics of each degree.

    The projection is the mean over the points against the reproducing kernel ``multiplicity * zonal(x . x')``, so no
    basis is chosen. With random points the square has noise of order multiplicity / n times the mean square of y.

    Parameters
    ----------
    x : array_like
        (n, dim+1) points spread evenly over S^dim.
    y : array_like
        (n,), (n, c) or (T, n, c) values.
    degrees : array_like of int
        (K,), >= 0.

    Returns
    -------
    ndarray
        (K, c) or (T, K, c).

    Examples
    --------
    >>> x = fibonacci_sphere(500)
    >>> y = 3 * zonal_waves(x, [1], [0, 0, 1]) + 4 * zonal_waves(x, [2], [1, 0, 0])
    >>> degree_norms(x, y, [0, 1, 2])[:, 0].round(1)
    array([0., 3., 4.])
    """
    x, y, degrees = _on_sphere("x", x), as_array("y", y, ndim=(1, 2, 3)), as_counts("degrees", degrees, minimum=0)
    y = y[:, None] if y.ndim == 1 else y
    require_same_length("x", x, "y", y, 0, y.ndim - 2)
    n, dim = len(x), x.shape[1] - 1
    rows = np.moveaxis(y, -2, -1)  # (..., c, n)
    harmonics = zip(range(max(degrees) + 1), zonals(np.clip(x @ x.T, -1, 1), dim), strict=False)  # zonals never ends
    of_degree = {
        k: multiplicity(k, dim) * (rows * np.tensordot(rows, harmonic, 1)).sum(axis=-1) / n**2
        for k, harmonic in harmonics
        if k in degrees
    }
    squares = np.stack([of_degree[k] for k in degrees], axis=-2)
    return np.sqrt(np.maximum(squares, 0))  # rounding may leave a square below 0


def quarter_circle_rule(nodes: int = 16001) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return cos(theta), log sin(theta) and weights, up to a factor, of tanh-sinh quadrature over [0, pi/2].

    The nodes cluster at both ends, where kernels are singular (the pole) and high dimensions concentrate (the equator).
    One node in twenty would do for the integrals; the others average out rounding.

    References
    ----------
    Takahasi and Mori, Publ. RIMS 9, 1974.

    Examples
    --------
    >>> cosine, _, weight = quarter_circle_rule()
    >>> (weight @ cosine / weight.sum()).round(12).item()  # the mean of cos over a quarter circle, 2 / pi
    0.636619772368
    """
    s = np.linspace(-3.5, 3.5, as_count("nodes", nodes))
    q = np.exp(-np.pi * np.sinh(np.abs(s)))
    end = np.pi / 2 * q / (1 + q)  # distance from the nearer end: the pole for s < 0, else the equator
    sine, cosine = np.sin(end), np.cos(end)
    log_sine = np.where(s < 0, np.log(sine), np.log1p(-(sine**2)) / 2)
    return np.where(s < 0, cosine, sine), log_sine, np.cosh(s) * q / (1 + q) ** 2


def _on_sphere(name: str, x: ArrayLike) -> np.ndarray:
    """Return points (n, dim+1) on the unit sphere, to SPHERE_TOLERANCE, with norms of 1 to rounding."""
    x = as_points(name, x)
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    worst = np.abs(norms - 1).max()
    if worst > SPHERE_TOLERANCE:
        raise ValueError(f"{name} must lie on the unit sphere to {SPHERE_TOLERANCE:g}; a norm is off by {worst:.3g}")
    return x / norms


def _cosines(t: ArrayLike) -> np.ndarray:
    """Return cosines of angles, any shape, within [-1, 1] where rounding carried them past."""
    t = as_array("t", t)
    if np.abs(t).max() > 1 + SPHERE_TOLERANCE:
        raise ValueError(f"t is the cosine of an angle and must lie in [-1, 1]; got values up to {np.abs(t).max():g}")
    return np.clip(t, -1.0, 1.0)
