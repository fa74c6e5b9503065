"""One figure style for the course: a colour always means the same thing, on a light page, a dark page and on paper.

Colours follow Okabe and Ito, which stay apart for colour-blind readers; line styles repeat the distinction.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from fpcourse import fourier
from fpcourse._arguments import as_array, as_count, as_points, require_same_length
from fpcourse.trajectory import Trajectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

    from fpcourse.fourier import Diagnosis

#: Meaning -> color. After :func:`use_style` these are names of matplotlib colors.
COLORS = {
    "target": "#3b3b3b",
    "network": "#0072b2",
    "theory": "#d55e00",
    "low": "#009e73",
    "middle": "#e69f00",
    "high": "#cc79a7",
    "noise": "#999999",
}
ERROR_MAP = "viridis_r"  # errors: bright = learned


def use_style() -> None:
    """Set matplotlib's defaults for every figure of a lesson; call it once, after the settings.

    The names in :data:`COLORS` become colour names: ``axis.plot(x, y, color="network")``. In the book, which
    sets ``FPCOURSE_FIGURES=svg``, figures are drawings, whose colours follow the page.

    Examples
    --------
    >>> use_style()
    >>> from matplotlib.colors import to_hex
    >>> to_hex("network")
    '#0072b2'
    """
    import matplotlib as mpl
    import matplotlib.colors

    mpl.colors.get_named_colors_mapping().update(COLORS)
    mpl.rc("figure", dpi=85, figsize=(8.4, 3.0), facecolor="white")
    mpl.rc("figure.constrained_layout", use=True)
    mpl.rc("font", size=10)
    mpl.rc("axes", titlesize=10, titlelocation="left", grid=True, axisbelow=True)
    mpl.rc("axes.spines", top=False, right=False)
    mpl.rc("grid", color="#e6e6e6")
    mpl.rc("lines", linewidth=1.8)
    mpl.rc("legend", frameon=False)
    mpl.rc("image", cmap=ERROR_MAP)
    if "ipykernel" in sys.modules:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        if os.environ.get("FPCOURSE_FIGURES") == "svg":
            mpl.rc("figure", dpi=170)  # of the pictures within
            set_matplotlib_formats("svg")
        else:
            set_matplotlib_formats("retina")  # twice the pixels: sharp on today's screens


def log_ticks(axis: Axes, x: Sequence[float] = (), y: Sequence[float] = ()) -> None:
    """Label a logarithmic axis at the numbers in ``x`` (or ``y``) only, as plain numbers.

    Examples
    --------
    >>> from matplotlib import pyplot as plt
    >>> _, axis = plt.subplots(subplot_kw={"xscale": "log"})
    >>> log_ticks(axis, x=[1, 5, 20])
    >>> [label.get_text() for label in axis.get_xticklabels()]
    ['1', '5', '20']
    """
    for values, ticks in ((x, axis.xaxis), (y, axis.yaxis)):
        if len(values):
            ticks.set_ticks([], minor=True)
            ticks.set_ticks(values, [f"{value:g}" for value in values])


def outside_legend(figure: Figure, *, columns: int = 4) -> None:
    """Draw one legend above all panels of ``figure``, with each label once.

    Examples
    --------
    >>> from matplotlib import pyplot as plt
    >>> figure, axes = plt.subplots(1, 2, layout="constrained")
    >>> for axis in axes:
    ...     band(axis, [0, 1], [[1.0], [2.0]], color="k", label="network")
    >>> outside_legend(figure)
    >>> [text.get_text() for text in figure.legends[0].get_texts()]
    ['network']
    """
    labels = {}
    for axis in figure.axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            labels.setdefault(label, handle)
    figure.legend(labels.values(), labels.keys(), loc="outside upper center", ncols=columns)


def snapshots(
    trajectory: Trajectory,
    y: ArrayLike,
    at: Sequence[float],
    *,
    positions: ArrayLike,
    frequencies: ArrayLike,
    x_label: str = "x",
    channel: int = 0,
) -> Figure:
    """Draw one channel at the times ``at``: the function over its target (top) and both spectra (bottom).

    Parameters
    ----------
    trajectory : Trajectory
        With inputs (n, 1).
    y : array-like
        (n,) or (n, c) target.
    positions, frequencies : array-like
        (n,) or (n, d) and (K,) or (K, d), as in :func:`fpcourse.fourier.nudft`.

    Examples
    --------
    >>> x = np.arange(8) / 8
    >>> run = Trajectory([0, 10], [0 * x, np.sin(2 * np.pi * x)], inputs=x)
    >>> len(snapshots(run, run.outputs[1], [0, 10], positions=x, frequencies=[1, 2]).axes)
    4
    """
    import matplotlib.pyplot as plt

    x, target, spectra, target_spectrum, marks = spectrum_over_time(trajectory, y, positions, frequencies, channel)
    figure, axes = plt.subplots(
        2, len(at), figsize=(2.1 * len(at), 4.0), sharex="row", sharey="row", squeeze=False, height_ratios=(1.15, 1)
    )
    for (top, bottom), time in zip(axes.T, at, strict=True):
        i = trajectory.nearest(time)
        top.plot(x, target, color=COLORS["target"], lw=1, label="target")
        top.plot(x, trajectory.outputs[i, :, channel], color=COLORS["network"], label="network")
        top.set_title(f"step {trajectory.times[i]:.0f}")
        bottom.vlines(marks, 0, target_spectrum, color=COLORS["target"], lw=1)
        bottom.plot(marks, target_spectrum, "o", ms=4, mfc="none", color=COLORS["target"])
        bottom.plot(marks, spectra[i], ".-", color=COLORS["network"], lw=1)
        bottom.set_xlabel("frequency k")
        top.set_xlabel(x_label)
    axes[0, 0].set_ylabel("f(x, t)")
    axes[1, 0].set_ylabel("amplitude")
    axes[0, 0].legend(loc="upper left", fontsize=8)
    return figure


def spectrum_over_time(
    trajectory: Trajectory, y: ArrayLike, positions: ArrayLike, frequencies: ArrayLike, channel: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return what the figures of a trajectory need, for arguments as in :func:`snapshots`.

    Returns
    -------
    x, target : ndarray
        (n,) each.
    spectra, target_spectrum : ndarray
        Moduli of the Fourier coefficients, (T, K) and (K,).
    marks : ndarray
        (K,) lengths of the frequencies.

    Examples
    --------
    >>> x = np.arange(8) / 8
    >>> run = Trajectory([0, 10], [0 * x, np.sin(2 * np.pi * x)], inputs=x)
    >>> spectrum_over_time(run, run.outputs[1], x, [1, 2])[2].round(6)
    array([[0. , 0. ],
           [0.5, 0. ]])
    """
    if trajectory.inputs is None or trajectory.inputs.ndim != 2 or trajectory.inputs.shape[1] != 1:
        raise ValueError("the trajectory needs inputs of shape (n, 1) to draw over; project the data first")
    target = as_points("y", y)
    require_same_length("y", target, "trajectory.outputs", trajectory.outputs, 0, 1)
    marks = np.asarray(frequencies, dtype=float)
    k = as_points("frequencies", frequencies)
    channels = slice(channel, channel + 1)
    spectra = np.abs(fourier.nudft(positions, trajectory.outputs[:, :, channels], k))[:, :, 0]
    target = target[:, channels] if target.shape[1] > 1 else target
    marks = marks if marks.ndim == 1 else np.linalg.norm(marks, axis=1)
    return trajectory.inputs[:, 0], target[:, 0], spectra, np.abs(fourier.nudft(positions, target, k))[:, 0], marks


def band(axis: Axes, times: ArrayLike, values: ArrayLike, *, color: str, label: str) -> None:
    """Draw the median over the members of ``values`` (T, E) as a line and their whole range as a band.

    Examples
    --------
    >>> from matplotlib import pyplot as plt
    >>> _, axis = plt.subplots()
    >>> band(axis, [0, 1], [[1.0, 2.0, 9.0], [0.0, 5.0, 6.0]], color="k", label="network")
    >>> axis.lines[0].get_ydata()
    array([2., 5.])
    """
    values = as_array("values", values, ndim=2)
    axis.fill_between(times, values.min(1), values.max(1), color=color, alpha=0.2, lw=0)
    axis.plot(times, np.median(values, axis=1), color=color, label=label)


def errors_by_frequency(
    times: ArrayLike, errors: ArrayLike, frequencies: Sequence, *, threshold: float, time_label: str = "step"
) -> Figure:
    """Draw errors (T, K, E) of E networks over time, a line (median) and a band (range) for each of K frequencies.

    Low frequencies are green, high ones pink; a dotted line marks the threshold of the learning time.

    Examples
    --------
    >>> errors = np.exp(-np.outer([0, 1, 10], [1.0, 0.1]))[:, :, None]
    >>> len(errors_by_frequency([0, 1, 10], errors, [1, 3], threshold=0.1).axes[0].lines)
    3
    """
    import matplotlib.pyplot as plt

    errors = as_array("errors", errors, ndim=3)
    require_same_length("frequencies", np.asarray(frequencies), "errors", errors, 0, 1)
    shades = _low_to_high()
    figure, axis = plt.subplots(figsize=(6.5, 3.2))
    for i, (k, shade) in enumerate(zip(frequencies, shades(np.linspace(0, 1, len(frequencies))), strict=True)):
        band(axis, times, errors[:, i], color=shade, label=f"k = {k}")
    axis.axhline(threshold, color=COLORS["noise"], ls=":")
    axis.set(xscale="symlog", yscale="log", xlim=(0, times[-1]), ylim=(1e-3, 3))
    axis.set(xlabel=time_label, ylabel="$\\Delta_F(k)$")
    axis.legend(loc="lower left")
    return figure


def diagnosis(found: Diagnosis, *, time_label: str = "step") -> Figure:
    """Draw what :func:`fpcourse.fourier.diagnose` found: the data on the left, the training on the right.

    A row per direction: spectrum, permuted targets (95 %) and twice the noise floor | errors of the trusted k. Last
    row: rough share of the targets against the variance of the filter | errors of the smooth and the rough part.

    Examples
    --------
    >>> x = np.arange(16) / 16
    >>> run = Trajectory([0, 10], [0 * x, np.sin(2 * np.pi * x)], inputs=x)
    >>> len(diagnosis(fourier.diagnose(run, run.outputs[1], highest=3)).axes)
    4
    """
    import matplotlib.pyplot as plt

    rows = len(found.projections) + 1
    figure, axes = plt.subplots(rows, 2, figsize=(8.4, 2.7 * rows))
    for i, (seen, (left, right)) in enumerate(zip(found.projections, axes[:-1], strict=True), start=1):
        chance = np.quantile(seen.baseline, [0.025, 0.975], axis=0)
        left.fill_between(seen.k, *chance, color=COLORS["noise"], alpha=0.4, lw=0, label="permuted targets")
        left.axhline(2 * seen.floor, color=COLORS["theory"], ls="--", lw=1, label="twice the noise floor")
        for trusted, fill, label in ((False, "white", "in the noise"), (True, COLORS["target"], "trusted")):
            k = seen.trusted == trusted
            left.plot(seen.k[k], seen.spectrum[k], "o", ms=4, mfc=fill, color=COLORS["target"], label=label)
        left.set(title=f"targets along $p_{i}$ (leak {seen.leak:.2f})", xlabel="frequency k", ylabel="$|\\hat y_k|$")
        left.set(yscale="log", xticks=[1, *range(5, seen.k[-1] + 1, 5)])
        shades = _low_to_high()(np.linspace(0, 1, max(2, seen.trusted.sum())))
        for k, error, shade in zip(seen.k[seen.trusted], seen.errors.T[seen.trusted], shades, strict=False):
            right.plot(found.times, error, color=shade, label=f"k = {k}")
        right.set_title(f"network along $p_{i}$: error $\\Delta_F(k)$")
        if i == 1:
            left.legend(fontsize=8, loc="upper right")
        if seen.trusted.any():
            right.legend(fontsize=8)
        else:
            right.text(0.5, 0.5, "no frequency above the noise", ha="center", transform=right.transAxes)
    left, right = axes[-1]
    left.plot(found.deltas, found.rough_shares, color=COLORS["high"])
    left.axvline(found.delta, color=COLORS["noise"], ls=":", label=f"used: {found.delta:.3g}")
    left.set(title="targets: rough share of the power", xscale="log", xlabel="variance $\\delta$ of the filter")
    right.plot(found.times, found.e_low, color=COLORS["low"], label="$e_{\\mathrm{low}}$")
    right.plot(found.times, found.e_high, "--", color=COLORS["high"], label="$e_{\\mathrm{high}}$")
    right.set_title("network: error of the two parts")
    left.legend(fontsize=8)
    right.legend(fontsize=8)
    for right in axes[:, 1]:
        right.set(xscale="symlog", xlabel=time_label, xlim=(found.times[0], found.times[-1]), ylim=(0, None))
    return figure


def _low_to_high() -> Colormap:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("low to high", [COLORS[name] for name in ("low", "middle", "high")])


def bin_means(x: ArrayLike, y: ArrayLike, *, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Return means of x (n,) and y (..., n) over ``bins`` groups of equally many neighbours in x: a cloud as a line.

    Examples
    --------
    >>> bin_means([0, 1, 2, 3], [1, 1, 5, 7], bins=2)
    (array([0.5, 2.5]), array([1., 6.]))
    """
    x, y = as_array("x", x, ndim=1), as_array("y", y)
    if y.shape[-1:] != x.shape:
        raise ValueError(f"y must hold one value per point of x in its last axis; got {y.shape} and {x.shape}")
    if as_count("bins", bins) > len(x):
        raise ValueError(f"bins must be at most the number of points {len(x)}; got {bins}")
    groups = np.array_split(np.argsort(x, kind="stable"), bins)
    return np.array([x[g].mean() for g in groups]), np.stack([y[..., g].mean(axis=-1) for g in groups], axis=-1)


def error_map(
    axis: Axes,
    times: ArrayLike,
    frequencies: ArrayLike,
    errors: ArrayLike,
    *,
    title: str = "",
    time_label: str = "step",
) -> QuadMesh:
    """Draw a heat map of relative errors (T, K): time to the right, frequency upwards, bright = learned.

    The colour stops at 1 (nothing learned yet, or overshot), so that one outlier does not set the scale.

    Examples
    --------
    >>> from matplotlib import pyplot as plt
    >>> _, axis = plt.subplots()
    >>> error_map(axis, [0, 1, 10], [1, 2], np.ones((3, 2))).get_array().shape
    (2, 3)
    """
    from matplotlib.colors import LogNorm

    errors = as_array("errors", errors, ndim=2)
    times, frequencies = np.asarray(times, float), np.asarray(frequencies, float)
    across, up = _edges(np.maximum(times, 0.5), log=True), _edges(frequencies)
    mesh = axis.pcolormesh(across, up, errors.T, norm=LogNorm(0.03, 1.0), cmap=ERROR_MAP, rasterized=True)
    axis.set(xscale="log", xlabel=time_label, title=title)
    axis.grid(False)
    return mesh


def sample_map(
    axis: Axes,
    sizes: ArrayLike,
    rows: Sequence[str],
    errors: ArrayLike,
    steps: dict[str, ArrayLike],
    *,
    title: str = "",
) -> QuadMesh:
    """Draw a heat map of relative errors: number of samples to the right, a row per model, bright = recovered.

    The colour ends at 1 (as bad as predicting 0) and at 0.001.

    Parameters
    ----------
    sizes, rows, errors : array-like
        (S,) numbers of samples, R names, (R, S).
    steps : dict
        Numbers of samples by name, one for each row or one for all, such as optimistic sample sizes. Each is a line up
        the map; the columns right of it have at least that many samples. The first is solid, with its numbers beside
        it, the others are dashed.

    Examples
    --------
    >>> from matplotlib import pyplot as plt
    >>> _, axis = plt.subplots()
    >>> mesh = sample_map(axis, [2, 4, 8], ["k = 1", "k = 2"], np.ones((2, 3)), {"predicted": [3, 6]})
    >>> [text.get_text() for text in axis.texts]
    ['3', '6']
    """
    from matplotlib import patheffects
    from matplotlib.colors import LogNorm

    errors, sizes = as_array("errors", errors, ndim=2), as_array("sizes", sizes, ndim=1)
    if errors.shape != (len(rows), len(sizes)):
        raise ValueError(f"errors must have shape {(len(rows), len(sizes))}; got {errors.shape}")
    mesh = axis.pcolormesh(
        errors, norm=LogNorm(1e-3, 1.0), cmap=ERROR_MAP, edgecolors="white", linewidth=0.5, rasterized=True
    )
    outline, edges = [patheffects.withStroke(linewidth=6, foreground="white")], np.arange(len(rows) + 1)
    for i, (label, needed) in enumerate(steps.items()):
        needed = np.broadcast_to(needed, len(rows))
        columns = np.searchsorted(np.append(sizes, np.inf), needed) + (needed > sizes[-1])  # beyond the map: not drawn
        style = {"color": COLORS["target"], "ls": (0, (2, 1))} if i else {"color": COLORS["theory"]}
        steep = columns.repeat(2), edges.repeat(2)[1:-1]
        axis.plot(*steep, lw=3, label=label, path_effects=outline, solid_capstyle="butt", **style)
        for row in np.flatnonzero(np.diff(needed, prepend=0)) if i == 0 else ():
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
            at = (columns[row] + 0.12, row + 0.5)
            axis.text(*at, f"{needed[row]:g}", color=COLORS["theory"], weight="bold", va="center", bbox=box)
    axis.set(xticks=np.arange(len(sizes)) + 0.5, xticklabels=[f"{n:g}" for n in sizes], xlabel="samples", title=title)
    axis.set(yticks=np.arange(len(rows)) + 0.5, yticklabels=rows, xlim=(0, len(sizes)), ylim=(0, len(rows)))
    axis.tick_params(length=0)
    axis.grid(False)
    return mesh


def neurons_on_circle(
    axis: Axes,
    weights: ArrayLike,
    amplitudes: ArrayLike,
    *,
    marks: ArrayLike = (),
    colors: Sequence[str] | None = None,
    title: str = "",
) -> None:
    """Draw the neurons (w, b) of a network in one dimension as spokes: direction, and amplitude as length.

    A point on the circle shows the direction of every neuron, however small.

    Parameters
    ----------
    weights, amplitudes : array-like
        (m, 2), none of them zero, and (m,) >= 0, drawn relative to the largest.
    marks : array-like
        (K, 2) directions for dashed rays.
    colors : sequence of str, optional
        A colour of spoke and point for each neuron, such as one for each sign of a; default: blue spokes, grey points.

    Examples
    --------
    >>> from matplotlib import pyplot as plt
    >>> _, axis = plt.subplots()
    >>> neurons_on_circle(axis, [[3.0, 4.0], [0.0, -1.0]], [1.0, 2.0])
    >>> axis.lines[0].get_xydata().round(6)
    array([[ 0.3,  0.4],
           [ 0. , -1. ]])
    """
    from matplotlib.collections import LineCollection

    amplitudes = as_array("amplitudes", amplitudes, ndim=1)
    unit = _directions(weights)
    require_same_length("weights", unit, "amplitudes", amplitudes)
    if unit.shape[1] != 2 or (amplitudes < 0).any() or not amplitudes.any():
        raise ValueError(f"weights must have shape (m, 2), amplitudes be >= 0, not all 0; got {unit.shape}")
    for mark in np.reshape(marks, (-1, 2)):
        axis.plot(*np.outer(mark / np.linalg.norm(mark), [0, 1.25]), "--", color=COLORS["theory"], lw=1.5)
    spokes = rims = np.array(colors)
    if colors is None:
        spokes, rims = (np.repeat(COLORS[name], len(unit)) for name in ("network", "noise"))
    require_same_length("weights", unit, "colors", spokes)
    ends = unit * (amplitudes / amplitudes.max())[:, None]
    axis.add_collection(LineCollection(np.stack([0 * ends, ends], axis=1), colors=spokes, lw=1.5))
    for points, shades, style in (
        (ends, spokes, {"marker": "o", "ms": 3}),
        (unit, rims, {"marker": ".", "ms": 4, "zorder": 1}),
    ):
        for shade in np.unique(shades):
            axis.plot(*points[shades == shade].T, ls="", color=str(shade), **style)
    axis.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3), aspect="equal", title=title, xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


def cosine_matrix(axis: Axes, weights: ArrayLike, labels: ArrayLike, *, title: str = "") -> AxesImage:
    """Draw the cosines between the directions of ``weights`` (m, D), sorted by ``labels`` (m,): clusters become blocks.

    ``labels`` are those of :func:`fpcourse.neurons.condensed_directions`; -1, in no cluster, comes last.

    Examples
    --------
    >>> from matplotlib import pyplot as plt
    >>> _, axis = plt.subplots()
    >>> cosine_matrix(axis, [[1, 0], [0, 2], [3, 0]], [0, -1, 0]).get_array().tolist()
    [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    unit, labels = _directions(weights), as_array("labels", labels, ndim=1)
    require_same_length("weights", unit, "labels", labels)
    unit = unit[np.argsort(np.where(labels < 0, np.inf, labels), kind="stable")]
    image = axis.imshow(unit @ unit.T, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
    axis.set(title=title, xticks=[], yticks=[], xlabel="neuron")
    axis.grid(False)
    return image


def _directions(weights: ArrayLike) -> np.ndarray:
    weights = as_array("weights", weights, ndim=2)
    lengths = np.linalg.norm(weights, axis=1, keepdims=True)
    if not lengths.all():
        raise ValueError("weights must not be zero: a zero vector has no direction")
    return weights / lengths


def _edges(centres: np.ndarray, *, log: bool = False) -> np.ndarray:
    """Return cell borders half-way between centres, so that a mesh draws each value around its own coordinate."""
    c = np.log(centres) if log else centres
    middle = (c[1:] + c[:-1]) / 2
    edges = np.concatenate([[2 * c[0] - middle[0]], middle, [2 * c[-1] - middle[-1]]])
    return np.exp(edges) if log else edges
