"""Hessians against finite differences, Lanczos against the whole matrix, splitting as an embedding, merging it back."""

import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_parameters import randomize
from torch import nn

from fpcourse.flow import gradient_flow
from fpcourse.landscape import (
    gradient,
    gradient_norm,
    hessian,
    hessian_spectrum,
    inertia,
    loss_at,
    merge_neurons,
    minimize,
    polish,
    split_curvature,
    split_neuron,
)
from fpcourse.models import MLP, TwoLayer, antisymmetric, with_parameters

KINDS = ["additive", "shift", None, "deep"]
X = np.linspace(-2, 2, 20)


def network(kind, activation="tanh", *, seed=0, m=3, inputs=2, outputs=2) -> nn.Module:
    if kind == "deep":
        return randomize(MLP([inputs, m, 4, outputs], activation=activation), seed)
    return randomize(TwoLayer(inputs, m, outputs, bias=kind, activation=activation, scale=0.5), seed)


def data(seed=0, n=9, inputs=2, outputs=2):
    generator = np.random.default_rng(seed)
    return generator.standard_normal((n, inputs)), generator.standard_normal((n, outputs))


def flat(model) -> np.ndarray:
    return nn.utils.parameters_to_vector(model.parameters()).detach().numpy()


def loss_by_hand(model, x, y):
    """theta -> half the mean over samples of |f - y|^2, with numpy outside the network."""

    def value(theta):
        nn.utils.vector_to_parameters(torch.as_tensor(theta), model.parameters())
        with torch.no_grad():
            return ((model(torch.as_tensor(x)).numpy() - y) ** 2).sum() / (2 * len(x))

    return value


def differences(value, theta, directions, step):
    """Central second differences of ``value`` in all pairs of ``directions`` (K, P)."""
    corners = [(s, t) for s in (1, -1) for t in (1, -1)]
    return np.array([
        [sum(s * t * value(theta + step * (s * u + t * v)) for s, t in corners) / (4 * step**2) for u in directions]
        for v in directions
    ])  # fmt: skip


def well(width=2, seed=0):
    """A target that ``width`` tanh neurons almost fit, and a network at their place: a minimum is near."""
    generator = np.random.default_rng(seed)
    model = TwoLayer(1, 2, activation="tanh").double()
    with torch.no_grad():
        model.w[:], model.b[:] = torch.tensor([[1.5], [2.0]]), torch.tensor([1.5, -1.4])
        model.a[:] = torch.tensor([[1.0, -0.8]])
    y = model(torch.as_tensor(X[:, None])).detach().numpy()[:, 0] + 0.15 * generator.standard_normal(len(X))
    return model, y


@pytest.mark.parametrize("kind", KINDS)
def test_hessian_and_gradient_against_finite_differences(kind):
    model, (x, y) = network(kind), data()
    theta = flat(model).copy()
    by_autograd, slope, norm = hessian(model, x, y), gradient(model, x, y), gradient_norm(model, x, y)
    np.testing.assert_array_equal(flat(model), theta)  # the model is left alone
    value = loss_by_hand(model, x, y)
    some = np.random.default_rng(0).standard_normal((8, len(theta)))
    second, projected = differences(value, theta, some, 1e-4), some @ by_autograd @ some.T
    np.testing.assert_allclose(projected, second, atol=1e-5 * np.abs(projected).max())
    slopes = [(value(theta + u) - value(theta - u)) / 2e-6 for u in 1e-6 * np.eye(len(theta))]
    np.testing.assert_allclose(slope, slopes, atol=1e-7 * norm)
    assert norm == pytest.approx(np.linalg.norm(slopes), rel=1e-7)


def test_single_precision_models_are_read_in_double():
    x, y = data()
    model = network(None).float()
    np.testing.assert_allclose(hessian_spectrum(model, x, y), hessian_spectrum(model.double(), x, y), atol=1e-12)


def test_spectrum_is_ascending_and_its_ends_are_those_of_lanczos():
    model, (x, y) = network("deep", m=8), data()
    every = hessian_spectrum(model, x, y)
    np.testing.assert_allclose(every, np.sort(np.linalg.eigvals(hessian(model, x, y)).real), atol=1e-12)
    ends = hessian_spectrum(model, x, y, extreme=3)
    np.testing.assert_allclose(ends, np.concatenate([every[:3], every[-3:]]), atol=1e-9)


def test_lanczos_among_many_zeros():
    """An embedded network has hundreds of zero eigenvalues, on which a relative tolerance never converges."""
    narrow = randomize(TwoLayer(2, 2, bias=None, activation="tanh"))
    x = data()[0]
    y = narrow(torch.as_tensor(x)).detach()
    wide = narrow
    for i in range(40):
        wide = split_neuron(wide, i, 0.3 + 0.01 * i)
    every, ends = hessian_spectrum(wide, x, y), hessian_spectrum(wide, x, y, extreme=8)
    np.testing.assert_allclose(ends, np.concatenate([every[:8], every[-8:]]), atol=1e-12 * every[-1])
    assert inertia(ends) == (0, 10, 6)
    flat_place = TwoLayer(2, 3, bias=None, w_std=0, a_std=0)  # relu, all weights zero
    np.testing.assert_array_equal(hessian_spectrum(flat_place, x, y[:, :1], extreme=2), np.zeros(4))


def test_spectrum_of_linear_regression():
    model = randomize(MLP([2, 3], activation="linear"))
    x, y = data(outputs=3)
    block = np.c_[np.ones(9), x].T @ np.c_[np.ones(9), x] / 9  # linear regression, three times
    expected = np.sort(np.tile(np.linalg.eigvalsh(block), 3))
    np.testing.assert_allclose(hessian_spectrum(model, x, y), expected, rtol=1e-10)


def test_inertia_counts():
    assert inertia([-2.0, -1e-13, 0.0, 1e-3, 1.0]) == (1, 2, 2)
    assert inertia([-2.0, -1e-13, 0.0, 1e-3, 1.0], tolerance=1e-14) == (2, 1, 2)
    assert inertia(np.zeros(3)) == (0, 3, 0)
    for unit in (1e-6, 1e6):
        assert inertia(unit * np.array([-2.0, -1e-13, 0.0, 1e-3, 1.0])) == (1, 2, 2)


def test_lanczos_where_some_parameters_do_nothing_and_up_to_half_of_them():
    model, (x, y) = network(None, "relu", m=3, outputs=1), data(outputs=1)
    with torch.no_grad():
        model.w[2] = 0  # for relu the rows of such a neuron in the Hessian are zero
    every = hessian_spectrum(model, x, y)
    np.testing.assert_allclose(
        hessian_spectrum(model, x, y, extreme=4), np.r_[every[:4], every[-4:]], atol=1e-10 * every[-1]
    )
    for too_many in (5, 6):
        with pytest.raises(ValueError, match="extreme must be less than half of the 9 parameters"):
            hessian_spectrum(model, x, y, extreme=too_many)
    even = network(None, m=2, inputs=1, outputs=1)
    with pytest.raises(ValueError, match="extreme must be less than half of the 4 parameters"):
        hessian_spectrum(even, x[:, :1], y, extreme=2)


def test_a_quadratic_loss_is_polished_in_one_step_the_shortest():
    """Linear regression with fewer samples than weights: numpy's least-squares solution nearest to the start."""
    model, (x, y) = randomize(MLP([4, 1], activation="linear")), data(n=3, inputs=4, outputs=1)
    start, inputs = flat(model).copy(), np.c_[x, np.ones(3)]
    step = np.linalg.lstsq(inputs, y[:, 0] - inputs @ start, rcond=None)[0]
    np.testing.assert_allclose(flat(polish(model, x, y, steps=1)), start + step, atol=1e-12)


def test_minimize_reaches_a_minimum_and_polish_a_saddle():
    model, y = well()
    model.w.data += 0.2
    least = minimize(model, X, y)
    assert gradient_norm(least, X, y) <= 1e-12
    assert inertia(hessian_spectrum(least, X, y)) == (0, 0, 6)
    value = loss_by_hand(least, X[:, None], y[:, None])
    theta = flat(least).copy()
    assert value(theta) < loss_by_hand(model, X[:, None], y[:, None])(flat(model).copy())
    saddle = split_neuron(least, 0, -0.5)
    for alpha in (0.5, -0.5):
        split = split_neuron(least, 0, alpha)
        if inertia(hessian_spectrum(split, X, y)).negative:
            saddle = split
    assert inertia(hessian_spectrum(saddle, X, y)).negative > 0
    moved = randomize(split_neuron(saddle, 0, 0), 1)
    nn.utils.vector_to_parameters(torch.as_tensor(flat(saddle) + 1e-4), saddle.parameters())
    before = flat(saddle).copy()
    polished = polish(saddle, X, y)
    assert gradient_norm(polished, X, y) <= 1e-12
    assert np.linalg.norm(flat(polished) - before) < 0.01  # the saddle nearby, not a minimum elsewhere
    assert inertia(hessian_spectrum(polished, X, y)).negative > 0
    np.testing.assert_array_equal(flat(saddle), before)
    with pytest.raises(RuntimeError, match=r"no critical point was reached: \|gradient\|"):
        polish(moved, X, y, steps=1)


def test_polish_halves_a_step_that_overshoots():
    """y = tanh x, start at 1 tanh(0.2 x): the full Newton step does not lead to a critical point, halved ones do."""
    start = with_parameters(TwoLayer(1, 1, bias=None, activation="tanh"), [0.2, 1.0])
    np.testing.assert_allclose(flat(polish(start, X, np.tanh(X))), [1, 1], atol=1e-10)


def test_a_minimum_at_infinity_is_an_error():
    model = TwoLayer(1, 1, activation="tanh", bias=None)
    with pytest.raises(RuntimeError, match="no critical point"):
        minimize(model, X, np.sign(X), tolerance=1e-300)


@settings(max_examples=40)
@given(
    st.sampled_from(KINDS), st.sampled_from(["tanh", "relu", "leaky_relu", "sine", torch.sigmoid]),
    st.integers(0, 2), st.floats(-3, 3).filter(lambda alpha: min(abs(alpha), abs(1 - alpha)) > 1e-3),
    st.integers(0, 1), st.integers(0, 10**6),
)  # fmt: skip
def test_splitting_keeps_the_function_and_merging_undoes_it(kind, activation, neuron, alpha, layer, seed):
    layer = layer if kind == "deep" else 0
    model, x = network(kind, activation, seed=seed), torch.as_tensor(data(seed)[0])
    before = flat(model).copy()
    wide = split_neuron(model, neuron, alpha, layer=layer)
    np.testing.assert_array_equal(flat(model), before)
    per_neuron = 2 + 2 + (kind is not None) if kind != "deep" else (2 + 1 + 4, 3 + 1 + 2)[layer]
    assert len(flat(wide)) == len(before) + per_neuron
    size = 1 + abs(alpha) * np.abs(before).sum() ** 2
    np.testing.assert_allclose(wide(x).detach(), model(x).detach(), atol=1e-13 * size)
    narrow = merge_neurons(wide, layer=layer)
    assert len(flat(narrow)) == len(before)
    np.testing.assert_allclose(narrow(x).detach(), model(x).detach(), atol=1e-12 * size)


def test_where_the_copy_goes_and_what_it_gets():
    model = network("additive")
    wide = split_neuron(model, 1, 0.3)
    torch.testing.assert_close(wide.w, model.w[[0, 1, 2, 1]])
    torch.testing.assert_close(wide.b, model.b[[0, 1, 2, 1]])
    torch.testing.assert_close(wide.a[:, [1, 3]], model.a[:, [1]] * torch.tensor([0.7, 0.3]))
    deep = split_neuron(network("deep"), 2, 0.3, layer=1)
    assert (deep.layers[1].out_features, deep.layers[2].in_features) == (5, 5)


def test_minimize_starts_again_from_a_plateau(monkeypatch):
    """The first descent is made to diverge; the second is left alone."""
    model, y = well()
    descend, starts = scipy.optimize.minimize, []

    def misled(value, start, **options):
        starts.append(start)
        diverged = scipy.optimize.OptimizeResult(x=np.full(6, np.nan))
        return diverged if len(starts) == 1 else descend(value, start, **options)

    monkeypatch.setattr(scipy.optimize, "minimize", misled)
    model.b.requires_grad_(False)
    assert gradient_norm(minimize(model, X, y), X, y) <= 1e-12
    moved = starts[1] - starts[0]
    assert len(starts) == 2 and moved[:2].all() and not moved[2:4].any()  # the biases are not trained
    starts.clear()
    with pytest.raises(RuntimeError, match="no critical point"):
        minimize(model, X, y, tries=1)


@pytest.mark.parametrize("kind", KINDS)
def test_an_embedded_critical_point_is_critical_and_counts_never_decrease(kind):
    """From a teacher whose outputs are slightly perturbed: a minimum is near; the direction along alpha is flat."""
    parameters = {"deep": [1.5, 0.3, 1.0, -0.5, 1.2, 0.1], None: [1.5, 2.0]}.get(kind, [1.5, 0.3, 2.0])
    teacher = MLP([1, 1, 1, 1]) if kind == "deep" else TwoLayer(1, 1, bias=kind, activation="tanh")
    teacher = with_parameters(teacher, parameters)
    x, y = X, teacher(torch.as_tensor(X[:, None])).detach().numpy()[:, 0] + 0.1 * np.cos(9 * X)
    narrow = minimize(teacher, x, y, tolerance=1e-11)
    for layer in (0, 1) if kind == "deep" else (0,):
        for alpha in (0.3, -0.7):
            wide = split_neuron(narrow, 0, alpha, layer=layer)
            assert gradient_norm(wide, x, y) < 1e-10
            before, after = (inertia(hessian_spectrum(net, x, y), tolerance=1e-9) for net in (narrow, wide))
            assert all(b >= a for a, b in zip(before, after, strict=True))
            assert after.zero >= before.zero + 1


@pytest.mark.parametrize("bias", ["additive", None])
def test_the_curvature_of_pulling_a_split_neuron_apart(bias):
    """In the coordinates of the proof the wide Hessian has blocks H, alpha (1 - alpha) G and 0."""
    x, y = data(n=12, outputs=1)
    y = np.tanh(x @ [1.0, 0.5])[:, None] + 0.2 * y
    start = randomize(TwoLayer(2, 2, bias=bias, activation="tanh", scale=0.5), 1)
    start.w.data[:], start.a.data[:] = torch.tensor([[1.0, 0.5], [0.3, -1.0]]), torch.tensor([[2.0, 0.3]])
    narrow = minimize(start, x, y)
    width = 2 + (bias is not None)
    for neuron, alpha in ((0, 0.3), (1, 1.7)):
        G = split_curvature(narrow, neuron, x, y)
        assert G.shape == (width, width)
        wide = split_neuron(narrow, neuron, alpha)
        full = hessian(wide, x, y)
        inner = [2 * neuron, 2 * neuron + 1] + ([6 + neuron] if bias else [])
        copied = [4, 5] + ([8] if bias else [])
        apart = np.zeros((len(full), width))
        apart[inner, range(width)], apart[copied, range(width)] = alpha, alpha - 1
        np.testing.assert_allclose(apart.T @ full @ apart, alpha * (1 - alpha) * G, atol=1e-12)
        outputs = (9 if bias else 6) + np.arange(3)
        shift = np.zeros(len(full))
        shift[outputs[neuron]], shift[outputs[2]] = -1, 1
        np.testing.assert_allclose(full @ shift, 0, atol=1e-11)


def test_the_curvature_leaves_a_single_precision_model_as_it_was():
    model, (x, y) = network(None, outputs=1).float(), data(outputs=1)
    in_double = split_curvature(network(None, outputs=1), 0, x, y)
    np.testing.assert_allclose(split_curvature(model, 0, x, y), in_double, rtol=1e-5)
    assert model.w.dtype == torch.float32


def test_the_strongest_neuron_comes_first_and_founds_the_group():
    """Strength is |a| |w|: here 6, 1 and 4. The tolerance is relative to the strongest of a group."""
    model = with_parameters(TwoLayer(1, 3, bias=None, activation="tanh"), [2.0, 0.1, 4.0, 3.0, 10.0, 1.0])
    merged = merge_neurons(model)
    np.testing.assert_allclose(merged.w.detach()[:, 0], [2, 4, 0.1])
    np.testing.assert_allclose(merged.a.detach()[0], [3, 1, 10])
    for unit in (0.01, 100.0):
        near = with_parameters(model, unit * np.array([1.0, 1.05, 3.0, 2.0, 1.0, 1.0]))
        assert [len(merge_neurons(near, tolerance=each).w) for each in (0.04, 0.06)] == [3, 2]


def test_a_merged_group_is_the_mean_weighted_by_the_amplitudes():
    model = with_parameters(TwoLayer(1, 3, bias=None, activation="tanh"), [1.0, 1.1, 1.2, 3.0, 1.0, 0.0])
    merged = merge_neurons(model, groups=np.zeros(3))  # the third is silent and has weight 0
    np.testing.assert_allclose(flat(merged), [1.025, 4.0], rtol=1e-14)
    along_an_axis = with_parameters(TwoLayer(2, 2, bias=None), [1.0, 0.0, 3.0, 0.0, 1.0, -2.0])
    merged, x = merge_neurons(along_an_axis), torch.as_tensor(data()[0])  # relu, lengths 1 and 3
    assert len(merged.w) == 1
    torch.testing.assert_close(merged(x), along_an_axis(x))


def test_groups_name_what_is_merged_and_what_is_left_out():
    model, x = network("additive", m=5, outputs=1), torch.as_tensor(data()[0])
    with torch.no_grad():
        model.w[1], model.b[1], model.a[0, 1] = -1.01 * model.w[0], -1.01 * model.b[0], -model.a[0, 0]
        model.a[0, 4] = 0
    merged = merge_neurons(model, groups=[7, 7, 0, 3, -1])
    assert merged.w.shape == (3, 2)
    torch.testing.assert_close(merged(x), model(x), atol=1e-3, rtol=0)
    for wrong in ([0, 0, 1], -np.ones(5)):
        with pytest.raises(ValueError, match="groups must hold 5 numbers"):
            merge_neurons(model, groups=wrong)


def test_odd_and_homogeneous_neurons_are_recognised():
    x = torch.as_tensor(data()[0])
    for activation, factor, width in (("tanh", -1, 3), ("sine", -1, 3), ("relu", 2.5, 3), ("leaky_relu", 0.2, 3),
                                      ("linear", -2.0, 3), ("relu", -1, 4), ("tanh", 2.5, 4),
                                      (torch.sigmoid, -1, 4)):  # fmt: skip
        model = network("additive", activation, m=4)
        with torch.no_grad():
            model.w[3], model.b[3] = factor * model.w[0], factor * model.b[0]
        merged = merge_neurons(model)
        assert len(merged.w) == width, (activation, factor)
        np.testing.assert_allclose(merged(x).detach(), model(x).detach(), atol=1e-12)


def test_nearly_equal_neurons_merge_with_an_error_of_second_order():
    x = torch.as_tensor(data()[0])
    gaps = []
    for apart in (1e-2, 1e-3):
        model = network("additive", m=3, outputs=1)
        with torch.no_grad():
            model.a[0, 1] = 0.5 * model.a[0, 0]
            model.w[1], model.b[1] = model.w[0] + apart, model.b[0] - apart
        assert len(merge_neurons(model, tolerance=1e-4).w) == 3
        merged = merge_neurons(model, tolerance=0.1)
        assert len(merged.w) == 2
        gaps.append((merged(x) - model(x)).detach().abs().max().item())
    assert gaps[0] / gaps[1] == pytest.approx(100, rel=0.2)


def test_silent_neurons_merge_too():
    model = network(None, "relu", m=4)
    with torch.no_grad():
        model.w[2:] = 0
        model.a[:, 1] = 0
    x = torch.as_tensor(data()[0])
    merged = merge_neurons(model)
    assert len(merged.w) == 3
    torch.testing.assert_close(merged(x), model(x))


def test_the_loss_at_many_places():
    model, (x, y) = network("shift"), data()
    places = np.random.default_rng(1).standard_normal((2, 3, len(flat(model))))
    by_hand = [[loss_by_hand(model, x, y)(theta) for theta in row] for row in places]
    np.testing.assert_allclose(loss_at(model, x, y, places), by_hand, rtol=1e-14)
    assert loss_at(model, x, y, places[0, 0]).shape == ()


def test_gradient_flow_of_a_linear_model_is_the_closed_solution():
    """theta(t) = theta* + V exp(-lambda t) V^T (theta(0) - theta*), with the Hessian of least squares."""
    model, (x, y) = randomize(MLP([2, 2])), data()
    eigenvalues, basis = np.linalg.eigh(hessian(model, x, y))
    start, end = flat(model).copy(), flat(minimize(model, x, y))
    times = np.array([0.0, 0.3, 1.0, 20.0])
    run = gradient_flow(model, x, y, times)
    decay = np.exp(-eigenvalues * times[:, None]) * (basis.T @ (start - end))
    np.testing.assert_allclose(run.parameters, end + decay @ basis.T, atol=1e-5)
    np.testing.assert_array_equal(flat(model), start)
    for theta, outputs, loss in zip(run.parameters, run.outputs, run.losses, strict=True):
        there = with_parameters(model, theta)(torch.as_tensor(x)).detach().numpy()
        np.testing.assert_allclose(outputs, there, atol=1e-14)
        assert loss == pytest.approx(((there - y) ** 2).sum() / 18, rel=1e-12)


def test_they_refuse():
    model, (x, y) = network("additive"), data()
    for wrong in (y[:, :1], y[:5], np.full_like(y, np.nan)):
        with pytest.raises(ValueError, match="y must"):
            gradient_norm(model, x, wrong)
    with pytest.raises(ValueError, match="model must be a torch module"):
        hessian("tanh", x, y)
    with pytest.raises(ValueError, match="less than half of the 15 parameters"):
        hessian_spectrum(model, x, y, extreme=8)
    with pytest.raises(ValueError, match=r"parameters must have shape \(..., 15\)"):
        loss_at(model, x, y, np.ones((15, 2)))
    for wrong, neuron in ((network("shift", outputs=1), 0), (model, 0), (network(None, outputs=1), 3)):
        with pytest.raises(ValueError, match="must be"):
            split_curvature(wrong, neuron, x, y[:, :1])
    with pytest.raises(ValueError, match="y must have the shape of the outputs"):
        split_curvature(network(None, outputs=1), 0, x, y)
    for neuron, alpha in ((3, 0.5), (-1, 0.5), (0, np.nan)):
        with pytest.raises(ValueError, match="must be"):
            split_neuron(model, neuron, alpha)
    for other, layer in ((antisymmetric(model), 0), (model, 1), (network("deep"), 2)):
        with pytest.raises(ValueError, match="model must be a TwoLayer or an MLP with hidden layer"):
            split_neuron(other, 0, 0.5, layer=layer)
        with pytest.raises(ValueError, match="model must be a TwoLayer or an MLP with hidden layer"):
            merge_neurons(other, layer=layer)
