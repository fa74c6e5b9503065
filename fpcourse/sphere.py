"""Spherical harmonics: what waves become on the sphere S^dim of unit vectors in R^(dim+1).

The degree k of a harmonic takes the place of a frequency. Harmonics of one degree form a space of
:func:`multiplicity` dimensions that no rotation leaves; :func:`zonal` is the one in it that depends on a single
direction, :func:`zonal_waves` makes targets of such, and :func:`degree_norms` measures how much of a function lies in
it. Müller, Spherical Harmonics (Springer 1966).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from math import comb

import numpy as np

from fpcourse._arguments import as_array, as_count, as_points, require_same_length

SPHERE_TOLERANCE = 1e-6  # how far a norm or a cosine may pass 1: the rounding of float32 inputs, no more


def multiplicity(degree: int, dim: int) -> int:
    """Number of independent spherical harmonics of ``degree`` >= 0 on S^dim, dim >= 1: 2 degree + 1 on S^2.

    Raises ValueError for other arguments.
    """
    k, d = as_count("degree", degree, minimum=0), as_count("dim", dim)
    # homogeneous polynomials of degree k in d + 1 variables, less those that |x|^2 times degree k - 2 accounts for
    return comb(k + d, d) - (comb(k + d - 2, d) if k else 0)


def zonal(t, degree: int, dim: int) -> np.ndarray:
    """C_k(t) / C_k(1): the harmonic of ``degree`` k on S^dim that depends on t = cos(angle to a direction) only.

    t any shape, |t| <= 1 -> float64 of the shape of t. C_k is the Gegenbauer polynomial of index (dim - 1) / 2: that of
    Legendre for dim = 2, cos(k angle) for dim = 1. Over the sphere its mean square is 1 / multiplicity(degree, dim).
    Raises ValueError for |t| > 1 + 1e-6, degree < 0 and dim < 1.
    """
    t = as_array("t", t)
    degree, dim = as_count("degree", degree, minimum=0), as_count("dim", dim)
    if np.abs(t).max() > 1 + SPHERE_TOLERANCE:
        raise ValueError(f"t is the cosine of an angle and must lie in [-1, 1]; got values up to {np.abs(t).max():g}")
    return next(islice(zonals(t, dim), degree, None))


def zonals(t: np.ndarray, dim: int) -> Iterator[np.ndarray]:
    """:func:`zonal` for degree 0, 1, 2, ... without end, by the recurrence of the Gegenbauer polynomials in k."""
    before, polynomial = np.zeros_like(t), np.ones_like(t)
    for k in count():
        yield polynomial
        after = ((2 * k + dim - 1) * t * polynomial - k * before) / (k + dim - 1) if k else t
        before, polynomial = polynomial, after


def fibonacci_sphere(n: int) -> np.ndarray:
    """(n, 3) float64 points spread evenly over S^2: equal steps in height, the golden angle in longitude.

    Means over them come close to integrals: for products of harmonics up to degree 6 and n = 1000 to about 1e-3
    (Gonzalez, Math. Geosci. 42, 2010). Raises ValueError unless n is a whole number >= 1.
    """
    i = np.arange(as_count("n", n))
    height = 1 - (2 * i + 1) / n
    longitude = np.pi * (3 - np.sqrt(5)) * i
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(longitude), radius * np.sin(longitude), height], axis=1)


def zonal_waves(x, degrees, directions) -> np.ndarray:
    """One zonal harmonic of unit mean square over S^dim for each degree: sqrt(multiplicity) zonal(x.direction).

    x           (n, dim+1) points on S^dim
    degrees     whole numbers >= 0, shape (K,)
    directions  (K, dim+1), or (dim+1,) for one in common; of any length but 0

    Returns float64 (n, K). Raises ValueError for points off the sphere and shapes that disagree.
    """
    x, degrees = _on_sphere(x), _whole(degrees)
    directions, dim = as_array("directions", directions, ndim=(1, 2)), x.shape[1] - 1
    if directions.shape not in ((dim + 1,), (len(degrees), dim + 1)):
        raise ValueError(f"directions must be {(dim + 1,)} or {(len(degrees), dim + 1)}; got {directions.shape}")
    lengths = np.linalg.norm(directions, axis=-1, keepdims=True)
    if not lengths.all():
        raise ValueError("directions must not be zero")
    directions = np.broadcast_to(directions / lengths, (len(degrees), dim + 1))
    waves = [multiplicity(k, dim) ** 0.5 * zonal(x @ u, k, dim) for k, u in zip(degrees, directions, strict=True)]
    return np.stack(waves, axis=1)


def degree_norms(x, y, degrees) -> np.ndarray:
    """Root mean square, over the sphere, of the part of y in the harmonics of each degree.

    x        (n, dim+1) points spread evenly over S^dim
    y        (n, c), (n,) or (T, n, c) values
    degrees  whole numbers >= 0, shape (K,)

    Returns float64 (K, c), or (T, K, c). The projection is the mean over the points against the reproducing kernel
    multiplicity * zonal(x.x'), so no basis is chosen. With points drawn at random the square carries a noise of order
    multiplicity / n of the mean square of y. Raises ValueError for points off the sphere and shapes that disagree.
    """
    x, y = _on_sphere(x), as_array("y", y, ndim=(1, 2, 3))
    y = y[:, None] if y.ndim == 1 else y
    require_same_length("x", x, "y", y, 0, y.ndim - 2)
    degrees = _whole(degrees)
    n, dim = len(x), x.shape[1] - 1
    size = np.abs(y).max() or 1.0  # taken out, so that no square overflows
    columns = np.moveaxis(y / size, -2, 0).reshape(n, -1)
    cosines = np.clip(x @ x.T, -1.0, 1.0)
    squares = np.stack(
        [
            multiplicity(k, dim) / n**2 * np.einsum("ij,ij->j", columns, zonal(cosines, k, dim) @ columns)
            for k in degrees
        ]
    )
    # the form is positive; rounding may leave a trace below zero
    norms = size * np.sqrt(np.maximum(squares, 0.0)).reshape(len(degrees), *y.shape[:-2], y.shape[-1])
    return np.moveaxis(norms, 0, -2)


def quarter_circle_rule(nodes: int = 16001) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """cos(theta), log sin(theta) and weight (up to a factor) of tanh-sinh quadrature over [0, pi/2].

    Its nodes crowd at both ends (Takahasi and Mori 1974), as kernels at the pole and high dimensions at the equator
    need it. One node in twenty would do for the integrals; the others average out the rounding of the nodes.
    """
    s = np.linspace(-3.5, 3.5, as_count("nodes", nodes))
    q = np.exp(-np.pi * np.sinh(np.abs(s)))
    end = np.pi / 2 * q / (1 + q)  # distance from the nearer end: the pole for s < 0, else the equator
    sine, cosine = np.sin(end), np.cos(end)
    log_sine = np.where(s < 0, np.log(sine), np.log1p(-(sine**2)) / 2)
    return np.where(s < 0, cosine, sine), log_sine, np.cosh(s) * q / (1 + q) ** 2


def _on_sphere(x) -> np.ndarray:
    x = as_points("x", x)
    if x.shape[1] < 2 or np.abs(np.linalg.norm(x, axis=1) - 1).max() > SPHERE_TOLERANCE:
        raise ValueError(f"x must be points (n, dim+1) on the unit sphere; got shape {x.shape}, or norms other than 1")
    return x


def _whole(degrees) -> list[int]:
    degrees = as_array("degrees", degrees, ndim=1)
    if (degrees != degrees.round()).any():
        raise ValueError(f"degrees must be whole numbers; got {degrees}")
    if np.abs(degrees).max() > 2**31:
        raise ValueError(f"degrees must be below 2^31; got {np.abs(degrees).max():g}")
    return degrees.astype(int).tolist()
