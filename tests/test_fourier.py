"""Spectra, splits, errors and diagnoses against numpy.fft, finufft, scipy, plain loops and exact enumeration."""

from __future__ import annotations

import itertools
import platform
import tracemalloc
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.spatial.distance import cdist, pdist
from scipy.stats import ortho_group

from fpcourse import fourier, plotting
from fpcourse.fourier import diagnose
from fpcourse.trajectory import Trajectory

SPLIT = 2e-5  # what gaussian_split promises, with a factor of two
SEEDS = st.integers(0, 2**32 - 1)


def samples(seed: int, n: int = 40, d: int = 2, c: int = 3, snapshots: int | None = None):
    """Random points (n, d) and values (n, c) or (snapshots, n, c)."""
    rng = np.random.default_rng(seed)
    shape = (n, c) if snapshots is None else (snapshots, n, c)
    return rng.normal(size=(n, d)), rng.normal(size=shape)


@contextmanager
def peak_memory():
    """Yield a list that holds, after the block, the most bytes allocated at one time inside it."""
    peak = []
    tracemalloc.start()
    try:
        yield peak
        peak.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


# --- nudft ------------------------------------------------------------------------------------------------------------


def test_nudft_is_the_sum_it_says():
    x, y = samples(0, n=7, snapshots=2)
    k = np.array([[0.0, 0.0], [1.0, -2.0], [0.3, 0.7], [5.0, 0.0]])
    result = fourier.nudft(x, y, k)
    assert result.dtype == np.complex128
    assert result.shape == (2, 4, 3)
    for t, a, channel in itertools.product(range(2), range(4), range(3)):
        terms = (y[t, i, channel] * np.exp(-2j * np.pi * (k[a, 0] * x[i, 0] + k[a, 1] * x[i, 1])) for i in range(7))
        assert result[t, a, channel] == pytest.approx(sum(terms) / 7, abs=1e-14)


def test_nudft_on_a_uniform_grid_is_the_fft():
    n = 64
    y = np.random.default_rng(1).normal(size=(n, 2))
    result = fourier.nudft(np.arange(n) / n, y, n * np.fft.fftfreq(n))
    np.testing.assert_allclose(result, np.fft.fft(y, axis=0) / n, atol=1e-14)


@pytest.mark.skipif(platform.machine() == "aarch64", reason="finufft comes as no wheel for Linux on ARM")
@pytest.mark.parametrize(
    ("d", "shape"), [(1, (3000,)), (2, (3000, 3)), pytest.param(3, (2, 3000, 4), marks=pytest.mark.slow)]
)
def test_nudft_is_the_same_with_and_without_finufft(monkeypatch, d, shape):
    assert fourier.finufft is not None, "finufft is pinned in requirements.txt"
    rng = np.random.default_rng(2)
    # 3000 x 1000 exceeds one block of the direct sum, so the seam between blocks is crossed
    x, y, k = rng.uniform(-1, 2, (3000, d)), rng.normal(size=shape), rng.uniform(-4, 9, (1000, d))
    assert fourier._fast_sum_pays(x, k, columns=8)
    fast = fourier.nudft(x, y, k)
    monkeypatch.setattr(fourier, "finufft", None)
    np.testing.assert_allclose(fast, fourier.nudft(x, y, k), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("x", "k"),
    [
        (np.linspace(0, 1, 5000) * 1e9, np.arange(200.0)),  # a grid of 2e11 cycles would not fit in memory
        (np.random.default_rng(3).uniform(size=(5000, 4)), np.ones((200, 4))),  # finufft ends at three dimensions
    ],
    ids=["far apart", "four dimensions"],
)
def test_nudft_sums_directly_where_finufft_cannot(monkeypatch, x, k):
    monkeypatch.setattr(fourier, "finufft", "not to be called")
    found = fourier.nudft(x, np.ones(5000), k)[7, 0]
    phase = x.reshape(5000, -1) @ k.reshape(200, -1)[7]
    np.testing.assert_allclose(found, np.exp(-2j * np.pi * phase).mean(), atol=1e-6)


@given(seed=SEEDS, a=st.floats(-10, 10), b=st.floats(-10, 10))
def test_nudft_is_linear(seed, a, b):
    x, u = samples(seed)
    v, k = samples(seed + 1)[1], samples(seed + 2, n=5)[0]
    mixed = fourier.nudft(x, a * u + b * v, k)
    np.testing.assert_allclose(mixed, a * fourier.nudft(x, u, k) + b * fourier.nudft(x, v, k), atol=1e-12)


@given(seed=SEEDS)
def test_nudft_of_real_values_is_conjugate_symmetric(seed):
    x, y = samples(seed)
    k = samples(seed + 1, n=5)[0]
    np.testing.assert_allclose(fourier.nudft(x, y, -k), fourier.nudft(x, y, k).conj(), atol=1e-14)


@given(seed=SEEDS, shift=st.tuples(st.floats(-3, 3), st.floats(-3, 3)))
def test_nudft_turns_a_shift_into_a_phase(seed, shift):
    x, y = samples(seed)
    k = samples(seed + 1, n=5)[0]
    phase = np.exp(-2j * np.pi * (k @ np.array(shift)))
    np.testing.assert_allclose(fourier.nudft(x + shift, y, k), phase[:, None] * fourier.nudft(x, y, k), atol=1e-12)


@given(seed=SEEDS, n=st.integers(1, 40))
def test_nudft_obeys_parseval_on_a_uniform_grid(seed, n):
    y = np.random.default_rng(seed).normal(size=n)
    coefficients = fourier.nudft(np.arange(n) / n, y, np.arange(n))
    assert np.sum(np.abs(coefficients) ** 2) == pytest.approx(np.mean(y**2), rel=1e-12)


def test_nudft_takes_vectors_and_tensors():
    x, y = samples(3, d=1, c=1)
    expected = fourier.nudft(x, y, [[0.0], [1.5]])
    np.testing.assert_allclose(fourier.nudft(x[:, 0], y[:, 0], [0.0, 1.5]), expected, atol=1e-14)
    tensors = torch.tensor(x, requires_grad=True), torch.tensor(y), torch.tensor([[0.0], [1.5]])
    np.testing.assert_allclose(fourier.nudft(*tensors), expected, atol=1e-14)


def test_nudft_takes_more_frequencies_than_a_block_has_room_for():
    k = np.linspace(0, 1, 2**20 + 1)
    result = fourier.nudft([0.0, 1.0], [0.0, 2.0], k)
    np.testing.assert_allclose(result[[0, 2**18, 2**19], 0], [1, -1j, -1], atol=1e-14)


def test_nudft_of_sixty_thousand_points_fits_in_little_memory():
    x, y = samples(4, n=60_000, d=1, c=10)
    with peak_memory() as peak:
        fourier.nudft(x, y, np.arange(200.0))
    assert peak[0] < 100e6  # the n x K phases alone would take 96 MB, their sines and cosines as much again each


# --- principal direction and projection -------------------------------------------------------------------------------


@given(seed=SEEDS, shift=st.floats(-100, 100), scale=st.sampled_from([1e-3, 1.0, 1e6]))
def test_principal_direction_ignores_reflection_shift_and_units(seed, shift, scale):
    x = samples(seed, n=30)[0] * [3.0, 1.0]
    direction = fourier.principal_direction(x)
    assert np.linalg.norm(direction) == pytest.approx(1, abs=1e-14)
    np.testing.assert_allclose(fourier.principal_direction(-x), direction, atol=1e-9)
    np.testing.assert_allclose(fourier.principal_direction(scale * (x + shift)), direction, atol=1e-9)


def test_principal_direction_keeps_its_sign_where_two_entries_tie_up_to_rounding():
    t = np.linspace(-1, 1, 9)
    for _ in range(50):
        t = t * 1.01 + 0.1  # other roundings, same line
        direction = fourier.principal_direction(np.stack([0.3 + t, 0.7 - t], axis=1))
        np.testing.assert_allclose(direction, np.array([1, -1]) / np.sqrt(2), atol=1e-12)


@pytest.mark.parametrize("n, d", [(3, 4000), (4000, 3)])
def test_principal_direction_decomposes_the_smaller_matrix(n, d):
    x = samples(19, n=n, d=d)[0]
    with peak_memory() as peak:
        fourier.principal_direction(x)
    assert peak[0] < 5e6  # the larger one takes 128 MB


@pytest.mark.parametrize("n, d", [(50, 4), (4, 4), (5, 60)])
def test_principal_directions_are_the_right_singular_vectors(n, d):
    x = np.random.default_rng(n * d).normal(size=(n, d)) * np.linspace(1, 3, d) + 10
    expected = np.linalg.svd(x - x.mean(axis=0))[2][:3]
    directions = fourier.principal_directions(x, 3)
    overlaps = directions @ expected.T
    np.testing.assert_allclose(np.abs(overlaps), np.eye(3), atol=1e-10)
    assert (directions[np.arange(3), np.abs(directions).argmax(axis=1)] > 0).all()


@pytest.mark.parametrize("n, d, count", [(4, 9, 4), (9, 2, 3), (9, 9, 10)])
def test_principal_directions_are_no_more_than_the_data_have(n, d, count):
    """n centred points span at most n - 1 directions."""
    x = samples(3, n=n, d=d)[0]
    spread = min(n - 1, d)
    with pytest.raises(ValueError, match=rf"x must vary in {count} direction\(s\); it does so in {spread}$"):
        fourier.principal_directions(x, count)
    assert fourier.principal_directions(x, spread).shape == (spread, d)


@pytest.mark.parametrize(("width", "spread"), [(1e-5, 2), (1e-7, 1)])
def test_a_direction_counts_from_a_millionth_of_the_widest_on(width, spread):
    x = np.random.default_rng(4).normal(size=(4000, 2)) * [1, width]
    assert fourier.principal_directions(x, spread).shape == (spread, 2)
    with pytest.raises(ValueError, match=f"it does so in {spread}$"):
        fourier.principal_directions(x, spread + 1)


@pytest.mark.parametrize("x", [np.full((5, 2), 0.1), np.ones((1, 3))])
def test_principal_direction_of_one_point_is_refused(x):
    with pytest.raises(ValueError, match="it does so in 0"):
        fourier.principal_direction(x)


@given(seed=SEEDS, length=st.floats(0.01, 100))
def test_project_is_the_coordinate_rescaled_to_the_unit_interval(seed, length):
    x, direction = samples(seed, d=3)[0], length * samples(seed + 1, d=3)[0][0]
    u = fourier.project(x, direction)
    assert u.shape == (40, 1)
    assert [u.min(), u.max()] == pytest.approx([0, 1], abs=1e-15)
    coordinate = x @ direction
    expected = (coordinate - coordinate.min()) / (coordinate.max() - coordinate.min())
    np.testing.assert_allclose(u[:, 0], expected, atol=1e-9)


def test_project_is_exact_far_from_the_origin_and_across_a_thin_cloud():
    x = np.random.default_rng(20).integers(-99, 99, (64, 2)) * 1.0
    u = fourier.project(x, [0.3, 0.7])
    np.testing.assert_allclose(fourier.project(x + 2.0**40, [0.3, 0.7]), u, atol=1e-12)
    np.testing.assert_allclose(fourier.project(x * [1, 1e-9], [0.0, 1.0]), fourier.project(x, [0.0, 1.0]), atol=1e-12)


@pytest.mark.parametrize("direction", [[3.0, -1.0], [0.0, 0.0]])
def test_project_refuses_points_without_extent_along_the_direction(direction):
    t = np.linspace(-1, 1, 11)
    line = np.stack([0.1 + t, 0.7 + 3 * t], axis=1)  # perpendicular to (3, -1), up to rounding
    for unit, length in itertools.product((1e-8, 1.0, 1e8), repeat=2):
        with pytest.raises(ValueError, match="spread along direction"):
            fourier.project(unit * line, length * np.array(direction))


# --- noise floor, permutation baseline -------------------------------------------------------------------------------


def test_noise_floor_is_the_root_mean_square_over_all_labellings():
    n, p = 6, np.array([0.0, 0.1, 0.5, 0.8, 1.0])
    x, k = samples(5, n=n, d=1)[0], np.array([0.4, 1.0, 7.0])
    labellings = np.array(list(itertools.product([0.0, 1.0], repeat=n)))  # (64, n)
    ones = labellings.sum(axis=1)
    for share, floor in zip(p, fourier.noise_floor(p, n), strict=True):
        probability = share**ones * (1 - share) ** (n - ones)
        power = np.abs(fourier.nudft(x, labellings.T - share, k)) ** 2 @ probability
        np.testing.assert_allclose(floor**2, power, rtol=1e-12)


def test_permutation_baseline_has_the_variance_of_a_random_permutation():
    n, k = 30, np.array([0.0, 0.2, 1.0, 4.0])
    rng = np.random.default_rng(6)
    x, y = rng.uniform(size=(n, 1)), rng.normal(1.0, 2.0, n)
    power = fourier.permutation_baseline(x, y, k, draws=5000)[:, :, 0] ** 2
    density = np.abs(fourier.nudft(x, np.ones(n), k)[:, 0]) ** 2
    # exact second moment of sum_i y_pi(i) z_i over uniform permutations pi
    expected = y.mean() ** 2 * density + y.var() * (1 - density) / (n - 1)
    np.testing.assert_allclose(power.mean(axis=0), expected, atol=5 * power.std(axis=0).max() / np.sqrt(5000))
    np.testing.assert_allclose(power[:, 0], y.mean() ** 2, rtol=1e-12)


def test_permutation_baseline_moves_whole_rows_and_follows_its_seed():
    x, y = samples(7, d=1, c=1)
    k = np.arange(5.0)
    band = fourier.permutation_baseline(x, np.hstack([y, 2 * y]), k, draws=20)
    assert band.shape == (20, 5, 2)
    np.testing.assert_allclose(band[..., 1], 2 * band[..., 0], rtol=1e-9, atol=1e-14)
    again = fourier.permutation_baseline(x, y, k, draws=20, seed=0)
    np.testing.assert_allclose(band[..., :1], again, rtol=1e-9, atol=1e-14)  # products of two columns and of one
    assert np.abs(again[:, 1:] - fourier.permutation_baseline(x, y, k, draws=20, seed=1)[:, 1:]).max() > 1e-3


def test_permutation_baseline_lies_below_the_spectrum_of_labels_that_depend_on_x():
    x = np.random.default_rng(8).uniform(size=(500, 1))
    y = np.cos(2 * np.pi * 3 * x) > 0
    band = np.quantile(fourier.permutation_baseline(x, y, [3.0]), 0.95)
    assert np.abs(fourier.nudft(x, y, [3.0]))[0, 0] > 4 * band


# --- error by frequency -----------------------------------------------------------------------------------------------


def test_relative_error_reads_each_frequency_by_itself():
    x = np.arange(50) / 50
    one, three = np.cos(2 * np.pi * x), np.sin(2 * np.pi * 3 * x)
    y = one + three
    h = np.stack([0 * x, one, one + 0.5 * three, 2 * y])[:, :, None]
    expected = [[1, 1], [0, 1], [0, 0.5], [1, 1]]
    np.testing.assert_allclose(fourier.relative_error(x, h, y, [1.0, 3.0]), expected, atol=1e-13)
    np.testing.assert_allclose(fourier.relative_error(x, h[2], y, [1.0, 3.0]), expected[2], atol=1e-13)


def test_relative_error_is_that_of_the_discrete_fourier_transform_on_a_grid():
    rng = np.random.default_rng(9)
    y, h = rng.normal(size=(2, 201))
    transform_y, transform_h = np.fft.fft(y), np.fft.fft(h)
    expected = np.abs(transform_h - transform_y) / np.abs(transform_y)
    indices = np.array([1, 3, 5, 100])
    result = fourier.relative_error(np.arange(201) / 201, h, y, indices)
    np.testing.assert_allclose(result, expected[indices], rtol=1e-10)


def test_relative_error_takes_the_euclidean_norm_over_channels():
    x = np.arange(20) / 20
    wave = np.cos(2 * np.pi * x)[:, None]
    error = fourier.relative_error(x, wave * [3.0, 6.0], wave * [3.0, 4.0], [1.0])
    np.testing.assert_allclose(error, [2 / 5], rtol=1e-12)


def test_channel_errors_keep_the_channels_apart():
    x = np.arange(50) / 50
    one, three = np.cos(2 * np.pi * x), np.sin(2 * np.pi * 3 * x)
    y = np.stack([one + three, 10 * one - three], axis=1)
    h = np.stack([y, np.stack([one, 5 * one - three], axis=1), 0 * y])
    expected = [[[0, 0], [0, 0]], [[0, 0.5], [1, 0]], [[1, 1], [1, 1]]]  # snapshot, frequency, channel
    np.testing.assert_allclose(fourier.channel_errors(x, h, y, [1.0, 3.0]), expected, atol=1e-13)
    np.testing.assert_allclose(fourier.channel_errors(x, h[1], y, [1.0, 3.0]), expected[1], atol=1e-13)
    shared = fourier.channel_errors(x, h, y[:, 0], [1.0, 3.0])
    np.testing.assert_allclose(shared[..., :1], fourier.channel_errors(x, h, y, [1.0, 3.0])[..., :1], atol=1e-13)
    np.testing.assert_allclose(shared, fourier.channel_errors(x, h, np.tile(y[:, :1], 2), [1.0, 3.0]), atol=1e-13)
    np.testing.assert_allclose(fourier.channel_errors(x, h, y[:, :1], [1.0, 3.0]), shared, atol=1e-13)
    lacking = np.stack([one + three, one], axis=1)
    with pytest.raises(ValueError, match=r"k = 3\.0$"):
        fourier.channel_errors(x, y, lacking, [1.0, 3.0])  # though the first channel has that frequency


def test_relative_error_names_the_frequency_that_the_target_lacks():
    x = np.arange(50) / 50
    y = 1e-6 * np.cos(2 * np.pi * x)  # small is no reason: the bound is relative to y
    assert fourier.relative_error(x, 0 * x, y, [1.0]) == pytest.approx([1])
    with pytest.raises(ValueError, match=r"k = 7\.0$"):
        fourier.relative_error(x, 0 * x, y, [1.0, 7.0])
    with pytest.raises(ValueError, match="k = 1"):
        fourier.relative_error(x, x, 0 * x, [1.0])
    nearly = y + 2e-18 * np.sqrt(2) * np.cos(2 * np.pi * 7 * x)  # |y_7| = 2e-12 rms(y), just above the bound
    with pytest.raises(ValueError, match=r"k = 8\.0$"):
        fourier.relative_error(x, 0 * x, nearly, [7.0, 8.0])


# --- Gaussian split ---------------------------------------------------------------------------------------------------


def dense_low(x, y, delta):
    """The definition, with the whole matrix and distances free of cancellation."""
    weights = np.exp(-(cdist(x, x) ** 2) / (2 * delta))
    return weights @ y / weights.sum(axis=1, keepdims=True)


@given(distance=st.floats(0.01, 10), delta=st.floats(0.05, 50), u=st.floats(-5, 5), v=st.floats(-5, 5))
def test_split_of_two_points_by_hand(distance, delta, u, v):
    low, high = fourier.gaussian_split([0.0, distance], [u, v], delta)
    w = np.exp(-(distance**2) / (2 * delta))
    expected = np.array([[(u + w * v) / (1 + w)], [(v + w * u) / (1 + w)]])
    tolerance = SPLIT * abs(u - v) + 1e-14
    np.testing.assert_allclose(low, expected, atol=tolerance)
    np.testing.assert_allclose(high, np.array([[u], [v]]) - expected, atol=tolerance)


@pytest.mark.parametrize("delta", [1e-3, 0.3, 3.0, 300.0])  # the first two compute in double, the others in single
@pytest.mark.parametrize("n", [512, 1100])  # one strip; several, the last one short
def test_split_agrees_with_the_dense_matrix(n, delta):
    x, y = samples(10, n=n, d=5)
    low, high = fourier.gaussian_split(x * 5, y, delta)
    expected = dense_low(x * 5, y, delta)
    np.testing.assert_allclose(low, expected, atol=SPLIT * 0.1 if delta >= 3 else 1e-11)
    np.testing.assert_allclose(high, y - low, atol=1e-14)


def test_split_of_a_trajectory_is_that_of_each_snapshot():
    x, y = samples(11, n=60, snapshots=4)
    low, high = fourier.gaussian_split(x, y, 0.2)
    for t in range(4):
        np.testing.assert_allclose(low[t], dense_low(x, y[t], 0.2), atol=SPLIT)
    np.testing.assert_allclose(low + high, y, rtol=0, atol=1e-15)
    assert low.shape == high.shape == y.shape


@given(seed=SEEDS)
def test_split_has_its_limits(seed):
    x, y = samples(seed)
    nothing_averaged = fourier.gaussian_split(x, y, 1e-9)[0]
    np.testing.assert_allclose(nothing_averaged, y, atol=1e-12)
    all_averaged = fourier.gaussian_split(x, y, 1e12)[0]  # weights are 1, values rounded to single precision
    single = 2 * np.finfo(np.float32).eps * np.abs(y).max()
    np.testing.assert_allclose(all_averaged, np.broadcast_to(y.mean(axis=0), y.shape), rtol=0, atol=single)


@given(seed=SEEDS, delta=st.floats(1e-3, 1e3), shift=st.floats(-1e3, 1e3))
def test_split_does_not_see_where_the_points_lie(seed, delta, shift):
    x, y = samples(seed, d=3)
    rotation = ortho_group.rvs(3, random_state=seed)
    order = np.random.default_rng(seed).permutation(len(x))
    low = fourier.gaussian_split(x, y, delta)[0]
    np.testing.assert_allclose(fourier.gaussian_split(x + shift, y, delta)[0], low, atol=SPLIT)
    np.testing.assert_allclose(fourier.gaussian_split(x @ rotation, y, delta)[0], low, atol=SPLIT)
    np.testing.assert_allclose(fourier.gaussian_split(x[order], y[order], delta)[0], low[order], atol=SPLIT)


def test_split_is_exact_far_from_the_origin():
    x = np.random.default_rng(21).integers(-9, 9, (64, 2)) * 1.0
    y = samples(21, n=64)[1]
    near = fourier.gaussian_split(x, y, 2.0)
    np.testing.assert_allclose(fourier.gaussian_split(x + 2.0**40, y, 2.0), near, atol=SPLIT)


@given(seed=SEEDS, a=st.floats(-10, 10), constant=st.floats(-1e6, 1e6))
def test_split_is_linear_and_passes_constants(seed, a, constant):
    x, u = samples(seed)
    v = samples(seed + 1)[1]
    low_u, low_v = (fourier.gaussian_split(x, w, 0.3)[0] for w in (u, v))
    np.testing.assert_allclose(fourier.gaussian_split(x, a * u + v, 0.3)[0], a * low_u + low_v, atol=3e-5)
    np.testing.assert_allclose(fourier.gaussian_split(x, u + constant, 0.3)[0], low_u + constant, rtol=0, atol=1e-6)


def test_split_gives_points_that_coincide_the_same_low_part():
    x, y = samples(12, n=30)
    low = fourier.gaussian_split(np.vstack([x, x]), np.vstack([y, -y]), 1e-6)[0]  # double precision
    np.testing.assert_allclose(low, 0, atol=1e-9)


def test_split_never_holds_the_whole_matrix():
    x, y = samples(14, n=8000, d=2, c=1)
    with peak_memory() as peak:
        fourier.gaussian_split(x, y, 0.5)
    assert peak[0] < 60e6  # 8000 x 8000 weights take 256 MB in single precision; a strip of 512 rows takes 16 MB


@pytest.mark.parametrize("delta", [1e-13, 1e-100])
def test_split_refuses_a_width_that_double_precision_cannot_resolve(delta):
    with pytest.raises(ValueError, match="largest squared distance"):
        fourier.gaussian_split(*samples(15), delta)


# --- errors of the two parts ------------------------------------------------------------------------------------------


def test_split_errors_follow_their_definition():
    x, y = samples(16)
    h = samples(17, snapshots=3)[1]
    e_low, e_high = fourier.split_errors(x, h, y, 0.3)
    assert e_low.shape == e_high.shape == (3,)
    low = dense_low(x, y, 0.3)
    for t in range(3):
        low_h = dense_low(x, h[t], 0.3)
        assert e_low[t] == pytest.approx(np.sqrt(np.sum((low - low_h) ** 2) / np.sum(low**2)), rel=1e-4)
        high, high_h = y - low, h[t] - low_h
        assert e_high[t] == pytest.approx(np.sqrt(np.sum((high - high_h) ** 2) / np.sum(high**2)), rel=1e-4)
    single = fourier.split_errors(x, h[1], y, 0.3)
    assert [np.shape(e) for e in single] == [(), ()]
    np.testing.assert_allclose(single, [e_low[1], e_high[1]], rtol=1e-6)


def test_split_errors_tell_a_smooth_mistake_from_a_rough_one():
    x = np.arange(200) / 200
    smooth, rough = np.cos(2 * np.pi * x), np.cos(2 * np.pi * 30 * x)
    e_low, e_high = fourier.split_errors(x, np.stack([smooth, rough])[:, :, None], smooth + rough, 1e-3)
    assert e_low[0] < 0.05 < 0.9 < e_high[0]
    assert e_high[1] < 0.05 < 0.9 < e_low[1]


def test_split_errors_refuse_a_target_without_the_part():
    x, h = samples(18)
    zero_mean = h - h.mean(axis=0)
    constant = np.ones((40, 1)) * [0.1, 1 / 3, 7e5]
    for y, delta, part in ((constant, 1.0, "high"), (0 * h, 1.0, "low"), (zero_mean, 1e12, "low")):
        for unit in (1e-3, 1.0, 1e3):
            with pytest.raises(ValueError, match=f"a {part} part"):
                fourier.split_errors(x, unit * h, unit * y, delta)
    errors = fourier.split_errors(x, 2 * h, h, 0.3)
    np.testing.assert_allclose(fourier.split_errors(x, 2e-6 * h, 1e-6 * h, 0.3), errors, rtol=1e-6)


# --- first time below a threshold -------------------------------------------------------------------------------------


@given(st.data())
def test_first_below_is_the_first_hit_of_a_loop(data):
    errors = np.array(data.draw(st.lists(st.tuples(*[st.sampled_from([0.0, 0.1, 0.2, 1.0])] * 3), min_size=1)))
    steps = data.draw(st.lists(st.integers(1, 9), min_size=len(errors), max_size=len(errors)))
    times = np.cumsum(steps) - 5
    expected = [next((float(t) for t, e in zip(times, column, strict=True) if e < 0.2), np.inf) for column in errors.T]
    assert fourier.first_below(errors, times, 0.2).tolist() == expected
    single = fourier.first_below(errors[:, 0], times, 0.2)
    assert isinstance(single, float)
    assert single == expected[0]


@pytest.mark.parametrize(
    ("errors", "first", "stays"),
    [
        ([1.0, 0.1, 0.5, 0.15, 0.1], 10.0, 30.0),  # a dip, a rise, and for good
        ([1.0, 0.1, 0.1, 0.1, 0.5], 10.0, np.inf),  # the last one rises again
        ([1.0, 0.9, 0.8, 0.7, 0.6], np.inf, np.inf),
        ([0.1, 0.1, 0.0, 0.1, 0.1], 0.0, 0.0),  # from the start
        ([1.0, 0.5, 0.5, 0.5, 0.1], 40.0, 40.0),  # at the last time
        ([1.0, 0.2, 0.1, 0.1, 0.1], 20.0, 20.0),  # the threshold itself is not below it
    ],
)
def test_learned_at_is_the_time_from_which_the_error_stays_below(errors, first, stays):
    times = 10 * np.arange(5)
    assert fourier.first_below(errors, times, 0.2) == first
    assert fourier.learned_at(errors, times, 0.2) == stays


@given(st.data())
def test_learned_at_is_that_of_a_loop_from_the_end(data):
    errors = np.array(data.draw(st.lists(st.tuples(*[st.sampled_from([0.0, 0.1, 0.2, 1.0])] * 3), min_size=1)))
    times, expected = np.cumsum(np.ones(len(errors))), []
    for column in errors.T:
        found = np.inf
        for time, error in zip(times[::-1], column[::-1], strict=True):
            if error >= 0.2:
                break
            found = time
        expected.append(found)
    found = fourier.learned_at(errors, times, 0.2)
    assert found.tolist() == expected
    by_member = fourier.learned_at(np.stack([errors, errors], axis=-1), times, 0.2)  # (T, K, members)
    assert by_member.tolist() == [[t, t] for t in expected]


def test_slope_is_the_power_of_a_law():
    x = np.geomspace(0.1, 1e4, 9)
    assert fourier.slope(x, 5 * x**-1.7) == pytest.approx(-1.7, rel=1e-12)
    noisy = np.exp([0.0, 1.0, -1.0]) * x[:3] ** 2
    assert fourier.slope(x[:3], noisy) == pytest.approx(2 - 1 / np.log(x[2] / x[0]), rel=1e-12)  # by hand


# --- bad input --------------------------------------------------------------------------------------------------------

X, Y, K = np.linspace(0, 1, 12).reshape(6, 2), np.arange(6.0).reshape(6, 1), np.ones((3, 2))
BAD_CALLS = {
    "nudft: other n": (fourier.nudft, (X, Y[:5], K), {}, "6 points"),
    "nudft: transposed y": (fourier.nudft, (X, Y.T, K), {}, r"shape \(1, 6\)"),
    "nudft: k of another dimension": (fourier.nudft, (X, Y, [1.0, 2.0]), {}, "one column per dimension"),
    "nudft: NaN": (fourier.nudft, (X, Y * np.nan, K), {}, "y must be finite"),
    "nudft: complex y": (fourier.nudft, (X, Y + 1j, K), {}, "real"),
    "nudft: empty k": (fourier.nudft, (X, Y, np.zeros((0, 2))), {}, "empty"),
    "principal_direction: images": (fourier.principal_direction, (np.ones((4, 3, 3)),), {}, "dimension"),
    "project: other dimension": (fourier.project, (X, [1.0, 0.0, 0.0]), {}, "one entry per dimension"),
    "noise_floor: percent": (fourier.noise_floor, (10.0, 100), {}, "fraction"),
    "permutation_baseline: trajectory": (fourier.permutation_baseline, (X, Y[None], K), {}, "dimension"),
    "relative_error: y a trajectory": (fourier.relative_error, (X, Y, Y[None], K), {}, "dimension"),
    "relative_error: channels": (fourier.relative_error, (X, np.hstack([Y, Y]), Y, K), {}, "channels"),
    "relative_error: (T, n) outputs": (fourier.relative_error, (X, np.ones((9, 6)), Y, K), {}, r"shape \(9, 6\)"),
    "gaussian_split: negative delta": (fourier.gaussian_split, (X, Y, -1.0), {}, "delta must be"),
    "split_errors: channels": (fourier.split_errors, (X, np.hstack([Y, Y]), Y, 1.0), {}, "channels"),
    "split_errors: other n": (fourier.split_errors, (X, Y[:5], Y, 1.0), {}, "6 points"),
    "channel_errors: channels": (fourier.channel_errors, (X, Y, np.hstack([Y, Y]), K), {}, "channels"),
    "first_below: other length": (fourier.first_below, ([1.0, 0.1], [1, 2, 3], 0.2), {}, "same number"),
    "first_below: times fall": (fourier.first_below, ([1.0, 0.1], [2, 1], 0.2), {}, "ascending"),
    "learned_at: threshold": (fourier.learned_at, ([1.0, 0.1], [1, 2], 0.0), {}, "threshold"),
    "learned_at: a number": (fourier.learned_at, (1.0, [1, 2], 0.1), {}, "same number"),
    "slope: a zero": (fourier.slope, ([1.0, 2.0], [1.0, 0.0]), {}, "all > 0"),
    "slope: one point": (fourier.slope, ([1.0], [1.0]), {}, "at least two"),
}


@pytest.mark.parametrize("call, args, kwargs, message", BAD_CALLS.values(), ids=BAD_CALLS.keys())
def test_bad_input_is_refused_with_a_reason(call, args, kwargs, message):
    with pytest.raises(ValueError, match=message):
        call(*args, **kwargs)


# --- tanh_transform ---------------------------------------------------------------------------------------------------

NEURONS = [(1.0, 0.0), (2.5, 0.8), (-0.7, 1.3), (4.0, -2.0)]


@pytest.mark.parametrize(("w", "b"), NEURONS)
def test_tanh_transform_is_that_of_its_derivative_over_2_pi_i_xi(w, b):
    xi = np.array([-1.5, -0.2, 0.05, 0.3, 1.0])
    x, step = np.linspace(-60, 60, 24001, retstep=True)
    slope = w / np.cosh(w * x + b) ** 2  # decays, and the trapezoidal rule is exact to rounding
    expected = np.exp(-2j * np.pi * np.outer(xi, x)) @ slope * step / (2j * np.pi * xi)
    np.testing.assert_allclose(fourier.tanh_transform(xi, w, b), expected, rtol=1e-11, atol=1e-13)


def test_tanh_transform_is_that_of_the_sign_plus_a_sine_integral():
    for xi in (0.1, 0.4, 1.0):
        # tanh - sign decays; F[sign](xi) = 1 / (pi i xi). The derivative is not used.
        rest, _ = quad(lambda x: np.tanh(x) - 1, 0, 30, weight="sin", wvar=2 * np.pi * xi, epsabs=1e-13)
        expected = 1 / (np.pi * 1j * xi) - 2j * rest
        np.testing.assert_allclose(fourier.tanh_transform([xi], 1.0), expected, atol=1e-11)


@given(xi=st.floats(0.01, 3), w=st.floats(0.3, 50), b=st.floats(-5, 5))
def test_tanh_transform_of_a_real_and_odd_function(xi, w, b):
    value = fourier.tanh_transform([xi], w, b)
    np.testing.assert_allclose(fourier.tanh_transform([-xi], w, b), value.conj(), rtol=1e-9)
    np.testing.assert_allclose(fourier.tanh_transform([xi], -w, -b), -value, rtol=1e-9)


def test_tanh_transform_of_many_neurons_is_one_column_each():
    xi, (w, b) = np.array([0.2, 0.9, 2.0]), np.array(NEURONS).T
    result = fourier.tanh_transform(xi, torch.tensor(w), b)
    assert (result.shape, result.dtype) == ((3, 4), np.complex128)
    for column, neuron in zip(result.T, NEURONS, strict=True):
        np.testing.assert_allclose(column, fourier.tanh_transform(xi, *neuron), rtol=1e-12)
    np.testing.assert_allclose(fourier.tanh_transform(xi, 2.0, b)[:, 1], fourier.tanh_transform(xi, 2.0, b[1]))
    np.testing.assert_allclose(fourier.tanh_transform(xi, w)[:, 2], fourier.tanh_transform(xi, w[2]))


def test_tanh_transform_of_a_nearly_flat_neuron_is_zero_and_of_a_step_that_of_the_sign():
    with np.errstate(all="raise", under="ignore"):
        assert abs(fourier.tanh_transform([1.0], 1e-3)[0]) < 1e-300
        np.testing.assert_allclose(fourier.tanh_transform([1.0], 1e9), 1 / (1j * np.pi), rtol=1e-12)


@pytest.mark.parametrize(
    ("xi", "w", "b", "message"),
    [
        ([0.5, 0.0], 1.0, 0.0, "must be non-zero"),
        ([0.5], [1.0, 0.0], 0.0, "must be non-zero"),
        ([0.5], [1.0, 2.0], [0.0, 0.0, 0.0], "shape mismatch"),
        ([[0.5]], 1.0, 0.0, "xi must have 1 dimension"),
    ],
)
def test_tanh_transform_refuses(xi, w, b, message):
    with pytest.raises(ValueError, match=message):
        fourier.tanh_transform(xi, w, b)


# --- diagnose: trainings whose answer is known by construction --------------------------------------------------------

N = 400
POINTS = np.column_stack(
    [np.arange(N) / (N - 1), np.random.default_rng(0).uniform(-0.2, 0.2, N)]
)  # the first direction is the first column
ALONG = fourier.project(POINTS, fourier.principal_direction(POINTS))[:, 0]
ONE, FOUR = np.cos(2 * np.pi * ALONG), np.cos(2 * np.pi * 4 * ALONG + 1)
TARGETS = np.stack([3 + ONE + 0.5 * FOUR, 2 - ONE + FOUR], axis=1)
# first the low wave is learned, then the high one
OUTPUTS = np.stack(
    [a * np.stack([ONE, -ONE], 1) + b * np.stack([0.5 * FOUR, FOUR], 1) for a, b in ((0, 0), (1, 0), (1, 1))]
)
RUN = Trajectory([0, 10, 20], OUTPUTS + TARGETS.mean(axis=0), inputs=POINTS)


def test_a_training_with_a_known_order_is_read_right():
    found = diagnose(RUN, TARGETS)
    (along,) = found.projections
    assert along.k[along.trusted].tolist() == [1, 4]
    np.testing.assert_allclose(along.positions[:, 0], ALONG, atol=1e-12)
    np.testing.assert_allclose(along.errors[:, along.trusted], [[1, 1], [0, 1], [0, 0]], atol=0.05)
    np.testing.assert_allclose(along.spectrum[[0, 3]], [np.sqrt(2) / 2, np.sqrt(1.25) / 2], rtol=0.02)
    np.testing.assert_allclose(found.times, RUN.times)


def test_the_floor_is_that_of_the_fraction_for_classes():
    labels = np.eye(3)[np.random.default_rng(1).integers(3, size=N)]
    found = diagnose(Trajectory([0], labels[None], inputs=POINTS), labels)
    expected = np.linalg.norm(fourier.noise_floor(labels.mean(axis=0), N))
    assert found.projections[0].floor == pytest.approx(expected, rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("columns", [1, 3])
def test_targets_that_mean_nothing_are_trusted_one_time_in_twenty(columns):
    alarms, rule_of_two = [], []
    for seed in range(200):
        noise = np.random.default_rng(seed).normal(size=(60, columns))
        found = diagnose(Trajectory([0], noise[None], inputs=POINTS[:60]), noise).projections[0]
        alarms.append(found.trusted.any())
        rule_of_two.append((found.spectrum > 2 * found.floor).any())
    assert np.mean(alarms) < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 200)
    if columns == 1:  # twice the floor alone would not do; with more channels it is the stricter of the two rules
        assert np.mean(alarms) > 0.05 - 2.5 * np.sqrt(0.05 * 0.95 / 200)
        assert np.mean(rule_of_two) > 0.2


def test_twice_the_floor_is_asked_for_where_permutations_would_be_content():
    """With many channels chance varies little, and its largest value lies below twice the floor."""
    y = np.random.default_rng(1).normal(size=(N, 50)) + 0.17 * np.cos(2 * np.pi * 3 * ALONG)[:, None]
    seen = diagnose(Trajectory([0], y[None], inputs=POINTS), y).projections[0]
    assert np.quantile(seen.baseline.max(axis=1), 0.95) < seen.spectrum[2] < 2 * seen.floor
    assert not seen.trusted[2]


def test_leak_is_the_part_of_a_wave_that_shows_at_its_neighbour():
    bunched = np.random.default_rng(1).normal(size=(N, 1)) ** 3
    for x in (bunched, POINTS):
        seen = diagnose(Trajectory([0], np.ones((1, N, 1)), inputs=x), x[:, :1]).projections[0]
        wave = np.exp(2j * np.pi * 5 * seen.positions)
        neighbour = np.mean(wave * np.exp(-2j * np.pi * 6 * seen.positions))
        assert seen.leak == pytest.approx(abs(neighbour), rel=1e-10)
    assert seen.leak < 0.01


def test_the_filter_cuts_the_power_in_half():
    found = diagnose(RUN, TARGETS)
    chosen = found.deltas.tolist().index(found.delta)
    assert np.abs(found.rough_shares - 0.5).min() == abs(found.rough_shares[chosen] - 0.5) < 0.2
    _, high = fourier.gaussian_split(POINTS, TARGETS - TARGETS.mean(axis=0), found.delta)
    power = ((TARGETS - TARGETS.mean(axis=0)) ** 2).sum()
    assert found.rough_shares[chosen] == pytest.approx((high**2).sum() / power, rel=1e-6)
    assert found.deltas[-1] == pytest.approx(np.mean(pdist(POINTS) ** 2), rel=1 / N * 1.1)
    h = RUN.outputs - TARGETS.mean(axis=0)
    np.testing.assert_allclose(
        [found.e_low, found.e_high],
        fourier.split_errors(POINTS, h, TARGETS - TARGETS.mean(axis=0), found.delta),
        rtol=1e-4,
        atol=1e-6,
    )
    assert found.e_low[1] < 0.3 and found.e_high[1] > 0.5


def test_constants_are_not_counted():
    """A network that knows the mean and nothing else has learned nothing."""
    shifted = Trajectory(RUN.times, RUN.outputs + 100, inputs=POINTS)
    one, two = diagnose(RUN, TARGETS), diagnose(shifted, TARGETS + 100)
    np.testing.assert_allclose([one.e_low, one.e_high], [two.e_low, two.e_high], atol=1e-6)
    np.testing.assert_allclose(one.e_low[0], 1, atol=1e-9)


def test_several_directions_are_orthogonal_and_in_order():
    found = diagnose(RUN, TARGETS, directions=2, highest=7)
    directions = fourier.principal_directions(POINTS, 2)
    for seen, direction in zip(found.projections, directions, strict=True):
        np.testing.assert_allclose(seen.positions, fourier.project(POINTS, direction))
        assert seen.k.tolist() == list(range(1, 8))
    assert not found.projections[1].trusted.any()


def test_inputs_may_be_images_and_may_be_given_beside():
    images = np.random.default_rng(1).normal(size=(30, 2, 4))
    y = images[:, 0, 0]
    within = diagnose(Trajectory([0], y[None, :, None] * 0.5, inputs=images), y)
    beside = diagnose(Trajectory([0], y[None, :, None] * 0.5), y, x=images.reshape(30, 8))
    np.testing.assert_allclose(within.projections[0].spectrum, beside.projections[0].spectrum, rtol=1e-9)
    np.testing.assert_allclose([within.e_low, within.e_high], [beside.e_low, beside.e_high])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trajectory": Trajectory([0], TARGETS[None])}, "the trajectory holds no inputs .* give x"),
        ({"x": POINTS[:5]}, "x and y must hold the same number of samples; got 5 .* and 400"),
        ({"y": TARGETS[:, :1]}, r"y must have the shape of the outputs, \(400, 2\); got \(400, 1\)"),
        ({"y": TARGETS[:5]}, "y must have the shape of the outputs"),
        ({"y": np.ones_like(TARGETS)}, "y must vary"),
        ({"y": np.where(TARGETS > 2, TARGETS, np.nan)}, "y must be finite"),
        ({"directions": 3}, r"x must vary in 3 direction\(s\); it does so in 2"),
        ({"highest": 0}, "highest must be a whole number"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        diagnose(**{"trajectory": RUN, "y": TARGETS, **changes})


def test_the_figure_shows_data_left_and_training_right():
    found = diagnose(RUN, TARGETS, directions=2)
    figure = plotting.diagnosis(found, time_label="epoch")
    (spectrum, errors), (_, nothing), (shares, parts) = np.reshape(figure.axes, (3, 2))
    drawn = {
        line.get_label(): line for line in itertools.chain(spectrum.lines, errors.lines, shares.lines, parts.lines)
    }
    np.testing.assert_allclose(drawn["trusted"].get_xdata(), [1, 4])
    np.testing.assert_allclose(drawn["trusted"].get_ydata(), found.projections[0].spectrum[[0, 3]])
    np.testing.assert_allclose(drawn["twice the noise floor"].get_ydata(), 2 * found.projections[0].floor)
    np.testing.assert_allclose(drawn["k = 4"].get_ydata(), found.projections[0].errors[:, 3])
    np.testing.assert_allclose(drawn["$e_{\\mathrm{low}}$"].get_ydata(), found.e_low)
    np.testing.assert_allclose(drawn["$e_{\\mathrm{high}}$"].get_ydata(), found.e_high)
    assert [text.get_text() for text in nothing.texts] == ["no frequency above the noise"]
    assert errors.get_xlabel() == parts.get_xlabel() == "epoch"
