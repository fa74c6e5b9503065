"""What a reader can move: a slider through training or a parameter, and figures that train in the page.

A :class:`Scrubber` needs no kernel. It is a plotly figure in JupyterLab and Colab; in the built book it is plain HTML
holding the figure's JSON, which the book's own script draws, with a native slider that works with the keyboard and
offline. A :class:`Live` figure trains a network in the page itself.
"""

from __future__ import annotations

import html
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from fpcourse._arguments import as_array, as_choice, require_same_length
from fpcourse.plotting import COLORS, bin_means, spectrum_over_time
from fpcourse.trajectory import Trajectory

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


class Scrubber:
    """A plotly figure with a frame for each value of a slider; displays itself wherever a notebook is read.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
        Its first state.
    values : array-like
        (T,) of the slider.
    frames : list
        For each value the traces that replace those numbered ``moving``.
    label, description : str
        Of the slider, and of the whole for readers who do not see it.
    at : float, optional
        The built book begins at the value nearest to it; None: at the first.

    Examples
    --------
    >>> from plotly import graph_objects as go
    >>> lines = [[go.Scatter(y=[0, 1])], [go.Scatter(y=[0, 2])]]
    >>> scrubber = Scrubber(go.Figure(lines[0]), [1, 2.5], lines, moving=[0], label="slope", description="a line")
    >>> [frame.name for frame in scrubber.figure.frames]
    ['1', '2.5']
    """

    def __init__(
        self,
        figure: Figure,
        values: Iterable[float],
        frames: list,
        *,
        moving: list[int],
        label: str,
        description: str,
        at: float | None = None,
    ) -> None:
        from plotly import graph_objects as go

        values = [float(value) for value in values]
        self.figure, self.label, self.description = figure, label, description
        self.shown = 0 if at is None else min(range(len(values)), key=lambda i: abs(values[i] - at))
        names = [f"{value:.0f}" if value.is_integer() else f"{value:.3g}".replace("e-0", "e-") for value in values]
        figure.frames = [go.Frame(name=n, data=data, traces=moving) for n, data in zip(names, frames, strict=True)]
        # plotly animates flat lines and points only
        redraw = any(trace.type in ("heatmap", "scatter3d") for trace in figure.data)
        jump = {"mode": "immediate", "frame": {"duration": 0, "redraw": redraw}, "transition": {"duration": 0}}
        play = {"fromcurrent": True, "frame": {"duration": 120, "redraw": redraw}, "transition": {"duration": 0}}
        steps = [{"label": name, "method": "animate", "args": [[name], jump]} for name in names]
        slider = {"steps": steps, "currentvalue": {"prefix": f"{label} "}, "pad": {"t": 40}, "x": 0.1, "len": 0.9}
        button = {"label": "Play", "method": "animate", "args": [None, play]}
        figure.update_layout(
            height=440,
            template="plotly_white",
            margin={"l": 50, "r": 20, "t": 40, "b": 50},
            legend={"orientation": "h", "y": 1.18},
            sliders=[slider],
            updatemenus=[{"type": "buttons", "buttons": [button], "x": 0.06, "y": -0.18, "showactive": False}],
        )

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, object]:
        if "google.colab" in sys.modules:  # Colab draws HTML only, in a frame of its own
            return {"text/html": self.figure.to_html(include_plotlyjs="cdn", full_html=False)}
        content = json.loads(self.figure.to_json())
        return {
            "application/vnd.plotly.v1+json": content,
            "text/html": self._html(json.loads(self.figure.to_json())),
            "text/plain": f"Scrubber over {self.label}: {self.description}",
        }

    def _html(self, content: dict) -> str:
        # Begun there by the book's script only: plotly's own slider would stand there with the first frame above it.
        content["layout"]["sliders"][0]["active"] = self.shown
        content = {**content, "slider": {"label": self.label, "values": [f.name for f in self.figure.frames]}}
        # "</" would end the script element early
        data = json.dumps(content, separators=(",", ":")).replace("</", "<\\/")
        return (
            f'<figure class="fpc-scrub" role="group" aria-label="{html.escape(self.description, quote=True)}">'
            f'<div class="fpc-plot" style="height:{self.figure.layout.height}px"></div>'
            f'<script type="application/json">{data}</script></figure>'
        )


def scrub(
    trajectory: Trajectory,
    y: ArrayLike,
    *,
    positions: ArrayLike,
    frequencies: ArrayLike,
    description: str,
    theory: Trajectory | None = None,
    bins: int | None = None,
    channel: int = 0,
    x_label: str = "x",
    frequency_label: str = "frequency k",
    time_label: str = "step",
    at: float | None = None,
) -> Scrubber:
    """Scrub through training: the function over its target on the left, both spectra on the right.

    Parameters
    ----------
    trajectory : Trajectory
        With inputs (n, 1); one channel of its outputs is drawn.
    y : array-like
        (n,) or (n, c) target.
    positions, frequencies : array-like
        (n,) or (n, d) and (K,) or (K, d), as in :func:`fpcourse.fourier.nudft`.
    description : str
        What is seen, for readers who do not see it.
    theory : Trajectory, optional
        At the same times and points, drawn over the first.
    bins : int, optional
        Draw means over this many bins of x, for points that form a cloud; the spectrum still takes them all.
    at : float, optional
        The time to begin with in the built book.

    Examples
    --------
    >>> x = np.arange(8) / 8
    >>> run = Trajectory([0, 10], [0 * x, np.sin(2 * np.pi * x)], inputs=x)
    >>> figure = scrub(run, run.outputs[1], positions=x, frequencies=[1, 2], description="A sine is learned.").figure
    >>> len(figure.data), len(figure.frames)
    (4, 2)
    """
    from plotly import graph_objects as go
    from plotly.subplots import make_subplots

    x, target, spectra, target_spectrum, marks = spectrum_over_time(trajectory, y, positions, frequencies, channel)
    moving = {"network": (trajectory.outputs[:, :, channel], spectra)}
    if theory is not None:
        if not np.array_equal(theory.times, trajectory.times):
            raise ValueError("theory must be given at the times of the trajectory")
        predicted = spectrum_over_time(theory, y, positions, frequencies, channel)[2]
        moving["theory"] = (theory.outputs[:, :, channel], predicted)
    bins = len(x) if bins is None else bins
    line, target = bin_means(x, target, bins=bins)
    moving = {name: (bin_means(x, outputs, bins=bins)[1], amplitudes) for name, (outputs, amplitudes) in moving.items()}

    figure = make_subplots(cols=2, horizontal_spacing=0.12, subplot_titles=("function", "spectrum"))
    rings = {"color": COLORS["target"], "symbol": "circle-open", "size": 9}
    figure.add_scatter(x=_short(line), y=_short(target), name="target", line=_style("target"), row=1, col=1)
    figure.add_scatter(x=_short(marks), y=_short(target_spectrum), mode="markers", marker=rings, row=1, col=2)
    for name, (outputs, amplitudes) in moving.items():
        style = {"line": _style(name), "row": 1}
        figure.add_scatter(x=_short(line), y=_short(outputs[0]), name=name, col=1, **style)
        figure.add_scatter(x=_short(marks), y=_short(amplitudes[0]), mode="lines+markers", col=2, **style)
    figure.update_traces(showlegend=False, col=2)  # the left panel's legend names the same colours
    figure.update_xaxes(title_text=x_label, col=1)
    figure.update_xaxes(title_text=frequency_label, col=2)
    figure.update_yaxes(range=_range(target, *(outputs for outputs, _ in moving.values())), col=1)
    figure.update_yaxes(range=_range([0.0], target_spectrum, *(a for _, a in moving.values())), col=2)
    lines = [values for pair in moving.values() for values in pair]
    frames = [[go.Scatter(y=_short(now)) for now in at] for at in zip(*lines, strict=True)]
    numbers = list(range(2, 2 + len(lines)))
    return Scrubber(figure, trajectory.times, frames, moving=numbers, label=time_label, description=description, at=at)


def scrub_images(
    images: ArrayLike,
    times: ArrayLike,
    x: ArrayLike,
    curve: ArrayLike,
    *,
    description: str,
    x_label: str = "frequency (cycles across the image)",
    y_label: str = "error",
    time_label: str = "step",
    at: float | None = None,
) -> Scrubber:
    """Scrub through images: on the left the image at each time, on the right a curve that belongs to it.

    Parameters
    ----------
    images, times : array-like
        (T, s, s) grey values, clipped to [0, 1] and shown in 256 steps, and (T,).
    x, curve : array-like
        (K,) and (T, K), both > 0: drawn on logarithmic axes, such as errors by frequency.
    description : str
        What is seen, for readers who do not see it.
    at : float, optional
        The time to begin with in the built book.

    Examples
    --------
    >>> images, errors = np.ones((2, 4, 4)), np.ones((2, 3))
    >>> len(scrub_images(images, [0, 10], [1, 2, 3], errors, description="An image is learned.").figure.frames)
    2
    """
    from plotly import graph_objects as go
    from plotly.subplots import make_subplots

    images, times = as_array("images", images, ndim=3), as_array("times", times, ndim=1)
    x, curve = as_array("x", x, ndim=1), as_array("curve", curve, ndim=2)
    require_same_length("images", images, "times", times)
    if curve.shape != (len(times), len(x)):
        raise ValueError(f"curve must have shape {(len(times), len(x))}; got {curve.shape}")
    grey = np.rint(255 * images.clip(0, 1)).astype(int)
    figure = make_subplots(cols=2, horizontal_spacing=0.14, subplot_titles=("image", y_label))
    figure.add_heatmap(z=grey[0].tolist(), zmin=0, zmax=255, colorscale="gray", showscale=False, hoverinfo="skip")
    style = {"mode": "lines+markers", "line": _style("network"), "showlegend": False}
    figure.add_scatter(x=_short(x), y=_short(curve[0]), row=1, col=2, **style)
    figure.update_xaxes(visible=False, col=1)
    figure.update_yaxes(visible=False, autorange="reversed", scaleanchor="x", col=1)
    ticks = {"type": "log", "dtick": "D2"}  # 1, 2, 5, 10: nine digits a decade would crowd a phone
    figure.update_xaxes(title_text=x_label, range=_range(_exponents(x)), col=2, **ticks)
    figure.update_yaxes(range=_range(_exponents(curve)), col=2, **ticks)
    frames = [[go.Heatmap(z=z.tolist()), go.Scatter(y=_short(row))] for z, row in zip(grey, curve, strict=True)]
    return Scrubber(figure, times, frames, moving=[0, 1], label=time_label, description=description, at=at)


def dial(
    x: ArrayLike,
    curves: dict[str, ArrayLike],
    values: ArrayLike,
    *,
    label: str,
    description: str,
    x_label: str = "x",
    y_label: str = "",
    log: str = "",
    labels: Mapping[str, str] | None = None,
    colors: Mapping[str, str] | None = None,
    points: tuple[ArrayLike, ArrayLike] | None = None,
    at: float | None = None,
) -> Scrubber:
    """Turn a dial over a parameter: curves computed beforehand for each of its ``values`` (V,).

    Parameters
    ----------
    x : array-like
        (n,), common to all curves.
    curves : dict
        By name: (V, n), one row per value, or (n,) for a curve that does not move. A name of
        :data:`fpcourse.plotting.COLORS` gets its colour and line style, other names take the colours in turn.
    label, description : str
        Of the slider, and of the whole for readers who do not see it.
    log : str
        Logarithmic axes: "", "x", "y" or "xy".
    labels, colors : dict, optional
        By the names of curves: what the legend says instead, and another colour, a name of ``COLORS`` or as in CSS.
    points : tuple, optional
        x and y of the data, drawn as rings that do not move.
    at : float, optional
        The value to begin with in the built book.

    Examples
    --------
    >>> curves = {"target": [1, 2], "network": [[0, 0], [1, 1]]}
    >>> figure = dial([0, 1], curves, [10, 100], label="width", description="It approaches the target.").figure
    >>> [frame.name for frame in figure.frames]
    ['10', '100']
    >>> curves = {"linear": [[0, 0], [1, 1]]}
    >>> shown = {"labels": {"linear": "linear model"}, "colors": {"linear": "theory"}, "points": ([0, 1], [0.5, 1])}
    >>> figure = dial([0, 1], curves, [10, 100], label="width", description="It meets the data.", **shown).figure
    >>> [trace.name for trace in figure.data]
    ['linear model', 'data']
    """
    from plotly import graph_objects as go

    labels, colors = dict(labels or {}), dict(colors or {})
    unknown = {*labels, *colors} - set(curves)
    if unknown:
        raise ValueError(f"labels and colors must name curves of {sorted(curves)}; got {sorted(unknown)}")
    x, values = as_array("x", x, ndim=1), as_array("values", values, ndim=1)
    as_choice("log", log, ("", "x", "y", "xy"))
    curves = {name: as_array(f"curve {name!r}", curve, ndim=(1, 2)) for name, curve in curves.items()}
    still, full = (len(x),), (len(values), len(x))
    wrong = [f"{name!r} {curve.shape}" for name, curve in curves.items() if curve.shape not in (still, full)]
    rows = list(curves.values())
    moving = [i for i, curve in enumerate(rows) if curve.shape == full]
    if wrong or not moving:
        raise ValueError(f"curves must have shape {full}, or {still} for all but one; got {', '.join(wrong) or still}")
    figure = go.Figure()
    free = [each for each in ("network", "theory", "low", "high", "middle") if each not in {*curves, *colors.values()}]
    for name, curve in curves.items():
        first, style = curve if curve.shape == still else curve[0], _style(name)
        if name in colors or name not in COLORS:
            color = colors.get(name) or (free.pop(0) if free else "noise")
            style["color"] = COLORS.get(color, color)
        figure.add_scatter(x=_short(x), y=_short(first), name=labels.get(name, name), line=style)
    if points is not None:
        at_x, at_y = (as_array("points", each, ndim=1) for each in points)
        require_same_length("x of the points", at_x, "their y", at_y)
        rings = {"color": COLORS["target"], "symbol": "circle-open", "size": 9, "line": {"width": 2}}
        figure.add_scatter(x=_short(at_x), y=_short(at_y), name="data", mode="markers", marker=rings)
        rows = [*rows, at_y]
    limits = [_exponents(row) if "y" in log else row for row in rows]
    # "power": 10^9 and not plotly's "1B" beside it
    scale = {"type": "log" if "y" in log else "linear", "exponentformat": "power"}
    figure.update_yaxes(range=_range(*limits), title_text=y_label, **scale)
    figure.update_xaxes(title_text=x_label, type="log" if "x" in log else "linear")
    frames = [[go.Scatter(y=_short(rows[i][v])) for i in moving] for v in range(len(values))]
    return Scrubber(figure, values, frames, moving=moving, label=label, description=description, at=at)


def neurons(
    times: ArrayLike,
    orientation: ArrayLike,
    size: ArrayLike,
    *,
    description: str,
    marks: Sequence[float] = (),
    orientation_label: str = "orientation (degrees)",
    size_label: str = "amplitude",
    function: Trajectory | None = None,
    y: ArrayLike | None = None,
    time_label: str = "step",
    at: float | None = None,
) -> Scrubber:
    """Scrub through training: every neuron as a point (orientation, size), and beside them the function they make.

    Parameters
    ----------
    times, orientation, size : array-like
        (T,), (T, m), such as the angle of (w, b), and (T, m), such as |a||w|.
    description : str
        What is seen, for readers who do not see it.
    marks : sequence of float
        Orientations to mark by a line, such as predicted ones.
    function : Trajectory, optional
        At the same times with inputs (n, 1), drawn over its target y (n,); None: no second panel.
    at : float, optional
        The time to begin with in the built book.

    Examples
    --------
    >>> angles = np.array([[0.0, 90.0], [40.0, 50.0]])
    >>> len(neurons([0, 10], angles, np.ones((2, 2)), description="Two neurons align.").figure.frames)
    2
    """
    from plotly import graph_objects as go
    from plotly.subplots import make_subplots

    times, size = as_array("times", times, ndim=1), as_array("size", size, ndim=2)
    orientation = as_array("orientation", orientation, ndim=2)
    require_same_length("times", times, "orientation", orientation)
    if size.shape != orientation.shape:
        raise ValueError(f"size must have the shape of orientation {orientation.shape}; got {size.shape}")
    figure = make_subplots(cols=1 if function is None else 2, horizontal_spacing=0.12)
    dots = {"color": COLORS["network"], "size": 7, "opacity": 0.6}
    figure.add_scatter(x=_short(orientation[0]), y=_short(size[0]), mode="markers", marker=dots, name="neuron")
    for mark in marks:
        figure.add_vline(float(mark), line={"color": COLORS["theory"], "dash": "dash", "width": 1.5}, col=1)
    figure.update_xaxes(title_text=orientation_label, range=_range(orientation, marks), col=1)
    figure.update_yaxes(title_text=size_label, range=_range(size), col=1)
    frames = [[go.Scatter(x=_short(o), y=_short(s))] for o, s in zip(orientation, size, strict=True)]
    if function is not None:
        target = as_array("y", y, ndim=1)
        if function.inputs is None or function.inputs.shape != (len(target), 1):
            raise ValueError(f"function needs inputs of shape {(len(target), 1)}, one for each value of y")
        if not np.array_equal(function.times, times):
            raise ValueError("function must be given at the same times as the neurons")
        line, outputs = _short(function.inputs[:, 0]), function.outputs[:, :, 0]
        for name, values in (("target", target), ("network", outputs[0])):
            figure.add_scatter(x=line, y=_short(values), name=name, line=_style(name), row=1, col=2)
        figure.update_xaxes(title_text="x", col=2)
        figure.update_yaxes(range=_range(target, outputs), col=2)
        frames = [[*frame, go.Scatter(y=_short(now))] for frame, now in zip(frames, outputs, strict=True)]
    moving = [0] if function is None else [0, 2]
    return Scrubber(figure, times, frames, moving=moving, label=time_label, description=description, at=at)


def surface(
    first: ArrayLike,
    second: ArrayLike,
    losses: ArrayLike,
    paths: ArrayLike,
    times: ArrayLike,
    *,
    description: str,
    labels: tuple[str, str, str] = ("s", "t", "loss"),
    time_label: str = "time",
    at: float | None = None,
) -> Scrubber:
    """Turn a landscape with the mouse, and follow paths over it with the slider.

    Parameters
    ----------
    first, second, losses : array-like
        (S,) and (T,) coordinates of a plane, and (T, S) above it.
    paths, times : array-like
        (W, N, 3), for each of W walkers its two coordinates in the plane and its own loss, at times (N,). A walker may
        leave the plane: it is drawn at its own loss, above or below the surface.
    description : str
        What is seen, for readers who do not see it.
    at : float, optional
        The time to begin with in the built book.

    Examples
    --------
    >>> side = np.linspace(-1, 1, 3)
    >>> path = [[[1.0, 1.0, 2.0], [0.0, 0.0, 0.0]]]
    >>> bowl = surface(side, side, np.add.outer(side**2, side**2), path, [0, 1], description="Into a bowl.")
    >>> len(bowl.figure.data)
    3
    """
    from plotly import graph_objects as go

    first, second = as_array("first", first, ndim=1), as_array("second", second, ndim=1)
    losses, paths = as_array("losses", losses, ndim=2), as_array("paths", paths, ndim=3)
    times = as_array("times", times, ndim=1)
    if losses.shape != (len(second), len(first)):
        raise ValueError(f"losses must have shape {(len(second), len(first))}; got {losses.shape}")
    if paths.shape[1:] != (len(times), 3):
        raise ValueError(f"paths must have shape (walkers, {len(times)}, 3); got {paths.shape}")

    def points(columns: np.ndarray) -> dict[str, list[float]]:
        return {axis: _short(column) for axis, column in zip("xyz", columns.T, strict=True)}

    figure = go.Figure()
    look = {"colorscale": "Viridis", "showscale": False, "opacity": 0.9, "hoverinfo": "skip"}
    figure.add_surface(x=_short(first), y=_short(second), z=[_short(row) for row in losses], **look)
    line, dots = {"color": COLORS["theory"], "width": 5}, {"color": COLORS["theory"], "size": 6}
    for path in paths:
        figure.add_scatter3d(**points(path), mode="lines", line=line, hoverinfo="skip", showlegend=False)
    figure.add_scatter3d(**points(paths[:, 0]), mode="markers", marker=dots, showlegend=False)
    titles = zip("xyz", labels, strict=True)
    axes = {f"{axis}axis": {"title": {"text": label}, "showspikes": False} for axis, label in titles}
    camera = {"eye": {"x": 1.6, "y": -1.4, "z": 1.0}, "center": {"x": 0, "y": 0, "z": -0.2}}
    # said outright, so that a finger can turn it too
    figure.update_scenes(**axes, camera=camera, dragmode="turntable", aspectmode="cube")
    frames = [[go.Scatter3d(**points(now))] for now in paths.swapaxes(0, 1)]
    moving = [1 + len(paths)]
    scrubber = Scrubber(figure, times, frames, moving=moving, label=time_label, description=description, at=at)
    figure.update_layout(margin={"l": 0, "r": 0, "t": 0, "b": 0})
    return scrubber


def _style(name: str) -> dict[str, object]:
    dash = {"target": "dot", "theory": "dash"}.get(name, "solid")
    return {"color": COLORS.get(name), "dash": dash, "width": 1.5 if name == "target" else 2}


def _exponents(values: np.ndarray) -> np.ndarray:
    if (values <= 0).any():
        raise ValueError("curves on a logarithmic axis must be positive")
    return np.log10(values)


def _short(values: ArrayLike) -> list[float]:
    """Return four significant digits: what a screen can show, at a third of the page's weight."""
    return [float(f"{value:.4g}") for value in np.asarray(values, dtype=float)]


def _range(*values: ArrayLike) -> list[float]:
    """Return limits of an axis that hold the values of all frames, so that it stands still while they move."""
    every = np.concatenate([np.ravel(each) for each in values])
    low, high = float(every.min()), float(every.max())
    space = 0.06 * ((high - low) or 1.0)
    return [low - space, high + space]


SCRIPTS = Path(__file__).resolve().parents[1] / "_extensions" / "live"


class Live:
    """A figure that trains in the page, in JavaScript; made by :func:`live`.

    It displays itself as a frame that holds all of its scripts. In the book the page holds the figure itself. Where the
    scripts are not at hand, a line says where the figure is.

    Examples
    --------
    >>> print(Live("train", {"activation": "relu"})._repr_mimebundle_()["text/plain"])
    Live figure 'train': it trains in the page of the book.
    """

    def __init__(self, name: str, state: Mapping[str, object]) -> None:
        self.name, self.state = name, dict(state)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, object]:
        line = f"Live figure {self.name!r}: it trains in the page of the book."
        if not SCRIPTS.is_dir():
            return {"text/html": f'<p class="fpc-live">{html.escape(line)}</p>', "text/plain": line}
        state = html.escape(json.dumps(self.state), quote=True)
        page = html.escape(self._page(state), quote=True)
        frame = (
            f'<iframe class="fpc-lab-frame" data-figure="{self.name}" data-state="{state}" title="live figure" '
            f'style="width: 100%; height: 640px; border: 0" srcdoc="{page}">{html.escape(line)}</iframe>'
        )
        return {"text/html": frame, "text/plain": line}

    def _page(self, state: str) -> str:
        """Return a page with the figure and nothing else, as high as the figure."""
        scripts = "".join(
            f"<script>{(SCRIPTS / f'{name}.js').read_text('utf-8')}</script>" for name in ("engine", "frame", self.name)
        )
        style = (SCRIPTS / "live.css").read_text("utf-8")
        return (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><style>{style}</style><body class="fpc-alone">'
            f'<div class="fpc-lab" data-figure="{self.name}" data-state="{state}"></div>{scripts}<script>'
            'new ResizeObserver(() => { try { frameElement.style.height = document.body.offsetHeight + 16 + "px"; } '
            "catch { } }).observe(document.body);</script></body></html>"
        )


def live(name: str, **state: str | float | bool) -> Live:
    """Show a figure that trains in the page: no kernel, no account, no other host.

    Parameters
    ----------
    name : str
        "train", "condense", "matrix", ...: a script in ``_extensions/live``.
    **state : str, float or bool
        Where its controls stand at first, such as ``activation="relu"``.

    Examples
    --------
    >>> live("train", activation="relu").state
    {'activation': 'relu'}
    """
    if SCRIPTS.is_dir():
        figures = sorted(path.stem for path in SCRIPTS.glob("*.js") if path.stem not in ("engine", "frame"))
        as_choice("name", name, figures)
    return Live(name, state)
