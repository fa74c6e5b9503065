"""Tests for a process in which the pretend GPU is installed: test_pretend_gpu.py runs `pytest -p pretend` on them."""

import contextlib
import copy
import warnings

import numpy as np
import pretend
import pytest
import torch
from torch import nn

from fpcourse import flow, kernels, landscape, models, neurons, recording, recovery, settings, training

GPU = torch.device("pretend:0")
X = np.linspace(-1, 1, 20)
Y = np.sin(3 * X)
QUICK = {"steps": 5, "learning_rate": 1e-2, "progress": False}


@contextlib.contextmanager
def gpu(**kinds):
    """Let the GPU be old, single or limited, inside a ``with`` block."""
    for name, value in kinds.items():
        getattr(pretend.switches, f"pretend_{name}")(value)
    try:
        yield
    finally:
        for name in kinds:
            getattr(pretend.switches, f"pretend_{name}")(0)


def full():
    return gpu(limit=pretend.switches.pretend_used() + 2**20)


def trained(model):
    training.train(model, X, Y, **QUICK)
    assert {parameter.device for parameter in model.parameters()} == {GPU}
    return model


@pytest.fixture
def two_layer():
    torch.manual_seed(0)
    return trained(models.TwoLayer(1, 6, activation="tanh", b_std=1.0))


# The device itself


@pytest.mark.parametrize(
    "mixed",
    [
        lambda d, c: d + c,
        lambda d, c: c @ d.T,
        lambda d, c: torch.cat([d, c]),
        lambda d, c: nn.Linear(3, 1)(d),
        lambda d, c: nn.Linear(3, 1).to(GPU)(c),
        lambda d, c: nn.functional.mse_loss(d, c),
        lambda d, c: c[torch.tensor([0, 1], device=GPU)],
        lambda d, c: torch.randn(3, device=GPU, generator=torch.Generator()),
        lambda d, c: nn.Conv1d(3, 2, 1)(d.T[None].transpose(1, 2)),
        lambda d, c: d.numpy(),
        lambda d, c: np.asarray(d),
    ],
)
def test_it_refuses_what_cuda_refuses(mixed):
    device, cpu = torch.ones(3, 3, device=GPU), torch.ones(3, 3)
    with pytest.raises((RuntimeError, TypeError), match=r"pretend|same device"):
        mixed(device, cpu)


def test_it_takes_what_cuda_takes():
    device, cpu = torch.arange(6.0, device=GPU).view(2, 3), torch.arange(6.0).view(2, 3)
    for compute in (
        lambda x: x + torch.tensor(2.0),
        lambda x: 2 * x[torch.tensor([1, 0])],
        lambda x: x.T[1:].add_(1).cumsum(0),
        lambda x: torch.linalg.svd(x @ x.T + torch.eye(2, device=x.device))[1],
        lambda x: torch.fft.fft(x).abs(),
        lambda x: nn.functional.conv1d(x[None], torch.ones(1, 2, 2, device=x.device)),
        lambda x: x.unfold(1, 2, 1).softmax(-1),
        lambda x: torch.func.vmap(torch.func.jacrev(torch.sin))(x),
        lambda x: x.clone().resize_(2, 2),
        lambda x: torch.func.jvp(torch.tanh, (x,), (x,))[1],
    ):
        result = compute(device.clone())
        assert result.device == GPU
        torch.testing.assert_close(result.cpu(), compute(cpu.clone()))


def test_a_convolution_has_its_gradient():
    torch.manual_seed(0)
    net, x = models.ConvNet(), torch.randn(4, 3, 32, 32)
    results = []
    for device in ("cpu", GPU):
        net.zero_grad()
        net.to(device)(x.to(device)).square().sum().backward()
        results.append([parameter.grad.cpu() for parameter in net.parameters()])
    torch.testing.assert_close(*results)


def test_memory_is_counted_and_given_back():
    before = pretend.switches.pretend_used()
    kept = torch.ones(1000, device=GPU) + 1
    assert pretend.switches.pretend_used() - before == 4000
    del kept
    assert pretend.switches.pretend_used() == before


# The course on it


@pytest.mark.parametrize("optimizer", ["gd", "sgd", "adam"])
def test_a_gpu_computes_what_the_cpu_computes(optimizer):
    runs = []
    for device in ("cpu", "auto"):
        torch.manual_seed(1)
        options = {**QUICK, "optimizer": optimizer, "batch_size": None if optimizer == "gd" else 7, "device": device}
        runs.append(training.train(models.MLP([1, 8, 1]), X, Y, seed=0, record_parameters=True, **options))
    np.testing.assert_allclose(runs[1].outputs, runs[0].outputs, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(runs[1].parameters, runs[0].parameters, rtol=1e-5, atol=1e-7)


def theta(model):
    return models.parameters_of(model)


@pytest.mark.parametrize(
    "function",
    [
        models.parameters_of,
        lambda m: kernels.empirical_ntk(m, X),
        lambda m: kernels.empirical_ntk(models.antisymmetric(m), X),
        lambda m: kernels.jacobian(m, X),
        lambda m: recovery.model_rank(m, X),
        lambda m: landscape.gradient(m, X, Y),
        lambda m: landscape.gradient_norm(m, X, Y),
        lambda m: landscape.hessian(m, X, Y),
        lambda m: landscape.hessian_spectrum(m, X, Y),
        lambda m: landscape.hessian_spectrum(m, X, Y, extreme=2),
        lambda m: theta(landscape.polish(m, X, Y, tolerance=10)),
        lambda m: landscape.loss_at(m, X, Y, theta(m)),
        lambda m: landscape.split_curvature(m, 0, X, Y),
        lambda m: theta(landscape.split_neuron(m, 0, 0.3)),
        lambda m: theta(landscape.merge_neurons(m, groups=[0, 0, 1, 1, 2, -1])),
        lambda m: theta(models.with_parameters(m, 2 * theta(m))),
        lambda m: theta(recovery.embed(m, copy.deepcopy(m))),
        lambda m: flow.gradient_flow(m, X, Y, [0.0, 1.0]).outputs,
        lambda m: neurons.conserved_quantities(m),
        lambda m: neurons.neurons(m)[0],
        lambda m: recording.evaluate(m, torch.tensor(X)[:, None]).cpu(),
    ],
)
def test_every_function_takes_a_model_that_training_left_there(two_layer, function):
    expected = function(copy.deepcopy(two_layer).cpu())
    np.testing.assert_allclose(function(two_layer), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("model", "x", "y", "options"),
    [
        (lambda: models.Ensemble([1, 6, 1], 3), X, Y, {}),
        (lambda: models.antisymmetric(models.TwoLayer(1, 5)), X, Y, {"evaluate_on": np.zeros(3)}),
        (lambda: models.ConvNet(), np.ones((8, 3, 32, 32)), np.arange(8), {"loss": "cross_entropy", "batch_size": 4}),
        (lambda: models.CircularCNN(4, 5, bias=True), np.ones((6, 16)), np.ones((6, 16)), {"batch_size": 2}),
        (lambda: models.AngularDerivative(models.TwoLayer(2, 8, activation="tanh"), 2), X, Y, {}),
    ],
)
def test_every_kind_of_network_is_trained_there(model, x, y, options):
    before = pretend.switches.pretend_kernels()
    run = training.train(model(), x, y, **QUICK, **options)
    assert np.isfinite(run.outputs).all() and pretend.switches.pretend_kernels() > before


def test_a_recorder_brings_outputs_to_the_cpu(two_layer):
    recorder = recording.Recorder(X, Y, steps=[0])
    recorder(two_layer, 0)
    np.testing.assert_allclose(recorder.trajectory().outputs[0], recording.evaluate(two_layer, X[:, None]).cpu())


def test_the_phase_diagram_is_computed_there():
    before = pretend.switches.pretend_kernels()
    run = neurons.train_scaled(X, Y, width=10, gamma=[1, 1.5], gamma_prime=0, steps=4)
    assert np.isfinite(run["change"]).all() and pretend.switches.pretend_kernels() > before


# A GPU that fails


@pytest.mark.parametrize(("kind", "words"), [("full", "CUDA out of memory"), ("old", "CUDA error: no kernel image")])
def test_a_lesson_goes_on_on_the_cpu(kind, words):
    model = models.MLP([1, 4, 1])
    with full() if kind == "full" else gpu(old=True):
        with pytest.warns(UserWarning, match=f"^pretend cannot be used, so the CPU takes its place: {words}"):
            training.train(model, X, Y, **QUICK)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            training.train(model, X, Y, **QUICK, device="cpu")
    assert next(model.parameters()).device.type == "cpu"


def test_a_gpu_that_fails_later_is_not_the_readers_mistake():
    model, x = trained(models.MLP([1, 400, 1])), np.linspace(-1, 1, 3000)
    with full(), pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        recording.evaluate(model, x[:, None])
    with gpu(old=True), pytest.raises(RuntimeError, match=r"^CUDA error: no kernel image"):
        kernels.empirical_ntk(model, X)


def test_a_gpu_without_float64_is_named(two_layer):
    """As Apple's; see settings.device."""
    with gpu(single=True):
        for refused in (
            lambda: training.SquareLoss(two_layer, X, Y),
            lambda: kernels.empirical_ntk(two_layer, X),
            lambda: kernels.jacobian(two_layer, X),
            lambda: models.with_parameters(two_layer, theta(two_layer)),
        ):
            with pytest.raises(ValueError, match=r"the device of model has no torch\.float64, use model\.cpu\(\)"):
                refused()


def test_the_device_follows_the_environment(monkeypatch):
    assert settings.device() == torch.device("pretend") and settings.device("cpu").type == "cpu"
    monkeypatch.setenv("FPCOURSE_DEVICE", "cpu")
    assert settings.device().type == "cpu"
