"""Training against closed forms, a kernel flow, an Adam written here, and networks trained one by one."""

import copy
import itertools
import math
import pickle
import re
from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn

from fpcourse import settings
from fpcourse.flow import kernel_flow
from fpcourse.models import MLP, ConvNet, Ensemble, TwoLayer
from fpcourse.recording import evaluate
from fpcourse.flow import gradient_flow
from fpcourse.training import TrainingDiverged, train

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(12, 3)), RNG.normal(size=(12, 2))


@pytest.fixture(autouse=True)
def quiet_cpu(monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.setattr(settings, "device", lambda: torch.device("cpu"))
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
    """u(t) = [I - (I - eta H)^t] y with H = X X^T; for the mean over n samples and c outputs eta = 2 lr / (n c)."""
    y, rate = Y[:, :outputs], 0.7
    steps = [0, 1, 2, 3, 10, 57, 200]
    trajectory = train(linear(3, outputs), X, y, steps=200, learning_rate=rate, optimizer="gd", snapshots=steps)
    decay = np.eye(12) - 2 * rate / (12 * outputs) * X @ X.T
    for index, step in enumerate(steps):
        u = (np.eye(12) - np.linalg.matrix_power(decay, step)) @ y
        np.testing.assert_allclose(trajectory.outputs[index], u, rtol=0, atol=1e-10)
        assert trajectory.losses[index] == pytest.approx(np.mean((u - y) ** 2), rel=1e-12)
    np.testing.assert_array_equal(trajectory.times, steps)
    np.testing.assert_array_equal(trajectory.inputs, X)


@pytest.mark.parametrize("outputs", [1, 2])
def test_gd_follows_the_kernel_flow_to_first_order(outputs):
    """du/dt = -K (u - y) at t = 2 lr step / (n c): the gap halves with the step."""
    y, time = Y[:, :outputs], 0.4
    values, vectors = np.linalg.eigh(X @ X.T)
    flow = y - vectors @ (np.exp(-values * time)[:, None] * (vectors.T @ y))
    gaps = []
    for steps in (100, 200, 400):
        rate = time * 12 * outputs / (2 * steps)
        end = train(linear(3, outputs), X, y, steps=steps, learning_rate=rate, optimizer="gd").outputs[-1]
        gaps.append(np.abs(end - flow).max())
    assert gaps[0] < 0.05 * np.abs(flow).max()
    for coarse, fine in itertools.pairwise(gaps):
        assert coarse / fine == pytest.approx(2.0, abs=0.1)


def test_gd_follows_the_gradient_of_a_nonlinear_network():
    """Two steps by hand, with the gradient from finite differences."""
    model = TwoLayer(3, 4, 2, activation="tanh", b_std=1.0).double()
    x, y = torch.tensor(X), torch.tensor(Y)
    start = weights(model)

    def loss(vector):
        probe = copy.deepcopy(model)
        nn.utils.vector_to_parameters(vector, probe.parameters())
        return ((probe(x) - y) ** 2).mean().item()

    here, h = start.clone(), 1e-5
    for _ in range(2):
        axes = torch.eye(len(here), dtype=torch.float64) * h
        here = here - 0.3 * torch.tensor([(loss(here + e) - loss(here - e)) / (2 * h) for e in axes])
    train(model, X, Y, steps=2, learning_rate=0.3, optimizer="gd")
    torch.testing.assert_close(weights(model), here, rtol=0, atol=1e-8)


# Adam


@pytest.mark.parametrize("size", [1.0, 1e-7])  # at 1e-7 the epsilon in Adam's denominator is felt
def test_adam_is_adam(size):
    """Kingma and Ba (2015), Algorithm 1, on the mean squared error of a linear model."""
    y, steps = size * Y, 40
    w, first, second = np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((2, 3))
    outputs = []
    for t in range(1, steps + 1):
        outputs.append(X @ w.T)
        gradient = 2 / y.size * (X @ w.T - y).T @ X
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
        w = w - 0.2 * 2 / (len(rows) * 2) * (features @ w.T - y[rows]).T @ features
        whole = np.mean((x[:, 1:] @ trajectory.parameters[step].reshape(2, 2).T - y) ** 2)
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


def test_a_single_parameter_is_recorded_as_a_copy():
    trajectory = train(linear(), X, Y, steps=3, learning_rate=0.1, snapshots=range(4), record_parameters=True)
    assert len({tuple(row) for row in trajectory.parameters}) == 4


def test_evaluate_on_other_points():
    model, grid = linear(), RNG.normal(size=(5, 3))
    trajectory = train(model, X, Y, steps=10, learning_rate=0.1, evaluate_on=grid, snapshots=[0, 10])
    np.testing.assert_array_equal(trajectory.inputs, grid)
    np.testing.assert_allclose(trajectory.outputs[-1], grid @ model.weight.detach().numpy().T, rtol=1e-12)
    assert trajectory.losses[-1] == pytest.approx(np.mean((X @ model.weight.detach().numpy().T - Y) ** 2))


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
    with pytest.raises(ValueError, match="an ensemble is trained with loss 'mse'"):
        train(Ensemble([3, 6, 2], 4), X, [0, 1] * 6, steps=1, learning_rate=0.1, loss="cross_entropy")


# Failure


@pytest.mark.parametrize("snapshots", [range(301), [0, 3], 20])
def test_divergence_keeps_what_was_seen_before(snapshots):
    with pytest.raises(TrainingDiverged, match=r"the loss became (inf|nan) at step \d+; .* than 1e\+08 ") as caught:
        train(linear(), X, Y, steps=300, learning_rate=1e8, optimizer="gd", snapshots=snapshots)
    kept = caught.value.trajectory
    decay = np.eye(12) - 2 * 1e8 / 24 * X @ X.T
    for step, u in zip(kept.times, kept.outputs, strict=True):
        expected = (np.eye(12) - np.linalg.matrix_power(decay, int(step))) @ Y
        np.testing.assert_allclose(u, expected, rtol=1e-6)
    step = int(str(caught.value).split("at step ")[1].split(";")[0])
    assert 15 < step < 60 and kept.times[-1] < step
    if snapshots == range(301):
        assert kept.times[-1] == step - 1


def test_divergence_before_the_first_snapshot():
    with pytest.raises(TrainingDiverged, match="at step ") as caught:
        train(linear(), X, Y, steps=300, learning_rate=1e8, optimizer="gd", snapshots=[300])
    assert caught.value.trajectory is None


def test_divergence_in_the_last_step_is_seen_without_a_snapshot():
    with pytest.raises(TrainingDiverged, match="the loss became inf at step 1;") as caught:
        train(linear(), X, Y, steps=1, learning_rate=1e200, optimizer="gd", snapshots=[0])
    np.testing.assert_array_equal(caught.value.trajectory.times, [0])


def test_an_infinite_output_off_the_training_set_is_seen():
    with pytest.raises(TrainingDiverged, match=r"an output became (inf|nan) at step 1;") as caught:
        train(linear(), X, Y, steps=2, learning_rate=1e10, evaluate_on=np.full((2, 3), 1e300), snapshots=range(3))
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
        ({"loss": "l1"}, "loss must be one of 'mse', 'cross_entropy'; got 'l1'"),
        ({"steps": 0}, "steps must be a whole number >= 1; got 0"),
        ({"steps": 1e3}, "steps must be a whole number"),
        ({"learning_rate": 0.0}, "learning_rate must be a finite number > 0"),
        ({"learning_rate": -0.1}, "learning_rate must be a finite number > 0"),
        ({"learning_rate": math.nan}, "learning_rate must be a finite number > 0"),
        ({"batch_size": 0}, "batch_size must be a whole number >= 1"),
        ({"batch_size": 2.0}, "batch_size must be a whole number"),
        ({"batch_size": 13}, "batch_size must be at most the number of samples 12; got 13"),
        ({"optimizer": "gd", "batch_size": 4}, "'gd' takes all samples at every step; for batch_size=4 use 'sgd'"),
        ({"seed": -1}, "seed must be a whole number >= 0"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"device": "abacus"}, "device must be 'auto' or a torch device .*; got 'abacus'"),
        ({"snapshots": 1}, "snapshots must be a whole number >= 2; got 1"),
        ({"snapshots": True}, "snapshots must be a whole number"),
        ({"snapshots": []}, "snapshots must not be empty"),
        ({"snapshots": [0, 6]}, "snapshots must be whole steps from 0 to 5; got "),
        ({"snapshots": [-1, 5]}, "snapshots must be whole steps from 0 to 5"),
        ({"snapshots": [0.5]}, "snapshots must be whole steps from 0 to 5"),
        ({"snapshots": [[0], [1]]}, "snapshots must have 1 dimension"),
        ({"model": None}, "model must be a torch module with parameters to train; got NoneType"),
        ({"model": nn.Tanh()}, "model must be a torch module with parameters to train; got Tanh"),
        ({"model": nn.Linear(3, 2).requires_grad_(False)}, "model must be a torch module with parameters to train"),
        ({"x": X[:11]}, "x and y must hold the same number of samples; got 11 and 12"),
        ({"x": X[:, :2]}, r"the model does not take x of shape \(12, 2\): .*"),
        ({"x": X[0]}, "x and y must hold the same number of samples; got 3 and 12"),
        ({"x": 1.0}, "x must hold inputs"),
        ({"x": np.full((12, 3), np.nan)}, "x must be finite; 36 of 36"),
        ({"x": np.full((12, 3), 1e300)}, "x must be finite; 36 of 36 values are NaN or inf in float32"),
        ({"x": np.empty((0, 3)), "y": np.empty((0, 2))}, "x must not be empty"),
        ({"x": "data"}, "x must be an array of numbers"),
        ({"y": Y[:, 0]}, r"y must hold 2 column\(s\); got 1"),
        ({"y": Y.T}, "x and y must hold the same number of samples; got 12 and 2"),
        ({"y": Y[:, :, None]}, "y must have 1 or 2 dimension"),
        ({"y": np.where(Y > 0, Y, np.inf)}, "y must be finite"),
        ({"y": 1e300 * Y}, "y must be finite; 24 of 24 values are NaN or inf in float32"),
        ({"evaluate_on": X[:, :2]}, r"the model does not take evaluate_on of shape \(12, 2\)"),
        ({"evaluate_on": np.empty((0, 3))}, "evaluate_on must not be empty"),
        ({"evaluate_on": [[1.0, 2.0, np.nan]]}, "evaluate_on must be finite"),
        ({"loss": "cross_entropy"}, r"for cross_entropy y must hold classes 0\.\.1, shape \(n,\); got shape \(12, 2\)"),
        ({"loss": "cross_entropy", "y": np.eye(2)[[0, 1] * 6]}, r"shape \(n,\); got shape \(12, 2\)"),
        ({"loss": "cross_entropy", "y": np.zeros((12, 1))}, r"shape \(n,\); got shape \(12, 1\)"),
        ({"loss": "cross_entropy", "y": np.arange(12) % 3}, r"classes 0\.\.1, .* with values from 0 to 2"),
        ({"loss": "cross_entropy", "y": np.arange(12)}, r"classes 0\.\.1, .* with values from 0 to 11"),
        ({"loss": "cross_entropy", "y": np.arange(12) % 2 - 1}, "with values from -1 to 0"),
        ({"loss": "cross_entropy", "y": np.full(12, 0.5)}, "with values from 0.5 to 0.5"),
        ({"model": nn.Sequential(nn.Linear(3, 1), nn.Flatten(0)), "y": Y[:, 0]}, r"must return shape .* \(1,\)"),
        ({"model": nn.Sequential(nn.Linear(3, 4), nn.Unflatten(1, (2, 2)), nn.Flatten(0, 1))}, r"shape .* \(2, 2\)"),
        ({"model": nn.Sequential(nn.Unflatten(1, (1, 3)), nn.Linear(3, 2))}, r"must return shape .* \(1, 1, 2\)"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    model = nn.Linear(3, 2)
    before = weights(model)
    with pytest.raises(ValueError, match=message):
        train(**{"model": model, "x": X, "y": Y, "steps": 5, "learning_rate": 0.1, **changes})
    assert torch.equal(weights(model), before)  # refused before the first step


@pytest.mark.parametrize("shape", [(4, 1, 32, 32), (4, 32, 32, 3), (4, 3, 28, 28), (4, 3072)])
def test_images_of_a_wrong_shape_are_named(shape):
    wrong, right, model = np.zeros(shape), np.zeros((4, 3, 32, 32)), ConvNet(channels=2)
    options = {"steps": 1, "learning_rate": 0.1, "loss": "cross_entropy"}
    with pytest.raises(ValueError, match=re.escape(f"the model does not take x of shape {shape}")):
        train(model, wrong, [0, 1, 2, 3], **options)
    with pytest.raises(ValueError, match=re.escape(f"the model does not take evaluate_on of shape {shape}")):
        train(model, right, [0, 1, 2, 3], evaluate_on=wrong, **options)


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


def test_rows_may_come_backwards():
    """A view with a negative stride, which torch does not take."""
    expected = train(linear(), X, Y, steps=5, learning_rate=0.1)
    backwards = train(linear(), X[::-1], Y[::-1], steps=5, learning_rate=0.1, evaluate_on=X[::-1])
    np.testing.assert_allclose(backwards.outputs[:, ::-1], expected.outputs, rtol=1e-9, atol=1e-12)


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


def test_training_is_in_place_on_the_device_asked_for():
    for device in ("cpu", torch.device("cpu"), "auto"):
        model = linear()
        trajectory = train(model, X, Y, steps=5, learning_rate=0.1, device=device)
        assert model.weight.device.type == "cpu"
        np.testing.assert_allclose(trajectory.outputs[-1], X @ model.weight.detach().numpy().T, rtol=1e-12)
        assert np.abs(trajectory.outputs[-1]).max() > 0.1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("optimizer", ["gd", "sgd", "adam"])
def test_a_gpu_computes_the_same(optimizer):
    size = None if optimizer == "gd" else 5
    results = [
        train(linear(), X, Y, steps=20, learning_rate=0.1, optimizer=optimizer, batch_size=size, seed=0, device=device)
        for device in ("cpu", "cuda")
    ]
    np.testing.assert_allclose(results[1].outputs, results[0].outputs, rtol=1e-9, atol=1e-12)


def test_auto_is_what_settings_say(monkeypatch):
    monkeypatch.setattr(settings, "device", lambda: torch.device("meta"))
    model = linear()
    with pytest.raises(Exception):  # noqa: B017 (nothing can be computed there)
        train(model, X, Y, steps=1, learning_rate=0.1)
    assert model.weight.device.type == "meta"


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


def test_gradient_flow_takes_euler_steps_of_the_kernel_flow():
    """The tangent kernel of a linear model is K = X X^T: after some steps the residual is prod (I - eta K / n) y."""
    model, phases = nn.Linear(3, 2, bias=False).double(), [(3, 0.1), (2, 0.4)]
    flow = gradient_flow(model, X, Y, phases=phases, every=2)
    np.testing.assert_allclose(flow.times, [0, 0.2, 0.3, 1.1], rtol=1e-12)
    kernel = X @ X.T / len(X)
    residual, expected = Y, [Y]
    for eta in (0.1, 0.1, 0.1, 0.4, 0.4):
        residual = residual - eta * kernel @ residual
        expected.append(residual)
    expected = np.stack(expected)[[0, 2, 3, 5]]
    np.testing.assert_allclose(Y - flow.outputs, expected, atol=1e-12)
    np.testing.assert_allclose(flow.losses, (expected**2).sum((1, 2)) / (2 * len(X)), rtol=1e-10)
    np.testing.assert_allclose(flow.inputs, X)


def test_gradient_flow_approaches_the_flow_as_its_steps_shrink():
    y = Y[:, :1]
    limit = kernel_flow(X @ X.T / len(X), y, [1.0]).outputs[0]
    gaps = [
        np.abs(gradient_flow(linear(outputs=1), X, y, phases=[(n, 1 / n)]).outputs[-1] - limit).max() for n in (20, 40)
    ]
    assert gaps[0] / gaps[1] == pytest.approx(2, rel=0.1)  # Euler's method is of first order


def test_gradient_flow_starts_from_the_initial_function():
    model = MLP([3, 8, 2])
    before = evaluate(model, torch.as_tensor(X, dtype=torch.float32)).numpy()
    flow = gradient_flow(model, X, Y, phases=[(5, 0.1)])
    assert not flow.outputs[0].any() and np.abs(before).max() > 0.01
    after = evaluate(model, torch.as_tensor(X, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(flow.outputs[-1], after - before, atol=1e-6)


def test_gradient_flow_of_an_ensemble_is_that_of_its_members():
    ensemble = Ensemble([3, 5, 2], members=2)
    alone = [MLP([3, 5, 2]) for _ in range(2)]
    for i, model in enumerate(alone):
        for layer, weight, bias in zip(model.layers, ensemble.weights, ensemble.biases, strict=True):
            layer.weight.data, layer.bias.data = weight[i].detach().T.clone(), bias[i, 0].detach().clone()
    y = np.concatenate([Y, -2 * Y], axis=1)
    together = gradient_flow(ensemble, X, y, phases=[(4, 0.3)])
    each = [gradient_flow(model, X, y[:, 2 * i : 2 * i + 2], phases=[(4, 0.3)]) for i, model in enumerate(alone)]
    np.testing.assert_allclose(together.outputs, np.concatenate([t.outputs for t in each], axis=2), atol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"phases": []}, {"phases": None}, {"phases": [(3,)]}, {"phases": [(0, 0.1)]}, {"phases": [(1.5, 0.1)]},
        {"phases": [(3, -0.1)]}, {"phases": [(3, np.nan)]}, {"phases": (3, 0.1)}, {"every": 0}, {"y": Y[:, :1]},
        {"y": Y[:5]}, {"x": X[:, :2]},
    ],
)  # fmt: skip
def test_gradient_flow_refuses_what_does_not_fit(changes):
    with pytest.raises(ValueError):
        gradient_flow(**({"model": linear(), "x": X, "y": Y, "phases": [(3, 0.1)]} | changes))


def test_the_bar_moves_with_the_steps_and_shows_the_loss(monkeypatch):
    bars = []

    def progress_bar(*args, **kwargs):
        bars.append(mock.MagicMock(arguments=(args, kwargs)))
        bars[-1].__enter__.return_value = bars[-1]
        return bars[-1]

    monkeypatch.setattr(settings, "progress_bar", progress_bar)
    trajectory = train(linear(), X, Y, steps=5, learning_rate=0.1, snapshots=[0, 5])
    (bar,) = bars
    assert bar.arguments == ((5, "training"), {"show": True})
    assert bar.update.call_count == 5
    shown = [call.kwargs["loss"] for call in bar.set_postfix.call_args_list]
    assert shown == [f"{loss:.3g}" for loss in trajectory.losses]
    bar.__exit__.assert_called_once()
