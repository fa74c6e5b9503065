"""Networks against their formulas written as loops, and their initialization against its statistics."""

import copy
import itertools
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_parameters import randomize
from torch import nn

from fpcourse import data, models
from fpcourse.kernels import empirical_ntk, two_layer_ntk
from fpcourse.models import (
    MLP,
    CircularCNN,
    ConvNet,
    Ensemble,
    ResidualMLP,
    SmallVGG,
    TwoLayer,
    antisymmetric,
    lazy_pair,
    siren,
)

SCALAR = {
    "relu": lambda z: max(z, 0.0),
    "leaky_relu": lambda z: z if z > 0 else 0.01 * z,
    "tanh": math.tanh,
    "sine": math.sin,
    "linear": lambda z: z,
}
activations = st.sampled_from(sorted(SCALAR))


def normals(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# MLP


@given(st.lists(st.integers(1, 4), min_size=2, max_size=5), activations, st.integers(0, 10**6))
def test_mlp_is_the_nested_formula(widths, name, seed):
    model = randomize(MLP(widths, activation=name), seed)
    x = normals(3, widths[0], seed=seed + 1)
    rows = []
    for point in x.tolist():
        for i, layer in enumerate(model.layers):
            weight, bias = layer.weight.tolist(), layer.bias.tolist()
            point = [sum(map(math.prod, zip(row, point, strict=True))) + b for row, b in zip(weight, bias, strict=True)]
            if i < len(widths) - 2:
                point = [SCALAR[name](z) for z in point]
        rows.append(point)
    np.testing.assert_allclose(model(x).detach(), rows, rtol=1e-10, atol=1e-10)


def test_mlp_flattens_images():
    model = MLP([12, 5, 2])
    images = torch.randn(4, 3, 2, 2)
    assert torch.equal(model(images), model(images.reshape(4, 12)))
    with pytest.raises(RuntimeError, match="4x3 and 12x5"):
        model(torch.randn(4, 3))


def test_mlp_takes_any_elementwise_function():
    model = randomize(MLP([2, 3, 1], activation=lambda z: z * torch.tanh(z)), 0)
    x = normals(5, 2)
    z = x @ model.layers[0].weight.T + model.layers[0].bias
    expected = (z * torch.tanh(z)) @ model.layers[1].weight.T + model.layers[1].bias
    torch.testing.assert_close(model(x), expected)


def test_mlp_default_initialization_is_uniform_in_fan_in():
    torch.manual_seed(0)
    for layer, fan_in in zip(MLP([50, 400, 100, 300]).layers, (50, 400, 100), strict=True):
        for parameter in (layer.weight, layer.bias):
            bound = 1 / math.sqrt(fan_in)
            assert 0.9 * bound < parameter.abs().max() <= bound
            spread = bound / math.sqrt(3)
            assert parameter.std().item() == pytest.approx(spread, rel=4 / math.sqrt(parameter.numel()))


@pytest.mark.parametrize("std", [0.1, [3.0, 0.5, 0.02]])
def test_mlp_std_draws_weights_and_biases_normally(std):
    torch.manual_seed(0)
    model = MLP([100, 300, 200, 400], std=std)
    stds = [float(std)] * 3 if np.ndim(std) == 0 else list(std)
    for layer, expected in zip(model.layers, stds, strict=True):
        for parameter in (layer.weight, layer.bias):
            values, n = parameter.detach().double() / expected, parameter.numel()
            assert values.mean().abs() < 5 / math.sqrt(n)
            assert (values.square().mean() - 1).abs() < 5 * math.sqrt(2 / n)
            assert (values.pow(4).mean() - 3).abs() < 5 * math.sqrt(96 / n)  # a uniform law would give 1.8


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MLP([3]), r"widths must hold at least inputs and outputs; got \[3\]"),
        (lambda: MLP([3, 2.5, 1]), "each of widths must be a whole number"),
        (lambda: MLP([3, 1], activation="gelu"), "activation must be one of 'relu', .*; got 'gelu'"),
        (lambda: MLP([3, 2, 1], std=[1.0]), r"std must hold one number per layer \(2\); got 1"),
        (lambda: TwoLayer(2, 3, bias="none"), "bias must be one of 'additive', 'shift', None; got 'none'"),
        (lambda: Ensemble([1, 2, 1], 0), "members must be a whole number >= 1; got 0"),
        (lambda: CircularCNN(3, 5)(torch.randn(2, 4)), r"signals must have shape \(n, L\) with L >= kernel_size 5"),
        (lambda: models.network("cnn", (3,), 2, std=1.0), "name must be one of"),
        (lambda: models.network("matrix", (3,), 2, std=1.0), "shape must have 2 entries"),
        (lambda: models.network("shared", (4,), 2, std=1.0, kernel_size=5), "kernel_size must be at most 4"),
        (lambda: antisymmetric(MLP.forward), "model must be a torch module"),
        (lambda: models.with_parameters(MLP([1, 1]), [1.0]), "parameters must hold the 2 numbers of the model; got 1"),
    ],
)
def test_what_does_not_fit_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


# ResidualMLP


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(1, 2), activations, st.integers(0, 10**6))
def test_residual_mlp_is_its_formula(inputs, width, blocks, outputs, name, seed):
    model = randomize(ResidualMLP(inputs, width, blocks, outputs, activation=name), seed)
    x = normals(3, inputs, seed=seed + 1)

    def dense(layer, point):
        weight, bias = layer.weight.tolist(), layer.bias.tolist()
        return [sum(map(math.prod, zip(row, point, strict=True))) + b for row, b in zip(weight, bias, strict=True)]

    rows = []
    for point in x.tolist():
        h = dense(model.first, point)
        for inner, outer in zip(model.inner, model.outer, strict=True):
            correction = dense(outer, [SCALAR[name](z) for z in dense(inner, h)])
            h = [SCALAR[name](a + b) for a, b in zip(h, correction, strict=True)]
        rows.append(dense(model.last, h))
    np.testing.assert_allclose(model(x).detach(), rows, rtol=1e-9, atol=1e-9)


# TwoLayer


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 3)),
    activations,
    st.sampled_from(["additive", "shift", None]),
    st.floats(0.1, 10),
    st.integers(0, 10**6),
)
def test_two_layer_is_the_double_loop(sizes, name, bias, scale, seed):
    d, m, c = sizes
    model = randomize(TwoLayer(d, m, c, activation=name, bias=bias, scale=scale), seed)
    x = normals(4, d, seed=seed + 1)
    w, a = model.w.tolist(), model.a.tolist()
    expected, inner = torch.zeros(4, c, dtype=torch.float64), torch.zeros(4, m, dtype=torch.float64)
    for i, j in itertools.product(range(4), range(m)):
        z = sum(w[j][r] * x[i, r].item() for r in range(d))
        if bias == "additive":
            z += model.b[j].item()
        if bias == "shift":
            z += math.sqrt(sum(w_r**2 for w_r in w[j])) * model.b[j].item()
        inner[i, j] = z
        for k in range(c):
            expected[i, k] += scale * a[k][j] * SCALAR[name](z)
    np.testing.assert_allclose(model.preactivation(x).detach(), inner, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(model(x).detach(), expected, rtol=1e-10, atol=1e-10)


def test_the_kink_of_a_shifted_neuron_stays_where_it_is():
    """ReLU(w (x + l)), w > 0: whatever w, zero up to -l and rising from there."""
    model = TwoLayer(1, 1, bias="shift").double()
    with torch.no_grad():
        model.b.fill_(-0.3)
        model.a.fill_(1.0)
        for w in (0.1, 1.0, 50.0):
            model.w.fill_(w)
            x = torch.tensor([[0.3 - 1e-6], [0.3 + 1e-6]], dtype=torch.float64)
            assert model(x)[0] == 0 < model(x)[1]


def test_two_layer_parameters():
    shapes = {name: tuple(p.shape) for name, p in TwoLayer(3, 7, 2).named_parameters()}
    assert shapes == {"w": (7, 3), "b": (7,), "a": (2, 7)}
    model = TwoLayer(3, 7, bias=None)
    assert model.b is None and {name for name, _ in model.named_parameters()} == {"w", "a"}


@pytest.mark.parametrize("bias", ["additive", "shift"])
def test_two_layer_initialization(bias):
    torch.manual_seed(0)
    model = TwoLayer(5, 40_000, 2, bias=bias, w_std=3.0, b_std=0.5, a_std=0.02)
    for parameter, std in ((model.w, 3.0), (model.b, 0.5), (model.a, 0.02)):
        values, n = parameter.detach().double() / std, parameter.numel()
        assert values.mean().abs() < 5 / math.sqrt(n)
        assert (values.square().mean() - 1).abs() < 5 * math.sqrt(2 / n)
        assert (values.pow(4).mean() - 3).abs() < 5 * math.sqrt(96 / n)
    assert (TwoLayer(5, 10).b == 0).all()
    unit = TwoLayer(5, 40_000)
    for parameter in (unit.w, unit.a):
        assert (parameter.detach().square().mean() - 1).abs() < 5 * math.sqrt(2 / parameter.numel())


def test_two_layer_signs():
    torch.manual_seed(0)
    a = TwoLayer(2, 10_000, signs=True, a_std=0.3).a.detach()
    torch.testing.assert_close(a.abs(), torch.full_like(a, 0.3))
    assert a.sign().mean().abs() < 5 / math.sqrt(10_000)


# Ensemble


@given(st.lists(st.integers(1, 4), min_size=2, max_size=4), st.integers(1, 4), activations, st.integers(0, 10**6))
def test_ensemble_is_its_members_side_by_side(widths, members, name, seed):
    torch.manual_seed(seed)
    together = Ensemble(widths, members, activation=name)
    torch.manual_seed(seed)
    alone = [MLP(widths, activation=name) for _ in range(members)]
    x = torch.randn(5, widths[0])
    torch.testing.assert_close(together(x), torch.cat([net(x) for net in alone], dim=1))
    assert together.members == members
    assert sum(p.numel() for p in together.parameters()) == sum(p.numel() for net in alone for p in net.parameters())
    assert all(p.requires_grad and p.is_leaf for p in together.parameters())


# CircularCNN


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(0, 4)),
    activations,
    st.booleans(),
    st.integers(0, 10**6),
)
def test_circular_cnn_is_the_triple_loop(sizes, name, bias, seed):
    m, size, extra = sizes
    length = size + extra
    model = randomize(CircularCNN(m, size, activation=name, bias=bias), seed)
    x = normals(2, length, seed=seed + 1)
    kernels, a = model.kernels.tolist(), model.a.tolist()
    expected, inner = torch.zeros(2, length, dtype=torch.float64), torch.zeros(2, m, length, dtype=torch.float64)
    for i, j, s in itertools.product(range(2), range(m), range(length)):
        z = sum(kernels[j][r] * x[i, (s - r) % length].item() for r in range(size))
        inner[i, j, s] = z + (model.b[j].item() if bias else 0.0)
        expected[i, s] += a[j] * SCALAR[name](inner[i, j, s].item())
    np.testing.assert_allclose(model.preactivation(x).detach(), inner, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(model(x).detach(), expected, rtol=1e-10, atol=1e-10)


def test_circular_convolution_is_a_product_in_fourier_space():
    model = randomize(CircularCNN(3, 5), 1)
    x = normals(4, 16)
    product = torch.fft.fft(x)[:, None] * torch.fft.fft(model.kernels, 16)
    torch.testing.assert_close(model.preactivation(x), torch.fft.ifft(product).real)


def test_on_one_frequency_a_channel_is_a_shifted_cosine():
    model = randomize(CircularCNN(4, 5), 3)
    s = 2 * math.pi * torch.arange(16, dtype=torch.float64) / 16
    transform = torch.fft.fft(model.kernels, 16)[:, 1]
    expected = transform.abs()[:, None] * torch.cos(s + transform.angle()[:, None])
    torch.testing.assert_close(model.preactivation(torch.cos(s)[None])[0], expected)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", ["relu", "leaky_relu", "linear"])
def test_homogeneous_channels_balance_their_gradients(name, bias):
    """a dL/da = K . dL/dK + b dL/db: what conserves a^2 - |K|^2 (- b^2) along gradient flow."""
    model = randomize(CircularCNN(6, 5, activation=name, bias=bias), 4)
    x, y = normals(8, 16), normals(8, 16, seed=1)
    (model(x) - y).square().mean().backward()
    inner = (model.kernels * model.kernels.grad).sum(1) + (model.b * model.b.grad if bias else 0.0)
    torch.testing.assert_close(model.a * model.a.grad, inner, rtol=1e-12, atol=1e-13)


def test_circular_cnn_initialization():
    torch.manual_seed(0)
    model = CircularCNN(10_000, 5, bias=True, k_std=3.0, b_std=0.5, a_std=0.02)
    for parameter, std in ((model.kernels, 3.0), (model.b, 0.5), (model.a, 0.02)):
        values, n = parameter.detach().double() / std, parameter.numel()
        assert values.mean().abs() < 5 / math.sqrt(n)
        assert (values.square().mean() - 1).abs() < 5 * math.sqrt(2 / n)
    plain = CircularCNN(10_000, 5)
    assert plain.b is None and (CircularCNN(3, 5, bias=True).b == 0).all()
    for parameter in (plain.kernels, plain.a):
        assert (parameter.detach().square().mean() - 1).abs() < 5 * math.sqrt(2 / parameter.numel())


# ConvNet and SmallVGG


@pytest.mark.parametrize(
    ("build", "convolutions", "dense"),
    [
        (ConvNet, [(3, 16), (16, 32)], [(2048, 128), (128, 10)]),
        (SmallVGG, [(3, 16), (16, 16), (16, 32), (32, 32), (32, 64), (64, 64)], [(1024, 128), (128, 10)]),
    ],
)
def test_image_networks_are_built_as_described(build, convolutions, dense):
    model = build()
    conv = [layer for layer in model if isinstance(layer, nn.Conv2d)]
    assert [(layer.in_channels, layer.out_channels) for layer in conv] == convolutions
    assert all(layer.kernel_size == (3, 3) for layer in conv)
    linear = [layer for layer in model if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == dense
    assert sum(isinstance(layer, nn.ReLU) for layer in model) == len(conv) + 1
    assert isinstance(model[-1], nn.Linear)  # the last layer is linear: logits
    assert model(torch.randn(2, 3, 32, 32)).shape == (2, 10)
    assert build(7, channels=3)(torch.randn(2, 3, 32, 32)).shape == (2, 7)
    for wrong in ((2, 1, 32, 32), (2, 32, 32, 3), (2, 3, 28, 28), (2, 3, 64, 64), (2, 3072)):
        with pytest.raises(RuntimeError):
            model(torch.randn(*wrong))


def test_small_vgg_starts_with_he_initialization_and_a_signal_of_order_one():
    torch.manual_seed(0)
    model = SmallVGG()
    *inner, last = model
    for layer in inner:
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            fan_in = layer.weight[0].numel()
            ratio = layer.weight.std().item() * math.sqrt(fan_in / 2)
            assert ratio == pytest.approx(1.0, abs=5 / math.sqrt(2 * layer.weight.numel()))
            assert (layer.bias == 0).all()
    features = nn.Sequential(*inner)(torch.randn(50, 3, 32, 32))
    assert 0.3 < features.square().mean().sqrt() < 10
    assert (last.weight == 0).all() and (last.bias == 0).all()  # it starts as the zero function


# antisymmetric


def build_each():
    torch.manual_seed(0)
    return [
        (MLP([2, 6, 1], std=1.0), torch.randn(5, 2)),
        (TwoLayer(2, 6, b_std=1.0), torch.randn(5, 2)),
        (TwoLayer(2, 6, 3, bias="shift", b_std=1.0), torch.randn(5, 2)),
        (CircularCNN(2, 3, bias=True), torch.randn(5, 6)),
    ]


@pytest.mark.parametrize("which", range(4))
def test_antisymmetric_starts_at_zero_with_the_same_kernel(which):
    model, x = build_each()[which]
    model, x = model.double(), x.double()
    doubled = antisymmetric(model)
    assert (doubled(x) == 0).all()

    def kernel(net):
        def outputs(parameters):
            return torch.func.functional_call(net, parameters, (x,))

        jacobians = torch.func.jacrev(outputs)({k: p.detach() for k, p in net.named_parameters()})
        flat = torch.cat([j.flatten(2) for j in jacobians.values()], dim=2)
        return torch.einsum("nap,mbp->nmab", flat, flat)

    assert kernel(model).abs().max() > 0.1
    torch.testing.assert_close(kernel(doubled), kernel(model), rtol=1e-12, atol=1e-12)


def test_antisymmetric_is_the_scaled_difference_of_two_trained_halves():
    model = MLP([2, 6, 1], std=1.0).double()
    before = copy.deepcopy(model.state_dict())
    doubled = antisymmetric(model)
    x = normals(5, 2)
    optimizer = torch.optim.SGD(doubled.parameters(), lr=0.1)
    (doubled(x) - 1.0).square().mean().backward()
    optimizer.step()
    assert sum(p.numel() for p in doubled.parameters()) == 2 * sum(p.numel() for p in model.parameters())
    for name, start in before.items():
        plus, minus = doubled.plus.state_dict()[name], doubled.minus.state_dict()[name]
        assert torch.equal(model.state_dict()[name], start)  # the model given is left alone
        assert not torch.equal(plus, start)
        torch.testing.assert_close(plus - start, start - minus)  # from one start the halves move in opposite directions
    torch.testing.assert_close(doubled(x), (doubled.plus(x) - doubled.minus(x)) / 2**0.5)
    assert doubled(x).abs().max() > 1e-3


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("outputs", [1, 2])
def test_the_kernel_of_a_lazy_pair_tends_to_that_of_infinite_width(bias, outputs):
    """No factor is left between the two; what the width leaves is about width**-0.5 = 0.004."""
    torch.manual_seed(0)
    _, x = data.circle(12)
    limit = two_layer_ntk(x, bias=bias, trained="first")
    kernel = empirical_ntk(lazy_pair(2, 2**16, outputs, bias=bias), x).reshape(12, 12, outputs, outputs)
    expected = limit[:, :, None, None] * np.eye(outputs)  # the signs of two outputs are independent
    np.testing.assert_allclose(kernel, expected, rtol=0, atol=0.03 * limit.max())


def test_a_lazy_pair_starts_at_zero_and_trains_its_first_layer():
    torch.manual_seed(0)
    pair = lazy_pair(3, 50, bias=True)
    assert not pair(torch.randn(4, 3)).any()
    assert (pair.plus.a.abs() == 1).all() and not pair.plus.b.any()
    trained = {name for name, p in pair.named_parameters() if p.requires_grad}
    assert trained == {"plus.w", "plus.b", "minus.w", "minus.b"}


# All of them


def test_siren_is_a_network_of_sines_whose_layers_keep_their_scale():
    torch.manual_seed(0)
    net = siren([2, 300, 200, 1], omega=20.0)
    for layer, bound in zip(net.layers, (1 / 2, math.sqrt(6 / 300) / 20, math.sqrt(6 / 200) / 20), strict=True):
        weights = layer.weight.detach()
        assert 0.95 * bound < weights.abs().max() <= bound
        assert weights.std() == pytest.approx(bound / math.sqrt(3), rel=0.1)
    x = 2 * torch.rand(400, 2) - 1
    first, second, last = net.layers
    inner = second(torch.sin(20 * first(x)))
    assert torch.allclose(net(x), last(torch.sin(20 * inner)))
    assert float((20 * inner.detach()).std()) == pytest.approx(1, rel=0.35)  # variance 1, and the bias


def everything():
    yield from (MLP([2, 3, 1], activation=name) for name in models.ACTIVATIONS)
    yield from (TwoLayer(2, 3, bias=bias) for bias in ("additive", "shift", None))
    yield from (siren([2, 3, 1]), ResidualMLP(2, 3, 1), CircularCNN(3, 2), Ensemble([2, 3, 1], 2))
    yield from (antisymmetric(MLP([2, 3, 1])), lazy_pair(2, 3), ConvNet(), SmallVGG())


def test_models_travel_to_worker_processes_and_keep_double_precision():
    for model in everything():
        images = isinstance(model, (ConvNet, SmallVGG))
        x = torch.randn(2, *((3, 32, 32) if images else (2,)), dtype=torch.float64)
        model.double()
        twin = pickle.loads(pickle.dumps(model))
        assert torch.equal(twin(x), model(x))
        assert model(x).dtype == torch.float64
        loaded = copy.deepcopy(model)
        loaded.load_state_dict(model.state_dict())
        assert torch.equal(loaded(x), model(x))


def test_the_same_seed_draws_the_same_network_and_another_seed_another():
    def parameters(seed):
        torch.manual_seed(seed)
        return [nn.utils.parameters_to_vector(model.parameters()) for model in everything()]

    for one, same, other in zip(parameters(0), parameters(0), parameters(1), strict=True):
        assert torch.equal(one, same) and not torch.equal(one, other)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_angular_derivative_is_the_chain_rule(order):
    torch.manual_seed(0)
    net = TwoLayer(2, 7, activation="sine", b_std=1.0).double()
    theta = np.linspace(-3, 3, 11)
    w, b, a = (p.detach().numpy() for p in (net.w, net.b, net.a[0]))
    circle, tangent = np.array([np.cos(theta), np.sin(theta)]), np.array([-np.sin(theta), np.cos(theta)])
    z, dz, ddz = w @ circle + b[:, None], w @ tangent, -w @ circle
    by_hand = a @ [np.sin(z), np.cos(z) * dz, -np.sin(z) * dz**2 + np.cos(z) * ddz][order]
    ours = models.AngularDerivative(net, order)(torch.tensor(theta)[:, None])
    np.testing.assert_allclose(ours.detach().numpy()[:, 0], by_hand, rtol=1e-12, atol=1e-12)


def test_angular_derivative_passes_gradients_on_to_the_model_it_shares():
    net = MLP([2, 5, 1]).double()
    derivative = models.AngularDerivative(net, 1)
    assert list(derivative.parameters()) == list(net.parameters())
    theta, h = torch.tensor([[0.3], [1.1]], dtype=torch.float64), 1e-5
    loss = derivative(theta).square().sum()
    found = torch.autograd.grad(loss, net.layers[0].weight)[0]
    plain = models.AngularDerivative(net)
    slope = (plain(theta + h) - plain(theta - h)) / (2 * h)
    expected = torch.autograd.grad(slope.square().sum(), net.layers[0].weight)[0]
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)
