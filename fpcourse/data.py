"""What the lessons fit: targets given by a formula, and small real data sets.

MNIST, CIFAR-10, Boston and the camera image come with the repository in ``data/`` (see ``data/PROVENANCE.md``) and work
without a network; their digests are checked on every load. ``full=True`` fetches the full image sets instead.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import itertools
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fpcourse._arguments import as_array, as_count, as_positive

DATA = Path(__file__).resolve().parent.parent / "data"

# Of a .npz the arrays' bytes are checked: the file's own bytes depend on the zlib that wrote it.
SHA256 = {
    "mnist_10k_2k.npz": {
        "x_train": "e7b171a12ca9e679018a0ce67492d33f8479dbb169e33f4c61568e18db3e3cc4",
        "y_train": "ed5d6c40135ad2967f784bf768749f42633884feb69ee3698d9a77000cfdd77d",
        "x_test": "68c9496dc693e30f8248675ea322ae1bd6cbb4d8848d2e0c089b95e2d229e148",
        "y_test": "d55d5e1f433999fbd2179e8495d8fa3db57d547d4d1a2b564bf39f913b619c50",
    },
    "cifar10_2000_500.npz": {
        "x_train": "af5444ca0af349641322b45cde073e2ff4323e9547cd30aa048f0b722324bbd4",
        "y_train": "98933695e0aabd498fdebcb890879ec8a9955e00dcf9339d36779b58653a56d2",
        "x_test": "aa065b5b78a806754ebb4a5519a5933d013c308a0dfc34978b394f54fd480804",
        "y_test": "efa500ddb6fcedb528eb57e1aa07e892f6bf1881e384d9e1ad7a3f2d2fb3d804",
    },
    "boston_house_prices.csv": "04ea3ed0aa63691cfedf388349eafc1213e91e00f8e4d31747534692c0f1ce02",
    "camera.png": "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a",
}

# The full sets: the MD5 that the publisher of each file states.
MNIST_URL, CIFAR10_URL = "https://ossci-datasets.s3.amazonaws.com/mnist", "https://www.cs.toronto.edu/~kriz"
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
    """A data set in its training and its test part: ``x_*`` (n, ...) the inputs, ``y_*`` (n,) labels or values."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def mnist(n_train: int | None = None, n_test: int | None = None, *, full: bool = False) -> Split:
    """MNIST (LeCun et al. 1998): x (n, 784) float32 in [0, 1], row by row; y (n,) int64 digits.

    Without sizes, all there is: 10 000 / 2 000 images, or 60 000 / 10 000 with ``full=True``, which needs the network
    once. Smaller sets are the beginning of larger ones, and any beginning is balanced: class sizes differ by at
    most one (in the full sets, whose classes have different sizes, until the smallest class is used up).

    Raises ValueError for sizes that are not there and for damaged files, FileNotFoundError where ``data/`` is missing,
    ConnectionError where the full set cannot be fetched and OSError where it cannot be kept.
    """
    if full:
        arrays = {
            f"{key}_{part}": _idx(_fetch(MNIST_URL, f"{prefix}-{kind}-ubyte.gz"))
            for part, prefix in (("train", "train"), ("test", "t10k"))
            for key, kind in (("x", "images-idx3"), ("y", "labels-idx1"))
        }
    else:
        arrays = _arrays("mnist_10k_2k.npz")
    arrays |= {key: arrays[key].reshape(-1, 28 * 28) for key in ("x_train", "x_test")}
    return _balanced_split(arrays, n_train, n_test, "" if full else "60000 training and 10000 test images")


def cifar10(n_train: int | None = None, n_test: int | None = None, *, full: bool = False) -> Split:
    """CIFAR-10 (Krizhevsky 2009): x (n, 3, 32, 32) float32 in [0, 1]; y (n,) int64, names in ``CIFAR10_CLASSES``.

    Without sizes, all there is: 2 000 / 500 images, or 50 000 / 10 000 with ``full=True``. Else as ``mnist``.
    """
    if full:
        arrays = _cifar10_records(_fetch(CIFAR10_URL, "cifar-10-binary.tar.gz"))
    else:
        arrays = _arrays("cifar10_2000_500.npz")
        arrays |= {key: arrays[key].transpose(0, 3, 1, 2) for key in ("x_train", "x_test")}
    return _balanced_split(arrays, n_train, n_test, "" if full else "50000 training and 10000 test images")


def boston(*, seed: int = 0) -> Split:
    """Boston house prices (Harrison and Rubinfeld 1978), as Zhang et al. (2020) use them: 400 / 106 tracts at random.

    x (n, 13) and y (n,) float64, each feature and the price scaled to [-0.5, 0.5] over all 506 tracts; columns named in
    ``BOSTON_FEATURES``, price in 1000 dollars = 27.5 + 45 y.

    Column B = 1000 (Bk - 0.63)^2, Bk the share of Black residents, encodes a racist assumption: that segregation raises
    prices. The set serves to repeat a published experiment and nothing else; say so where you use it.
    """
    rng = np.random.default_rng(as_count("seed", seed, minimum=0))
    content = _checked("boston_house_prices.csv")
    table = np.loadtxt(io.StringIO(content.decode()), delimiter=",", skiprows=1)
    low, high = table.min(axis=0), table.max(axis=0)
    train, test = np.split(rng.permutation((table - low) / (high - low) - 0.5), [400])
    return Split(train[:, :-1], train[:, -1], test[:, :-1], test[:, -1])


def camera(size: int = 512) -> np.ndarray:
    """The camera photograph, (size, size) float64 in [0, 1], row 0 at the top; means over blocks of 512/size pixels.

    Raises ValueError unless ``size`` divides 512.
    """
    size = as_count("size", size)
    if 512 % size:
        raise ValueError(f"size must divide 512; got {size}")
    from matplotlib.image import imread  # slow to import, and wanted by few lessons

    image = imread(io.BytesIO(_checked("camera.png")), format="png").astype(np.float64)
    return image.reshape(size, 512 // size, size, 512 // size).mean(axis=(1, 3))


def one_hot(labels, classes: int) -> np.ndarray:
    """Rows of the identity, (n, classes) float32, for labels (n,) in 0..classes-1; ValueError for any other label."""
    return np.eye(as_count("classes", classes), dtype=np.float32)[_labels("labels", labels, classes)]


def random_labels(y, fraction: float, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Redraw a fraction of the labels y (n,) uniformly over all classes (Zhang et al. 2017).

    Returns the new labels (n,) int64 and the mask (n,) bool of the round(fraction n) redrawn ones, of which one in
    ``classes`` is right by chance. Raises ValueError for labels outside 0..classes-1 or a fraction outside [0, 1].
    """
    labels = _labels("y", y, as_count("classes", classes))
    fraction = as_positive("fraction", fraction, zero_allowed=True)
    if fraction > 1:
        raise ValueError(f"fraction must lie in [0, 1]; got {fraction!r}")
    rng = np.random.default_rng(as_count("seed", seed, minimum=0))
    redrawn = np.zeros(len(labels), dtype=bool)
    redrawn[rng.permutation(len(labels))[: round(fraction * len(labels))]] = True
    return np.where(redrawn, rng.integers(classes, size=len(labels)), labels), redrawn


def sine_sum(x, frequencies, amplitudes=None, phases=None) -> np.ndarray:
    """sum_j a_j sin(k_j x + phi_j) at x (n,) or (n, 1): float64 of the shape of x.

    ``frequencies`` (m,) are angular: sin x + sin 3x is [1, 3]; ``amplitudes`` (m,) default to 1, ``phases`` (m,) to 0.
    Raises ValueError for other shapes.
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
    """n evenly spaced points of the unit circle: angles (n,) from 0 on, and (cos, sin) of them, (n, 2)."""
    angles = 2 * np.pi * np.arange(as_count("n", n)) / n
    return angles, on_circle(angles)


def on_circle(angles) -> np.ndarray:
    """The points (cos, sin) of the unit circle at angles (n,): (n, 2)."""
    angles = as_array("angles", angles, ndim=1)
    return np.column_stack([np.cos(angles), np.sin(angles)])


def parity(x, degree: int | None = None) -> np.ndarray:
    """Product of the first ``degree`` entries (without it, all) of each row of x (n, bits) in {-1, 1}: (n,) float64.

    A target that networks fit and do not generalise (Shalev-Shwartz et al. 2017, Xu et al. 2020).
    Raises ValueError for entries other than -1 and 1 and for a degree outside 1..bits.
    """
    x = as_array("x", x, ndim=2)
    if (np.abs(x) != 1).any():
        raise ValueError(f"x must hold only -1 and 1; got {x[np.abs(x) != 1][0]}")
    degree = x.shape[1] if degree is None else as_count("degree", degree)
    if degree > x.shape[1]:
        raise ValueError(f"degree must be at most the number of bits, {x.shape[1]}; got {degree}")
    return x[:, :degree].prod(axis=1)


def all_bit_strings(bits: int) -> np.ndarray:
    """All points of {-1, 1}^bits, (2^bits, bits) float64, in lexicographic order; ValueError above 20 bits."""
    if as_count("bits", bits) > 20:
        raise ValueError(f"bits must be at most 20 (a million strings); got {bits}")
    return np.array(list(itertools.product((-1.0, 1.0), repeat=bits)))


def _labels(name: str, labels, classes: int) -> np.ndarray:
    values = as_array(name, labels, ndim=1)
    wrong = values[(values != np.rint(values)) | (values < 0) | (values >= classes)]
    if wrong.size:
        raise ValueError(f"{name} must be whole numbers in 0..{classes - 1}; got {wrong[0]}")
    return values.astype(np.int64)


def _balanced_split(arrays: dict, n_train: int | None, n_test: int | None, full_set: str) -> Split:
    chosen = {}
    more = f"; full=True fetches {full_set}" if full_set else ""
    for part, n in (("train", n_train), ("test", n_test)):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        n = len(y) if n is None else as_count(f"n_{part}", n)
        if n > len(y):
            raise ValueError(f"n_{part} must be at most {len(y)}; got {n}{more}")
        # The first image of each class, then the second of each, and so on: every beginning is balanced.
        rank = np.empty(len(y), dtype=np.int64)
        for label in np.unique(y):
            rank[y == label] = np.arange((y == label).sum())
        order = np.argsort(rank, kind="stable")[:n]
        chosen[f"x_{part}"] = np.divide(x[order], 255, dtype=np.float32, order="C")
        chosen[f"y_{part}"] = y[order].astype(np.int64)
    return Split(**chosen)


def _read(file: str) -> bytes:
    try:
        return (DATA / file).read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{DATA / file} is missing. The data sets come with the course's repository: use the package from a clone "
            f"(pip install -e .), or restore the file there with `git checkout -- data/{file}`"
        ) from None


def _check(file: str, what: str, expected: str, found: str) -> None:
    if found != expected:
        raise ValueError(
            f"{DATA / file} is damaged: {what} has sha256 {found}, expected {expected}. "
            f"Restore it with `git checkout -- data/{file}`, or download the repository again"
        )


def _checked(file: str) -> bytes:
    _check(file, "it", SHA256[file], hashlib.sha256(content := _read(file)).hexdigest())
    return content


def _arrays(file: str) -> dict[str, np.ndarray]:
    content, arrays = _read(file), {}
    for name, expected in SHA256[file].items():
        try:
            with np.load(io.BytesIO(content)) as archive:
                arrays[name] = archive[name]
            found = hashlib.sha256(arrays[name].tobytes()).hexdigest()
        except Exception as error:  # zipfile, zlib and numpy raise at least eight kinds for damaged bytes
            found = f"(unreadable, {type(error).__name__}: {error})"
        _check(file, name, expected, found)
    return arrays


def _fetch(url: str, file: str) -> Path:
    """Path of a file of the full sets in the cache, downloaded at need; it gets its name once its MD5 is right."""
    import filelock
    import pooch  # imports requests: only where the network is asked for
    from requests import RequestException

    cache = pooch.os_cache("fpcourse")
    path = cache / file
    try:
        if path.exists() and pooch.file_hash(path, "md5") == MD5[file]:
            return path  # from a cache that may only be read, too
        cache.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(cache / "download.lock"):
            # Only the holder of the lock downloads: an unfinished file here is of a process that was killed.
            for unfinished in cache.glob("tmp*"):
                unfinished.unlink()
            return Path(pooch.retrieve(f"{url}/{file}", f"md5:{MD5[file]}", fname=file, path=cache, progressbar=True))
    except RequestException as error:  # which is an OSError
        raise ConnectionError(
            f"{url}/{file} could not be fetched. full=True needs the network once; the file is then kept in {cache}. "
            f"Without full=True the smaller set in data/ works offline. ({error})"
        ) from error
    except OSError as error:
        raise OSError(
            f"{path} could not be kept: {error}. full=True needs a cache folder that can be written to, with room for "
            "the file (on Linux, XDG_CACHE_HOME names another). Without full=True the smaller set in data/ needs none"
        ) from error


def _idx(path: Path) -> np.ndarray:
    """The array in a gzipped idx file: magic number 0x0800 + dimensions, big-endian sizes, uint8 values."""
    content = gzip.decompress(path.read_bytes())
    magic = int.from_bytes(content[:4], "big")
    if magic not in (0x0801, 0x0803):
        raise ValueError(f"{path} must be an idx file of uint8 images or labels; got magic number {magic:#010x}")
    header = 4 + 4 * (magic & 0xFF)
    return np.frombuffer(content, np.uint8, offset=header).reshape(np.frombuffer(content[4:header], ">u4"))


def _cifar10_records(path: Path) -> dict[str, np.ndarray]:
    """Images and labels in the archive of the binary version: nothing is unpacked to disk, nothing unpickled."""
    arrays = {}
    with tarfile.open(path) as archive:
        for part, batches in (("train", [f"data_batch_{i}" for i in range(1, 6)]), ("test", ["test_batch"])):
            content = b"".join(archive.extractfile(f"cifar-10-batches-bin/{batch}.bin").read() for batch in batches)
            records = np.frombuffer(content, np.uint8).reshape(-1, 1 + 3 * 32 * 32)  # a label, then red, green, blue
            arrays |= {f"x_{part}": records[:, 1:].reshape(-1, 3, 32, 32), f"y_{part}": records[:, 0]}
    return arrays
