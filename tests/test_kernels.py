"""Kernels against one backward pass per output, mpmath, quadrature, closed forms and wide networks."""

import math
import re
from functools import partial
from types import SimpleNamespace

import mpmath
import numpy as np
import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special
from torch import nn

from fpcourse import kernels
from fpcourse.flow import as_matrix, rates
from fpcourse.kernels import (
    basri_kernel,
    cao_kernel,
    circle_eigenvalues,
    empirical_ntk,
    jacobian,
    lfp_spectrum,
    sphere_eigenvalues,
    two_layer_ntk,
)
from fpcourse.models import MLP, ConvNet, Ensemble, SmallVGG, TwoLayer, antisymmetric

H = partial(basri_kernel, bias=False)
H_BAR = partial(basri_kernel, bias=True)


def x_tanh_x(z):
    return z * torch.tanh(z)


def derivatives(model, x):
    """The oracle: one backward pass per sample and output, nothing else. (n, c, P) in float64."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    rows = []
    for point in torch.as_tensor(x, dtype=torch.float64):
        outputs = model(point[None]).flatten()
        gradients = [torch.autograd.grad(y, parameters, retain_graph=True, allow_unused=True) for y in outputs]
        filled = [
            [torch.zeros_like(p) if g is None else g for g, p in zip(row, parameters, strict=True)] for row in gradients
        ]
        rows.append(torch.stack([torch.cat([g.flatten() for g in row]) for row in filled]))
    return torch.stack(rows).numpy()


def naive_ntk(model, x1, x2):
    kernel = np.einsum("icp,jdp->ijcd", derivatives(model, x1), derivatives(model, x2))
    return kernel[:, :, 0, 0] if kernel.shape[2] == 1 else kernel


def unit(rng, n, d):
    x = rng.standard_normal((n, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def two_layer(**options):
    torch.manual_seed(1)
    model = TwoLayer(3, 7, **{"b_std": 0.7, "a_std": 1.3, "w_std": 0.9, "scale": 0.6, **options}).double()
    return model


def mlp(widths=(3, 5, 4, 6, 1), **options):
    torch.manual_seed(2)
    return MLP(widths, **{"std": 0.8, **options}).double()


class GeneralTwoLayer(TwoLayer):
    """A subclass may compute anything, so it takes the general path; this one computes the same."""


class GeneralMLP(MLP):
    pass


class Scalar(nn.Module):
    """Returns (n,), not (n, 1)."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 1)

    def forward(self, x):
        return self.last(torch.tanh(self.first(x)))[:, 0]


class Swish(nn.Module):
    """An activation with a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.beta = nn.Parameter(torch.tensor(1.3))

    def forward(self, z):
        return z * torch.sigmoid(self.beta * z)


def tied():
    model = mlp((4, 4, 4, 1))
    model.layers[1] = model.layers[0]
    return model


def frozen(model, *names):
    for name in names:
        model.get_parameter(name).requires_grad_(False)
    return model


STRUCTURED = {
    **{
        f"two-layer {bias} {outputs} {name}": two_layer(bias=bias, outputs=outputs, activation=activation)
        for bias in ("additive", "shift", None)
        for outputs in (1, 3)
        for name, activation in (("relu", "relu"), ("tanh", "tanh"), ("x tanh x", x_tanh_x))
    },
    **{
        f"two-layer {bias} without {'+'.join(names)}": frozen(two_layer(bias=bias, outputs=2), *names)
        for bias in ("additive", "shift")
        for names in (("w",), ("b",), ("a",), ("w", "a"), ("b", "a"), ("w", "b"))
    },
    "two-layer no bias without a": frozen(two_layer(bias=None), "a"),
    "two-layer no bias without w": frozen(two_layer(bias=None), "w"),
    "mlp tanh": mlp(),
    "mlp relu": mlp(activation="relu"),
    "mlp sine, 3 outputs": mlp((3, 5, 4, 3), activation="sine"),
    "mlp x tanh x": mlp(activation=x_tanh_x),
    "mlp one hidden": mlp((3, 5, 2)),
    "mlp linear": mlp((3, 2)),
    "mlp without a weight": frozen(mlp(), "layers.1.weight"),
    "mlp without a bias": frozen(mlp((3, 5, 4, 2)), "layers.0.bias"),
    "mlp last layer only": frozen(mlp(), *[f"layers.{i}.{p}" for i in range(3) for p in ("weight", "bias")]),
    "mlp first layer only": frozen(mlp(), *[f"layers.{i}.{p}" for i in (1, 2, 3) for p in ("weight", "bias")]),
}
GENERAL = {
    "subclass of TwoLayer": GeneralTwoLayer(3, 5, b_std=1.0).double(),
    "subclass of MLP": GeneralMLP([3, 5, 2]).double(),
    "antisymmetric": antisymmetric(mlp()),
    "ensemble": Ensemble([3, 4, 1], 2).double(),
    "scalar": Scalar().double(),
    "activation with a parameter": mlp((3, 5, 4, 1), activation=Swish()).double(),
    "two-layer, activation with a parameter": two_layer(activation=Swish()).double(),
    "general, partly frozen": frozen(Scalar().double(), "first.weight"),
}


@pytest.mark.parametrize("model", [*STRUCTURED.values(), *GENERAL.values()], ids=[*STRUCTURED, *GENERAL])
def test_empirical_ntk_equals_the_naive_jacobian(model):
    rng = np.random.default_rng(0)
    x1, x2 = rng.standard_normal((5, 3)), rng.standard_normal((4, 3))
    wanted = naive_ntk(model, x1, x2)
    np.testing.assert_allclose(empirical_ntk(model, x1, x2), wanted, rtol=1e-11, atol=1e-12 * np.abs(wanted).max())
    kernel = as_matrix(empirical_ntk(model, x1))
    wanted = as_matrix(naive_ntk(model, x1, x1))
    np.testing.assert_allclose(kernel, wanted, rtol=1e-11, atol=1e-12 * np.abs(wanted).max())
    assert (kernel == kernel.T).all()  # one half is a copy of the other
    eigenvalues = np.linalg.eigvalsh(kernel)
    assert eigenvalues[0] >= -1e-13 * eigenvalues[-1]
    rows = jacobian(model, x1)
    np.testing.assert_allclose(rows @ rows.T, wanted, rtol=1e-11, atol=1e-12 * np.abs(wanted).max())


def test_a_subclass_with_a_function_of_its_own_has_its_own_kernel():
    class Doubled(TwoLayer):
        def forward(self, x):
            return 2 * super().forward(x)

    model, x = Doubled(2, 5, activation="tanh"), np.linspace(-1, 1, 8).reshape(4, 2)
    plain = TwoLayer(2, 5, activation="tanh")
    plain.load_state_dict(model.state_dict())
    np.testing.assert_allclose(empirical_ntk(model, x), 4 * empirical_ntk(plain, x), rtol=1e-12)


def test_layers_used_twice_are_not_counted_as_two():
    model, x = tied(), np.random.default_rng(0).standard_normal((4, 4))
    wanted = naive_ntk(model, x, x)
    np.testing.assert_allclose(empirical_ntk(model, x), wanted, rtol=1e-11, atol=1e-12 * wanted.max())


@pytest.mark.parametrize("net", [ConvNet(2, channels=1), SmallVGG(3, channels=1)], ids=["ConvNet", "SmallVGG"])
def test_empirical_ntk_of_convolutional_networks(net):
    torch.manual_seed(4)
    x = torch.randn(3, 3, 32, 32)
    wanted = naive_ntk(net.double(), x, x)
    np.testing.assert_allclose(empirical_ntk(net, x, block=2), wanted, rtol=1e-10, atol=1e-11 * np.abs(wanted).max())


@pytest.mark.parametrize(
    ("structured", "general"),
    [
        (TwoLayer(4, 300, outputs=2, bias="shift", b_std=1.0), GeneralTwoLayer(4, 300, outputs=2, bias="shift")),
        (TwoLayer(4, 300), GeneralTwoLayer(4, 300)),
        (MLP([4, 32, 32, 1]), GeneralMLP([4, 32, 32, 1])),
    ],
    ids=["shift", "additive", "mlp"],
)
def test_both_paths_agree_in_float32(structured, general):
    general.load_state_dict(structured.state_dict())
    x = np.random.default_rng(5).standard_normal((40, 4))
    a, b = (empirical_ntk(model, x, dtype=torch.float32) for model in (structured, general))
    assert np.abs(a - b).max() <= 1e-6 * np.abs(a).max()
    exact = empirical_ntk(structured, x)
    assert 1e-12 * np.abs(exact).max() < np.abs(a - exact).max() <= 1e-6 * np.abs(exact).max()


@pytest.mark.parametrize(("n1", "n2", "block"), [(1, 1, 1), (7, 4, 1), (7, 4, 3), (6, 9, 3), (2, 9, 10)])
def test_blocks_do_not_change_the_kernel(n1, n2, block):
    rng = np.random.default_rng(1)
    x1, x2 = rng.standard_normal((n1, 3)), rng.standard_normal((n2, 3))
    for model in (STRUCTURED["mlp sine, 3 outputs"], GENERAL["ensemble"], STRUCTURED["two-layer additive 1 relu"]):
        whole = empirical_ntk(model, x1, x2, block=10)
        np.testing.assert_allclose(empirical_ntk(model, x1, x2, block=block), whole, rtol=1e-12, atol=1e-12)
        kernel = as_matrix(empirical_ntk(model, x1, block=block))
        assert (kernel == kernel.T).all()
        np.testing.assert_allclose(kernel, as_matrix(empirical_ntk(model, x1, x1)), rtol=1e-12, atol=1e-12)


def test_more_samples_than_a_block():
    x = np.random.default_rng(6).standard_normal((600, 3))
    wanted = derivatives(STRUCTURED["mlp tanh"], x)[:, 0]
    np.testing.assert_allclose(empirical_ntk(STRUCTURED["mlp tanh"], x), wanted @ wanted.T, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["two-layer shift 3 tanh", "mlp sine, 3 outputs", "two-layer shift without b+a"])
def test_kernel_times_vector_is_a_directional_derivative(name):
    """K v = d/de h(theta + e J^T v), by central differences: no Jacobian on either side but through autograd once."""
    model, rng = STRUCTURED[name], np.random.default_rng(7)
    x = torch.as_tensor(rng.standard_normal((4, 3)))
    v = torch.as_tensor(rng.standard_normal(tuple(model(x).shape)))
    parameters = [p for p in model.parameters() if p.requires_grad]
    direction = torch.autograd.grad((model(x) * v).sum(), parameters)
    start, step, moved = [p.detach().clone() for p in parameters], 1e-6, []
    for sign in (1, -1):
        with torch.no_grad():
            for p, p0, g in zip(parameters, start, direction, strict=True):
                p.copy_(p0 + sign * step * g)
            moved.append(model(x).numpy())
    with torch.no_grad():
        for p, p0 in zip(parameters, start, strict=True):
            p.copy_(p0)
    derivative = (moved[0] - moved[1]) / (2 * step)
    kernel = empirical_ntk(model, x).reshape(4, 4, v.shape[1], v.shape[1])
    np.testing.assert_allclose(np.einsum("ijcd,jd->ic", kernel, v.numpy()), derivative, rtol=1e-6, atol=1e-6)


def test_antisymmetric_network_has_the_kernel_of_its_model():
    model, x = mlp((3, 6, 2)), np.random.default_rng(8).standard_normal((5, 3))
    np.testing.assert_allclose(empirical_ntk(antisymmetric(model), x), empirical_ntk(model, x), rtol=1e-12, atol=1e-13)


def test_a_zero_weight_has_the_gradient_torch_gives_it():
    model = two_layer(bias="shift")
    with torch.no_grad():
        model.w[2] = 0.0
    x = np.random.default_rng(9).standard_normal((4, 3))
    np.testing.assert_allclose(empirical_ntk(model, x), naive_ntk(model, x, x), rtol=1e-12, atol=1e-13)


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Tanh(), nn.Linear(8, 1))
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x = np.random.default_rng(10).standard_normal((6, 3))
    kernel = empirical_ntk(model, x)
    np.testing.assert_allclose(kernel, empirical_ntk(model, x), rtol=1e-13)  # without dropout
    assert [module.training for module in model] == [True, False, True, True, True] and model.training
    for name, value in model.state_dict().items():
        assert value.dtype == before[name].dtype
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    assert all(p.grad is None for p in model.parameters())
    wanted = naive_ntk(model.eval().double(), x, x)
    np.testing.assert_allclose(kernel, wanted, rtol=1e-11, atol=1e-12)


def test_vectors_count_as_points_on_a_line():
    model = TwoLayer(1, 5).double()
    x = np.linspace(-1, 1, 4)
    np.testing.assert_allclose(empirical_ntk(model, x), empirical_ntk(model, torch.as_tensor(x)[:, None]), rtol=1e-13)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: empirical_ntk("model", [1.0]), "torch module"),
        (lambda: empirical_ntk(mlp(), np.ones((2, 3)), dtype=torch.int64), "dtype must be one of"),
        (lambda: empirical_ntk(mlp(), np.ones((2, 3)), block=0), "block"),
        (lambda: empirical_ntk(mlp(), np.ones((2, 4))), "does not take inputs of shape"),
        (lambda: empirical_ntk(mlp(), np.ones((2, 3)), np.ones((2, 2))), "one shape"),
        (lambda: empirical_ntk(mlp(), [[np.nan] * 3]), "x1 must be finite"),
        (lambda: empirical_ntk(mlp(), np.ones((2, 3)), [[np.inf] * 3]), "x2 must be finite"),
        (lambda: empirical_ntk(mlp(), np.ones((0, 3))), "empty"),
        (lambda: empirical_ntk(mlp().requires_grad_(False), np.ones((2, 3))), "parameters to train"),
        (lambda: empirical_ntk(nn.Sequential(nn.Conv2d(1, 1, 1)), np.ones((2, 1, 3, 3))), "must return"),
        (lambda: two_layer_ntk([[1.0, 1.0]], bias=False, trained="first"), "unit sphere"),
        (lambda: two_layer_ntk([[1.0 + 2e-6, 0.0]], bias=False, trained="first"), "unit sphere"),
        (lambda: two_layer_ntk([[1.0, 0.0]], [[0.0, 0.0]], bias=False, trained="first"), "x2 must lie"),
        (lambda: two_layer_ntk([[1.0, 0.0]], [[1.0, 0.0, 0.0]], bias=False, trained="first"), "same dimension"),
        (lambda: two_layer_ntk([[1.0, np.nan]], bias=False, trained="first"), "finite"),
        (lambda: two_layer_ntk([[1.0, 0.0]], bias=False, trained="last"), "trained must be one of"),
        (lambda: basri_kernel(1.1, bias=True), "cosine"),
        (lambda: cao_kernel(-1.1), "cosine"),
        (lambda: sphere_eigenvalues(H, 0, [1]), "dim"),
        (lambda: sphere_eigenvalues(H, 2, [-1]), "degrees"),
        (lambda: sphere_eigenvalues(H, 2, []), "degrees"),
        (lambda: sphere_eigenvalues(lambda t: 1.0, 2, [1]), "same shape"),
        (lambda: sphere_eigenvalues(lambda t: np.where(t > 0, t, np.nan), 2, [1]), "finite"),
        (lambda: sphere_eigenvalues(H, 2, [1, 0.5]), "degrees must be a whole number"),
        (lambda: circle_eigenvalues([-1], bias=True), "frequencies"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "shape", "way_out"),
    [
        (lambda: empirical_ntk(MLP([1, 4, 10]), np.zeros(5000)), (5000, 5000, 10, 10), "x1[:100], x2)"),
        (lambda: jacobian(MLP([1, 400, 400, 1]), np.zeros(20_000)), (20_000, 161_601), "fewer points at a time"),
        (
            lambda: two_layer_ntk(np.tile([1.0, 0.0], (50_000, 1)), bias=True, trained="both"),
            (50_000, 50_000),
            "x1[:100], x2)",
        ),
    ],
)
def test_what_does_not_fit_into_memory_is_refused_before_it_is_computed(monkeypatch, call, shape, way_out):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=int(8e9)))
    size = f"of shape {shape} takes {8 * math.prod(shape) / 1e9:.3g} GB, and 8 GB are free"
    with pytest.raises(MemoryError, match=re.escape(size) + ".*" + re.escape(way_out)):
        call()


class Tokens(nn.Module):
    """A small transformer over tokens, as others write them: embedding, attention, mean."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(5, 4)
        self.block = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.block(self.table(x)).mean(1))


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # of attention under vmap
def test_tokens_stay_whole():
    torch.manual_seed(3)
    model, tokens = Tokens().eval(), np.array([[0, 1, 4], [2, 2, 3]])
    parameters = list(model.double().parameters())
    outputs = model(torch.tensor(tokens)).flatten()
    rows = [torch.cat([g.flatten() for g in torch.autograd.grad(y, parameters, retain_graph=True)]) for y in outputs]
    np.testing.assert_allclose(jacobian(model, tokens), torch.stack(rows), rtol=1e-9, atol=1e-12)
    kernel = as_matrix(empirical_ntk(model.float(), tokens))
    expected = torch.stack(rows) @ torch.stack(rows).T
    np.testing.assert_allclose(kernel, expected, rtol=1e-6, atol=1e-9)
    with pytest.raises(ValueError, match="the model does not take inputs of shape"):
        empirical_ntk(model, np.array([[0, 5]]))  # a token that it does not know
    whole = mlp()
    np.testing.assert_array_equal(empirical_ntk(whole, [[1, 2, 3]]), empirical_ntk(whole, [[1.0, 2.0, 3.0]]))


# Infinite width


def network(width, bias, trained, seed):
    """The networks whose limits ``two_layer_ntk`` states."""
    torch.manual_seed(seed)
    model = TwoLayer(
        3,
        width,
        bias="additive" if bias else None,
        scale=(2 * width) ** -0.5 if bias else width**-0.5,
        w_std=2**0.5 if trained == "both" else 0.3,
        signs=trained == "first",
    )
    return frozen(model, "a") if trained == "first" else model


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("trained", ["first", "both"])
def test_two_layer_ntk_is_the_limit_of_the_empirical_kernel(bias, trained):
    x = unit(np.random.default_rng(0), 6, 3)
    x[1] = -x[0]
    limit = two_layer_ntk(x, bias=bias, trained=trained)
    errors = {
        width: np.mean(
            [np.abs(empirical_ntk(network(width, bias, trained, seed), x) - limit).max() for seed in range(8)]
        )
        for width in (1000, 100_000)
    }
    assert errors[100_000] < 0.015  # measured 0.001 (first) and 0.008 (both); the entries reach 0.5 and 1.5
    assert 5 < errors[1000] / errors[100_000] < 20  # m^(-1/2): ten


def test_first_layer_kernel_does_not_depend_on_the_law_of_the_output_signs():
    x = unit(np.random.default_rng(1), 4, 3)
    torch.manual_seed(0)
    normal = frozen(TwoLayer(3, 200_000, bias=None, scale=200_000**-0.5, a_std=1.0), "a")
    np.testing.assert_allclose(empirical_ntk(normal, x), two_layer_ntk(x, bias=False, trained="first"), atol=0.01)


@pytest.mark.parametrize(
    ("bias", "trained", "diagonal", "antipode"),
    [(False, "first", 0.5, 0.0), (True, "first", 0.5, 0.0), (False, "both", 1.5, 0.0), (True, "both", 1.0, 0.0)],
)
def test_two_layer_ntk_is_right_to_rounding_on_the_diagonal_and_at_the_antipodes(bias, trained, diagonal, antipode):
    x = unit(np.random.default_rng(2), 40, 17)
    kernel = two_layer_ntk(x, bias=bias, trained=trained)
    assert (kernel == kernel.T).all()
    for other, wanted in ((None, diagonal), (x.copy(), diagonal), (-x, antipode)):
        found = np.diag(two_layer_ntk(x, other, bias=bias, trained=trained))
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-15)


@pytest.mark.parametrize("rows", [300, 530])
def test_empirical_ntk_of_more_points_than_a_block_holds(rows):
    """Three blocks and two, the last ones narrower, and each way round."""
    torch.manual_seed(0)
    model, x = TwoLayer(2, 3).double(), np.random.default_rng(4).normal(size=(530, 2))
    gradients = derivatives(model, x)[:, 0]
    wanted = gradients @ gradients.T
    for columns in (300, 530):
        found = empirical_ntk(model, x[:rows], x[:columns])
        np.testing.assert_allclose(found, wanted[:rows, :columns], rtol=0, atol=1e-12 * wanted.max())
    np.testing.assert_allclose(empirical_ntk(model, x), wanted, rtol=0, atol=1e-12 * wanted.max())


@pytest.mark.parametrize(("bias", "trained"), [(False, "first"), (True, "both")])
def test_two_layer_ntk_of_more_points_than_a_block_holds(bias, trained):
    x = unit(np.random.default_rng(3), 530, 3)  # three blocks of rows and of columns, the last one narrower
    of_cosine = partial({"first": basri_kernel, "both": cao_kernel}[trained], bias=bias)
    wanted = of_cosine(np.clip(x @ x.T, -1, 1))
    np.testing.assert_allclose(two_layer_ntk(x, bias=bias, trained=trained), wanted, rtol=0, atol=1e-7)
    np.testing.assert_allclose(
        two_layer_ntk(x, x[:300], bias=bias, trained=trained), wanted[:, :300], rtol=0, atol=1e-7
    )


def exact(theta, bias, trained):
    """The kernel at an angle, with 40 digits; the closed forms written out one by one."""
    with mpmath.workdps(40):
        t, s, rest = mpmath.cos(theta), mpmath.sin(theta), mpmath.pi - mpmath.mpf(theta)
        kernel = {
            (False, "first"): t * rest / (2 * mpmath.pi),
            (True, "first"): (t + 1) * rest / (4 * mpmath.pi),
            (False, "both"): (3 * t * rest + 2 * s) / (2 * mpmath.pi),
            (True, "both"): ((3 * t + 1) * rest + 2 * s) / (4 * mpmath.pi),
        }[bias, trained]
    return kernel


@given(st.floats(-12, 0.49), st.booleans(), st.booleans(), st.sampled_from(["first", "both"]))
def test_two_layer_ntk_near_the_diagonal_and_the_antipode(exponent, opposite, bias, trained):
    """arccos(x.x') errs by 1e-9 here and more; coordinates along the axes keep the angle itself exact."""
    angle = 10**exponent
    x1, x2 = [[1.0, 0.0]], [[math.cos(angle) * (1 - 2 * opposite), math.sin(angle)]]
    theta = mpmath.pi - angle if opposite else angle
    with mpmath.workdps(40):
        wanted = exact(mpmath.pi - mpmath.mpf(angle) if opposite else theta, bias, trained)
    assert abs(two_layer_ntk(x1, x2, bias=bias, trained=trained)[0, 0] - wanted) < 5e-16


@given(st.floats(-1, 1), st.booleans())
def test_kernels_of_the_cosine_against_mpmath(t, bias):
    with mpmath.workdps(40):
        theta = mpmath.acos(mpmath.mpf(t))
        first, both = float(exact(theta, bias, "first")), float(exact(theta, bias, "both"))
    found = [basri_kernel(t, bias=bias), cao_kernel(t, bias=bias)]
    np.testing.assert_allclose(found, [first, both], rtol=0, atol=1e-15)


@pytest.mark.parametrize("t", [-1.0, -0.8, -0.1, 0.0, 0.3, 0.99, 1.0])
def test_kernels_of_the_cosine_are_gaussian_expectations(t):
    """In the plane of x and x', w = r (cos p, sin p) with E r^2 = 2: integrate over p where both neurons are active."""
    theta = math.acos(t)
    low, high = theta - math.pi / 2, math.pi / 2
    both_active = (high - low) / (2 * math.pi)
    product = integrate.quad(lambda p: 2 * math.cos(p) * math.cos(p - theta), low, high, epsabs=1e-13)[0] / (
        2 * math.pi
    )
    expected = [t * both_active, t * both_active + 2 * product]
    np.testing.assert_allclose([H(t), cao_kernel(t)], expected, atol=1e-13)


@pytest.mark.parametrize("kernel", [H, H_BAR, cao_kernel, partial(cao_kernel, bias=True)])
def test_cosines_that_rounding_carried_past_one(kernel):
    past = np.nextafter(1.0, 2.0)
    np.testing.assert_allclose(kernel([past, -past, 1 + 9e-7]), kernel([1.0, -1.0, 1.0]), rtol=0, atol=1e-15)
    assert kernel(np.zeros((2, 3))).shape == (2, 3) and kernel(0.5).shape == ()


@given(
    st.integers(2, 12), st.integers(1, 6), st.booleans(), st.sampled_from(["first", "both"]), st.integers(0, 2**32 - 1)
)
def test_two_layer_ntk_is_positive_and_sees_only_angles(n, d, bias, trained, seed):
    rng = np.random.default_rng(seed)
    x = unit(rng, n, d + 1)
    kernel = two_layer_ntk(x, bias=bias, trained=trained)
    eigenvalues = np.linalg.eigvalsh(kernel)
    assert eigenvalues[0] > -1e-14 * eigenvalues[-1]
    rotation, _ = np.linalg.qr(rng.standard_normal((d + 1, d + 1)))
    np.testing.assert_allclose(two_layer_ntk(x @ rotation, bias=bias, trained=trained), kernel, atol=1e-7)
    of_cosine = partial(basri_kernel if trained == "first" else cao_kernel, bias=bias)
    np.testing.assert_allclose(two_layer_ntk(x, -x[:2], bias=bias, trained=trained), of_cosine(-x @ x[:2].T), atol=1e-7)


def test_points_normalised_in_float32_count_as_on_the_sphere():
    x = torch.nn.functional.normalize(torch.randn(30, 9, generator=torch.Generator().manual_seed(0)), dim=1)
    kernel = two_layer_ntk(x, bias=True, trained="both")
    np.testing.assert_allclose(np.diag(kernel), 1.0, rtol=0, atol=1e-15)
    kernel = two_layer_ntk(x, x.numpy().astype(float) * (1 + 9e-7 / 2), bias=True, trained="both")
    np.testing.assert_allclose(np.diag(kernel), 1.0, rtol=0, atol=1e-15)  # only directions count


# Spectra


def oracle(dim, top):
    """Eigenvalues of H, H-bar and Cao's kernel, degrees 0..top, with 30 digits: the textbook recurrence in t and
    tanh-sinh quadrature over the whole of [0, pi]."""
    with mpmath.workdps(30):
        s = np.array([mpmath.mpf(i) / 65 for i in range(-247, 248)])
        q = np.array([mpmath.exp(-mpmath.pi * mpmath.sinh(abs(v))) for v in s])
        end = mpmath.pi * q / (1 + q)
        sin = np.array([mpmath.sin(v) for v in end])
        weight = np.array([mpmath.cosh(v) for v in s]) * q / (1 + q) ** 2 * sin ** (dim - 1)
        weight = weight / weight.sum()
        t = np.array([mpmath.cos(v) for v in end]) * np.sign(-s.astype(float) + 1e-9).astype(int)
        rest = np.where(s <= 0, mpmath.pi - end, end)
        closed = np.array([t * rest / 2, (t + 1) * rest / 4, (3 * t * rest + 2 * sin) / 2]) / mpmath.pi * weight
        before, polynomial = np.ones_like(t), t
        rows = [closed @ before, closed @ polynomial]
        for k in range(1, top):
            before, polynomial = polynomial, ((2 * k + dim - 1) * t * polynomial - k * before) / (k + dim - 1)
            rows.append(closed @ polynomial)
        return np.array(rows).T.astype(float)


@pytest.mark.slow
@pytest.mark.parametrize("dim", [1, 2, 5, 50])
def test_sphere_eigenvalues_against_high_precision(dim):
    for kernel, wanted in zip((H, H_BAR, cao_kernel), oracle(dim, 100), strict=True):
        found = sphere_eigenvalues(kernel, dim, range(101))
        above = wanted > 1e-11
        np.testing.assert_allclose(found[above], wanted[above], rtol=1e-8)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-15)
        if kernel is not H_BAR:
            assert not found[3::2].any()  # odd degrees >= 3 vanish without bias
        assert (found[above] > 0).all() and (found >= 0).all()


@pytest.mark.parametrize(
    ("dim", "printed"),
    [
        (2, [1.5625e-1, 7.2917e-2, 1.3672e-2, 1.9531e-3, 1.1393e-3]),
        (3, [1.4752e-1, 5.3766e-2, 8.1057e-3, 9.0063e-4, 4.5951e-4]),
    ],
)
def test_eigenvalues_of_h_bar_on_the_2_and_3_sphere(dim, printed):
    np.testing.assert_allclose(sphere_eigenvalues(H_BAR, dim, range(5)), printed, rtol=4e-5)


@pytest.mark.parametrize(("dim", "slope"), [(2, -2.98), (3, -3.94), (4, -4.88)])
def test_even_eigenvalues_of_the_full_kernel_decay_like_the_power_minus_d_minus_1(dim, slope):
    at_40, at_80 = sphere_eigenvalues(cao_kernel, dim, [40, 80])
    assert abs(math.log2(at_80 / at_40) - slope) < 0.005


def test_eigenvalues_in_high_dimension_are_taylor_coefficients():
    """mu_k d^k -> kappa^(k)(0) for d >> k."""
    degrees = np.array([2, 4, 6])
    derivatives = np.array([2, 3, 36]) / math.pi  # of (3 t (pi/2 + arcsin t) + 2 sqrt(1 - t^2)) / 2 pi
    ratio = sphere_eigenvalues(cao_kernel, 800, degrees) * 800.0**degrees / derivatives
    np.testing.assert_allclose(ratio, [0.996, 0.988, 0.975], atol=6e-4)


@given(st.integers(1, 60), st.integers(0, 30), st.floats(0.1, 5))
def test_exponential_kernel_has_bessel_eigenvalues(dim, degree, gamma):
    index = (dim - 1) / 2
    wanted = special.gamma(index + 1) * (2 / gamma) ** index * special.iv(degree + index, gamma)
    found = sphere_eigenvalues(lambda t: np.exp(gamma * t), dim, degree)
    assert found.shape == (1,)
    np.testing.assert_allclose(found[0], wanted, rtol=1e-7, atol=3e-15 * math.exp(gamma))


@given(st.integers(1, 2000))
def test_polynomial_kernels_have_finitely_many_eigenvalues(dim):
    degrees = range(12)
    np.testing.assert_allclose(sphere_eigenvalues(np.ones_like, dim, degrees), [1] + [0] * 11, atol=0, rtol=1e-13)
    np.testing.assert_allclose(
        sphere_eigenvalues(lambda t: t, dim, degrees), [0, 1 / (dim + 1)] + [0] * 10, atol=0, rtol=1e-12
    )
    squared = [1 / (dim + 1), 0, 2 / ((dim + 1) * (dim + 3))] + [0] * 9
    np.testing.assert_allclose(sphere_eigenvalues(lambda t: t**2, dim, degrees), squared, atol=0, rtol=1e-11)


@pytest.mark.parametrize("dim", [2, 3, 6])
def test_eigenvalues_sum_up_to_the_kernel(dim):
    """kernel(t) = sum_k lambda_k N(dim, k) C_k(t) / C_k(1), with N the number of harmonics (Mercer)."""
    t, degrees, index = np.linspace(-1, 1, 7), np.arange(40), (dim - 1) / 2
    count = (2 * degrees + dim - 1) / (dim - 1) * special.comb(degrees + dim - 2, degrees)
    harmonics = np.stack(
        [special.eval_gegenbauer(k, index, t) / special.eval_gegenbauer(k, index, 1.0) for k in degrees]
    )
    values = sphere_eigenvalues(lambda t: 1 / (1.5 - t), dim, degrees)
    np.testing.assert_allclose((values * count) @ harmonics, 1 / (1.5 - t), rtol=1e-6)


def test_degrees_keep_their_order():
    every = sphere_eigenvalues(H_BAR, 2, range(8))
    np.testing.assert_allclose(sphere_eigenvalues(H_BAR, 2, [7, 0, 7, 3]), every[[7, 0, 7, 3]], rtol=1e-13)


@pytest.mark.parametrize("bias", [False, True])
def test_circle_eigenvalues_are_the_integrals(bias):
    frequencies = range(12)
    wanted = [
        float(2 * mpmath.quad(lambda p: exact(p, bias, "first") * mpmath.cos(k * p), mpmath.linspace(0, mpmath.pi, 8)))  # noqa: B023
        for k in frequencies
    ]
    np.testing.assert_allclose(circle_eigenvalues(frequencies, bias=bias), wanted, rtol=1e-12, atol=1e-15)
    found = sphere_eigenvalues(partial(basri_kernel, bias=bias), 1, range(101))
    np.testing.assert_allclose(2 * np.pi * found, circle_eigenvalues(range(101), bias=bias), rtol=1e-9, atol=0)


def test_circle_eigenvalues_as_printed_and_as_corrected():
    pi = math.pi
    np.testing.assert_allclose(
        circle_eigenvalues([0, 1, 2, 3, 4], bias=False), [2 / pi, pi / 4, 10 / (9 * pi), 0, 34 / (225 * pi)], rtol=1e-15
    )
    np.testing.assert_allclose(
        circle_eigenvalues([0, 1, 2, 3, 4], bias=True),
        [1 / pi + pi / 4, 1 / pi + pi / 8, 5 / (9 * pi), 1 / (9 * pi), 17 / (225 * pi)],
        rtol=1e-15,
    )


@pytest.mark.parametrize("bias", [False, True])
def test_kernel_matrix_on_a_regular_polygon_has_the_aliased_spectrum(bias):
    """n points on the circle make the kernel matrix circulant: its eigenvalues are sums over k + n Z."""
    n = 32
    angles = 2 * np.pi * np.arange(n) / n
    kernel = two_layer_ntk(np.stack([np.cos(angles), np.sin(angles)], 1), bias=bias, trained="first")
    waves = np.exp(1j * np.outer(np.arange(6), angles))
    found = ((waves @ kernel) * waves.conj()).sum(1).real / n
    aliases = np.abs(np.arange(6)[:, None] + n * np.arange(-2000, 2001)).astype(int)
    wanted = n * circle_eigenvalues(aliases.ravel(), bias=bias).reshape(aliases.shape).sum(1) / (2 * np.pi)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-12)


@pytest.mark.parametrize("bias", [False, True])
def test_rates_of_even_points_on_the_circle_tend_to_the_eigenvalues(bias):
    """Each degree k >= 1 twice, for its cosine and sine; the error of the aliases falls like 1 / n."""
    angles = 2 * np.pi * np.arange(600) / 600
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    for kernel, trained in ((basri_kernel, "first"), (cao_kernel, "both")):
        eigenvalues = sphere_eigenvalues(partial(kernel, bias=bias), 1, range(6))
        wanted = np.sort(np.append(eigenvalues[0], np.repeat(eigenvalues[1:], 2)))[::-1]
        found = rates(two_layer_ntk(points, bias=bias, trained=trained))
        for limit in wanted[wanted > 0.01]:
            assert np.abs(found - limit).min() < 1e-4
        np.testing.assert_allclose(found[:4], wanted[:4], atol=1e-4)


def squared_gradient(model, x, packet):
    """packet^T K packet of the tangent kernel K of the model, without K: |d/dtheta sum packet h(x; theta)|^2."""
    (torch.as_tensor(packet) @ model(torch.as_tensor(x)))[0].backward()
    return sum(float((p.grad**2).sum()) for p in model.parameters() if p.requires_grad)


def shifted_network(w, l, a):  # noqa: E741
    model = TwoLayer(w.shape[1], len(w), bias="shift").double()
    with torch.no_grad():
        model.w[:], model.b[:], model.a[0] = (torch.as_tensor(v) for v in (w, l, a))
    return model


@pytest.mark.slow
@pytest.mark.parametrize("frequency", [0.7, 2.0])
def test_lfp_spectrum_and_its_factor_are_those_of_a_wide_network(frequency):
    """The tangent kernel seen by a wave packet phi, against the factor times gamma^2 seen by |phi^|^2."""
    m, reach = 40_000, 8.0
    w, a = np.tile([0.4, -1.1, 1.9, -0.2], m // 4), np.tile([-0.3, -0.5, 1.2, 0.9], m // 4)  # <a^2 w^2> > <a^2><w^2>
    means = {"w2": (w**2).mean(), "a2": (a**2).mean(), "a2w2": (a**2 * w**2).mean()}
    x = np.linspace(-6, 6, 481)
    packet = np.exp(-(x**2) / 2) * np.cos(2 * np.pi * frequency * x) * (x[1] - x[0])
    model = shifted_network(w[:, None], reach * (2 * np.arange(m) + 1 - m) / m, a)
    xi = np.linspace(frequency - 0.6, frequency + 0.6, 401)  # half of phi^ lies here, the other half at -xi
    power = (np.sqrt(2 * np.pi) / 2 * np.exp(-2 * np.pi**2 * (xi - frequency) ** 2)) ** 2
    predicted = 2 * m / (32 * np.pi**4 * reach) * integrate.trapezoid(power * lfp_spectrum(xi, **means), xi)
    found = squared_gradient(model, x[:, None], packet)
    assert abs(found / predicted - 1) < 0.01


@pytest.mark.slow
def test_lfp_spectrum_in_the_plane_with_input_weights_that_do_not_turn():
    """As above for d = 2, the input weights frozen: no turning, and no <a^2>, which their length would add."""
    m, reach, centre = 6000, 8.0, 1.2
    j = np.arange(m) + 0.5
    direction = 2 * np.pi * ((j * (math.sqrt(5) - 1) / 2) % 1)
    w = 1.3 * np.column_stack([np.cos(direction), np.sin(direction)])
    side = np.arange(-4.5, 4.51, 0.1)  # nearer ends, or wider steps, would show: the law has a pole at 0
    x = np.stack(np.meshgrid(side, side, indexing="ij"), axis=2).reshape(-1, 2)
    packet = np.exp(-(x**2).sum(axis=1) / 2) * np.cos(2 * np.pi * centre * x[:, 0]) * 0.1**2
    found = 0.0
    for part in np.array_split(np.arange(m), 6):
        model = shifted_network(w[part], reach * (2 * j[part] / m - 1), np.full(len(part), 0.8))
        model.w.requires_grad_(False)
        found += squared_gradient(model, x, packet)
    xi = np.arange(-0.8, 0.81, 0.02)
    plane = np.stack(np.meshgrid(centre + xi, xi, indexing="ij"), axis=2)
    length = np.linalg.norm(plane, axis=2)
    power = (np.pi * np.exp(-2 * np.pi**2 * ((plane[..., 0] - centre) ** 2 + plane[..., 1] ** 2))) ** 2
    law = lfp_spectrum(length, w2=1.3**2, a2=0.0, a2w2=0.8**2 * 1.3**2, dim=2)
    predicted = 2 * m / (32 * np.pi**4 * reach) * 2 / (2 * np.pi) * (power * law).sum() * 0.02**2
    assert abs(found / predicted - 1) < 0.02


def test_lfp_spectrum_by_hand():
    found = lfp_spectrum([[0.5, -2.0]], w2=3.0, a2=5.0, a2w2=7.0, dim=2)
    wanted = [[8 * 2.0**5 + 28 * np.pi**2 * 2.0**3, 8 / 2.0**5 + 28 * np.pi**2 / 2.0**3]]
    np.testing.assert_allclose(found, wanted, rtol=1e-14)
    np.testing.assert_allclose(lfp_spectrum(2.0, w2=3.0, a2=5.0, a2w2=7.0), 8 / 16 + 28 * np.pi**2 / 4, rtol=1e-14)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"xi": [1.0, 0.0]}, "xi must be non-zero"),
        ({"xi": [np.inf]}, "xi must be finite"),
        ({"w2": -1.0}, "w2 must be"),
        ({"a2": np.nan}, "a2 must be"),
        ({"dim": 0}, "dim must be"),
    ],
)
def test_bad_input_to_the_lfp_spectrum_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        lfp_spectrum(**{"xi": [1.0], "w2": 1.0, "a2": 1.0, "a2w2": 1.0, **changes})


def test_gradients_of_many_samples_are_taken_in_blocks(monkeypatch):
    """What they are made from takes more memory than they do, so that must not grow with the number of samples."""
    model, x = TwoLayer(2, 5), torch.randn(10, 2)
    whole, gradients, sizes = empirical_ntk(model, x), kernels._gradients, []

    def counted(model):
        return lambda x: sizes.append(len(x)) or gradients(model)(x)

    monkeypatch.setattr(kernels, "BLOCK_SAMPLES", 4)
    monkeypatch.setattr(kernels, "_gradients", counted)
    np.testing.assert_allclose(empirical_ntk(model, x), whole, rtol=1e-13)
    assert max(sizes) == 4
