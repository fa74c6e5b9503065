"""Conserved quantities: the formula neuron by neuron, the balance of gradients by autograd, and real flow."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fpcourse import training
from fpcourse.landscape import conserved_quantities
from fpcourse.models import MLP, CircularCNN, TwoLayer, antisymmetric


def normals(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def randomize(model: nn.Module, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    model.double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(generator=generator)
    return model


def network(kind: str, bias, *, seed: int = 0, activation: str = "relu", m: int = 6) -> nn.Module:
    if kind == "dense":
        return randomize(TwoLayer(3, m, 2, bias=bias, activation=activation, scale=0.5), seed)
    return randomize(CircularCNN(m, 5, bias=bias, activation=activation), seed)


def data(kind: str, seed: int = 0):
    return (normals(9, 3, seed=seed), normals(9, 2, seed=seed + 1)) if kind == "dense" else (
        normals(8, 16, seed=seed), normals(8, 16, seed=seed + 1))  # fmt: skip


KINDS = [("dense", "additive"), ("dense", "shift"), ("dense", None), ("conv", False), ("conv", True)]


@given(st.sampled_from(KINDS), st.integers(1, 4), st.integers(0, 10**6))
def test_the_formula_neuron_by_neuron(kind_bias, m, seed):
    kind, bias = kind_bias
    model = network(kind, bias, seed=seed, m=m)
    for j, value in enumerate(conserved_quantities(model)):
        if kind == "dense":
            expected = sum(a**2 for a in model.a[:, j].tolist()) - sum(w**2 for w in model.w[j].tolist())
            expected -= model.b[j].item() ** 2 if bias == "additive" else 0.0
        else:
            expected = model.a[j].item() ** 2 - sum(r**2 for r in model.kernels[j].tolist())
            expected -= model.b[j].item() ** 2 if bias else 0.0
        assert value == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert conserved_quantities(model).shape == (m,)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "linear"])
@pytest.mark.parametrize(("kind", "bias"), KINDS)
def test_a_step_of_descent_moves_them_by_the_square_of_the_step(kind, bias, activation):
    """By autograd, no derivative by hand: no first-order term, and the second is |g_out|^2 - |g_in|^2."""
    model = network(kind, bias, activation=activation)
    x, y = data(kind)
    (model(x) - y).square().mean().backward()
    gradients = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    start = nn.utils.parameters_to_vector(model.parameters()).detach()
    before, second = conserved_quantities(model), conserved_quantities(model, gradients)
    for eta in (0.1, 1.0):
        moved = conserved_quantities(model, start - eta * gradients) - before
        np.testing.assert_allclose(moved, eta**2 * second, rtol=1e-9, atol=1e-13)
    assert np.median(np.abs(second)) > 1e-4  # a neuron may be silent on all data, not most of them


@pytest.mark.parametrize(("kind", "bias"), [("dense", "additive"), ("conv", True)])
def test_tanh_moves_them_at_first_order(kind, bias):
    model = network(kind, bias, activation="tanh")
    x, y = data(kind)
    (model(x) - y).square().mean().backward()
    gradients = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    start = nn.utils.parameters_to_vector(model.parameters()).detach()
    moved = [np.abs(conserved_quantities(model, start - eta * gradients) - conserved_quantities(model)).max()
             for eta in (1e-4, 1e-5)]  # fmt: skip
    assert moved[0] / moved[1] == pytest.approx(10, rel=0.01)


@pytest.mark.parametrize(("kind", "bias"), KINDS)
def test_recorded_training_conserves_them_and_its_end_is_the_model(kind, bias):
    model = network(kind, bias)
    x, y = data(kind)
    run = training.train(model, x, y, steps=200, learning_rate=1e-3, optimizer="gd", record_parameters=True,
                         snapshots=[0, 100, 200], device="cpu", progress=False)  # fmt: skip
    quantities = conserved_quantities(model, run.parameters)
    assert quantities.shape == (3, 6) and quantities.dtype == np.float64
    np.testing.assert_array_equal(quantities[-1], conserved_quantities(model))
    for row, parameters in zip(quantities, run.parameters, strict=True):
        np.testing.assert_array_equal(row, conserved_quantities(model, parameters))
    moved = np.abs(run.parameters[-1] - run.parameters[0]).max()
    assert np.abs(quantities - quantities[0]).max() < 0.01 * moved


def test_single_precision_is_squared_in_double():
    model = TwoLayer(1, 1, bias=None)
    with torch.no_grad():
        model.a[:], model.w[:] = 1e3, 1e-3
    w = float(np.float32(1e-3))
    assert conserved_quantities(model)[0] == 1e6 - w**2


def test_it_refuses():
    model = network("conv", True)
    for other in (MLP([2, 3, 1]), antisymmetric(model), "relu"):
        with pytest.raises(ValueError, match="model must be a TwoLayer or a CircularCNN"):
            conserved_quantities(other)
    for shape in ((41,), (3, 43), (0, 42)):
        with pytest.raises(ValueError, match="parameters must"):
            conserved_quantities(model, np.ones(shape))
    with pytest.raises(ValueError, match="parameters must have 1 or 2 dimension"):
        conserved_quantities(model, np.ones((1, 1, 42)))
    with pytest.raises(ValueError, match="parameters must be finite"):
        conserved_quantities(model, np.full(42, np.nan))
