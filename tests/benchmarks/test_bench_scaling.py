"""How the time grows with the size, at four sizes each; ``report.py`` fits the exponent beside the expected one.

The expected exponents are those of the number of operations. Small sizes are paid for mostly by calls, so what is
measured lies below the expected one until the arrays are large.
"""

import numpy as np
import pytest
import torch

from fpcourse.flow import kernel_flow
from fpcourse.fourier import gaussian_split, nudft
from fpcourse.kernels import empirical_ntk, two_layer_ntk
from fpcourse.models import Ensemble, TwoLayer
from fpcourse.training import train

RNG = np.random.default_rng(0)


def sphere(n, d=10):
    x = RNG.standard_normal((n, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def tangent_kernel(n):
    model, x = TwoLayer(10, 1024), torch.randn(n, 10)
    return lambda: empirical_ntk(model, x)


def infinite_width(n):
    x = sphere(n)
    return lambda: two_layer_ntk(x, bias=True, trained="both")


def flow(n):
    x = sphere(n, 3)
    kernel, times = two_layer_ntk(x, bias=True, trained="both"), np.geomspace(0.1, 1e3, 100)
    return lambda: kernel_flow(kernel, x[:, 0] * x[:, 1], times)


def fourier_sum(n):
    x, y, k = RNG.uniform(size=n), RNG.normal(size=n), np.arange(200.0)
    return lambda: nudft(x, y, k)


def split(n):
    x, y = RNG.uniform(size=(n, 784)), RNG.normal(size=(n, 10))
    return lambda: gaussian_split(x, y, 3.0)


def ensemble(n):
    x = np.linspace(-1, 1, 61)
    model = Ensemble([1, 50, 50, 1], members=n)
    return lambda: train(model, x, x**2, steps=100, learning_rate=1e-3, snapshots=[0, 100], progress=False)


# name: what is built, sizes, expected exponent
EXPECTED = {
    "empirical_ntk, points": (tangent_kernel, (500, 1000, 2000, 4000), 2),
    "two_layer_ntk, points": (infinite_width, (1000, 2000, 4000, 8000), 2),
    "kernel_flow, points": (flow, (500, 1000, 2000, 4000), 3),
    "nudft at 200 frequencies, points": (fourier_sum, (10**4, 10**5, 10**6, 10**7), 1),
    "gaussian_split, points": (split, (2500, 5000, 10_000, 20_000), 2),
    "Ensemble in training, members": (ensemble, (16, 32, 64, 128), 1),
}


@pytest.mark.parametrize(("name", "size"), [(name, size) for name, (_, sizes, _) in EXPECTED.items() for size in sizes])
def test_scaling(benchmark, name, size):
    build, _, expected = EXPECTED[name]
    benchmark.group = f"growth: {name}"
    benchmark.extra_info |= {"size": size, "expected": expected}
    benchmark.pedantic(build(size), rounds=3, warmup_rounds=1)
