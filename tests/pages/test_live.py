"""The figures that train in the page: the engine against fpcourse, and every figure as a reader plays with it.

Takes no built book: the figures stand alone on a page opened from a file, as in a download.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from fpcourse import flow, fourier, kernels, models, training

LIVE = Path(__file__).resolve().parents[2] / "_extensions" / "live"


@pytest.fixture(scope="module")
def engine(browser):
    """A page that holds the engine and nothing else."""
    page = browser.new_page()
    page.set_content("<title>engine</title>")
    page.add_script_tag(path=LIVE / "engine.js")
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
