"""Frames hold the numbers they are given, in every form a notebook asks for; a panel runs what a reader chooses."""

import json
import re
import sys
import types

import numpy as np
import pytest

from fpcourse import interactive
from fpcourse.plotting import COLORS
from fpcourse.trajectory import Trajectory

N = 50
GRID = np.arange(N) / N
TIMES = np.array([0.0, 1, 10])


def trajectory(scale=1.0):
    target = np.sin(2 * np.pi * 2 * GRID)
    return Trajectory(TIMES, np.stack([a * scale * target for a in (0, 0.5, 1)]), inputs=GRID), target


def scrubber(**options):
    run, target = trajectory()
    return interactive.scrub(
        run, target, positions=GRID, frequencies=np.arange(5), description='a "network" & its </script>', **options
    )


def page_data(figure) -> dict:
    """What the book's script reads: the JSON inside the HTML form."""
    text = figure._repr_mimebundle_()["text/html"]
    content = re.search(r'<script type="application/json">(.*?)</script>', text, re.S).group(1)
    return json.loads(content)


def y_values(trace) -> np.ndarray:
    """Plotly 6 and later may write numbers as base64; lists come from us, so that 5.24 and 7 show the same page."""
    assert isinstance(trace["y"], list)
    return np.array(trace["y"])


def test_each_frame_holds_function_and_spectrum_of_its_snapshot():
    run, target = trajectory()
    data = page_data(scrubber())
    assert [frame["name"] for frame in data["frames"]] == data["slider"]["values"] == ["0", "1", "10"]
    for frame, outputs in zip(data["frames"], run.outputs[:, :, 0], strict=True):
        function, spectrum = frame["data"]
        np.testing.assert_allclose(y_values(function), outputs, atol=1e-4)
        np.testing.assert_allclose(y_values(spectrum), np.abs(np.fft.fft(outputs))[:5] / N, atol=1e-4)
        for trace, values in zip(frame["traces"], (function, spectrum), strict=True):
            assert len(data["data"][trace]["x"]) == len(values["y"])  # the frame moves the trace it belongs to
    np.testing.assert_allclose(y_values(data["data"][0]), target, atol=1e-4)


def test_axes_stand_still_and_hold_every_frame():
    run, _ = trajectory(scale=3.0)
    figure = interactive.scrub(run, 0 * GRID, positions=GRID, frequencies=[0, 2], description="").figure
    low, high = figure.layout.yaxis.range
    assert low < -3 and high > 3
    assert figure.layout.yaxis2.range[1] > 1.5


def test_theory_is_drawn_over_the_experiment():
    run, target = trajectory()
    theory, _ = trajectory(scale=0.9)
    data = page_data(interactive.scrub(run, target, positions=GRID, frequencies=[2], theory=theory, description="both"))
    assert [trace.get("name") for trace in data["data"] if trace.get("name")][:3] == ["target", "network", "theory"]
    last = data["frames"][-1]
    np.testing.assert_allclose(y_values(last["data"][3]), [0.45], atol=1e-4)
    late = Trajectory(TIMES + 1, theory.outputs, inputs=GRID)
    with pytest.raises(ValueError, match="at the times of the trajectory"):
        interactive.scrub(run, target, positions=GRID, frequencies=[2], theory=late, description="")


def test_bins_thin_the_line_and_not_the_spectrum():
    fine, coarse = page_data(scrubber()), page_data(scrubber(bins=10))
    assert len(coarse["data"][0]["x"]) == 10
    assert coarse["frames"][2]["data"][1] == fine["frames"][2]["data"][1]


def test_the_html_form_is_safe_and_described():
    text = scrubber()._repr_mimebundle_()["text/html"]
    assert text.count("</script>") == 1  # the description's own is escaped
    assert 'aria-label="a &quot;network&quot; &amp; its &lt;/script&gt;"' in text


def test_notebook_forms():
    bundle = scrubber()._repr_mimebundle_()
    sliders = bundle["application/vnd.plotly.v1+json"]["layout"]["sliders"]
    assert [step["args"][0] for step in sliders[0]["steps"]] == [["0"], ["1"], ["10"]]
    assert "Scrubber over step" in bundle["text/plain"]


def test_colab_gets_a_form_that_loads_its_own_script(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    bundle = scrubber()._repr_mimebundle_()
    assert set(bundle) == {"text/html"}
    assert "Plotly.newPlot" in bundle["text/html"]


def test_dial_moves_only_what_depends_on_the_parameter():
    values, x = np.array([1.0, 2.5]), np.linspace(0, 1, 7)
    data = page_data(
        interactive.dial(x, {"target": x, "network": values[:, None] * x}, values, label="width", description="")
    )
    assert data["slider"] == {"label": "width", "values": ["1", "2.5"]}
    assert [frame["traces"] for frame in data["frames"]] == [[1], [1]]
    np.testing.assert_allclose(y_values(data["frames"][1]["data"][0]), 2.5 * x, rtol=1e-3)  # four digits


@pytest.mark.parametrize(
    ("curves", "log", "message"),
    [
        ({"a": np.ones(3)}, "", "or \\(3,\\) for all but one; got \\(3,\\)"),
        ({"a": np.ones((2, 4))}, "", r"must have shape \(2, 3\), .* got 'a' \(2, 4\)"),
        ({"a": np.full((2, 3), np.nan)}, "", "finite"),
        ({"a": np.zeros((2, 3))}, "y", "must be positive"),
        ({"a": np.ones((2, 3))}, "z", "one of"),
    ],
)
def test_dial_refuses(curves, log, message):
    with pytest.raises(ValueError, match=message):
        interactive.dial(np.arange(3.0), curves, [1, 2], label="", description="", log=log)


def test_a_dial_has_real_names_its_own_colours_and_the_data():
    curves = {"a": np.ones((2, 3)), "target": np.zeros(3), "b": np.ones((2, 3))}
    figure = interactive.dial(
        [0, 1, 2],
        curves,
        [1e-8, 2],
        label="",
        description="",
        labels={"a": "linear spline"},
        colors={"a": "low"},
        points=([0.5], [7.0]),
        at=1.5,
    )
    traces = page_data(figure)["data"]
    assert [trace["name"] for trace in traces] == ["linear spline", "target", "b", "data"]
    assert [trace["line"]["color"] for trace in traces[:3]] == [COLORS[name] for name in ("low", "target", "network")]
    assert traces[3]["y"] == [7.0]
    assert figure.figure.layout.yaxis.range[1] > 7  # the data lie within the axes
    assert page_data(figure)["layout"]["sliders"][0]["active"] == 1
    assert page_data(figure)["slider"]["values"] == ["1e-8", "2"]
    plotly_form = figure._repr_mimebundle_()["application/vnd.plotly.v1+json"]
    assert "active" not in plotly_form["layout"]["sliders"][0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": {"c": "name"}}, "must name curves of"),
        ({"points": ([1, 2], [1])}, "x of the points"),
    ],
)
def test_dial_refuses_names_and_points_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        interactive.dial([1, 2], {"a": np.ones((2, 2))}, [1, 2], label="", description="", **options)


def test_log_axes_span_the_data():
    curve = np.array([[1e-3, 1.0], [1e-2, 10.0]])
    figure = interactive.dial([1, 2], {"a": curve}, [1, 2], label="", description="", log="xy").figure
    low, high = figure.layout.yaxis.range
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"
    assert low < -3 and high > 1  # plotly's ranges of logarithmic axes are exponents


def test_images_move_with_their_curve():
    x, times = np.array([1.0, 10]), np.array([0.0, 5])
    photos = np.stack([np.linspace(0, 1, 9).reshape(3, 3), np.full((3, 3), 2.0)])
    scrubber = interactive.scrub_images(photos, times, x, np.array([[1.0, 0.5], [0.1, 0.2]]), description="a photo")
    data = page_data(scrubber)
    assert [frame["name"] for frame in data["frames"]] == ["0", "5"]
    first, last = (next(each["z"] for each in frame["data"] if "z" in each) for frame in data["frames"])
    np.testing.assert_allclose(first, np.rint(255 * photos[0]))
    assert np.min(last) == 255  # what is brighter than white is white
    np.testing.assert_allclose(y_values(data["frames"][1]["data"][1]), [0.1, 0.2])
    assert data["frames"][0]["traces"] == [0, 1]
    layout = data["layout"]
    assert layout["yaxis"]["autorange"] == "reversed"  # row 0 at the top
    assert layout["yaxis2"]["range"][0] < -1 and layout["yaxis2"]["range"][1] > 0  # powers of ten
    assert layout["updatemenus"][0]["buttons"][0]["args"][1]["frame"]["redraw"] is True  # or a picture stands still
    assert page_data(scrubber)["layout"]["sliders"][0]["steps"][0]["args"][1]["frame"]["redraw"] is True


@pytest.mark.parametrize(
    ("photos", "curve", "message"),
    [
        (np.ones((3, 4, 4)), np.ones((2, 2)), "same number of samples"),
        (np.ones((2, 4)), np.ones((2, 2)), "3 dimension"),
        (np.ones((2, 4, 4)), np.ones((2, 3)), "curve must have shape"),
        (np.ones((2, 4, 4)), np.zeros((2, 2)), "must be positive"),
    ],
)
def test_images_refuse(photos, curve, message):
    with pytest.raises(ValueError, match=message):
        interactive.scrub_images(photos, [0, 1], [1, 2], curve, description="")


def cloud(T=3, m=4):
    return np.linspace(-90, 90, T * m).reshape(T, m), np.linspace(0, 1, T * m).reshape(T, m)


def test_neurons_move_beside_their_function():
    run, target = trajectory()
    orientation, size = cloud()
    figure = interactive.neurons(TIMES, orientation, size, marks=[-120, 30], function=run, y=target, description="")
    data = page_data(figure)
    for i, frame in enumerate(data["frames"]):
        points, line = frame["data"]
        np.testing.assert_allclose(points["x"], orientation[i], rtol=1e-3)
        np.testing.assert_allclose(points["y"], size[i], rtol=1e-3)
        np.testing.assert_allclose(y_values(line), run.outputs[i, :, 0], rtol=1e-3)
        assert [data["data"][j]["name"] for j in frame["traces"]] == ["neuron", "network"]
    assert [shape["x0"] for shape in data["layout"]["shapes"]] == [-120, 30]
    assert data["layout"]["xaxis"]["range"][0] < -120  # a mark outside the cloud is seen too
    alone = page_data(interactive.neurons(TIMES, orientation, size, description=""))
    assert [frame["traces"] for frame in alone["frames"]] == [[0]] * 3 and len(alone["data"]) == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"times": [0, 1]}, "same number"),
        ({"size": np.ones((3, 5))}, "shape of orientation"),
        ({"y": np.ones(N - 1)}, "inputs of shape"),
        ({"times": [0, 1, 2]}, "same times"),
    ],
)
def test_neurons_refuse(changed, message):
    run, target = trajectory()
    orientation, size = cloud()
    arguments = {"times": TIMES, "orientation": orientation, "size": size, "function": run, "y": target} | changed
    with pytest.raises(ValueError, match=message):
        interactive.neurons(**arguments, description="")


def test_walkers_move_over_a_landscape_that_stands_still():
    first, second, times = np.array([0.0, 1, 2]), np.array([0.0, 1]), np.array([0.0, 0.5])
    losses = np.arange(6.0).reshape(2, 3)
    paths = np.arange(12.0).reshape(2, 2, 3)
    data = page_data(interactive.surface(first, second, losses, paths, times, description="a saddle"))
    surface, *lines, walkers = data["data"]
    np.testing.assert_allclose(surface["z"], losses)
    np.testing.assert_allclose(surface["x"], first)
    for line, path in zip(lines, paths, strict=True):
        np.testing.assert_allclose(np.transpose([line["x"], line["y"], line["z"]]), path)
    for i, frame in enumerate(data["frames"]):
        (moved,) = frame["data"]
        assert frame["traces"] == [3] and walkers["mode"] == "markers"
        np.testing.assert_allclose(np.transpose([moved["x"], moved["y"], moved["z"]]), paths[:, i])
    assert data["slider"]["values"] == ["0", "0.5"]
    assert data["layout"]["scene"]["dragmode"] == "turntable"
    assert data["layout"]["sliders"][0]["steps"][0]["args"][1]["frame"]["redraw"] is True


@pytest.mark.parametrize(
    ("losses", "paths", "message"),
    [
        (np.ones((3, 2)), np.ones((1, 2, 3)), "losses must have shape"),
        (np.ones((2, 3)), np.ones((1, 3, 3)), "paths must have shape"),
        (np.ones((2, 3)), np.full((1, 2, 3), np.nan), "finite"),
    ],
)
def test_landscape_refuses(losses, paths, message):
    with pytest.raises(ValueError, match=message):
        interactive.surface(np.arange(3), np.arange(2), losses, paths, [0, 1], description="")
