"""Spherical harmonics against scipy's, against quadrature, and on the circle against the discrete Fourier transform."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import eval_gegenbauer, roots_gegenbauer

from fpcourse.sphere import degree_norms, fibonacci_sphere, multiplicity, zonal, zonal_waves

DEGREES = st.integers(0, 12)
DIMS = st.integers(1, 9)


def random_sphere(n, dim, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, dim + 1))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@given(DEGREES, st.integers(2, 9))
def test_zonal_is_the_gegenbauer_polynomial_with_value_one_at_the_pole(degree, dim):
    t = np.linspace(-1, 1, 41)
    index = (dim - 1) / 2
    expected = eval_gegenbauer(degree, index, t) / eval_gegenbauer(degree, index, 1.0)
    np.testing.assert_allclose(zonal(t, degree, dim), expected, atol=1e-12)


@given(DEGREES)
def test_zonal_on_the_circle_is_a_cosine(degree):
    theta = np.linspace(0, np.pi, 30).reshape(5, 6)
    np.testing.assert_allclose(zonal(np.cos(theta), degree, 1), np.cos(degree * theta), atol=1e-12)


@given(DEGREES, st.integers(2, 9))
def test_mean_square_of_zonal_is_one_over_the_multiplicity(degree, dim):
    t, weight = roots_gegenbauer(20, (dim - 1) / 2)  # the weight (1 - t^2)^((dim - 2) / 2) of the sphere
    mean = (weight * zonal(np.clip(t, -1, 1), degree, dim) ** 2).sum() / weight.sum()
    assert mean * multiplicity(degree, dim) == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("dim", [1, 2, 3, 4])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_multiplicity_is_the_rank_of_the_reproducing_kernel(degree, dim):
    x = random_sphere(150, dim)
    gram = zonal(np.clip(x @ x.T, -1, 1), degree, dim)
    assert np.linalg.matrix_rank(gram, tol=1e-8) == multiplicity(degree, dim)


def test_multiplicities_that_are_known():
    assert [multiplicity(k, 1) for k in range(4)] == [1, 2, 2, 2]
    assert [multiplicity(k, 2) for k in range(5)] == [1, 3, 5, 7, 9]
    assert [multiplicity(k, 3) for k in range(5)] == [1, 4, 9, 16, 25]
    assert multiplicity(4, 9) == 660


@pytest.mark.parametrize("n", [1, 2, 500])
def test_fibonacci_points_lie_on_the_sphere_in_bands_of_equal_area(n):
    x = fibonacci_sphere(n)
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, rtol=1e-14)
    np.testing.assert_allclose(x[:, 2], np.linspace(1, -1, 2 * n + 1)[1::2], atol=1e-14)


def test_fibonacci_points_are_spread_evenly():
    x = fibonacci_sphere(1000)
    nearest = np.sort(np.arccos(np.clip(x @ x.T, -1, 1)), axis=1)[:, 1]
    # a hexagonal lattice of this density has neighbours at 0.1205; points at random come as close as 0.002
    assert nearest.min() > 0.09 and nearest.max() < 0.13


def test_fibonacci_means_are_integrals():
    """Zonal harmonics around two directions: the mean of P_k(a.x) P_m(b.x) is P_k(a.b) / (2 k + 1), or 0 for m != k."""
    x, (a, b) = fibonacci_sphere(1000), random_sphere(2, 2)
    for k in range(7):
        for m in range(7):
            exact = zonal(a @ b, k, 2) / (2 * k + 1) if k == m else 0.0
            assert (zonal(x @ a, k, 2) * zonal(x @ b, m, 2)).mean() == pytest.approx(exact, abs=1e-3)


def test_zonal_waves_have_their_degree_and_unit_mean_square():
    x, directions = fibonacci_sphere(1500), 3 * random_sphere(3, 2)
    waves = zonal_waves(x, [4, 0, 1], directions)
    assert waves.shape == (1500, 3)
    np.testing.assert_allclose(degree_norms(x, waves, [0, 1, 2, 3, 4])[[4, 0, 1], [0, 1, 2]], 1, rtol=1e-3)
    np.testing.assert_allclose((waves**2).mean(axis=0), 1, rtol=1e-3)
    along = waves[(x @ directions[0] / 3).argmax(), 0]
    assert along == pytest.approx(3, rel=0.05)  # sqrt(2 k + 1) near its pole
    common = zonal_waves(x, [4, 1], directions[2])
    np.testing.assert_allclose(common, zonal_waves(x, [4, 1], directions[[2, 2]]), rtol=1e-12)


def test_degree_norms_on_the_circle_are_fourier_amplitudes():
    n = 16
    theta = 2 * np.pi * np.arange(n) / n
    y = np.random.default_rng(0).normal(size=(3, n, 2))
    transform = np.fft.rfft(y, axis=1) / n
    expected = np.abs(transform) * np.sqrt(2)
    expected[:, 0] /= np.sqrt(2)  # the constant has no partner at -k
    found = degree_norms(np.stack([np.cos(theta), np.sin(theta)], axis=1), y, np.arange(8))
    assert found.shape == (3, 8, 2)
    np.testing.assert_allclose(found, expected[:, :8], atol=1e-12)


def test_degree_norms_of_what_is_not_there_are_zero_and_not_nan():
    """An odd function on antipodal points has no even degree; rounding alone makes some squares negative."""
    x = fibonacci_sphere(60)
    x = np.concatenate([x, -x])
    assert degree_norms(x, x, range(0, 14, 2)).max() < 1e-7


@pytest.mark.parametrize(("dim", "noise"), [(2, 4e-3), (4, 0.2)])
def test_degree_norms_find_what_was_put_in(dim, noise):
    """Two harmonics of one degree at an angle, one of another; the rest is zero, up to the noise of random points."""
    x, a = fibonacci_sphere(1500) if dim == 2 else random_sphere(1500, dim), random_sphere(3, dim, seed=1)
    part = 2 * zonal(np.clip(x @ a[0], -1, 1), 2, dim) - zonal(np.clip(x @ a[1], -1, 1), 2, dim)
    other = 3 * zonal(np.clip(x @ a[2], -1, 1), 1, dim)
    found = degree_norms(x, part + other, [3, 1, 2])
    expected = [0, np.sqrt(9 / multiplicity(1, dim)), np.sqrt((part**2).mean())]
    np.testing.assert_allclose(found[:, 0], expected, atol=noise)


def test_degree_norms_take_channels_and_times_and_tensors_alike():
    x = fibonacci_sphere(60)
    y = np.random.default_rng(0).normal(size=(4, 60, 3))
    whole = degree_norms(x, y, [0, 2, 5])
    assert whole.shape == (4, 3, 3)
    np.testing.assert_allclose(degree_norms(x, y[1], [0, 2, 5]), whole[1], rtol=1e-12)
    np.testing.assert_allclose(degree_norms(x, y[1, :, 2], [5]), whole[1, 2:, 2:], rtol=1e-12)
    np.testing.assert_allclose(degree_norms(torch.tensor(x), torch.tensor(y), [0, 2, 5]), whole, rtol=1e-12)


@given(st.integers(0, 2**16))
def test_degree_norms_do_not_depend_on_the_axes(seed):
    rng = np.random.default_rng(seed)
    x, y = random_sphere(40, 2, seed), rng.normal(size=(40, 1))
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    np.testing.assert_allclose(degree_norms(x @ rotation, y, range(5)), degree_norms(x, y, range(5)), rtol=1e-6)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (multiplicity, (-1, 2)), (multiplicity, (2, 0)),
        (zonal, ([0.0, 1.1], 2, 2)), (zonal, ([0.0], -1, 2)), (zonal, ([np.nan], 2, 2)), (fibonacci_sphere, (0,)),
    ],
)  # fmt: skip
def test_bad_arguments(function, arguments):
    with pytest.raises(ValueError):
        function(*arguments)


@pytest.mark.parametrize(
    "changes",
    [
        {"x": 2 * fibonacci_sphere(9)}, {"x": fibonacci_sphere(8)}, {"y": np.ones((2, 8, 1))},
        {"y": np.full(9, np.nan)}, {"degrees": [1.5]}, {"degrees": [-1]}, {"degrees": []},
    ],
)  # fmt: skip
def test_degree_norms_refuse_what_does_not_fit(changes):
    with pytest.raises(ValueError):
        degree_norms(**({"x": fibonacci_sphere(9), "y": np.ones(9), "degrees": [1]} | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"x": 2 * fibonacci_sphere(9)}, {"degrees": [1.5]}, {"degrees": [-1]},
        {"directions": np.ones(2)}, {"directions": np.ones((2, 3))}, {"directions": [[1.0, np.nan, 0.0]]},
    ],
)  # fmt: skip
def test_zonal_waves_refuse_what_does_not_fit(changes):
    with pytest.raises(ValueError, match=r"x must|degree|directions must"):
        zonal_waves(**({"x": fibonacci_sphere(9), "degrees": [1], "directions": np.ones(3)} | changes))
