"""Training against closed forms, a kernel flow, an Adam written here, and networks trained one by one."""

import copy
import itertools
import math
import pickle
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from torch import nn

from fpcourse.flow import gradient_flow, kernel_flow
from fpcourse.models import MLP, ConvNet, Ensemble, TwoLayer
from fpcourse.recording import evaluate
from fpcourse.training import SquareLoss, TrainingDiverged, train

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(12, 3)), RNG.normal(size=(12, 2))


@pytest.fixture(autouse=True)
def quiet_cpu(monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.setenv("FPCOURSE_DEVICE", "cpu")
    torch.manual_seed(0)


def linear(inputs=3, outputs=2, bias=False):
    """f(x) = W x in float64, from W = 0."""
    model = nn.Linear(inputs, outputs, bias=bias).double()
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    return model


def weights(model):
    return nn.utils.parameters_to_vector(model.parameters()).detach().clone()


class Recorder(nn.Module):
    """A linear model that notes the rows it is trained on: the first input is the row's number and is not used."""

    def __init__(self, outputs=1):
        super().__init__()
        self.inner = linear(2, outputs)
        self.batches = []

    def forward(self, x):
        if torch.is_grad_enabled():
            self.batches.append(x[:, 0].int().tolist())
        return self.inner(x[:, 1:])


def numbered(n):
    return np.column_stack([np.arange(n), np.random.default_rng(1).normal(size=(n, 2))])


# Gradient descent


@pytest.mark.parametrize("outputs", [1, 2])
def test_gd_on_a_linear_model_is_the_closed_form(outputs):
    """u(t) = y - (I - eta X X^T / n)^t y."""
    y, rate = Y[:, :outputs], 0.7
    steps = [0, 1, 2, 3, 10, 57, 200]
    trajectory = train(linear(3, outputs), X, y, steps=200, learning_rate=rate, optimizer="gd", snapshots=steps)
    decay = np.eye(12) - rate / 12 * X @ X.T
    for index, step in enumerate(steps):
        u = (np.eye(12) - np.linalg.matrix_power(decay, step)) @ y
        np.testing.assert_allclose(trajectory.outputs[index], u, rtol=0, atol=1e-10)
        assert trajectory.losses[index] == pytest.approx(np.sum((u - y) ** 2) / 24, rel=1e-12)
    np.testing.assert_array_equal(trajectory.times, steps)
    np.testing.assert_array_equal(trajectory.inputs, X)


def test_gd_follows_the_gradient_of_a_nonlinear_network():
    """Two steps by hand, with the gradient from finite differences."""
    model = TwoLayer(3, 4, 2, activation="tanh", b_std=1.0).double()
    x, y = torch.tensor(X), torch.tensor(Y)
    start = weights(model)

    def loss(vector):
        probe = copy.deepcopy(model)
        nn.utils.vector_to_parameters(vector, probe.parameters())
        return ((probe(x) - y) ** 2).sum().item() / 24

    here, h = start.clone(), 1e-5
    for _ in range(2):
        axes = torch.eye(len(here), dtype=torch.float64) * h
        here = here - 0.3 * torch.tensor([(loss(here + e) - loss(here - e)) / (2 * h) for e in axes])
    train(model, X, Y, steps=2, learning_rate=0.3, optimizer="gd")
    torch.testing.assert_close(weights(model), here, rtol=0, atol=1e-8)


# The clock of the flow


def test_gd_of_a_linear_model_is_at_the_time_of_its_kernel_flow():
    """Times, outputs and losses, without any factor, for two outputs; the gap is of the order of the step."""
    for rate in (0.02, 0.01):
        run = train(linear(), X, Y, steps=round(2 / rate), learning_rate=rate, optimizer="gd", clock="flow")
        assert run.times[-1] == pytest.approx(2.0, rel=1e-12)
        flow = kernel_flow(X @ X.T, Y, run.times)
        np.testing.assert_allclose(run.outputs, flow.outputs, rtol=0, atol=0.5 * rate * np.abs(flow.outputs).max())
        np.testing.assert_allclose(run.losses, flow.losses, rtol=0.5 * rate)


def test_gd_of_a_network_with_two_outputs_is_at_the_time_of_its_gradient_flow():
    model = TwoLayer(3, 5, 2, activation="tanh", b_std=1.0).double()
    untrained, rate = copy.deepcopy(model), 2e-3
    options = {"optimizer": "gd", "clock": "flow", "snapshots": [0, 5, 50, 500], "record_parameters": True}
    run = train(model, X, Y, steps=500, learning_rate=rate, **options)
    np.testing.assert_allclose(run.times, [0, 0.01, 0.1, 1], rtol=1e-12)
    flow = gradient_flow(untrained, X, Y, run.times)
    moved = np.abs(flow.parameters[-1] - flow.parameters[0]).max()
    np.testing.assert_allclose(run.parameters, flow.parameters, rtol=0, atol=2 * rate * moved)
    np.testing.assert_allclose(run.losses, flow.losses, rtol=2 * rate)
    assert flow.losses[-1] < 0.8 * flow.losses[0] and moved > 0.1


def test_each_member_of_an_ensemble_has_the_clock_of_the_flow():
    torch.manual_seed(0)
    ensemble = Ensemble([3, 4, 2], members=2).double()
    torch.manual_seed(0)
    member = MLP([3, 4, 2]).double()
    options = {"learning_rate": 1e-3, "optimizer": "gd", "clock": "flow", "snapshots": [0, 500]}
    flow = gradient_flow(member, X, Y, [0, 0.5])
    run = train(ensemble, X, Y, steps=500, **options)
    change = np.abs(flow.outputs[1] - flow.outputs[0]).max()
    np.testing.assert_allclose(run.outputs[1, :, :2], flow.outputs[1], rtol=0, atol=2e-3 * change)


@pytest.mark.parametrize("linear_model", [True, False])
def test_the_square_loss_and_its_derivatives(linear_model):
    """Gradient and Hessian against torch.autograd.functional, the loss against numpy."""
    model = nn.Linear(3, 2).double() if linear_model else TwoLayer(3, 4, 2, activation="tanh", b_std=1.0).double()
    loss = SquareLoss(model, X, Y)
    shapes = {name: p.shape for name, p in model.named_parameters()}

    def function(theta):
        parts = theta.split([math.prod(shape) for shape in shapes.values()])
        named = {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
        return (torch.func.functional_call(model, named, torch.tensor(X)) - torch.tensor(Y)).square().sum() / 24

    start = weights(model)
    np.testing.assert_array_equal(loss.start, start)
    theta = start + 0.1 * torch.randn(len(start), dtype=torch.float64)
    assert loss.value(theta.numpy()) == pytest.approx(function(theta).item(), rel=1e-12)
    gradient = torch.autograd.functional.jacobian(function, theta)
    np.testing.assert_allclose(loss.gradient(theta.numpy()), gradient, rtol=1e-10, atol=1e-12)
    hessian = torch.autograd.functional.hessian(function, theta)
    np.testing.assert_allclose(loss.hessian(theta.numpy()), hessian, rtol=1e-10, atol=1e-12)
    v = np.random.default_rng(0).normal(size=len(theta))
    np.testing.assert_allclose(loss.hessian_product(theta.numpy())(v), hessian.numpy() @ v, rtol=1e-9, atol=1e-11)
    assert torch.equal(weights(model), start)  # the model given is left alone


def test_the_square_loss_of_a_model_of_tokens():
    """Whole numbers reach an embedding as they are; its Hessian against that of the one-hot linear model."""
    table = nn.Embedding(3, 1).double()
    model = nn.Sequential(table, nn.Flatten())
    loss = SquareLoss(model, [0, 2, 2, 1], [1.0, 0.0, 0.0, 2.0])
    np.testing.assert_allclose(loss.hessian(loss.start), np.diag([0.25, 0.25, 0.5]), rtol=1e-12, atol=1e-15)


def test_a_hessian_larger_than_the_memory_is_refused(monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    loss = SquareLoss(MLP([3, 4, 2]), X, Y)
    with pytest.raises(MemoryError, match=r"the Hessian of shape \(26, 26\) takes .*: ask for extreme eigenvalues"):
        loss.hessian(loss.start)


def test_apples_gpu_is_refused_in_words():
    with pytest.raises(ValueError, match="Apple's GPUs have no float64"):
        train(linear(), X, Y, steps=1, learning_rate=0.1, device="mps")


def test_frozen_parameters_have_no_gradient():
    model = MLP([3, 4, 2]).double()
    model.layers[0].requires_grad_(False)
    loss = SquareLoss(model, X, Y)
    assert not loss.gradient(loss.start)[:16].any() and loss.gradient(loss.start)[16:].all()
    assert not loss.hessian(loss.start)[:16].any()


# Adam


@pytest.mark.parametrize("size", [1.0, 1e-7])  # at 1e-7 the epsilon in Adam's denominator is felt
def test_adam_is_adam(size):
    """Kingma and Ba (2015), Algorithm 1, on the loss of a linear model."""
    y, steps = size * Y, 40
    w, first, second = np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((2, 3))
    outputs = []
    for t in range(1, steps + 1):
        outputs.append(X @ w.T)
        gradient = (X @ w.T - y).T @ X / 12
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        w = w - 0.05 * size * (first / (1 - 0.9**t)) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
    model = linear()
    trajectory = train(model, X, y, steps=steps, learning_rate=0.05 * size, snapshots=range(steps))
    np.testing.assert_allclose(trajectory.outputs, outputs, rtol=1e-9, atol=1e-13 * size)
    np.testing.assert_allclose(model.weight.detach(), w, rtol=1e-9)


# Mini-batches


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(("n", "size"), [(10, 5), (10, 4), (7, 1), (7, 6)])
def test_every_epoch_visits_every_row_once(n, size, optimizer):
    model, per_epoch = Recorder().double(), math.ceil(n / size)
    x = numbered(n)
    train(model, x, x[:, 1], steps=3 * per_epoch, learning_rate=1e-3, optimizer=optimizer, batch_size=size, seed=1)
    batches = iter(model.batches)
    epochs = [list(itertools.chain(*itertools.islice(batches, per_epoch))) for _ in range(3)]
    assert all(sorted(epoch) == list(range(n)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3  # shuffled anew
    assert [len(batch) for batch in model.batches[:per_epoch]] == [size] * (n // size) + [n % size] * (n % size > 0)


def test_sgd_steps_along_the_gradient_of_its_batch():
    """Rows and targets stay together, and the mean is over the batch."""
    model, x = Recorder(outputs=2).double(), numbered(7)
    y = np.random.default_rng(2).normal(size=(7, 2))
    options = {"optimizer": "sgd", "batch_size": 3, "snapshots": range(10), "record_parameters": True}
    trajectory = train(model, x, y, steps=9, learning_rate=0.2, **options)
    w = np.zeros((2, 2))
    for step, rows in enumerate(model.batches):
        np.testing.assert_allclose(trajectory.parameters[step], w.ravel(), rtol=1e-10, atol=1e-14)
        features = x[rows, 1:]
        w = w - 0.2 / len(rows) * (features @ w.T - y[rows]).T @ features
        whole = np.sum((x[:, 1:] @ trajectory.parameters[step].reshape(2, 2).T - y) ** 2) / 14
        assert trajectory.losses[step] == pytest.approx(whole, rel=1e-10)  # of the whole set, not of the batch


@pytest.mark.parametrize("batch_size", [None, 12])
def test_full_batches_are_never_shuffled(batch_size):
    results = [
        train(linear(), X, Y, steps=20, learning_rate=0.1, optimizer=name, batch_size=size, seed=seed).outputs
        for name, size, seed in (("gd", None, 0), ("sgd", batch_size, 1))
    ]
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_seeds_of_the_batches(optimizer):
    def run(seed=None):
        model = Recorder().double()
        train(model, numbered(9), X[:9, 0], steps=20, learning_rate=0.01, optimizer=optimizer, batch_size=2, seed=seed)
        return model.batches, weights(model).tolist()

    assert run(3) == run(3) == run(np.int64(3))
    assert run(3) != run(4)
    settings_seed = [torch.manual_seed(5), run()][1]
    torch.rand(100)  # what else was drawn since does not matter
    assert run() == settings_seed == run(5)
    assert [torch.manual_seed(6), run()][1] != settings_seed


# Snapshots


class Delicate(nn.Sequential):
    """Whatever a careless snapshot would disturb: dropout draws random numbers, batch norm keeps running means."""

    def __init__(self):
        super().__init__(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 2))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_snapshots_do_not_disturb_training(optimizer):
    def run(**options):
        torch.manual_seed(1)
        model = Delicate()
        trajectory = train(
            model, X, Y, steps=30, learning_rate=0.01, optimizer=optimizer, batch_size=5, seed=2, **options
        )
        return trajectory, model.state_dict(), torch.get_rng_state()

    few, state, generator = run(snapshots=[0, 30])
    for options in ({"snapshots": 2}, {"snapshots": range(31)}, {"evaluate_on": X[:3]}, {"record_parameters": True}):
        trajectory, other_state, other_generator = run(**options)
        assert all(torch.equal(state[name], other_state[name]) for name in state)
        assert torch.equal(generator, other_generator)
        np.testing.assert_array_equal(few.losses, trajectory.losses[[0, -1]])
    assert state["1.num_batches_tracked"] == 30


def test_training_leaves_the_modes_to_the_model():
    """Batch norm frozen by ``eval()`` stays frozen."""
    model = Delicate()
    model[1].eval()
    modes = [module.training for module in model.modules()]
    train(model, X, Y, steps=5, learning_rate=0.01)
    assert [module.training for module in model.modules()] == modes
    assert model[1].num_batches_tracked == 0


def test_record_parameters_in_the_order_of_the_model():
    model = MLP([3, 4, 2]).double()
    start = weights(model).numpy()
    trajectory = train(model, X, Y, steps=5, learning_rate=0.1, snapshots=[0, 5], record_parameters=True)
    np.testing.assert_array_equal(trajectory.parameters[0], start)
    np.testing.assert_array_equal(trajectory.parameters[1], weights(model).numpy())
    nn.utils.vector_to_parameters(torch.tensor(trajectory.parameters[0]), model.parameters())
    np.testing.assert_array_equal(trajectory.outputs[0], evaluate(model, torch.tensor(X)))
    assert train(model, X, Y, steps=1, learning_rate=0.1).parameters is None


def test_evaluate_on_other_points():
    model, grid = linear(), RNG.normal(size=(5, 3))
    trajectory = train(model, X, Y, steps=10, learning_rate=0.1, evaluate_on=grid, snapshots=[0, 10])
    np.testing.assert_array_equal(trajectory.inputs, grid)
    np.testing.assert_allclose(trajectory.outputs[-1], grid @ model.weight.detach().numpy().T, rtol=1e-12)
    assert trajectory.losses[-1] == pytest.approx(np.sum((X @ model.weight.detach().numpy().T - Y) ** 2) / 24)


@pytest.mark.parametrize(
    ("snapshots", "times"),
    [
        (2, [0, 8]),
        (np.int64(3), [0, 1, 8]),
        ([8, 0, 3, 3], [0, 3, 8]),
        ((5,), [5]),
        (range(0, 9, 4), [0, 4, 8]),
        (np.array([0.0, 8.0]), [0, 8]),
        (torch.tensor([1, 2]), [1, 2]),
    ],
)
def test_snapshots_are_taken_where_asked(snapshots, times):
    trajectory = train(linear(), X, Y, steps=8, learning_rate=0.1, snapshots=snapshots)
    np.testing.assert_array_equal(trajectory.times, times)
    every = train(linear(), X, Y, steps=8, learning_rate=0.1, snapshots=range(9))
    np.testing.assert_array_equal(trajectory.outputs, every.outputs[times])
    np.testing.assert_array_equal(trajectory.losses, every.losses[times])


# Losses


def test_cross_entropy_keeps_probabilities():
    labels = np.arange(12) % 3
    model = MLP([3, 8, 3]).double()
    trajectory = train(model, X, labels, steps=40, learning_rate=0.05, loss="cross_entropy", snapshots=[0, 40])
    assert (trajectory.outputs > 0).all()
    np.testing.assert_allclose(trajectory.outputs.sum(2), 1.0, rtol=1e-12)
    log_p = np.log(trajectory.outputs[:, np.arange(12), labels])
    np.testing.assert_allclose(trajectory.losses, -log_p.mean(1), rtol=1e-12)
    assert trajectory.losses[1] < 0.5 * trajectory.losses[0]
    logits = evaluate(model, torch.tensor(X)).numpy()
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(trajectory.outputs[-1], expected, rtol=1e-12)


def test_cross_entropy_step_is_the_known_gradient():
    """Logistic regression from zero: the gradient is (1/3 - one-hot)^T x / n."""
    labels = np.arange(12) % 3
    model = linear(3, 3)
    train(model, X, labels, steps=1, learning_rate=0.5, optimizer="gd", loss="cross_entropy")
    gradient = (1 / 3 - np.eye(3)[labels]).T @ X / 12
    np.testing.assert_allclose(model.weight.detach(), -0.5 * gradient, rtol=1e-12)


@pytest.mark.parametrize("labels", [np.array([0, 1] * 6, dtype=np.uint8), [0.0, 1.0] * 6, torch.tensor([0, 1] * 6)])
def test_classes_may_come_in_any_type(labels):
    expected = train(linear(), X, [0, 1] * 6, steps=3, learning_rate=0.1, loss="cross_entropy")
    given_as = train(linear(), X, labels, steps=3, learning_rate=0.1, loss="cross_entropy")
    np.testing.assert_array_equal(given_as.outputs, expected.outputs)


# Ensembles


@pytest.mark.parametrize("optimizer", ["gd", "adam", "sgd"])
def test_each_member_is_trained_as_if_alone(optimizer):
    options = {"steps": 25, "learning_rate": 0.05, "optimizer": optimizer, "snapshots": range(26), "seed": 3}
    options["batch_size"] = 5 if optimizer == "sgd" else None
    torch.manual_seed(0)
    together = Ensemble([3, 6, 2], 4).double()
    torch.manual_seed(0)
    alone = [MLP([3, 6, 2]).double() for _ in range(4)]
    trajectory = train(together, X, Y, **options)
    assert trajectory.outputs.shape == (26, 12, 8)
    separate = [train(net, X, Y, **options) for net in alone]
    for i, one in enumerate(separate):
        np.testing.assert_allclose(trajectory.outputs[:, :, 2 * i : 2 * i + 2], one.outputs, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(trajectory.losses, np.mean([one.losses for one in separate], axis=0), rtol=1e-8)


def test_each_member_may_have_its_own_target():
    torch.manual_seed(0)
    together, targets = Ensemble([3, 6, 2], 3).double(), RNG.normal(size=(12, 6))
    torch.manual_seed(0)
    alone = [MLP([3, 6, 2]).double() for _ in range(3)]
    trajectory = train(together, X, targets, steps=20, learning_rate=0.05, optimizer="gd")
    for i, net in enumerate(alone):
        columns = slice(2 * i, 2 * i + 2)
        one = train(net, X, targets[:, columns], steps=20, learning_rate=0.05, optimizer="gd")
        np.testing.assert_allclose(trajectory.outputs[:, :, columns], one.outputs, rtol=1e-8, atol=1e-12)


def test_an_ensemble_takes_one_target_or_one_each_and_no_classes():
    for columns in (1, 3, 4, 16):
        message = f"y must hold 2 column.s. for one target, 8 for one per member; got {columns}"
        with pytest.raises(ValueError, match=message):
            train(Ensemble([3, 6, 2], 4), X, np.ones((12, columns)), steps=1, learning_rate=0.1)
    with pytest.raises(ValueError, match="an ensemble is trained with loss 'square'"):
        train(Ensemble([3, 6, 2], 4), X, [0, 1] * 6, steps=1, learning_rate=0.1, loss="cross_entropy")


# Failure


@pytest.mark.parametrize("snapshots", [range(301), [0, 3], 20])
def test_divergence_keeps_what_was_seen_before(snapshots):
    with pytest.raises(TrainingDiverged, match=r"the loss became (inf|nan) at step \d+; try a smaller") as caught:
        train(linear(), X, Y, steps=300, learning_rate=1e8, optimizer="gd", snapshots=snapshots)
    kept = caught.value.trajectory
    decay = np.eye(12) - 1e8 / 12 * X @ X.T
    for step, u in zip(kept.times, kept.outputs, strict=True):
        expected = (np.eye(12) - np.linalg.matrix_power(decay, int(step))) @ Y
        np.testing.assert_allclose(u, expected, rtol=1e-6)
    step = int(str(caught.value).split("at step ")[1].split(";")[0])
    assert 15 < step < 60 and kept.times[-1] < step
    if snapshots == range(301):
        assert kept.times[-1] == step - 1


def test_divergence_in_the_last_step_is_seen_without_a_snapshot():
    with pytest.raises(TrainingDiverged, match="the loss became inf at step 1;") as caught:
        train(linear(), X, Y, steps=1, learning_rate=1e200, optimizer="gd", snapshots=[0])
    np.testing.assert_array_equal(caught.value.trajectory.times, [0])


def test_the_error_crosses_from_a_worker_process():
    with pytest.raises(TrainingDiverged) as caught:
        train(linear(), X, Y, steps=300, learning_rate=1e8, optimizer="gd")
    twin = pickle.loads(pickle.dumps(caught.value))
    assert str(twin) == str(caught.value)
    np.testing.assert_array_equal(twin.trajectory.outputs, caught.value.trajectory.outputs)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("snapshots", [10, [5]])
def test_parameters_must_start_finite(bad, snapshots):
    model = linear()
    with torch.no_grad():
        model.weight[0, 0] = bad
    with pytest.raises(ValueError, match=r"the loss is (nan|inf) before the first step: are all parameters"):
        train(model, X, Y, steps=5, learning_rate=0.1, snapshots=snapshots)


@pytest.mark.parametrize("in_a_snapshot", [True, False])
def test_an_interrupted_training_leaves_a_model_to_go_on_with(in_a_snapshot):
    model, calls = Delicate(), []

    def interrupt(module, inputs):
        calls.append(torch.is_grad_enabled())
        if len(calls) > 40 and calls[-1] != in_a_snapshot:
            raise KeyboardInterrupt

    hook = model.register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(model, X, Y, steps=100, learning_rate=0.01, snapshots=range(101))
    hook.remove()
    assert all(module.training for module in model.modules()) and torch.is_grad_enabled()
    losses = train(model, X, Y, steps=100, learning_rate=0.01).losses
    assert losses[-1] < losses[0]


# Arguments


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": "lbfgs"}, "optimizer must be one of 'gd', 'sgd', 'adam'; got 'lbfgs'"),
        ({"loss": "mse"}, "loss must be one of 'square', 'cross_entropy'; got 'mse'"),
        ({"clock": "seconds"}, "clock must be one of 'step', 'flow'"),
        ({"clock": "flow"}, "clock 'flow' is the time of gradient descent, and Adam has none"),
        ({"steps": 0}, "steps must be a whole number >= 1; got 0"),
        ({"learning_rate": -0.1}, "learning_rate must be a finite number > 0"),
        ({"batch_size": 13}, "batch_size must be at most the number of samples 12; got 13"),
        ({"optimizer": "gd", "batch_size": 4}, "'gd' takes all samples at every step; for batch_size=4 use 'sgd'"),
        ({"snapshots": 1}, "snapshots must be a whole number >= 2; got 1"),
        ({"snapshots": [0, 6]}, "snapshots must be whole steps from 0 to 5; got "),
        ({"model": None}, "model must be a torch module; got NoneType"),
        ({"model": nn.Tanh()}, "model must have parameters to train; Tanh has none"),
        ({"model": nn.Linear(3, 2).requires_grad_(False)}, "model must have parameters to train"),
        ({"x": X[:11]}, "x and y must hold the same number of samples; got 11 .* and 12"),
        ({"x": X[:, :2]}, r"the model does not take x of shape \(12, 2\): .*"),
        ({"x": np.full((12, 3), np.nan)}, "x must be finite; 36 of 36"),
        ({"x": np.empty((0, 3)), "y": np.empty((0, 2))}, "x must not be empty"),
        ({"x": "data"}, "x must be an array of numbers"),
        ({"y": Y[:, 0]}, r"y must hold 2 column\(s\); got 1"),
        ({"y": np.where(Y > 0, Y, np.inf)}, "y must be finite"),
        ({"evaluate_on": X[:, :2]}, r"the model does not take x of shape \(12, 2\)"),
        ({"loss": "cross_entropy"}, r"for cross_entropy y must hold classes 0\.\.1, shape \(n,\); got shape \(12, 2\)"),
        ({"loss": "cross_entropy", "y": np.arange(12) % 3}, r"classes 0\.\.1, .* with values from 0 to 2"),
        ({"loss": "cross_entropy", "y": np.full(12, 0.5)}, "with values from 0.5 to 0.5"),
        ({"model": nn.Sequential(nn.Linear(3, 1), nn.Flatten(0)), "y": Y[:, 0]}, r"must return shape .* \(1,\)"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    model = nn.Linear(3, 2)
    before = weights(model)
    with pytest.raises(ValueError, match=message):
        train(**{"model": model, "x": X, "y": Y, "steps": 5, "learning_rate": 0.1, **changes})
    assert torch.equal(weights(model), before)  # refused before the first step


def test_images_train():
    images, options = np.random.default_rng(0).normal(size=(8, 3, 32, 32)), {"loss": "cross_entropy", "steps": 15}
    model = ConvNet(2, channels=2)
    trajectory = train(model, images, [0, 1] * 4, learning_rate=0.01, evaluate_on=images[:3], **options)
    assert trajectory.inputs.shape == (3, 3, 32, 32) and trajectory.outputs.shape[1:] == (3, 2)
    assert trajectory.losses[-1] < 0.5 * trajectory.losses[0]


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor, np.ndarray.tolist, np.asfortranarray, np.float32])
def test_points_may_come_in_any_form(kind):
    x, y = X.astype(np.float32).astype(float), Y.astype(np.float32).astype(float)
    expected = train(linear(), x, y, steps=5, learning_rate=0.1)
    given_as = train(linear(), kind(x), kind(y), steps=5, learning_rate=0.1, evaluate_on=kind(x))
    np.testing.assert_array_equal(given_as.outputs, expected.outputs)


def test_vectors_are_points_and_targets_in_one_dimension():
    one = train(linear(1, 1), X[:, 0], Y[:, 0], steps=5, learning_rate=0.1)
    two = train(linear(1, 1), X[:, :1], Y[:, :1], steps=5, learning_rate=0.1)
    np.testing.assert_array_equal(one.outputs, two.outputs)
    np.testing.assert_array_equal(one.inputs, two.inputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_precision_is_the_models(dtype):
    model = MLP([3, 4, 2]).to(dtype)
    trajectory = train(model, X, Y, steps=5, learning_rate=0.1, record_parameters=True)
    kept = np.float32 if dtype == torch.float32 else np.float64
    assert trajectory.outputs.dtype == trajectory.inputs.dtype == trajectory.parameters.dtype == kept
    assert all(parameter.dtype == dtype for parameter in model.parameters())
    if dtype == torch.float64:
        np.testing.assert_array_equal(trajectory.inputs, X)


def test_the_trajectory_is_not_changed_with_the_data():
    x = X.copy()
    trajectory = train(linear(), x, Y, steps=2, learning_rate=0.1)
    x[:] = 0.0
    np.testing.assert_array_equal(trajectory.inputs, X)


def test_training_goes_on_where_it_ended_and_leaves_the_first_trajectory_alone():
    model, options = linear(), {"learning_rate": 0.1, "optimizer": "gd", "record_parameters": True}
    first = train(model, X, Y, steps=4, **options)
    kept = copy.deepcopy(first)
    second = train(model, X, Y, steps=3, **options)
    whole = train(linear(), X, Y, steps=7, **options)
    for name in ("outputs", "losses", "parameters"):
        np.testing.assert_array_equal(getattr(first, name), getattr(kept, name))
        joined = np.concatenate([getattr(first, name), getattr(second, name)[1:]])
        np.testing.assert_array_equal(joined, getattr(whole, name))


def test_data_that_cannot_be_written_to_raises_no_warning(recwarn):
    x, y = X.copy(), Y.copy()
    x.flags.writeable = y.flags.writeable = False
    train(linear(), x, y, steps=2, learning_rate=0.1)
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("optimizer", ["gd", "sgd", "adam"])
def test_a_gpu_computes_the_same(optimizer):
    size = None if optimizer == "gd" else 5
    results = [
        train(linear(), X, Y, steps=20, learning_rate=0.1, optimizer=optimizer, batch_size=size, seed=0, device=device)
        for device in ("cpu", "cuda")
    ]
    np.testing.assert_allclose(results[1].outputs, results[0].outputs, rtol=1e-9, atol=1e-12)


def test_frozen_parameters_stay():
    model = MLP([3, 4, 2]).double()
    model.layers[0].requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    for optimizer in ("gd", "adam"):
        train(model, X, Y, steps=5, learning_rate=0.1, optimizer=optimizer)
    assert torch.equal(model.layers[0].weight, before["layers.0.weight"])
    assert not torch.equal(model.layers[1].weight, before["layers.1.weight"])


# Progress


def test_progress(monkeypatch, capsys):
    def printed(**options):
        train(linear(), X, Y, steps=5, learning_rate=0.1, **options)
        return capsys.readouterr()

    assert printed() == ("", "")  # TQDM_DISABLE=1
    monkeypatch.delenv("TQDM_DISABLE")
    assert printed(progress=False) == ("", "")
    out, err = printed()
    assert out == "" and "training" in err and "/5" in err
