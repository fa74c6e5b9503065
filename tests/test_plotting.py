"""Figures draw the numbers that they are given, where they belong."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from fpcourse import plotting
from fpcourse.trajectory import Trajectory

N = 64
GRID = np.arange(N) / N


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def waves(k=3, times=(0, 1, 10, 100)):
    """A trajectory whose wave at k grows with the snapshot: amplitude i / (T - 1)."""
    target = np.sin(2 * np.pi * k * GRID)
    outputs = np.stack([i / (len(times) - 1) * target for i in range(len(times))])
    return Trajectory(np.array(times, float), outputs, inputs=GRID), target


def test_spectrum_over_time_shows_each_snapshot_at_its_amplitude():
    trajectory, target = waves()
    x, shown, spectra, target_spectrum, marks = plotting.spectrum_over_time(trajectory, target, GRID, np.arange(6))
    np.testing.assert_allclose(x, GRID)
    np.testing.assert_allclose(shown, target)
    np.testing.assert_allclose(spectra[:, 3], [0, 1 / 6, 1 / 3, 1 / 2], atol=1e-12)  # a sine of height 1 has 1/2 at k
    np.testing.assert_allclose(np.delete(spectra, 3, axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(target_spectrum[3], 0.5)
    np.testing.assert_allclose(marks, np.arange(6))


def test_spectrum_over_time_picks_the_channel_of_trajectory_and_target():
    trajectory, target = waves()
    two = Trajectory(
        trajectory.times, np.concatenate([0 * trajectory.outputs, trajectory.outputs], axis=2), inputs=GRID
    )
    both = np.stack([0 * target, target], axis=1)
    shown, spectra = plotting.spectrum_over_time(two, both, GRID, [3], channel=1)[1:3]
    np.testing.assert_allclose(shown, target)
    np.testing.assert_allclose(spectra[-1], 0.5)


def test_spectrum_over_time_marks_vector_frequencies_by_their_length():
    trajectory, target = waves()
    positions = np.stack([GRID, GRID], axis=1)
    marks = plotting.spectrum_over_time(trajectory, target, positions, [[3.0, 4.0], [1.0, 0.0]])[4]
    np.testing.assert_allclose(marks, [5, 1])


@pytest.mark.parametrize("inputs", [None, np.zeros((N, 2))])
def test_spectrum_over_time_needs_one_coordinate_to_draw_over(inputs):
    trajectory, target = waves()
    with pytest.raises(ValueError, match=r"inputs of shape \(n, 1\)"):
        plotting.spectrum_over_time(Trajectory(trajectory.times, trajectory.outputs, inputs=inputs), target, GRID, [1])


def test_snapshots_draw_the_nearest_recorded_steps():
    trajectory, target = waves()
    figure = plotting.snapshots(trajectory, target, [0, 90], positions=GRID, frequencies=np.arange(6))
    tops = figure.axes[:2]
    assert [axis.get_title(loc="left") or axis.get_title() for axis in tops] == ["step 0", "step 100"]
    np.testing.assert_allclose(tops[1].lines[1].get_ydata(), target, atol=1e-12)  # over the target, lines[0]
    np.testing.assert_allclose(tops[0].lines[1].get_ydata(), 0)


def test_band_is_the_median_and_the_range():
    _, axis = plt.subplots()
    values = np.array([[1.0, 2.0, 9.0], [0.0, 5.0, 6.0]])
    plotting.band(axis, [0, 1], values, color="k", label="")
    np.testing.assert_allclose(axis.lines[0].get_ydata(), [2, 5])
    vertices = axis.collections[0].get_paths()[0].vertices
    assert {(0.0, 1.0), (0.0, 9.0), (1.0, 0.0), (1.0, 6.0)} <= {tuple(v) for v in vertices}


def test_errors_by_frequency_keeps_frequencies_apart():
    errors = np.random.default_rng(0).uniform(0.01, 1, (5, 3, 4))
    figure = plotting.errors_by_frequency(np.arange(5.0), errors, [1, 3, 5], threshold=0.1)
    lines = figure.axes[0].lines
    for i in range(3):
        np.testing.assert_allclose(lines[i].get_ydata(), np.median(errors[:, i], axis=1))
    assert len({tuple(lines[i].get_color()) for i in range(3)}) == 3
    with pytest.raises(ValueError, match="same number"):
        plotting.errors_by_frequency(np.arange(5.0), errors, [1, 3], threshold=0.1)


def test_error_map_draws_each_error_in_the_cell_around_its_coordinates():
    _, axis = plt.subplots()
    times, frequencies = np.array([0.0, 1, 10, 100]), np.array([1.0, 2, 4])
    errors = np.arange(12.0).reshape(4, 3) / 20 + 0.05
    mesh = plotting.error_map(axis, times, frequencies, errors)
    drawn, corners = mesh.get_array().reshape(3, 4), mesh.get_coordinates()
    np.testing.assert_allclose(drawn, errors.T)  # frequency upwards, time to the right
    across, up = corners[0, :, 0], corners[:, 0, 1]
    assert (across[:-1] < np.maximum(times, 0.5)).all() and (np.maximum(times, 0.5) < across[1:]).all()
    assert (up[:-1] < frequencies).all() and (frequencies < up[1:]).all()


def test_sample_map_puts_each_step_before_the_first_column_with_enough_samples():
    _, axis = plt.subplots()
    errors = np.array([[0.9, 0.5, 0.2, 0.1], [0.8, 0.4, 0.02, 0.01]])
    mesh = plotting.sample_map(axis, [2, 4, 8, 16], ["one", "two"], errors, {"needed": [4, 5], "more": 99})
    np.testing.assert_allclose(mesh.get_array().reshape(2, 4), errors)
    assert [[float(mesh.norm(e)) for e in (1e-3, 1.0)], mesh.cmap.name] == [[0.0, 1.0], "viridis_r"]
    needed, more = axis.get_lines()
    # 4 samples: left edge of the second column; 5 samples: left edge of the third
    np.testing.assert_allclose(needed.get_xydata(), [[1, 0], [1, 1], [2, 1], [2, 2]])
    assert (more.get_xdata() > axis.get_xlim()[1]).all()  # more than the map holds: out of sight
    assert [(t.get_text(), int(t.get_position()[0]), t.get_position()[1]) for t in axis.texts] == [
        ("4", 1, 0.5), ("5", 2, 1.5),
    ]  # fmt: skip
    assert (needed.get_linestyle(), more.get_linestyle()) == ("-", "--")
    assert [label.get_text() for label in axis.get_xticklabels()] == ["2", "4", "8", "16"]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["one", "two"]
    with pytest.raises(ValueError, match=r"errors must have shape \(3, 4\)"):
        plotting.sample_map(axis, [2, 4, 8, 16], ["one", "two", "three"], errors, {})


def test_bin_means_keep_the_mean_and_the_order():
    rng = np.random.default_rng(0)
    x = rng.uniform(size=120)
    coordinate, mean = plotting.bin_means(x, 3 * x + 1, bins=10)
    assert (np.diff(coordinate) > 0).all()
    np.testing.assert_allclose(mean, 3 * coordinate + 1)
    np.testing.assert_allclose(mean.mean(), (3 * x + 1).mean())  # equally many points in each
    stacked = plotting.bin_means(x, np.stack([x, -x]), bins=10)[1]
    np.testing.assert_allclose(stacked, [coordinate, -coordinate])
    np.testing.assert_allclose(plotting.bin_means(x, x, bins=120)[1], np.sort(x))  # a bin a point: nothing is lost


@pytest.mark.parametrize(("y", "bins", "message"), [(np.ones(4), 2, "one value per point"), (np.ones(5), 6, "at most")])
def test_bin_means_refuse(y, bins, message):
    with pytest.raises(ValueError, match=message):
        plotting.bin_means(np.arange(5.0), y, bins=bins)


def test_the_style_names_the_colours_and_one_legend_serves_all_panels():
    with plt.rc_context():
        plotting.use_style()
        figure, axes = plt.subplots(1, 2)
        for axis in axes:
            axis.plot([1, 10], color="network", label="network")
            axis.plot([2, 20], label=axis.get_subplotspec().num1)
        plotting.outside_legend(figure)
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["network", "0", "1"]
        axes[0].set(xscale="log", yscale="log")
        plotting.log_ticks(axes[0], y=[2, 5])
        assert [label.get_text() for label in axes[0].get_yticklabels()] == ["2", "5"]
        assert len(axes[0].get_xticks()) > 0 and not len(axes[0].get_yticks(minor=True))
        assert plt.rcParams["axes.spines.top"] is False


def test_colours_keep_apart_in_grey_and_on_both_pages():
    from matplotlib.colors import to_rgb

    def luminance(color):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
        return np.dot([0.2126, 0.7152, 0.0722], linear)

    assert len(set(plotting.COLORS.values())) == len(plotting.COLORS)
    for name in ("target", "network", "theory"):  # WCAG asks 3:1 of graphical objects; figures stand on white
        assert 1.05 / (luminance(plotting.COLORS[name]) + 0.05) > 3, name


def test_spokes_point_along_the_weights_with_relative_amplitudes():
    _, axis = plt.subplots()
    weights, amplitudes = np.array([[3.0, 4.0], [0.0, -0.1]]), np.array([0.5, 2.0])
    plotting.neurons_on_circle(axis, weights, amplitudes, marks=[[5.0, 0.0]])
    (spokes,) = axis.collections
    np.testing.assert_allclose([line[-1] for line in spokes.get_segments()], [[0.15, 0.2], [0, -1]])
    mark, _, rim = axis.lines
    np.testing.assert_allclose(mark.get_xydata(), [[0, 0], [1.25, 0]])
    np.testing.assert_allclose(rim.get_xydata(), [[0.6, 0.8], [0, -1]])
    for bad in (np.ones((2, 3)), np.ones((3, 2)), np.zeros((2, 2))):
        with pytest.raises(ValueError):
            plotting.neurons_on_circle(axis, bad, amplitudes)
    for bad in ([-1.0, 1.0], [0.0, 0.0]):
        with pytest.raises(ValueError, match="not all 0"):
            plotting.neurons_on_circle(axis, weights, bad)


def test_spokes_and_points_take_the_colour_of_their_neuron():
    _, axis = plt.subplots()
    weights, amplitudes, colors = np.eye(2)[[0, 1, 0]] * 3, np.array([1.0, 2.0, 4.0]), ["red", "blue", "red"]
    plotting.neurons_on_circle(axis, weights, amplitudes, colors=colors)
    (spokes,) = axis.collections
    np.testing.assert_allclose(spokes.get_colors()[:, [0, 2]], [[1, 0], [0, 1], [1, 0]])
    drawn = [(line.get_color(), line.get_xydata().tolist()) for line in axis.lines]
    assert drawn[:2] == [("blue", [[0, 0.5]]), ("red", [[0.25, 0], [1, 0]])]
    assert drawn[2:] == [("blue", [[0, 1]]), ("red", [[1, 0], [1, 0]])]
    with pytest.raises(ValueError, match="weights and colors"):
        plotting.neurons_on_circle(axis, weights, amplitudes, colors=["red"])


def test_cosine_matrix_brings_clusters_together():
    _, axis = plt.subplots()
    weights = np.array([[1.0, 1], [2, 0], [0, 3], [5, 0], [0, 1]])
    image = plotting.cosine_matrix(axis, weights, [-1, 1, 0, 1, 0])
    root = np.sqrt(0.5)
    np.testing.assert_allclose(
        image.get_array(),
        [[1, 1, 0, 0, root], [1, 1, 0, 0, root], [0, 0, 1, 1, root], [0, 0, 1, 1, root], [root, root, root, root, 1]],
        atol=1e-12,
    )
    assert image.get_clim() == (-1, 1)
    with pytest.raises(ValueError, match="same number"):
        plotting.cosine_matrix(axis, weights, [0, 1])
