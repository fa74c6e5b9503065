"""Figures a reader can move without a kernel: ``scrub`` through training or ``dial`` a parameter, with a slider.

A scrubber shows itself as a plotly figure in JupyterLab and Colab. In the built book it is plain HTML holding the
figure's JSON; the book's own script draws it and adds a native slider, which works with the keyboard and offline.
"""

from __future__ import annotations

import html
import inspect
import json
import sys
from collections.abc import Callable, Sequence

import numpy as np

from fpcourse._arguments import as_array, as_choice, require_same_length
from fpcourse.plotting import COLORS, bin_means, spectrum_over_time
from fpcourse.trajectory import Trajectory


class Scrubber:
    """A plotly figure with frames and the label of their slider; displays itself wherever a notebook is read."""

    def __init__(self, figure, label: str, description: str) -> None:
        self.figure, self.label, self.description = figure, label, description
        self._add_controls()

    def _add_controls(self) -> None:
        names = [frame.name for frame in self.figure.frames]
        # plotly animates flat lines and points only
        redraw = any(trace.type in ("heatmap", "scatter3d") for trace in self.figure.data)
        jump = {"mode": "immediate", "frame": {"duration": 0, "redraw": redraw}, "transition": {"duration": 0}}
        play = {"fromcurrent": True, "frame": {"duration": 120, "redraw": redraw}, "transition": {"duration": 0}}
        steps = [{"label": name, "method": "animate", "args": [[name], jump]} for name in names]
        button = {"label": "Play", "method": "animate", "args": [None, play]}
        self.figure.update_layout(
            sliders=[{"steps": steps, "currentvalue": {"prefix": f"{self.label} "}, "pad": {"t": 40}, "x": 0.1,
                      "len": 0.9}],
            updatemenus=[{"type": "buttons", "buttons": [button], "x": 0.06, "y": -0.18, "showactive": False}],
        )  # fmt: skip

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, object]:
        if "google.colab" in sys.modules:  # Colab draws HTML only, in a frame of its own
            return {"text/html": self.figure.to_html(include_plotlyjs="cdn", full_html=False)}
        content = json.loads(self.figure.to_json())
        return {
            "application/vnd.plotly.v1+json": content,
            "text/html": self._html(content),
            "text/plain": f"Scrubber over {self.label}: {self.description}",
        }

    def _html(self, content: dict) -> str:
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
    y,
    *,
    positions,
    frequencies,
    description: str,
    theory: Trajectory | None = None,
    bins: int | None = None,
    channel: int = 0,
    x_label: str = "x",
    frequency_label: str = "frequency k",
    time_label: str = "step",
) -> Scrubber:
    """Scrub through training: the function over its target on the left, both spectra on the right.

    trajectory   inputs (n, 1); one channel of its outputs is drawn
    y            (n,) or (n, c) target
    positions    (n,) or (n, d), frequencies (K,) or (K, d): those of :func:`fpcourse.fourier.nudft`
    theory       a second trajectory at the same times and points, drawn over the first
    bins         draw means over this many bins of x, for points that form a cloud; the spectrum still takes them all
    description  what is seen, for readers who do not see it

    Raises ValueError where shapes or times disagree.
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
    dots = {"color": COLORS["target"], "width": 1.5, "dash": "dot"}
    rings = {"color": COLORS["target"], "symbol": "circle-open", "size": 9}
    figure.add_scatter(x=_short(line), y=_short(target), name="target", line=dots, row=1, col=1)
    figure.add_scatter(x=_short(marks), y=_short(target_spectrum), mode="markers", marker=rings, row=1, col=2)
    for name, (outputs, amplitudes) in moving.items():
        style = {"color": COLORS[name], "dash": "dash" if name == "theory" else "solid"}
        figure.add_scatter(x=_short(line), y=_short(outputs[0]), name=name, line=style, row=1, col=1)
        figure.add_scatter(x=_short(marks), y=_short(amplitudes[0]), mode="lines+markers", line=style, row=1, col=2)
    figure.update_traces(showlegend=False, col=2)  # the left panel's legend names the same colours
    figure.frames = [
        go.Frame(
            name=_label(time),
            data=[go.Scatter(y=_short(values[i])) for pair in moving.values() for values in pair],
            traces=list(range(2, 2 + 2 * len(moving))),
        )
        for i, time in enumerate(trajectory.times)
    ]
    figure.update_yaxes(range=_range(target, *(outputs for outputs, _ in moving.values())), col=1)
    figure.update_yaxes(range=_range([0.0], target_spectrum, *(a for _, a in moving.values())), col=2)
    figure.update_xaxes(title_text=x_label, col=1)
    figure.update_xaxes(title_text=frequency_label, col=2)
    _lay_out(figure)
    return Scrubber(figure, time_label, description)


def scrub_images(
    images,
    times,
    x,
    curve,
    *,
    description: str,
    x_label: str = "frequency (cycles across the image)",
    y_label: str = "error",
    time_label: str = "step",
) -> Scrubber:
    """Scrub through images: on the left the image at each time, on the right a curve that belongs to it.

    images   (T, s, s) grey values, clipped to [0, 1] and shown in 256 steps
    times    (T,)
    x        (K,) and curve (T, K), both > 0: drawn on logarithmic axes, such as errors by frequency

    Raises ValueError where shapes disagree.
    """
    from plotly import graph_objects as go
    from plotly.subplots import make_subplots

    images, times = as_array("images", images, ndim=3), as_array("times", times, ndim=1)
    x, curve = as_array("x", x, ndim=1), as_array("curve", curve, ndim=2)
    require_same_length("images", images, "times", times)
    if curve.shape != (len(times), len(x)):
        raise ValueError(f"curve must have shape {(len(times), len(x))}; got {curve.shape}")
    limits = np.log10(_positive([x])), np.log10(_positive([curve]))
    grey = np.rint(255 * images.clip(0, 1)).astype(int)

    figure = make_subplots(cols=2, horizontal_spacing=0.14, subplot_titles=("image", y_label))
    figure.add_heatmap(z=grey[0].tolist(), zmin=0, zmax=255, colorscale="gray", showscale=False, hoverinfo="skip")
    style = {"mode": "lines+markers", "line": {"color": COLORS["network"]}, "showlegend": False}
    figure.add_scatter(x=_short(x), y=_short(curve[0]), row=1, col=2, **style)
    figure.frames = [
        go.Frame(name=_label(time), data=[go.Heatmap(z=z.tolist()), go.Scatter(y=_short(row))], traces=[0, 1])
        for time, z, row in zip(times, grey, curve, strict=True)
    ]
    figure.update_xaxes(visible=False, col=1)
    figure.update_yaxes(visible=False, autorange="reversed", scaleanchor="x", col=1)
    ticks = {"type": "log", "dtick": "D2"}  # 1, 2, 5, 10: nine digits a decade would crowd a phone
    figure.update_xaxes(title_text=x_label, range=_range(limits[0]), col=2, **ticks)
    figure.update_yaxes(range=_range(limits[1]), col=2, **ticks)
    _lay_out(figure)
    return Scrubber(figure, time_label, description)


def dial(
    x,
    curves: dict[str, np.ndarray],
    values,
    *,
    label: str,
    description: str,
    x_label: str = "x",
    y_label: str = "",
    log: str = "",
) -> Scrubber:
    """Turn a dial over a parameter: curves computed beforehand for each of its ``values`` (V,).

    x        (n,) common to all curves
    curves   name -> (V, n), one row per value, or (n,) for a curve that stands still; a name of
             :data:`fpcourse.plotting.COLORS` gets its colour
    log      axes on a logarithmic scale: "", "x", "y" or "xy"

    Raises ValueError where shapes disagree.
    """
    from plotly import graph_objects as go

    x, values = as_array("x", x, ndim=1), as_array("values", values, ndim=1)
    as_choice("log", log, ("", "x", "y", "xy"))
    curves = {name: as_array(f"curve {name!r}", curve, ndim=(1, 2)) for name, curve in curves.items()}
    figure = go.Figure()
    for name, curve in curves.items():
        if curve.shape not in ((len(x),), (len(values), len(x))):
            raise ValueError(
                f"curve {name!r} must have shape {(len(values), len(x))} or {(len(x),)}; got {curve.shape}"
            )
        style = {"color": COLORS.get(name), "dash": {"target": "dot", "theory": "dash"}.get(name, "solid")}
        figure.add_scatter(x=_short(x), y=_short(curve if curve.ndim == 1 else curve[0]), name=name, line=style)
    moving = [i for i, curve in enumerate(curves.values()) if curve.ndim == 2]
    if not moving:
        raise ValueError(f"at least one curve must have shape {(len(values), len(x))}, to move with the dial")
    rows = list(curves.values())
    figure.frames = [
        go.Frame(name=_label(value), data=[go.Scatter(y=_short(rows[i][v])) for i in moving], traces=moving)
        for v, value in enumerate(values)
    ]
    limits = np.log10(_positive(rows)) if "y" in log else np.concatenate([row.ravel() for row in rows])
    # "power": 10^9 and not plotly's "1B" beside it
    kind = "log" if "y" in log else "linear"
    figure.update_yaxes(range=_range(limits), title_text=y_label, type=kind, exponentformat="power")
    figure.update_xaxes(title_text=x_label, type="log" if "x" in log else "linear")
    _lay_out(figure)
    return Scrubber(figure, label, description)


def neurons(
    times,
    orientation,
    size,
    *,
    description: str,
    marks=(),
    orientation_label: str = "orientation (degrees)",
    size_label: str = "amplitude",
    function: Trajectory | None = None,
    y=None,
    time_label: str = "step",
) -> Scrubber:
    """Scrub through training: every neuron as a point (orientation, size), and beside them the function they make.

    times        (T,)
    orientation  (T, m), such as the angle of (w, b), and size (T, m), such as |a||w|
    marks        orientations to mark by a line, such as predicted ones
    function     trajectory at the same times with inputs (n, 1), drawn over its target y (n,); None: no second panel

    Raises ValueError where shapes or times disagree.
    """
    from plotly import graph_objects as go
    from plotly.subplots import make_subplots

    times, orientation = as_array("times", times, ndim=1), as_array("orientation", orientation, ndim=2)
    size = as_array("size", size, ndim=2)
    require_same_length("times", times, "orientation", orientation)
    if size.shape != orientation.shape:
        raise ValueError(f"size must have the shape of orientation {orientation.shape}; got {size.shape}")
    figure = make_subplots(cols=1 if function is None else 2, horizontal_spacing=0.12)
    dots = {"color": COLORS["network"], "size": 7, "opacity": 0.6}
    figure.add_scatter(x=_short(orientation[0]), y=_short(size[0]), mode="markers", marker=dots, name="neuron")
    frames = [[go.Scatter(x=_short(o), y=_short(s))] for o, s in zip(orientation, size, strict=True)]
    for mark in marks:
        figure.add_vline(float(mark), line={"color": COLORS["theory"], "dash": "dash", "width": 1.5}, col=1)
    figure.update_xaxes(
        title_text=orientation_label, range=_range(orientation, *([marks] if len(marks) else [])), col=1
    )
    figure.update_yaxes(title_text=size_label, range=_range(size), col=1)
    if function is not None:
        target = as_array("y", y, ndim=1)
        if function.inputs is None or function.inputs.shape != (len(target), 1):
            raise ValueError(f"function needs inputs of shape {(len(target), 1)}, one for each value of y")
        if not np.array_equal(function.times, times):
            raise ValueError("function must be given at the same times as the neurons")
        line, style = _short(function.inputs[:, 0]), {"color": COLORS["target"], "width": 1.5, "dash": "dot"}
        figure.add_scatter(x=line, y=_short(target), name="target", line=style, row=1, col=2)
        style = {"color": COLORS["network"]}
        figure.add_scatter(x=line, y=_short(function.outputs[0, :, 0]), name="network", line=style, row=1, col=2)
        for frame, outputs in zip(frames, function.outputs[:, :, 0], strict=True):
            frame.append(go.Scatter(y=_short(outputs)))
        figure.update_xaxes(title_text="x", col=2)
        figure.update_yaxes(range=_range(target, function.outputs[:, :, 0]), col=2)
    traces = [0] if function is None else [0, 2]
    figure.frames = [
        go.Frame(name=_label(time), data=data, traces=traces) for time, data in zip(times, frames, strict=True)
    ]
    _lay_out(figure)
    return Scrubber(figure, time_label, description)


def surface(
    first,
    second,
    losses,
    paths,
    times,
    *,
    description: str,
    labels: tuple[str, str, str] = ("s", "t", "loss"),
    time_label: str = "time",
) -> Scrubber:
    """A landscape to turn, with paths to follow: drag the picture with a mouse, and let the slider move the walkers.

    first, second   (S,) and (T,) coordinates of the plane; losses (T, S) above it
    paths           (W, N, 3): for each of W walkers its two coordinates in the plane and its own loss, at N moments
    times           (N,)

    A walker may leave the plane: it is drawn at its true loss, above or below the surface. Raises ValueError where
    shapes disagree.
    """
    from plotly import graph_objects as go

    first, second = as_array("first", first, ndim=1), as_array("second", second, ndim=1)
    losses, paths = as_array("losses", losses, ndim=2), as_array("paths", paths, ndim=3)
    times = as_array("times", times, ndim=1)
    if losses.shape != (len(second), len(first)):
        raise ValueError(f"losses must have shape {(len(second), len(first))}; got {losses.shape}")
    if paths.shape[1:] != (len(times), 3):
        raise ValueError(f"paths must have shape (walkers, {len(times)}, 3); got {paths.shape}")
    figure = go.Figure()
    figure.add_surface(
        x=_short(first), y=_short(second), z=[_short(row) for row in losses], colorscale="Viridis", showscale=False,
        opacity=0.9, hoverinfo="skip",
    )  # fmt: skip
    for path in paths:
        x, y, z = (_short(column) for column in path.T)
        line = {"color": COLORS["theory"], "width": 5}
        figure.add_scatter3d(x=x, y=y, z=z, mode="lines", line=line, hoverinfo="skip", showlegend=False)
    dots = {"color": COLORS["theory"], "size": 6}
    at_time = [dict(zip("xyz", (_short(column) for column in now.T), strict=True)) for now in paths.swapaxes(0, 1)]
    figure.add_scatter3d(**at_time[0], mode="markers", marker=dots, showlegend=False)
    figure.frames = [
        go.Frame(name=_label(time), data=[go.Scatter3d(**now)], traces=[1 + len(paths)])
        for time, now in zip(times, at_time, strict=True)
    ]
    titles = zip("xyz", labels, strict=True)
    axes = {f"{axis}axis": {"title": {"text": label}, "showspikes": False} for axis, label in titles}
    camera = {"eye": {"x": 1.6, "y": -1.4, "z": 1.0}, "center": {"x": 0, "y": 0, "z": -0.2}}
    # said outright, so that a finger can turn it too
    figure.update_scenes(**axes, camera=camera, dragmode="turntable", aspectmode="cube")
    _lay_out(figure)
    figure.update_layout(margin={"l": 0, "r": 0, "t": 0, "b": 0})
    return Scrubber(figure, time_label, description)


def _positive(rows) -> np.ndarray:
    values = np.concatenate([row.ravel() for row in rows])
    if (values <= 0).any():
        raise ValueError("curves on a logarithmic axis must be positive")
    return values


def _lay_out(figure) -> None:
    figure.update_layout(
        height=440,
        template="plotly_white",
        margin={"l": 50, "r": 20, "t": 40, "b": 50},
        legend={"orientation": "h", "y": 1.18},
    )


def _short(values) -> list[float]:
    """Four significant digits: what a screen can show, at a third of the page's weight."""
    return [float(f"{value:.4g}") for value in np.asarray(values, dtype=float)]


def _label(time: float) -> str:
    return f"{time:.0f}" if float(time).is_integer() else f"{time:.3g}"


def _range(*values) -> list[float]:
    """Limits of an axis that holds all values of all frames, so that it stands still while they move."""
    low, high = (float(edge([edge(v) for v in values])) for edge in (np.min, np.max))
    space = 0.06 * ((high - low) or 1.0)
    return [low - space, high + space]


class Panel:
    """A slider for each choice, a button and the result; in a page without a kernel, an invitation to run it."""

    def __init__(self, draw: Callable, choices: dict[str, list], button: str) -> None:
        self.draw, self.choices, self.button = draw, choices, button

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, object]:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.widget().model_id}
        live = {"application/vnd.jupyter.widget-view+json": view}
        if "google.colab" in sys.modules:  # Colab would show the line and not the panel
            return live
        return {**live, "text/html": self._html(), "text/plain": self._line()}

    def widget(self):
        """Make the panel itself (an ``ipywidgets.VBox``: the sliders, the button, the output)."""
        import ipywidgets

        defaults = inspect.signature(self.draw).parameters
        sliders = {
            name: ipywidgets.SelectionSlider(
                options=values, value=defaults[name].default, description=name.replace("_", " "),
                style={"description_width": "10em"}, layout={"width": "28em"}, continuous_update=False,
            )
            for name, values in self.choices.items()
        }  # fmt: skip
        button = ipywidgets.Button(description=self.button)
        output = ipywidgets.Output()

        def run(_) -> None:
            from IPython.display import display

            button.disabled = True
            output.clear_output()
            try:
                with output:
                    display(self.draw(**{name: slider.value for name, slider in sliders.items()}))
            finally:
                button.disabled = False
                if "matplotlib.pyplot" in sys.modules:  # a figure left open would appear again under the next cell
                    sys.modules["matplotlib.pyplot"].close("all")

        button.on_click(run)
        return ipywidgets.VBox([*sliders.values(), button, output])

    def _line(self) -> str:
        choices = "; ".join(
            f"{name.replace('_', ' ')} ({', '.join(map(str, values))})" for name, values in self.choices.items()
        )
        return f"Run it live: where this notebook runs, a panel stands here that lets you change {choices}."

    def _html(self) -> str:
        lead, rest = self._line().split(":", 1)
        where = "The rocket at the top of the page opens it on Google Colab."
        return f'<p class="fpc-live"><strong>{lead}:</strong>{html.escape(rest)} {where}</p>'


def panel(draw: Callable, *, button: str = "Train again", **choices: Sequence) -> Panel:
    """Let a reader choose arguments of ``draw`` and run it again, without touching the code.

    draw      makes a figure; every name in ``choices`` is one of its arguments, with a default
    choices   name -> the values to choose from, among them the default

    Below the sliders stands what ``draw`` returns and prints. Raises ValueError for an argument that ``draw`` does not
    have, or whose default is not among the values.
    """
    parameters = inspect.signature(draw).parameters
    if not choices:
        raise ValueError("a panel needs at least one argument to choose")
    for name, values in choices.items():
        if name not in parameters:
            raise ValueError(f"{name} must be an argument of {draw.__name__}{inspect.signature(draw)}")
        if parameters[name].default not in list(values):
            raise ValueError(f"{name} must offer its default {parameters[name].default}; got {list(values)}")
    return Panel(draw, {name: list(values) for name, values in choices.items()}, button)
