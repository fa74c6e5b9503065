"""Conserved quantities by autograd, condensed and initial directions, matching, and the flow of the phase diagram."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_parameters import randomize
from torch import nn

from fpcourse.models import MLP, CircularCNN, Ensemble, TwoLayer, antisymmetric
from fpcourse.neurons import (
    condensed_directions,
    conserved_quantities,
    initial_directions,
    match_neurons,
    member_layers,
    neurons,
    predicted_slope,
    top_share,
    train_scaled,
)
from fpcourse.training import train


def normals(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network(kind: str, bias, *, seed: int = 0, activation: str = "relu", m: int = 6) -> nn.Module:
    if kind == "dense":
        return randomize(TwoLayer(3, m, 2, bias=bias, activation=activation, scale=0.5), seed)
    return randomize(CircularCNN(m, 5, bias=bias, activation=activation), seed)


def data(kind: str, seed: int = 0):
    return (normals(9, 3, seed=seed), normals(9, 2, seed=seed + 1)) if kind == "dense" else (
        normals(8, 16, seed=seed), normals(8, 16, seed=seed + 1))  # fmt: skip


KINDS = [("dense", "additive"), ("dense", "shift"), ("dense", None), ("conv", False), ("conv", True)]


@pytest.mark.parametrize(("kind", "bias"), KINDS)
def test_the_formula_neuron_by_neuron(kind, bias):
    model = network(kind, bias, m=4)
    for j, value in enumerate(conserved_quantities(model)):
        if kind == "dense":
            expected = sum(a**2 for a in model.a[:, j].tolist()) - sum(w**2 for w in model.w[j].tolist())
            expected -= model.b[j].item() ** 2 if bias == "additive" else 0.0
        else:
            expected = model.a[j].item() ** 2 - sum(r**2 for r in model.kernels[j].tolist())
            expected -= model.b[j].item() ** 2 if bias else 0.0
        assert value == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert conserved_quantities(model).shape == (4,)


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
    options = {"snapshots": [0, 100, 200], "record_parameters": True, "device": "cpu", "progress": False}
    run = train(model, x, y, steps=200, learning_rate=2e-3 / y.shape[1], optimizer="gd", **options)
    quantities = conserved_quantities(model, run.parameters)
    assert quantities.shape == (3, 6) and quantities.dtype == np.float64
    np.testing.assert_allclose(quantities[-1], conserved_quantities(model), rtol=1e-12)
    for row, parameters in zip(quantities, run.parameters, strict=True):
        np.testing.assert_allclose(row, conserved_quantities(model, parameters), rtol=1e-12)
    moved = np.abs(run.parameters[-1] - run.parameters[0]).max()
    assert np.abs(quantities - quantities[0]).max() < 0.01 * moved


def test_single_precision_is_squared_in_double():
    model = TwoLayer(1, 1, bias=None)
    with torch.no_grad():
        model.a[:], model.w[:] = 1e3, 1e-3
    w = float(np.float32(1e-3))
    assert abs(conserved_quantities(model)[0] - (1e6 - w**2)) < 1e-9


def test_conserved_quantities_refuses():
    model = network("conv", True)
    for other in (MLP([2, 3, 1]), antisymmetric(model), "relu"):
        with pytest.raises(ValueError, match="model must be a TwoLayer or a CircularCNN"):
            conserved_quantities(other)
    for shape in ((41,), (3, 43)):
        with pytest.raises(ValueError, match="parameters must"):
            conserved_quantities(model, np.ones(shape))
    with pytest.raises(ValueError, match="parameters must be finite"):
        conserved_quantities(model, np.full(42, np.nan))


def near(u, v):
    """Every row of u is a row of v."""
    return (np.abs(u[:, None] - np.asarray(v)[None]).max(axis=2).min(axis=1) < 1e-6).all()


@pytest.mark.parametrize("bias", ["additive", None])
def test_neurons_of_a_two_layer_network_make_its_function(bias):
    model = randomize(TwoLayer(3, 6, 2, bias=bias))
    weights, amplitudes = neurons(model)
    x = normals(9, 3)
    inputs = torch.cat([x, torch.ones(9, 1)], dim=1)[:, : weights.shape[1]]
    by_hand = torch.relu(inputs @ torch.as_tensor(weights).T) @ model.a.T
    np.testing.assert_allclose(by_hand.detach(), model(x).detach())
    for j in range(6):
        np.testing.assert_allclose(amplitudes[j], model.a[:, j].norm().item() * np.linalg.norm(weights[j]))


def test_neurons_of_an_mlp_and_of_recorded_rows():
    model = randomize(MLP([3, 5, 1]))
    run = train(model, normals(8, 3), normals(8, 1), steps=3, learning_rate=0.1, record_parameters=True, progress=False)
    weights, amplitudes = neurons(model, run.parameters)
    assert weights.shape == (len(run), 5, 4) and amplitudes.shape == (len(run), 5)
    first, last = model.layers
    now = np.column_stack([first.weight.detach(), first.bias.detach()])
    np.testing.assert_allclose(weights[-1], now)
    np.testing.assert_allclose(amplitudes[-1], np.abs(last.weight.detach().numpy()[0]) * np.linalg.norm(now, axis=1))
    np.testing.assert_allclose(neurons(model)[0], now)


@pytest.mark.parametrize(
    "model",
    [MLP([3, 4, 4, 1]), MLP([3, 1]), TwoLayer(2, 3, bias="shift"), CircularCNN(2, 3), antisymmetric(MLP([1, 1]))],
)
def test_neurons_refuses(model):
    with pytest.raises(ValueError, match="hidden layer"):
        neurons(model)


def test_clusters_are_found_whatever_the_lengths():
    generator = np.random.default_rng(0)
    axes = np.array([[1.0, 0, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0]])
    truth = np.repeat([0, 1, 2], [12, 7, 3])
    weights = (axes[truth] + 0.03 * generator.normal(size=(22, 4))) * generator.uniform(1e-6, 10, (22, 1))
    lonely = np.array([[0, 1.0, 0, 0], [0, 0, 0, 2.0], [0, 0, 0.1, 2.0]])
    order = generator.permutation(25)
    found = condensed_directions(np.vstack([weights, lonely])[order])
    np.testing.assert_array_equal(found.sizes, [12, 7, 3])
    np.testing.assert_array_equal(found.labels, np.append(truth, [-1, -1, -1])[order])
    np.testing.assert_allclose(np.linalg.norm(found.directions, axis=1), 1)
    assert (np.sum(found.directions * axes, axis=1) > 0.999).all()
    assert found.share == pytest.approx(22 / 25)
    np.testing.assert_array_equal(condensed_directions(np.vstack([weights, lonely]), smallest=2).sizes, [12, 7, 3, 2])
    assert len(condensed_directions(np.vstack([weights, lonely]), smallest=1).sizes) == 5


def test_the_cosine_is_the_border():
    angles = np.deg2rad([0, 9, 18, 90])
    fan = np.column_stack([np.cos(angles), np.sin(angles)])
    assert condensed_directions(fan, cosine=np.cos(np.deg2rad(9.1))).sizes.tolist() == [3]  # the middle one sees both
    assert condensed_directions(fan, cosine=np.cos(np.deg2rad(8.9)), smallest=1).sizes.tolist() == [1, 1, 1, 1]


def test_a_neuron_belongs_to_one_cluster_and_the_largest_are_founded_first():
    def fan(*degrees):
        return np.column_stack([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))])

    narrow = {"cosine": np.cos(np.deg2rad(15)), "smallest": 1}
    assert condensed_directions(fan(0, 10, 20, 30, 40), **narrow).sizes.tolist() == [3, 2]
    # 18 has six neighbours, which are taken, and is alone all the same: the four at 90 come first
    crowd = (*range(-14, 15, 2), 18, 90, 91, 92, 93)
    assert condensed_directions(fan(*crowd), **narrow).sizes.tolist() == [15, 4, 1]


def test_random_directions_hold_no_cluster_of_three():
    """What the threshold is for: pairs within 18 degrees occur by chance in 6 dimensions, triples do not."""
    draws = [np.random.default_rng(seed).normal(size=(50, 6)) for seed in range(200)]
    pairs = [len(condensed_directions(draw, smallest=2).sizes) for draw in draws]
    triples = [len(condensed_directions(draw).sizes) for draw in draws]
    assert 0.4 < np.mean(pairs) < 0.9 and np.mean(triples) < 0.03
    assert condensed_directions(draws[0]).directions.shape == (0, 6) or triples[0]


@pytest.mark.parametrize(
    ("weights", "options", "message"),
    [
        (np.zeros((3, 2)), {}, "direction"),
        (np.ones(3), {}, "dimension"),
        (np.full((3, 2), np.nan), {}, "finite"),
        (np.ones((3, 2)), {"cosine": 1.0}, "cosine"),
        (np.ones((3, 2)), {"cosine": 0.0}, "cosine"),
        (np.ones((3, 2)), {"smallest": 0}, "smallest"),
    ],
)
def test_clustering_refuses(weights, options, message):
    with pytest.raises(ValueError, match=message):
        condensed_directions(weights, **options)


def scene(seed, n=30, d=5):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(n, d)), generator.normal(size=n), generator.normal(size=(40, d))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("seed", range(5))
def test_multiplicity_one_ends_at_the_mean_and_two_at_the_eigenvectors(sign, seed):
    x, y, start = scene(seed)
    mean = sign * y @ x
    assert near(initial_directions(x, y, start, multiplicity=1, sign=sign), [mean / np.linalg.norm(mean)])
    values, vectors = np.linalg.eigh((x * y[:, None]).T @ x)
    top = vectors[:, np.argmax(sign * values)]
    ends = initial_directions(x, y, start, multiplicity=2, sign=sign)
    assert near(ends, [top, -top])
    np.testing.assert_array_equal(np.sign(ends @ top), np.sign(start @ top))  # each to the end on its own side


@pytest.mark.parametrize("dim", [2, 3, 5])
def test_the_summits_over_orthonormal_points(dim):
    """V = sum u_i^3 has dim + 1 summits: each basis vector, and the middle of the orthant where all u_i < 0."""
    points, _ = np.linalg.qr(np.random.default_rng(dim).normal(size=(dim, dim)))
    summits = np.vstack([points, -points.sum(axis=0) / np.sqrt(dim)])
    start = np.vstack([np.random.default_rng(1).normal(size=(200, dim)), points.sum(axis=0) + 0.1 * points[0]])
    start = np.vstack([start, -start])
    for sign in (1, -1):
        ends = initial_directions(points, np.ones(dim), 5 * start, multiplicity=3, sign=sign)
        assert near(ends, sign * summits) and near(sign * summits, ends)


@pytest.mark.parametrize("p", [3, 4, 5])
def test_higher_multiplicities_end_on_summits(p):
    x, y, start = scene(p)
    for sign in (1, -1):
        ends = initial_directions(x, y, start, multiplicity=p, sign=sign)
        height = sign * (ends @ x.T) ** p @ y
        begin = start / np.linalg.norm(start, axis=1, keepdims=True)
        assert (height >= sign * (begin @ x.T) ** p @ y).all()
        for shift in 1e-3 * np.random.default_rng(0).normal(size=(20, 5)):  # nothing near is higher
            aside = (ends + shift) / np.linalg.norm(ends + shift, axis=1, keepdims=True)
            assert (sign * (aside @ x.T) ** p @ y < height).all()


@pytest.mark.parametrize("p", [1, 2, 3, 4, 5])
def test_the_way_to_the_summits_does_not_depend_on_the_units(p):
    """Every step is a ratio in which the units of x and y drop out."""
    x, y, start = scene(p, n=12, d=3)
    ends = initial_directions(x, y, start, multiplicity=p)
    for unit_x, unit_y in ((2.0**7, 1.0), (2.0**-7, 1.0), (1.0, 2.0**7), (1.0, 2.0**-7)):
        again = initial_directions(unit_x * x, unit_y * y, start, multiplicity=p)
        np.testing.assert_allclose(again, ends, atol=1e-7)
    y[0] = 0  # a target that pulls nowhere
    without = initial_directions(x[1:], y[1:], start, multiplicity=p)
    np.testing.assert_allclose(initial_directions(x, y, start, multiplicity=p), without, atol=1e-7)


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"y": np.zeros(30)}, ValueError, "all zero"),
        ({"y": np.ones(29)}, ValueError, "same number"),
        ({"start": np.ones((4, 6))}, ValueError, "same number"),
        ({"start": np.zeros((4, 5))}, ValueError, "direction"),
        ({"multiplicity": 0}, ValueError, "multiplicity"),
        ({"sign": 0}, ValueError, "sign"),
        ({"steps": 1}, RuntimeError, "still move after 1 steps"),
    ],
)
def test_initial_directions_refuses(changed, error, message):
    x, y, start = scene(0)
    with pytest.raises(error, match=message):
        initial_directions(**({"x": x, "y": y, "start": start, "multiplicity": 3} | changed))


def random_layers(widths, seed):
    rng = np.random.default_rng(seed)
    return [(rng.normal(size=(n, m)), rng.normal(size=n)) for m, n in itertools.pairwise(widths)]


def function_of(layers, x, activation=np.tanh):
    for weight, bias in layers[:-1]:
        x = activation(x @ weight.T + bias)
    return x @ layers[-1][0].T + layers[-1][1]


def distance(one, other):
    return np.sqrt(sum(((w - v) ** 2).sum() + ((b - c) ** 2).sum() for (w, b), (v, c) in zip(one, other, strict=True)))


@settings(max_examples=25)
@given(st.lists(st.integers(1, 6), min_size=2, max_size=5), st.integers(0, 2**16), st.booleans())
def test_matched_network_is_the_same_function_and_no_farther(widths, seed, odd):
    net, reference = random_layers(widths, seed), random_layers(widths, seed + 1)
    matched = match_neurons(net, reference, odd=odd)
    x = np.random.default_rng(seed).normal(size=(7, widths[0]))
    activation = np.tanh if odd else lambda z: np.maximum(z, 0)
    np.testing.assert_allclose(function_of(matched, x, activation), function_of(net, x, activation), atol=1e-10)
    assert distance(matched, reference) <= distance(net, reference) + 1e-12
    again = match_neurons(matched, reference, odd=odd)
    assert distance(again, matched) < 1e-12, "it stopped before nothing could be gained any more"


@pytest.mark.parametrize("odd", [False, True])
@pytest.mark.parametrize("widths", [[2, 5, 3], [20, 8, 7, 1], [30, 12, 4, 3, 1]])
def test_shuffled_copy_is_put_in_order(widths, odd):
    reference, rng = random_layers(widths, 0), np.random.default_rng(1)
    shuffled = [(w.copy(), b.copy()) for w, b in reference]
    for i in range(len(shuffled) - 1):
        order = rng.permutation(len(shuffled[i][1]))
        signs = rng.choice([-1.0, 1.0], len(order)) if odd else np.ones(len(order))
        (w, b), (out, out_bias) = shuffled[i : i + 2]
        shuffled[i : i + 2] = (w[order] * signs[:, None], b[order] * signs), (out[:, order] * signs, out_bias)
    assert distance(shuffled, reference) > 1
    assert distance(match_neurons(shuffled, reference, odd=odd), reference) < 1e-12


@pytest.mark.parametrize("odd", [False, True])
def test_one_hidden_layer_is_matched_as_well_as_possible(odd):
    net, reference = random_layers([2, 4, 2], 2), random_layers([2, 4, 2], 3)
    (w, b), (out, out_bias) = net
    best = min(
        distance([(w[list(p)] * s[:, None], b[list(p)] * s), (out[:, list(p)] * s, out_bias)], reference)
        for p in itertools.permutations(range(4))
        for s in map(np.array, itertools.product((1.0, -1.0) if odd else (1.0,), repeat=4))
    )
    assert distance(match_neurons(net, reference, odd=odd), reference) == pytest.approx(best, abs=1e-12)


def test_matching_leaves_its_arguments_and_takes_tensors():
    net, reference = random_layers([1, 5, 4, 1], 4), random_layers([1, 5, 4, 1], 5)
    before = [(w.copy(), b.copy()) for w, b in net]
    matched = match_neurons([(torch.as_tensor(w), torch.as_tensor(b)) for w, b in net], reference, odd=True)
    assert distance(net, before) == 0 and distance(matched, net) > 0.1
    assert distance(matched, match_neurons(net, reference, odd=True)) < 1e-12


def test_match_neurons_refuses():
    net = random_layers([1, 5, 4, 1], 6)
    with pytest.raises(ValueError, match="the same widths"):
        match_neurons(net, random_layers([1, 4, 5, 1], 6), odd=True)
    with pytest.raises(ValueError, match="the same widths"):
        match_neurons([], net, odd=True)
    for wrong in ([net[0], net[2]], [(net[0][0], net[1][1])], [(net[0][0].T, net[0][1])]):
        with pytest.raises(ValueError, match="fit together"):
            match_neurons(wrong, net, odd=True)
    with pytest.raises(ValueError, match="must be finite"):
        match_neurons([(np.full((5, 1), np.nan), net[0][1]), *net[1:]], net, odd=True)


def test_layers_of_the_members_are_their_networks_before_further_training():
    model = Ensemble([2, 5, 4, 3], members=3).double()  # no conversion that would copy by itself
    x = normals(6, 2)
    outputs = model(x).detach().reshape(6, 3, 3)
    layers = member_layers(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    for m in range(3):
        np.testing.assert_allclose(function_of(layers[m], x.numpy()), outputs[:, m], atol=1e-12)
        assert all(array.dtype == np.float64 for pair in layers[m] for array in pair)
    with pytest.raises(ValueError, match="must be an Ensemble"):
        member_layers(MLP([2, 5, 3]))


X, Y = np.array([-1, -1 / 3, 1 / 3, 1]), np.array([0.4, -0.2, -0.1, 0.3])


def fine_flow(width, gamma, gamma_prime, seed):
    """The flow of the docstring for one network in float64, in steps four times as fine: a, w, largest change of w."""
    weights = np.random.default_rng([seed, width]).standard_normal((1, width // 2, 3))[0]
    start, a = np.vstack([weights[:, :2]] * 2), np.concatenate([weights[:, 2], -weights[:, 2]])
    inputs = np.column_stack([X, np.ones(4)])
    kappa, kappa_prime = width**-gamma, width**-gamma_prime
    w, change = start.copy(), 0.0
    for _ in range(30_000):
        z = w @ inputs.T
        error = kappa * a @ np.maximum(z, 0) - Y
        if np.linalg.norm(error) < 1e-3 * np.linalg.norm(Y):
            break
        jacobian_a = kappa * np.maximum(z, 0) / np.sqrt(kappa_prime)  # (m, n); the roots put the speeds into the kernel
        jacobian_w = kappa * np.sqrt(kappa_prime) * (a[:, None] * (z > 0))[:, :, None] * inputs
        kernel = jacobian_a.T @ jacobian_a + np.einsum("mid,mjd->ij", jacobian_w, jacobian_w)
        da, dw = (
            -(jacobian_a @ error) / np.sqrt(kappa_prime),
            -np.sqrt(kappa_prime) * np.einsum("mid,i->md", jacobian_w, error),
        )
        speed = max(np.linalg.norm(da) / np.linalg.norm(a), np.linalg.norm(dw) / np.linalg.norm(w))
        eta = min(1 / np.linalg.eigvalsh(kernel)[-1], 0.05 / speed) / 4
        a, w = a + eta * da, w + eta * dw
        change = max(change, np.linalg.norm(w - start) / np.linalg.norm(start))
    return a, w, change


@pytest.mark.slow
@pytest.mark.parametrize(("gamma", "gamma_prime"), [(0.5, 0.0), (1.0, 0.0), (1.5, 0.0), (1.5, 0.4), (1.5, -0.4)])
def test_it_follows_the_flow(gamma, gamma_prime):
    run = train_scaled(X, Y, width=40, gamma=gamma, gamma_prime=gamma_prime, draws=1, seed=3, steps=1500)
    a, w, change = fine_flow(40, gamma, gamma_prime, seed=3)
    assert run["change"].shape == (1, 1) and run["loss"][0, 0] < 1e-3
    np.testing.assert_allclose(run["change"][0, 0], change, rtol=0.05)
    amplitudes = np.abs(a) * np.linalg.norm(w, axis=1)
    np.testing.assert_allclose(run["amplitudes"].sum(), amplitudes.sum(), rtol=0.05)
    bins = np.floor((np.degrees(np.arctan2(w[:, 1], w[:, 0])) + 180) / 4).astype(int)
    by_hand = np.bincount(bins, amplitudes, minlength=90)
    near = sum(np.roll(by_hand, shift) for shift in (-1, 0, 1))  # a neuron near a border may fall on its other side
    assert (run["amplitudes"][0, 0] <= 1.05 * near + 0.02 * amplitudes.sum()).all()


def test_a_batch_is_its_points_one_by_one():
    batch = train_scaled(X, Y, width=20, gamma=[0.5, 1.5], gamma_prime=[0.2, -0.3], draws=3, seed=1, steps=50)
    for i, (gamma, gamma_prime) in enumerate([(0.5, 0.2), (1.5, -0.3)]):
        one = train_scaled(X, Y, width=20, gamma=gamma, gamma_prime=gamma_prime, draws=3, seed=1, steps=50)
        for name in one:
            np.testing.assert_allclose(one[name][0], batch[name][i], rtol=1e-3, atol=1e-6)
    assert len({float(v) for v in batch["change"].ravel()}) == 6  # every draw has weights of its own


def test_small_changes_are_not_lost_in_single_precision():
    """Under a fast a the w hardly move, far below the spacing of float32 near 1."""
    run = train_scaled(X, Y, width=1600, gamma=0.5, gamma_prime=1.5, draws=1, steps=300)
    half = train_scaled(X, Y / 2, width=1600, gamma=0.5, gamma_prime=1.5, draws=1, steps=300)
    assert 0 < run["change"][0, 0] < 1e-7
    np.testing.assert_allclose(run["change"] / half["change"], 2, rtol=0.01)  # so close to the start all is linear


def test_top_share_counts_the_fullest_bins():
    spread, one = np.ones(90), np.eye(90)[4]
    np.testing.assert_allclose(top_share(spread), 6 / 90)
    np.testing.assert_allclose(top_share([spread, one, spread + 84 * one], bins=1), [1 / 90, 1, 85 / 174])


@given(st.floats(-1, 3), st.floats(-2, 2))
def test_predicted_phases_are_those_of_the_paper(gamma, gamma_prime):
    slope = predicted_slope(gamma, gamma_prime)
    if gamma < 1 or gamma_prime > gamma - 1:
        assert slope < 0 or np.isclose(slope, 0)
    elif gamma > 1 and gamma_prime < gamma - 1:
        assert slope > 0 or np.isclose(slope, 0)
    for step in ((1e-9, 0), (0, 1e-9)):  # the pieces fit together
        assert abs(predicted_slope(gamma + step[0], gamma_prime + step[1]) - slope) < 1e-8


@pytest.mark.parametrize(
    ("point", "slope"),
    [((0.5, 0), -0.5), ((0.5, 1), -2.5), ((0.5, -1), -0.5), ((1, 0), 0), ((1.75, 0), 0.375), ((1.75, -0.5), 0.625),
     ((1.75, -1), 0.75), ((1.75, 0.75), 0), ((1.75, 1), -0.5), ((1.5, 1), -1)],
)  # fmt: skip
def test_predicted_slopes(point, slope):
    np.testing.assert_allclose(predicted_slope(*point), slope, atol=1e-12)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"y": Y[:3]}, "same number"),
        ({"y": 0 * Y}, "all zero"),
        ({"width": 5}, "even"),
        ({"width": 0}, "width"),
        ({"gamma": [1, 2], "gamma_prime": [1, 2, 3]}, "mismatch"),
        ({"gamma": np.nan}, "finite"),
        ({"draws": 0}, "draws"),
        ({"seed": -1}, "seed"),
        ({"steps": 0}, "steps"),
    ],
)
def test_train_scaled_refuses(changed, message):
    with pytest.raises(ValueError, match=message):
        train_scaled(**({"x": X, "y": Y, "width": 4, "gamma": 1.0, "gamma_prime": 0.0} | changed))


@pytest.mark.parametrize(("amplitudes", "bins"), [(np.ones(3), 4), (np.ones(3), 0), (-np.ones(9), 6), (np.zeros(9), 6)])
def test_top_share_refuses(amplitudes, bins):
    with pytest.raises(ValueError):
        top_share(amplitudes, bins=bins)


def test_predicted_slope_refuses():
    with pytest.raises(ValueError, match="mismatch"):
        predicted_slope([1, 2], [1, 2, 3])
