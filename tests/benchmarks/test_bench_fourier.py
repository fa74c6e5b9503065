"""How long fpcourse.fourier takes, each beside its yardstick in one group, so that one run shows the ratio.

Run ``pytest tests/benchmarks/test_bench_fourier.py``. Nothing here asserts a time.
"""

import numpy as np
import pytest
import torch
from test_bench_kernels import peak_mb

from fpcourse import fourier

SUMS = {
    "n = 10 000, K = 200": (10_000, 1),
    "n = 1 000 000, K = 200": (1_000_000, 1),
    "n = 10 000, K = 128²": (10_000, 2),
}


def spectrum(name):
    """Points in the unit interval or square, one channel, and frequencies."""
    n, d = SUMS[name]
    rng = np.random.default_rng(0)
    k = np.arange(200.0) if d == 1 else np.stack(np.meshgrid(*[np.arange(-64.0, 64)] * 2), axis=-1).reshape(-1, 2)
    return rng.uniform(size=(n, d)), rng.normal(size=n), k


@pytest.mark.parametrize("library", ["finufft", None], ids=["as it is", "direct"])
@pytest.mark.parametrize("name", SUMS)
def test_nudft(benchmark, monkeypatch, name, library):
    benchmark.group = f"nudft: {name}"
    data = spectrum(name)
    expected = fourier.nudft(*data)
    if library is None:
        monkeypatch.setattr(fourier, "finufft", None)
    found = benchmark.pedantic(fourier.nudft, data, rounds=3, warmup_rounds=1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)


SPLIT = "gaussian split: n = {:,}, d = 784, c = 10"
SIZES = [10_000, 60_000]


def images(n):
    """Points with the dimension and the range of MNIST's pixels, and one-hot labels."""
    rng = np.random.default_rng(0)
    return rng.uniform(size=(n, 784)).astype(np.float32), np.eye(10)[rng.integers(10, size=n)]


@pytest.mark.parametrize("n", SIZES)
def test_gaussian_split(benchmark, n):
    benchmark.group = SPLIT.format(n)
    benchmark.extra_info["peak_mb"] = peak_mb(gaussian_split, (200,), (n,))
    benchmark.pedantic(fourier.gaussian_split, (*images(n), 3.0), **rounds(n))


def rounds(n):
    return {"rounds": 3, "warmup_rounds": 1} if n <= 10_000 else {"rounds": 1}  # of a minute


def gaussian_split(n):
    fourier.gaussian_split(*images(n), 3.0)


@pytest.mark.parametrize("n", SIZES)
def test_full_product(benchmark, n):
    """x x^T in single precision, by strips of 512 rows which are not kept: all entries, and nothing done with them."""
    benchmark.group = SPLIT.format(n)
    x = torch.tensor(images(n)[0])
    strip = torch.empty(512, n)

    def product():
        for start in range(0, n, 512):
            rows = x[start : start + 512]
            torch.mm(rows, x.T, out=strip[: len(rows)])

    benchmark.pedantic(product, **rounds(n))


def test_gaussian_split_by_keops(benchmark):
    """The other way to a product with a Gaussian matrix that is never stored (Charlier et al., JMLR 2021)."""
    torch_keops = pytest.importorskip("pykeops.torch", reason="pykeops is not installed: pip install pykeops")
    benchmark.group = SPLIT.format(SIZES[0])
    x, y = (torch.tensor(a, dtype=torch.float32) for a in images(SIZES[0]))
    rows = torch_keops.LazyTensor((x / 6**0.5)[:, None, :])
    columns = torch_keops.LazyTensor((x / 6**0.5)[None, :, :])
    weights = (-((rows - columns) ** 2).sum(-1)).exp()
    weighted = torch.hstack([y, torch.ones(len(y), 1)])
    sums = benchmark.pedantic(lambda: weights @ weighted, rounds=3, warmup_rounds=1)
    wanted = fourier.gaussian_split(x, y, 3.0)[0]
    np.testing.assert_allclose((sums[:, :-1] / sums[:, -1:]).numpy(), wanted, atol=1e-4)
