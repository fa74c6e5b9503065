"""The diagnosis of trainings whose answer is known by construction."""

import itertools

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from fpcourse import fourier, plotting
from fpcourse.fourier import diagnose
from fpcourse.trajectory import Trajectory

RNG = np.random.default_rng(0)
N = 400
X = np.column_stack([np.arange(N) / (N - 1), RNG.uniform(-0.2, 0.2, N)])  # the first direction is the first column
U = fourier.project(X, fourier.principal_direction(X))[:, 0]
ONE, FOUR = np.cos(2 * np.pi * U), np.cos(2 * np.pi * 4 * U + 1)
Y = np.stack([3 + ONE + 0.5 * FOUR, 2 - ONE + FOUR], axis=1)
# first the low wave is learned, then the high one
OUTPUTS = np.stack(
    [a * np.stack([ONE, -ONE], 1) + b * np.stack([0.5 * FOUR, FOUR], 1) for a, b in ((0, 0), (1, 0), (1, 1))]
)
RUN = Trajectory([0, 10, 20], OUTPUTS + Y.mean(axis=0), inputs=X)


def test_a_training_with_a_known_order_is_read_right():
    found = diagnose(RUN, Y)
    (along,) = found.projections
    assert along.k[along.trusted].tolist() == [1, 4]
    np.testing.assert_array_equal(along.positions[:, 0], U)
    np.testing.assert_allclose(along.errors[:, along.trusted], [[1, 1], [0, 1], [0, 0]], atol=0.05)
    np.testing.assert_allclose(along.spectrum[[0, 3]], [np.sqrt(2) / 2, np.sqrt(1.25) / 2], rtol=0.02)
    np.testing.assert_array_equal(found.times, RUN.times)


def test_the_floor_is_that_of_the_fraction_for_classes():
    labels = np.eye(3)[RNG.integers(3, size=N)]
    found = diagnose(Trajectory([0], labels[None], inputs=X), labels)
    expected = np.linalg.norm(fourier.noise_floor(labels.mean(axis=0), N))
    assert found.projections[0].floor == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("columns", [1, 3])
def test_targets_that_mean_nothing_are_trusted_one_time_in_twenty(columns):
    alarms, rule_of_two = [], []
    for seed in range(200):
        noise = np.random.default_rng(seed).normal(size=(60, columns))
        found = diagnose(Trajectory([0], noise[None], inputs=X[:60]), noise).projections[0]
        alarms.append(found.trusted.any())
        rule_of_two.append((found.spectrum > 2 * found.floor).any())
    assert np.mean(alarms) < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 200)
    if columns == 1:  # twice the floor alone would not do; with more channels it is the stricter of the two rules
        assert np.mean(alarms) > 0.05 - 2.5 * np.sqrt(0.05 * 0.95 / 200)
        assert np.mean(rule_of_two) > 0.2


def test_twice_the_floor_is_asked_for_where_permutations_would_be_content():
    """With many channels chance varies little, and its largest value lies below twice the floor."""
    y = RNG.normal(size=(N, 50)) + 0.17 * np.cos(2 * np.pi * 3 * U)[:, None]
    seen = diagnose(Trajectory([0], y[None], inputs=X), y).projections[0]
    assert np.quantile(seen.baseline.max(axis=1), 0.95) < seen.spectrum[2] < 2 * seen.floor
    assert not seen.trusted[2]


def test_leak_is_the_part_of_a_wave_that_shows_at_its_neighbour():
    bunched = RNG.normal(size=(N, 1)) ** 3
    for x in (bunched, X):
        seen = diagnose(Trajectory([0], np.ones((1, N, 1)), inputs=x), x[:, :1]).projections[0]
        wave = np.exp(2j * np.pi * 5 * seen.positions)
        neighbour = np.mean(wave * np.exp(-2j * np.pi * 6 * seen.positions))
        assert seen.leak == pytest.approx(abs(neighbour), rel=1e-10)
    assert seen.leak < 0.01


def test_the_filter_cuts_the_power_in_half():
    found = diagnose(RUN, Y)
    chosen = found.deltas.tolist().index(found.delta)
    assert np.abs(found.rough_shares - 0.5).min() == abs(found.rough_shares[chosen] - 0.5) < 0.2
    _, high = fourier.gaussian_split(X, Y - Y.mean(axis=0), found.delta)
    power = ((Y - Y.mean(axis=0)) ** 2).sum()
    assert found.rough_shares[chosen] == pytest.approx((high**2).sum() / power, rel=1e-6)
    assert found.deltas[-1] == pytest.approx(np.mean(pdist(X) ** 2), rel=1 / N * 1.1)
    h = RUN.outputs - Y.mean(axis=0)
    np.testing.assert_allclose(
        [found.e_low, found.e_high], fourier.split_errors(X, h, Y - Y.mean(axis=0), found.delta), rtol=1e-4, atol=1e-6
    )
    assert found.e_low[1] < 0.3 and found.e_high[1] > 0.5


def test_constants_are_not_counted():
    """A network that knows the mean and nothing else has learned nothing."""
    shifted = Trajectory(RUN.times, RUN.outputs + 100, inputs=X)
    one, two = diagnose(RUN, Y), diagnose(shifted, Y + 100)
    np.testing.assert_allclose([one.e_low, one.e_high], [two.e_low, two.e_high], atol=1e-6)
    np.testing.assert_allclose(one.e_low[0], 1, atol=1e-9)


def test_several_directions_are_orthogonal_and_in_order():
    found = diagnose(RUN, Y, directions=2, highest=7)
    directions = fourier.principal_directions(X, 2)
    for seen, direction in zip(found.projections, directions, strict=True):
        np.testing.assert_allclose(seen.positions, fourier.project(X, direction))
        assert seen.k.tolist() == list(range(1, 8))
    assert not found.projections[1].trusted.any()


def test_inputs_may_be_images_and_may_be_given_beside():
    images = RNG.normal(size=(30, 2, 4))
    y = images[:, 0, 0]
    within = diagnose(Trajectory([0], y[None, :, None] * 0.5, inputs=images), y)
    beside = diagnose(Trajectory([0], y[None, :, None] * 0.5), y, x=images.reshape(30, 8))
    np.testing.assert_array_equal(within.projections[0].spectrum, beside.projections[0].spectrum)
    np.testing.assert_allclose([within.e_low, within.e_high], [beside.e_low, beside.e_high])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trajectory": Trajectory([0], Y[None])}, "the trajectory holds no inputs .* give x"),
        ({"x": X[:5]}, "x and y must hold the same number of samples; got 5 .* and 400"),
        ({"y": Y[:, :1]}, r"y must have the shape of the outputs, \(400, 2\); got \(400, 1\)"),
        ({"y": Y[:5]}, "y must have the shape of the outputs"),
        ({"y": np.ones_like(Y)}, "y must vary"),
        ({"y": np.where(Y > 2, Y, np.nan)}, "y must be finite"),
        ({"directions": 0}, "directions must be a whole number >= 1"),
        ({"directions": 3}, "x must vary in 3 directions; it does so in 2"),
        ({"highest": 0}, "highest must be a whole number"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        diagnose(**{"trajectory": RUN, "y": Y, **changes})


def test_the_figure_shows_data_left_and_training_right():
    found = diagnose(RUN, Y, directions=2)
    figure = plotting.diagnosis(found, time_label="epoch")
    (spectrum, errors), (_, nothing), (shares, parts) = np.reshape(figure.axes, (3, 2))
    drawn = {
        line.get_label(): line for line in itertools.chain(spectrum.lines, errors.lines, shares.lines, parts.lines)
    }
    np.testing.assert_array_equal(drawn["trusted"].get_xdata(), [1, 4])
    np.testing.assert_allclose(drawn["trusted"].get_ydata(), found.projections[0].spectrum[[0, 3]])
    np.testing.assert_allclose(drawn["twice the noise floor"].get_ydata(), 2 * found.projections[0].floor)
    np.testing.assert_array_equal(drawn["k = 4"].get_ydata(), found.projections[0].errors[:, 3])
    np.testing.assert_array_equal(drawn["$e_{\\mathrm{low}}$"].get_ydata(), found.e_low)
    np.testing.assert_array_equal(drawn["$e_{\\mathrm{high}}$"].get_ydata(), found.e_high)
    assert [text.get_text() for text in nothing.texts] == ["no frequency above the noise"]
    assert errors.get_xlabel() == parts.get_xlabel() == "epoch"
