"""How long fpcourse.fourier takes, each beside its yardstick in one group, so that one run shows the ratio.

Run ``pytest tests/benchmarks/test_bench_fourier.py``. Nothing here asserts a time.
"""

import numpy as np
import pytest
import torch

from fpcourse import fourier


@pytest.fixture(scope="module")
def spectrum():
    """10 000 points on the unit interval, one channel, 200 frequencies."""
    rng = np.random.default_rng(0)
    return rng.uniform(size=10_000), rng.normal(size=10_000), np.arange(200.0)


@pytest.fixture(scope="module")
def images():
    """10 000 points with the dimension and the range of MNIST's pixels, and their one-hot labels."""
    rng = np.random.default_rng(0)
    return rng.uniform(size=(10_000, 784)), np.eye(10)[rng.integers(10, size=10_000)]


@pytest.mark.benchmark(group="nudft: n = 10 000, K = 200")
def test_nudft(benchmark, spectrum):
    benchmark(fourier.nudft, *spectrum)


@pytest.mark.benchmark(group="nudft: n = 10 000, K = 200")
def test_nudft_by_finufft(benchmark, spectrum):
    finufft = pytest.importorskip("finufft", reason="finufft is the yardstick, see requirements.txt")
    x, y, k = spectrum
    coefficients = benchmark(finufft.nufft1d3, 2 * np.pi * x, y.astype(complex), k, isign=-1, eps=1e-12)
    np.testing.assert_allclose(coefficients / len(x), fourier.nudft(x, y, k)[:, 0], atol=1e-11)


@pytest.mark.benchmark(group="gaussian split: n = 10 000, d = 784, c = 10")
def test_gaussian_split(benchmark, images):
    benchmark(fourier.gaussian_split, *images, 3.0)


@pytest.mark.benchmark(group="gaussian split: n = 10 000, d = 784, c = 10")
def test_full_product_by_torch(benchmark, images):
    x = torch.tensor(images[0], dtype=torch.float32)
    benchmark(lambda: x @ x.T)
