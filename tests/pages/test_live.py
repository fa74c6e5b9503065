"""The figures that train in the page: the engine against fpcourse, and every figure as a reader plays with it.

Takes no built book: the figures stand alone on a page opened from a file, as in a download.
"""

import re

import book_live
import numpy as np
import pytest
import torch
from live_posters import page_of
from test_pages import DESKTOP, PHONE, complaint

from fpcourse import data, flow, fourier, images, kernels, landscape, models, training

NAMES = sorted(path.stem for path in book_live.LIVE.glob("*.js") if path.stem not in ("engine", "frame"))


@pytest.fixture(scope="module")
def engine(browser):
    """A page that holds the engine and nothing else."""
    page = browser.new_page()
    page.set_content("<title>engine</title>")
    page.add_script_tag(path=book_live.LIVE / "engine.js")
    yield lambda code, *given: page.evaluate(f"async given => {{ const e = fpc.engine(); {code} }}", list(given))
    page.close()


TRAIN = """const [model, x, y, options, points] = given, call = fpc.worker();
await call("network", { ...model, x, y });
const { parameters, loss, step } = await call("train", options);
const at = await call("evaluate", { x: points });
return [[...parameters], [...at], loss, step];"""


@pytest.mark.parametrize("optimizer", ["gd", "adam"])
@pytest.mark.parametrize("activation", ["tanh", "relu", "sine"])
def test_two_hundred_steps_end_where_pytorch_ends(engine, activation, optimizer):
    torch.manual_seed(3)
    model = models.MLP([2, 17, 18, 3], activation=activation)
    rng = np.random.default_rng(3)
    x, y = rng.uniform(-1, 1, (101, 2)), rng.normal(size=(101, 3))
    start, rate = models.parameters_of(model), {"gd": 0.1, "adam": 1e-3}[optimizer]
    network = {"widths": [2, 17, 18, 3], "activation": activation, "parameters": start.tolist()}
    options = {"steps": 200, "rate": rate, "optimizer": optimizer}
    parameters, outputs, loss, step = engine(TRAIN, network, x.ravel().tolist(), y.ravel().tolist(), options, [0.3, -1])
    run = training.train(model, x, y, steps=200, learning_rate=rate, optimizer=optimizer, snapshots=[199, 200])
    np.testing.assert_allclose(parameters, models.parameters_of(model), atol=1e-4)
    np.testing.assert_allclose(outputs, model(torch.tensor([[0.3, -1.0]]))[0].detach(), atol=1e-4)
    assert abs(loss - run.losses[0]) < 1e-5  # the last gradient is that of the parameters before
    assert step == 200


def test_a_two_layer_network_without_output_bias_and_fourier_features(engine):
    torch.manual_seed(1)
    model = models.TwoLayer(1, 30, b_std=1.0)
    x = np.linspace(-1, 1, 40)
    y, start = np.sin(3 * x), models.parameters_of(model)
    network = {"widths": [1, 30, 1], "activation": "relu", "bias": False, "parameters": start.tolist()}
    options = {"steps": 200, "rate": 0.01}
    parameters, *_ = engine(TRAIN, network, x.tolist(), y.tolist(), options, [0.0])
    training.train(model, x, y, steps=200, learning_rate=0.01, optimizer="gd")
    np.testing.assert_allclose(parameters, models.parameters_of(model), atol=1e-4)

    features = np.array([0.5, 1.0, 2.0])
    lifted = 2 * np.pi * np.outer(x, features)
    linear = models.MLP([6, 1])
    network = {"widths": [1, 1], "features": features.tolist(), "parameters": models.parameters_of(linear).tolist()}
    parameters, *_ = engine(TRAIN, network, x.tolist(), y.tolist(), options, [0.0])
    training.train(
        linear, np.hstack([np.cos(lifted), np.sin(lifted)]), y, steps=200, learning_rate=0.01, optimizer="gd"
    )
    np.testing.assert_allclose(parameters, models.parameters_of(linear), atol=1e-4)


def test_a_siren_trains_as_in_pytorch(engine):
    torch.manual_seed(4)
    model = models.siren([2, 16, 16, 1])
    x, y = np.random.default_rng(4).uniform(-1, 1, (2, 50, 2))
    network = {"widths": [2, 16, 16, 1], "siren": True, "parameters": models.parameters_of(model).tolist()}
    options = {"steps": 50, "rate": 1e-4, "optimizer": "adam"}
    parameters, *_ = engine(TRAIN, network, x.ravel().tolist(), y[:, 0].tolist(), options, [0.0, 0.0])
    training.train(model, x, y[:, 0], steps=50, learning_rate=1e-4, optimizer="adam")
    np.testing.assert_allclose(parameters, models.parameters_of(model), atol=1e-4)
    first, second = engine("""const { layers, parameters } = new e.Network({ widths: [2, 400, 400, 1], siren: true });
        const largest = layer => parameters.slice(layer.weight, layer.bias).reduce((m, w) => Math.max(m, w), 0);
        return layers.slice(0, 2).map(largest);""")
    assert first == pytest.approx(1 / 2, rel=0.02) and second == pytest.approx((6 / 400) ** 0.5 / 30, rel=0.02)


def test_mini_batches_visit_every_sample_once_in_a_pass(engine):
    visits = engine("""const net = new e.Network({ widths: [1, 1] });
        net.data([1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 0, 0]);
        const seen = [];
        for (let s = 0; s < 3; s += 1) { const [a, b] = net.batch(2); seen.push(...net.order.slice(a, b)); }
        const loss = net.train({ steps: 2000, rate: 0.02, batch: 2 });
        return [seen, loss];""")
    assert sorted(visits[0]) == [0, 1, 2, 3, 4, 5]
    assert visits[1] < 1e-3


def test_a_matrix_is_factorized_as_in_fpcourse(engine):
    rng = np.random.default_rng(0)
    target, shown = np.outer([1, -2, 1, 0.5], [1, 1, -1, 2]), rng.random((4, 4)) < 0.6
    model = models.MatrixFactorization(4, 4, 3, std=0.3).double()
    a, w = (factor.detach().numpy().ravel().tolist() for factor in (model.a, model.w))
    found = engine(
        """const [a, w, target, shown] = given;
        const model = new e.Factorization({ rows: 4, columns: 4, width: 3, a, w });
        model.train({ steps: 200, rate: 0.02, target, shown });
        return [...model.product()];""",
        a, w, target.ravel().tolist(), shown.ravel().tolist(),
    )  # fmt: skip
    training.train(
        model, np.argwhere(shown), target[shown], steps=200, learning_rate=0.02 * shown.sum(), optimizer="gd"
    )
    np.testing.assert_allclose(np.reshape(found, (4, 4)), (model.a @ model.w).detach(), atol=1e-4)


def test_kernel_solves_agree_with_the_flow(engine):
    rng = np.random.default_rng(5)
    x, line, y = rng.uniform(0, 6, 12), np.linspace(0, 6, 50), rng.normal(size=12)
    circle = [np.stack([np.cos(at), np.sin(at)], axis=1) for at in (x, line)]
    kernel = kernels.two_layer_ntk(circle[0], bias=True, trained="both")
    test = kernels.two_layer_ntk(circle[1], circle[0], bias=True, trained="both")
    solve = "const [kernel, y, test, mean] = given; return [...e.interpolate(kernel, y, test, mean)];"
    found = engine(solve, kernel.ravel().tolist(), y.tolist(), test.ravel().tolist(), False)
    np.testing.assert_allclose(found, flow.interpolant(kernel, y, test)[:, 0], atol=1e-6)

    box = flow.box_frequencies(24.0, 20.0)
    law = {"frequencies": box, "spectrum": kernels.lfp_spectrum(box[:, 0], w2=1, a2=1, a2w2=0.1)}
    kernel, test = flow.spectral_kernel(x, **law), flow.spectral_kernel(line, x, **law)
    found = engine(solve, kernel.ravel().tolist(), y.tolist(), test.ravel().tolist(), True)
    np.testing.assert_allclose(found, flow.lfp_interpolant(x, y, line, **law)[:, 0], atol=1e-6)

    # two points in one place: singular, and the ridge is the smallest that helps
    twice = engine(solve, [1, 1, 1, 1], [2, 2], [1, 1], False)
    assert twice == pytest.approx([2], abs=1e-6)


def test_eigenvalues_ranks_and_transforms(engine):
    rng = np.random.default_rng(2)
    root = rng.normal(size=(30, 20))
    values, vectors = engine(
        "const { values, vectors } = e.eigen(given[0], 30); return [[...values], vectors.map(v => [...v])];",
        (root @ root.T).ravel().tolist(),
    )
    np.testing.assert_allclose(values, np.linalg.eigvalsh(root @ root.T)[::-1], atol=1e-9)
    np.testing.assert_allclose(np.array(vectors).T * values @ np.array(vectors), root @ root.T, atol=1e-9)
    assert engine("return e.rank(given[0], 30, 20);", root.ravel().tolist()) == 20
    x, f, xi = rng.random(50), rng.normal(size=50), [0, 0.5, 3]
    re, im = engine("const { re, im } = e.nudft(...given); return [[...re], [...im]];", x.tolist(), f.tolist(), xi)
    np.testing.assert_allclose(np.array(re) + 1j * np.array(im), fourier.nudft(x, f, xi)[:, 0], atol=1e-12)


def test_errors_of_the_worker_arrive(engine):
    message = engine(
        """return fpc.worker()("interpolate", { kernel: [-1], y: [1], test: [1] }).catch(e => e.message);"""
    )
    assert message == "the kernel must be positive semi-definite"


@pytest.fixture
def play(browser, tmp_path):
    """Open a figure from a file; afterwards nothing has gone wrong and no host has been asked."""
    contexts, wrong = [], []

    def opened(name, state="", viewport=DESKTOP, **options):
        path = tmp_path / f"{name}.html"
        path.write_text(page_of(name), "utf-8")
        contexts.append(browser.new_context(viewport=viewport, has_touch=viewport is PHONE, **options))
        contexts[-1].set_default_timeout(90_000)  # on a busy machine a figure trains slowly
        page = contexts[-1].new_page()
        page.on("request", lambda got: None if got.url.startswith(("file:", "blob:")) else wrong.append(got.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda line: wrong.append(line.text) if complaint(line) else None)
        page.goto(path.as_uri() + (f"#live-{name}?{state}" if state else ""))
        page.wait_for_selector(".fpc-on")
        page.wait_for_function("document.querySelector('.fpc-status').textContent")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def says(page) -> str:
    return page.text_content(".fpc-status")


def wait_until_it_says(page, pattern: str) -> None:
    page.wait_for_function(
        "pattern => RegExp(pattern).test(document.querySelector('.fpc-status').textContent)", arg=pattern, polling=50
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_fits_is_accessible_in_both_themes_and_has_a_poster(play, name):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = play(name, viewport=PHONE)
    page.evaluate("document.querySelectorAll('details').forEach(fold => (fold.open = true))")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    for theme, rules in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
        page.evaluate("theme => (document.documentElement.dataset.theme = theme)", theme)
        options = {"preload": False, **rules}
        found = axe.run(page, context={"include": [".fpc-lab"]}, options=options).response["violations"]
        assert [(finding["id"], finding["nodes"][0]["html"]) for finding in found] == []

    held = book_live.figure(name)
    assert held.count("<svg") >= 1 and "takes JavaScript" in held
    page.evaluate(
        "document.querySelector('.fpc-lab').insertAdjacentHTML('afterbegin', '<div class=fpc-poster>p</div>')"
    )
    assert not page.is_visible(".fpc-poster")
    page.emulate_media(media="print")
    assert page.is_visible(".fpc-poster") and not page.is_visible(".fpc-body")


def test_all_figures_together_are_small():
    scripts = [path for path in book_live.LIVE.iterdir() if path.suffix in (".js", ".css")]
    posters = book_live.LIVE.glob("*.poster.html")
    assert sum(path.stat().st_size for path in scripts) <= 150_000
    assert max(path.stat().st_size for path in posters) <= 20_000


# --- train


def learning_times(page) -> dict[int, int]:
    return {int(k): int(step) for k, step in re.findall(r"k = (\d+) learned at step (\d+)", says(page))}


def test_low_frequencies_are_learned_first_while_the_page_stays_free(play):
    page = play("train")
    page.evaluate("""() => {
        window.costs = [];
        const { figure } = document.querySelector(".fpc-lab").lab, { show } = figure;
        figure.show = result => {
            const before = performance.now();
            show(result);
            costs.push(performance.now() - before);
        };
    }""")
    page.click(".fpc-play")
    page.wait_for_timeout(1000)
    drawn = page.evaluate("costs.length")
    wait_until_it_says(page, "k = 5 learned")
    times = learning_times(page)
    assert times[1] < times[3] < times[5]
    # 44 frames a second and 2 ms for each where the machine does nothing else
    assert drawn >= 10
    assert page.evaluate("costs.sort((a, b) => a - b)[costs.length >> 1]") < 16


def test_a_reader_changes_and_draws_the_target(play):
    page = play("train")
    page.focus("[data-key=k9]")
    page.keyboard.press("End")
    wait_until_it_says(page, "k = 9 not yet")
    page.wait_for_function("location.hash === '#live-train?k9=3'")
    box = page.query_selector(".fpc-stage svg").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 20, box["y"] + 150, steps=5)
    page.mouse.up()
    page.wait_for_function("location.hash.includes('drawn=')")
    assert "k = 1 not yet" in says(page) and "k = 9" not in says(page)
    drawn = page.evaluate("location.hash")
    page.click("text=Reset")
    page.wait_for_function("!location.hash")
    assert "k = 5 not yet" in says(page)
    again = play("train", drawn.partition("?")[2])
    assert "k = 1 not yet" in says(again) and "k = 5" not in says(again)


def test_an_address_reproduces_a_setting_and_training_stops_out_of_sight(play):
    page = play("train", "activation=relu&optimizer=gradient+descent&rate=0.02&k3=0&width=7", viewport=PHONE)
    assert "k = 3" not in says(page)
    state = page.evaluate("document.querySelector('.fpc-lab').lab.state")
    chosen = {key: state[key] for key in ("activation", "optimizer", "rate", "width")}
    assert chosen == {"activation": "relu", "optimizer": "gradient descent", "rate": 0.02, "width": 64}
    page.tap(".fpc-play")
    wait_until_it_says(page, "k = 1 learned")
    page.evaluate("document.body.insertAdjacentHTML('afterbegin', '<div style=height:300vh></div>'); scrollTo(0, 0)")
    page.wait_for_timeout(300)
    stopped = says(page)
    page.wait_for_timeout(300)
    assert says(page) == stopped
    page.evaluate("document.querySelector('.fpc-lab').scrollIntoView()")
    page.wait_for_function("said => document.querySelector('.fpc-status').textContent !== said", arg=stopped)


def test_reduced_motion_draws_a_picture_now_and_then(play):
    page = play("train", reduced_motion="reduce")
    page.evaluate("""() => {
        window.at = [];
        new MutationObserver(() => at.push(performance.now())).observe(document.querySelector(".fpc-status"),
            { childList: true });
        document.querySelector(".fpc-play").click();
    }""")
    page.wait_for_function("at.length >= 3")
    assert page.evaluate("Math.min(at[1] - at[0], at[2] - at[1])") > 500


# --- condense


@pytest.mark.parametrize(("state", "low", "high"), [("size=0.001", 85, 100), ("size=1&balanced=true", 0, 40)])
def test_small_weights_condense_and_large_ones_do_not(play, state, low, high):
    page = play("condense", state)
    assert "relative loss 100 %" in says(page)
    page.click(".fpc-play")
    wait_until_it_says(page, r"relative loss 0\.[2-9]")
    assert low <= int(re.search(r"(\d+) % of it within", says(page))[1]) <= high


def test_a_drawn_curve_replaces_the_target(play):
    page = play("condense", viewport=PHONE)
    box = page.query_selector(".fpc-stage svg:nth-child(2)").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 80, steps=4)
    page.mouse.up()
    wait_until_it_says(page, "Step 0")
    assert "target's" not in says(page)


# --- matrix


def test_seven_edges_of_a_tree_recover_a_matrix_of_rank_one_and_seven_others_do_not(play):
    page = play("matrix", viewport=PHONE)
    page.click("text=Hide all")
    for row, column in [(1, 1), (1, 2), (1, 3), (1, 4), (2, 2), (3, 2)]:
        page.click(f".fpc-cell[aria-label^='row {row}, column {column}:']")
    page.focus(".fpc-cell[aria-label^='row 4, column 2:']")
    page.keyboard.press("Enter")
    wait_until_it_says(page, "Recovered, from as few")
    assert "7 of 7" in says(page) and "Jacobian rank 7, graph in 1 part" in says(page)
    assert page.locator(".fpc-cell.fpc-right").count() == 9
    page.click(".fpc-cell[aria-label^='row 4, column 2:']")  # hide it again, and show one that closes a cycle
    page.click(".fpc-cell[aria-label^='row 2, column 1:']")
    wait_until_it_says(page, "are wrong")
    assert "7 of 7" in says(page) and "Jacobian rank 6, graph in 2 parts" in says(page)
    assert page.locator(".fpc-cell.fpc-wrong").count() >= 3
    page.wait_for_function("location.hash.includes('shown=1111110001000000')")


# --- choose


def distances(page) -> list[int]:
    return [int(value) for value in re.findall(r"(\d+) % to the", says(page))]


def test_large_weights_choose_the_linear_spline_and_small_ones_the_cubic(play):
    page = play("choose", "size=10")
    to_linear, to_cubic = distances(page)
    assert to_linear <= 3 and to_cubic >= 25
    page.focus("[data-key=size]")
    page.keyboard.press("Home")
    to_linear, to_cubic = distances(page)
    assert to_cubic <= 3 and to_linear >= 25


def test_the_chosen_function_is_that_of_the_course(play):
    points = np.array([[-0.8, 0.25], [-0.6, -0.25], [-0.3, -0.07], [-0.06, 0.15], [0.1, -0.05]])
    line = np.linspace(-0.8, 0.1, 46)
    fit = "given => [...document.querySelector('.fpc-lab').lab.figure.fit(...given)]"
    page, box = play("choose"), flow.box_frequencies(24.0, 200.0)
    for size in (0.01, 0.2, 10):
        found = page.evaluate(fit, [points.tolist(), size, line.tolist()])
        law = kernels.lfp_spectrum(box[:, 0], w2=size**2, a2=size**2, a2w2=size**4)
        course = flow.lfp_interpolant(*points.T, line, frequencies=box, spectrum=law)[:, 0]
        np.testing.assert_allclose(found, course, atol=1e-3)  # which ends at frequency 200


def test_points_are_dragged_added_and_deleted(play):
    page = play("choose", viewport=PHONE)
    handle = page.query_selector(".fpc-handle:nth-child(2)")
    box = handle.bounding_box()
    page.mouse.move(box["x"] + 7, box["y"] + 7)
    page.mouse.down()
    page.mouse.move(box["x"] + 7, box["y"] - 60, steps=3)
    page.mouse.up()
    assert float(handle.get_attribute("aria-valuenow")) > 0
    page.focus(".fpc-handle:nth-child(1)")
    page.keyboard.press("ArrowDown")
    assert page.get_attribute(".fpc-handle:nth-child(1)", "aria-valuetext") == "x -0.80, y 0.23"
    page.click("text=Add a point")
    assert says(page).startswith("6 points")
    page.focus(".fpc-handle:nth-child(1)")
    page.keyboard.press("Delete")
    assert says(page).startswith("5 points")
    page.wait_for_function("location.hash.startsWith('#live-choose?points=')")


# --- points


def variations(page) -> list[float]:
    return [float(value) for value in re.findall(r"(?:polynomial|network) ([\d.]+)", says(page))]


def test_of_two_models_with_a_thousand_parameters_the_network_is_the_smoother(play):
    page = play("points")
    x, y = np.linspace(-1, 1, 5), np.array([-0.5, -1.25, 0, 1.25, 0.5])
    columns = np.polynomial.chebyshev.chebvander
    angles = np.linspace(0, np.pi, 20_001)
    curve = columns(np.cos(angles), 999) @ np.linalg.pinv(columns(x, 999)) @ y
    expected = np.abs(np.diff(curve)).sum() / np.abs(np.diff(y)).sum()
    page.click(".fpc-play")
    wait_until_it_says(page, "loss .*10⁻[⁸⁹¹]")
    wild, smooth = variations(page)
    assert wild == pytest.approx(expected, rel=0.03) and smooth < 1.1
    page.focus("[data-key=p]")
    page.keyboard.press("End")  # a strong preference for low degrees
    assert variations(page)[0] < 1.2
    page.focus(".fpc-stage svg:nth-child(2) .fpc-handle:nth-child(3)")
    page.keyboard.press("ArrowUp")
    wait_until_it_says(page, "step [1-9]")
    page.wait_for_function("location.hash.includes('0%2C8')")


def test_a_network_with_large_weights_oscillates(play):
    page = play("points", "scale=20", viewport=PHONE)
    page.click(".fpc-play")
    wait_until_it_says(page, "loss .*10⁻[⁸⁹¹]")
    assert variations(page)[1] > 3


# --- picture


def test_a_picture_is_learned_from_low_frequencies_to_high(play):
    page = play("picture")
    photo = data.camera(64)
    found = page.evaluate(
        "photo => [...document.querySelector('.fpc-lab').lab.figure.rings(photo)]", photo.ravel().tolist()
    )
    edges = [0.5, 1, 2, 4, 8, 16, 32]
    np.testing.assert_allclose(found, images.band_sums(images.cosine_transform(photo) ** 2, edges), rtol=1e-9)
    page.check("[data-key=hidden]")
    assert "on the hidden ones" in says(page)
    page.click(".fpc-play")
    wait_until_it_says(page, r"Step ([6-9]\d|\d{3})")
    page.click(".fpc-play")
    heights = [
        float(bar)
        for bar in page.evaluate(
            "[...document.querySelectorAll('.fpc-stage rect')].map(bar => bar.getAttribute('height'))"
        )
    ]
    assert heights[0] < 0.8 * heights[4] and heights[0] < 0.8 * heights[5], heights


def test_a_reader_brings_a_picture_and_hides_part_of_it(play):
    page = play("picture", "input=SIREN", viewport=PHONE)
    before = says(page)
    with page.expect_file_chooser() as chooser:
        page.click("text=Your own picture")
    chooser.value.set_files(book_live.LIVE.parent / "static" / "card.png")
    page.wait_for_function("said => document.querySelector('.fpc-status').textContent !== said", arg=before)
    page.query_selector("canvas").scroll_into_view_if_needed()
    box = page.query_selector("canvas").bounding_box()
    page.mouse.move(box["x"] + 50, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 150, box["y"] + 50, steps=4)
    page.mouse.up()
    wait_until_it_says(page, "on the hidden ones")
    page.click("text=Show all pixels")
    page.wait_for_function("!document.querySelector('.fpc-status').textContent.includes('hidden')")


# --- split


def test_a_split_neuron_has_the_hessian_of_the_course_and_the_walker_leaves(play):
    page = play("split", "alpha=0.3")
    x = np.linspace(-2, 2, 20)
    noise = 0.15 * np.random.default_rng(0).standard_normal(20)
    y = np.round(np.tanh(1.5 * (x + 1)) - 0.8 * np.tanh(2 * (x - 0.7)) + noise, 3)
    teacher = models.TwoLayer(1, 2, activation="tanh")
    narrow = landscape.minimize(models.with_parameters(teacher, [1.5, 2, 1.5, -1.4, 1, -0.8]), x, y)
    wide = landscape.split_neuron(narrow, 0, 0.3)
    before, after = page.evaluate(
        "(({ before, after }) => [[...before], [...after]])(document.querySelector('.fpc-lab').lab.figure.spectra())"
    )
    np.testing.assert_allclose(np.sort(before), np.sort(landscape.hessian_spectrum(narrow, x, y)), atol=1e-9)
    np.testing.assert_allclose(np.sort(after), np.sort(landscape.hessian_spectrum(wide, x, y)), atol=1e-9)
    assert "7 positive, 1 zero, 1 negative" in says(page)
    page.click(".fpc-play")
    wait_until_it_says(page, "It left at step")
    page.focus("[data-key=alpha]")
    page.keyboard.press("Home")  # a valley along this direction, at first
    assert "meets the curvature 0.00539" in says(page)
