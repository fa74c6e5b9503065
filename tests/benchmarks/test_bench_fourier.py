"""How long fpcourse.fourier takes, each beside its yardstick in one group, so that one run shows the ratio.

Run ``pytest tests/benchmarks/test_bench_fourier.py``. Nothing here asserts a time.
"""

import numpy as np
import pytest
import torch

from fpcourse import fourier

SUMS = {
    "n = 10 000, K = 200": (10_000, 1),
    "n = 1 000 000, K = 200": (1_000_000, 1),
    "n = 10 000, K = 128^2": (10_000, 2),
}


def spectrum(name):
    """Points in the unit interval or square, one channel, and frequencies."""
    n, d = SUMS[name]
    rng = np.random.default_rng(0)
    k = np.arange(200.0) if d == 1 else np.stack(np.meshgrid(*[np.arange(-64.0, 64)] * 2), axis=-1).reshape(-1, 2)
    return rng.uniform(size=(n, d)), rng.normal(size=n), k


@pytest.fixture(scope="module")
def images():
    """10 000 points with the dimension and the range of MNIST's pixels, and their one-hot labels."""
    rng = np.random.default_rng(0)
    return rng.uniform(size=(10_000, 784)), np.eye(10)[rng.integers(10, size=10_000)]


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


@pytest.mark.benchmark(group="gaussian split: n = 10 000, d = 784, c = 10")
def test_gaussian_split(benchmark, images):
    benchmark(fourier.gaussian_split, *images, 3.0)


@pytest.mark.benchmark(group="gaussian split: n = 10 000, d = 784, c = 10")
def test_full_product_by_torch(benchmark, images):
    x = torch.tensor(images[0], dtype=torch.float32)
    benchmark(lambda: x @ x.T)
