"""An image as a function of position: its pixels as points, its spectrum by radius, the quality of a reconstruction.

Photographs are not periodic. The plain discrete Fourier transform joins opposite edges and sees a jump there; here the
image is mirrored at its edges first, which joins it to itself. The transform of the mirrored image is the discrete
cosine transform (Ahmed, Natarajan, Rao, IEEE Trans. Computers, 1974): the index pair (p, q) stands for the wave
cos(pi p u) cos(pi q v) on the unit square and counts |k| = sqrt(p^2 + q^2) / 2 cycles across the image.
Images are square, (..., s, s), grey values in [0, 1].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fpcourse._arguments import as_array, as_count, as_points


def pixel_centres(size: int) -> np.ndarray:
    """Centres of the pixels of a (size, size) image, row by row as ``image.ravel()``: (size**2, 2) in (-1/2, 1/2)."""
    centre = (np.arange(as_count("size", size)) + 0.5) / size - 0.5
    return np.stack(np.meshgrid(centre, centre, indexing="ij"), axis=-1).reshape(-1, 2)


def fourier_features(x: ArrayLike, frequencies: ArrayLike) -> np.ndarray:
    """Waves to feed a network instead of positions: (cos 2 pi b_j.x, sin 2 pi b_j.x), (n, d) -> (n, 2q).

    x (n, d), frequencies b_j as rows of (q, d), in cycles per unit of x. Divided by sqrt(q) their kernel is
    mean_j cos(2 pi b_j.(x - x')), whose spectrum is the distribution of the b_j (Tancik et al., NeurIPS 2020).
    Raises ValueError for dimensions that disagree.
    """
    x, b = as_points("x", x), as_points("frequencies", frequencies)
    if x.shape[1] != b.shape[1]:
        raise ValueError(f"frequencies must have one column per dimension of x; got {b.shape} and {x.shape}")
    phase = 2 * np.pi * x @ b.T
    return np.hstack([np.cos(phase), np.sin(phase)])


def cosine_transform(images: ArrayLike) -> np.ndarray:
    """Orthonormal discrete cosine transform over the last two axes, (..., s, s) -> same; it keeps sums of squares.

    Raises ValueError for images that are not square.
    """
    from scipy.fft import dctn

    return dctn(_square("images", images), axes=(-2, -1), norm="ortho")


def band_sums(values: ArrayLike, edges: ArrayLike) -> np.ndarray:
    """Sums of values (..., s, s), indexed as by ``cosine_transform``, over rings edges[b] <= |k| < edges[b+1].

    edges (B+1,) ascending, in cycles across the image. Returns (..., B). Raises ValueError for an empty ring.
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
    """Error of images h (..., s, s) against y (s, s) by ring of frequencies: |h_b - y_b| / |y_b|, shape (..., B).

    | | is the Euclidean norm over the cosine coefficients of the ring: 1 means that nothing of it is there, 0 all.
    Edges and errors as in ``band_sums``; ValueError too where y has nothing in a ring.
    """
    h, y = _square("h", h), _square("y", y)
    if y.ndim != 2 or h.shape[-2:] != y.shape:
        raise ValueError(f"y must be one image of the size of those in h; got {y.shape} and {h.shape}")
    present = np.sqrt(band_sums(cosine_transform(y) ** 2, edges))
    if (present <= 1e-12 * np.linalg.norm(y)).any():
        raise ValueError(f"y must have a component in every ring; their sizes are {present.tolist()}")
    return np.sqrt(band_sums(cosine_transform(h - y) ** 2, edges)) / present


def cosine_rates(kernel: ArrayLike) -> np.ndarray:
    """Return phi^T K phi / n for every cosine wave phi of length 1: the rate at which the flow begins to learn it.

    kernel (n, n) between the n = s*s pixels of an image in the order of ``pixel_centres``. Returns (s, s), indexed as
    by ``cosine_transform``. For a wave that is an eigenvector of K this is one of :func:`fpcourse.flow.rates`.
    """
    kernel = as_array("kernel", kernel, ndim=2)
    size = round(len(kernel) ** 0.5)
    if kernel.shape != (size**2, size**2):
        raise ValueError(f"kernel must be (s*s, s*s) for an image of s*s pixels; got {kernel.shape}")
    columns = cosine_transform(kernel.reshape(size, size, size, size))  # (row, column, p, q)
    return np.einsum("pqpq->pq", cosine_transform(columns.transpose(2, 3, 0, 1))) / len(kernel)


def psnr(h: ArrayLike, y: ArrayLike) -> np.ndarray:
    """Peak signal-to-noise ratio in decibels, -10 log10 mean (h - y)^2 over the last axis, for grey values in [0, 1].

    h (..., n) reconstructed and y (n,) true values of n pixels; shape (...). inf where they agree to the last bit.
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
