"""An image as a function of position: its pixels as points, its spectrum by radius, the quality of a reconstruction.

Photographs are not periodic. The plain discrete Fourier transform joins opposite edges and sees a jump there; here the
image is mirrored at its edges first, which joins it to itself. The transform of the mirrored image is the discrete
cosine transform: the index pair (p, q) stands for the wave ``cos(pi p u) cos(pi q v)`` on the unit square and counts
``|k| = sqrt(p^2 + q^2) / 2`` cycles across the image. Images are square, (..., s, s), grey values in [0, 1].

References
----------
Ahmed, Natarajan, Rao, IEEE Trans. Computers C-23, 1974 (cosine transform); Tancik et al., NeurIPS 2020 (features).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fpcourse._arguments import as_array, as_count, as_points


def pixel_centres(size: int) -> np.ndarray:
    """Return the centres of the pixels of a (size, size) image in (-1/2, 1/2), (size**2, 2), as ``image.ravel()``.

    Examples
    --------
    >>> pixel_centres(2).tolist()
    [[-0.25, -0.25], [-0.25, 0.25], [0.25, -0.25], [0.25, 0.25]]
    """
    centre = (np.arange(as_count("size", size)) + 0.5) / size - 0.5
    return np.stack(np.meshgrid(centre, centre, indexing="ij"), axis=-1).reshape(-1, 2)


def fourier_features(x: ArrayLike, frequencies: ArrayLike) -> np.ndarray:
    """Return waves (n, 2q) to feed a network instead of positions, ``(cos 2 pi b_j . x, sin 2 pi b_j . x)``.

    x is (n, d), the frequencies b_j are the rows of (q, d), in cycles per unit of x. Divided by sqrt(q), the features
    have the kernel ``mean_j cos(2 pi b_j . (x - x'))``, whose spectrum is the distribution of the b_j.

    Examples
    --------
    >>> fourier_features([0.0, 0.5], [1.0]).round(6) + 0.0
    array([[ 1.,  0.],
           [-1.,  0.]])
    """
    x, b = as_points("x", x), as_points("frequencies", frequencies)
    if x.shape[1] != b.shape[1]:
        raise ValueError(f"frequencies must have one column per dimension of x; got {b.shape} and {x.shape}")
    phase = 2 * np.pi * x @ b.T
    return np.hstack([np.cos(phase), np.sin(phase)])


def cosine_transform(images: ArrayLike) -> np.ndarray:
    """Return the orthonormal discrete cosine transform over the last two axes, (..., s, s); it keeps sums of squares.

    Examples
    --------
    >>> cosine_transform(np.ones((4, 4)))[0, :2].round(6) + 0.0  # a constant image has the frequency 0 only
    array([4., 0.])
    """
    from scipy.fft import dctn

    return dctn(_square("images", images), axes=(-2, -1), norm="ortho")


def band_sums(values: ArrayLike, edges: ArrayLike) -> np.ndarray:
    """Return the sums (..., B) over rings of frequencies of values (..., s, s), indexed as by :func:`cosine_transform`.

    Ring b is ``edges[b] <= |k| < edges[b+1]``, edges (B+1,) ascending, in cycles across the image; none may be empty.

    Examples
    --------
    >>> band_sums(np.ones((4, 4)), [0.0, 0.5, 1.0])  # (0, 0); and (0, 1), (1, 0), (1, 1)
    array([1., 3.])
    """
    values, edges = _square("values", values), as_array("edges", edges, ndim=1)
    if len(edges) < 2 or (np.diff(edges) <= 0).any():
        raise ValueError(f"edges must be at least two ascending numbers; got {edges.tolist()}")
    half = np.arange(values.shape[-1]) / 2
    ring = np.digitize(np.hypot(half[:, None], half), edges) - 1
    inside = np.stack([ring == b for b in range(len(edges) - 1)])
    if not inside.any(axis=(1, 2)).all():
        raise ValueError(f"each ring must hold a frequency of a {values.shape[-1]}-pixel image; got {edges.tolist()}")
    return np.einsum("...pq,bpq->...b", values, inside.astype(float))


def band_errors(h: ArrayLike, y: ArrayLike, edges: ArrayLike) -> np.ndarray:
    """Return the errors ``|h_b - y_b| / |y_b|``, (..., B), of images h (..., s, s) against y (s, s) by ring b.

    The norms are Euclidean, over the cosine coefficients of a ring of :func:`band_sums`.

    Examples
    --------
    >>> y = np.arange(16.0).reshape(4, 4)
    >>> band_errors(np.stack([0 * y, y]), y, [0.0, 0.5, 4.0])
    array([[1., 1.],
           [0., 0.]])
    """
    h, y = _square("h", h), _square("y", y)
    if y.ndim != 2 or h.shape[-2:] != y.shape:
        raise ValueError(f"y must be one image of the size of those in h; got {y.shape} and {h.shape}")
    present = np.sqrt(band_sums(cosine_transform(y) ** 2, edges))
    if (present <= 1e-12 * np.linalg.norm(y)).any():
        raise ValueError(f"y must have a component in every ring; their sizes are {present.tolist()}")
    return np.sqrt(band_sums(cosine_transform(h - y) ** 2, edges)) / present


def cosine_rates(kernel: ArrayLike) -> np.ndarray:
    """Return ``phi^T K phi / n`` for every cosine wave phi of length 1: the rate at which the flow begins to learn it.

    The kernel (n, n) is between the n = s * s pixels in the order of :func:`pixel_centres`; the result, (s, s), is
    indexed as by :func:`cosine_transform`. For a wave that is an eigenvector it is one of :func:`fpcourse.flow.rates`.

    Examples
    --------
    >>> cosine_rates(np.ones((4, 4))).round(6) + 0.0  # only the constant image is learned
    array([[1., 0.],
           [0., 0.]])
    """
    kernel = as_array("kernel", kernel, ndim=2)
    size = round(len(kernel) ** 0.5)
    if kernel.shape != (size**2, size**2):
        raise ValueError(f"kernel must be (s*s, s*s) for an image of s*s pixels; got {kernel.shape}")
    columns = cosine_transform(kernel.reshape(size, size, size, size))  # (row, column, p, q)
    return np.einsum("pqpq->pq", cosine_transform(columns.transpose(2, 3, 0, 1))) / len(kernel)


def psnr(h: ArrayLike, y: ArrayLike) -> np.ndarray:
    """Return the peak signal-to-noise ratio in decibels, ``-10 log10 mean (h - y)^2``, for grey values in [0, 1].

    h (..., n) and y (n,) are the reconstructed and true values of n pixels; the result is (...), inf where they agree.

    Examples
    --------
    >>> psnr([0.1, 0.5], [0.0, 0.4]).round(6).item()
    20.0
    """
    h, y = as_array("h", h), as_array("y", y, ndim=1)
    if h.shape[-1:] != y.shape:
        raise ValueError(f"h must hold one value per pixel of y in its last axis; got {h.shape} and {y.shape}")
    with np.errstate(divide="ignore"):
        return -10 * np.log10(np.mean((h - y) ** 2, axis=-1))


def _square(name: str, images: ArrayLike) -> np.ndarray:
    images = as_array(name, images)
    if images.ndim < 2 or images.shape[-1] != images.shape[-2]:
        raise ValueError(f"{name} must be square, (..., s, s); got {images.shape}")
    return images
