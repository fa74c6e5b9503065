"""Flows against ODE solvers, matrix exponentials, loops of gradient descent, splines and trained networks."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import integrate, interpolate, linalg

from fpcourse.flow import (
    as_matrix,
    box_frequencies,
    decay_rate,
    gradient_flow,
    interpolant,
    kernel_descent,
    kernel_flow,
    learnability,
    lfp_flow,
    lfp_interpolant,
    loss_flow,
    rates,
    spectral_kernel,
)
from fpcourse.kernels import empirical_ntk, lfp_spectrum, two_layer_ntk
from fpcourse.models import MLP, antisymmetric, lazy_pair, parameters_of, with_parameters
from fpcourse.training import train


def problem(seed, n=6, n_test=4, c=2, rank=None):
    """A joint kernel of training and test points from random features; of lower rank than n where asked."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((n + n_test, rank or n + 3))
    joint = features @ features.T / features.shape[1]
    return {
        "kernel": joint[:n, :n],
        "y": rng.standard_normal((n, c)),
        "kernel_test": joint[n:, :n],
        "initial": rng.standard_normal((n, c)),
        "initial_test": rng.standard_normal((n_test, c)),
    }, features


def square_loss(outputs, y):
    """L = 1/(2n) sum |u - y|^2 of outputs (T, n, c)."""
    return ((outputs - y) ** 2).sum((1, 2)) / (2 * len(y))


def training_part(case):
    return {name: case[name] for name in ("kernel", "y", "initial")}


@pytest.mark.parametrize("rank", [None, 3])
def test_flow_solves_the_differential_equation(rank):
    case, _ = problem(0, rank=rank)
    kernel, y, kernel_test, u0, v0 = case.values()
    n, times = len(y), np.array([0.0, 0.06, 1.8, 12.0, 90.0])

    def velocity(t, state):
        residual = state[: y.size].reshape(y.shape) - y
        return np.concatenate([(-kernel @ residual).ravel(), (-kernel_test @ residual).ravel()]) / n

    start = np.concatenate([u0.ravel(), v0.ravel()])
    solved = integrate.solve_ivp(velocity, (0, 90), start, "DOP853", times, rtol=1e-12, atol=1e-13).y.T
    on_training = kernel_flow(times=times, **training_part(case))
    on_test = kernel_flow(times=times, **case)
    wanted = solved[:, : y.size].reshape(-1, n, 2)
    np.testing.assert_allclose(on_training.outputs, wanted, atol=1e-10)
    np.testing.assert_allclose(on_test.outputs, solved[:, y.size :].reshape(-1, 4, 2), atol=1e-10)
    np.testing.assert_allclose(on_test.times, times)
    for trajectory in (on_training, on_test):
        np.testing.assert_allclose(trajectory.losses, square_loss(wanted, y), atol=1e-11)


@given(st.integers(0, 2**32 - 1), st.floats(0, 50), st.integers(1, 7))
def test_flow_is_the_matrix_exponential(seed, time, rank):
    case, _ = problem(seed, rank=rank)
    kernel, y, u0 = case["kernel"], case["y"], case["initial"]
    found = kernel_flow(kernel, y, [time], initial=u0).outputs[0]
    np.testing.assert_allclose(found, y + linalg.expm(-time * kernel / len(y)) @ (u0 - y), atol=1e-12)


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 20), st.floats(0.01, 20), st.integers(1, 8))
def test_flow_for_t_and_then_for_s_is_flow_for_t_plus_s(seed, t, s, rank):
    case, _ = problem(seed, rank=rank)
    first = kernel_flow(times=[t], **training_part(case)).outputs[0]
    first_test = kernel_flow(times=[t], **case).outputs[0]
    second = {**case, "initial": first, "initial_test": first_test}
    for part, name in ((training_part, "training"), (dict, "test")):
        np.testing.assert_allclose(
            kernel_flow(times=[s], **part(second)).outputs,
            kernel_flow(times=[t + s], **part(case)).outputs,
            atol=1e-11,
            err_msg=name,
        )


@given(st.integers(0, 2**32 - 1), st.floats(-3, 3), st.integers(1, 8))
def test_flow_is_affine_in_data_and_initial_values_and_blind_to_the_order_of_samples(seed, factor, rank):
    times = [0.0, 0.4, 7.0]
    a, _ = problem(seed, rank=rank)
    b = {**problem(seed + 1)[0], "kernel": a["kernel"], "kernel_test": a["kernel_test"]}
    mixed = {name: a[name] + factor * b[name] for name in ("y", "initial", "initial_test")}
    found = kernel_flow(times=times, **{**a, **mixed}).outputs
    wanted = kernel_flow(times=times, **a).outputs + factor * kernel_flow(times=times, **b).outputs
    np.testing.assert_allclose(found, wanted, atol=1e-11)

    order = np.random.default_rng(seed).permutation(len(a["y"]))
    shuffled = {
        "kernel": a["kernel"][np.ix_(order, order)],
        "y": a["y"][order],
        "initial": a["initial"][order],
    }
    np.testing.assert_allclose(
        kernel_flow(times=times, **shuffled).outputs,
        kernel_flow(times=times, **training_part(a)).outputs[:, order],
        atol=1e-11,
    )
    faster = {**a, "kernel": 3 * a["kernel"], "kernel_test": 3 * a["kernel_test"]}
    np.testing.assert_allclose(
        kernel_flow(times=[0.2], **faster).outputs, kernel_flow(times=[0.6], **a).outputs, atol=1e-11
    )


@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_test_points_among_the_training_points_move_with_them(seed, rank):
    case, _ = problem(seed, rank=rank)
    rows = [4, 0, 4]
    case |= {"kernel_test": case["kernel"][rows], "initial_test": case["initial"][rows]}
    times = [0.0, 0.3, 9.0, 1e4]
    on_test = kernel_flow(times=times, **case).outputs
    np.testing.assert_allclose(on_test, kernel_flow(times=times, **training_part(case)).outputs[:, rows], atol=1e-9)


@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_loss_never_grows(seed, rank):
    case, _ = problem(seed, rank=rank)
    losses = kernel_flow(times=np.geomspace(1e-3, 1e3, 30), **case).losses
    assert (np.diff(losses) <= 1e-15 * losses[0]).all()


def test_discrete_gradient_descent_converges_to_the_flow_at_first_order():
    """GD on the features' weights; errors halve with the step."""
    case, features = problem(1, n=8, n_test=5, c=1)
    n, time = 8, 12.0
    train_features, test_features = features[:n], features[n:]
    weights = np.random.default_rng(2).standard_normal((features.shape[1], 1))
    scale = 1 / np.sqrt(features.shape[1])
    case |= {"initial": scale * train_features @ weights, "initial_test": scale * test_features @ weights}
    flow, errors = kernel_flow(times=[time], **case).outputs[0], []
    for steps in (200, 400, 800):
        w = weights.copy()
        for _ in range(steps):
            w -= time / steps * scale * train_features.T @ (scale * train_features @ w - case["y"]) / n
        errors.append(np.abs(scale * test_features @ w - flow).max())
    np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 2, rtol=0.02)
    assert errors[-1] < 2e-3


def test_coupled_outputs_follow_their_joint_kernel():
    """(n, n, c, c): the velocity of one output depends on the residuals of all."""
    torch.manual_seed(1)
    model, rng = MLP([3, 4, 4, 2], std=1.0).double(), np.random.default_rng(4)  # deep: K_cd(x, x') is not K_dc(x, x')
    x, x_test, y = rng.standard_normal((5, 3)), rng.standard_normal((3, 3)), rng.standard_normal((5, 2))
    kernel, kernel_test = empirical_ntk(model, x), empirical_ntk(model, x_test, x)
    assert kernel.shape == (5, 5, 2, 2) and np.abs(kernel[..., 0, 1] - kernel[..., 1, 0]).max() > 0.01
    u0, v0 = rng.standard_normal((5, 2)), rng.standard_normal((3, 2))

    def velocity(t, state):
        residual = state[:10].reshape(5, 2) - y
        moved = [np.einsum("ijcd,jd->ic", k, residual).ravel() for k in (kernel, kernel_test)]
        return -np.concatenate(moved) / 5

    start, times = np.concatenate([u0.ravel(), v0.ravel()]), [0.25, 5.0]
    solved = integrate.solve_ivp(velocity, (0, 5), start, "DOP853", times, rtol=1e-12, atol=1e-13).y.T
    found = kernel_flow(kernel, y, times, initial=u0)
    np.testing.assert_allclose(found.outputs, solved[:, :10].reshape(2, 5, 2), atol=1e-9)
    np.testing.assert_allclose(found.losses, square_loss(solved[:, :10].reshape(2, 5, 2), y), atol=1e-9)
    on_test = kernel_flow(kernel, y, times, kernel_test=kernel_test, initial=u0, initial_test=v0)
    np.testing.assert_allclose(on_test.outputs, solved[:, 10:].reshape(2, 3, 2), atol=1e-9)
    limit = interpolant(kernel, y, kernel, initial=u0, initial_test=u0)
    np.testing.assert_allclose(limit, y, atol=1e-9)


# Networks: training, gradient flow and kernel flow, one clock


def agreeing(model, x, y, *, learning_rate, steps, frozen=()):
    """Trajectories by train, gradient_flow and kernel_flow, at the same times and without any factor."""
    for name in frozen:
        model.get_parameter(name).requires_grad_(False)
    model, kernel = model.double(), empirical_ntk(model, x)
    initial = model(torch.as_tensor(x)).detach().numpy()
    trained = copy.deepcopy(model)
    options = {"optimizer": "gd", "clock": "flow", "snapshots": 12, "progress": False, "device": "cpu"}
    run = train(trained, x, y, steps=steps, learning_rate=learning_rate, **options)
    return run, gradient_flow(model, x, y, run.times), kernel_flow(kernel, y, run.times, initial=initial)


@pytest.mark.parametrize("c", [1, 3])
def test_training_gradient_flow_and_kernel_flow_of_a_linear_model_agree(c):
    """Its kernel is constant: the two flows agree to the solver's accuracy, descent to first order in its step."""
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((7, 4)), rng.standard_normal((7, c))
    gaps = []
    for steps in (400, 800):
        torch.manual_seed(0)
        run, solved, exact = agreeing(MLP([4, c]), x, y, learning_rate=4 / steps, steps=steps)
        assert np.abs(run.outputs[-1] - run.outputs[0]).max() > 0.1
        np.testing.assert_allclose(run.times, np.round(run.times * steps / 4) * 4 / steps, rtol=1e-12)
        np.testing.assert_allclose(solved.outputs, exact.outputs, atol=1e-5)
        np.testing.assert_allclose(solved.losses, exact.losses, atol=1e-5)
        gaps.append([np.abs(run.outputs - exact.outputs).max(), np.abs(run.losses - exact.losses).max()])
    assert max(gaps[1]) < 1e-2
    np.testing.assert_allclose(np.divide(gaps[0], gaps[1]), 2, rtol=0.05)


@pytest.mark.parametrize("frozen", [(), ("layers.0.weight", "layers.0.bias")])
def test_training_gradient_flow_and_kernel_flow_of_a_network_with_two_outputs_agree(frozen):
    """As long as the kernel is constant: early in a wide network, for ever with a frozen hidden layer."""
    torch.manual_seed(1)
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((6, 2)), rng.standard_normal((6, 2))
    late = {"learning_rate": 0.01, "steps": 300} if frozen else {"learning_rate": 2e-4, "steps": 100}
    run, solved, exact = agreeing(MLP([2, 60, 2]), x, y, frozen=frozen, **late)
    moved = np.abs(exact.outputs[-1] - exact.outputs[0]).max()
    assert moved > 0.02
    for one, other in ((run, solved), (run, exact), (solved, exact)):
        assert np.abs(one.outputs - other.outputs).max() < 0.02 * moved
        assert np.abs(one.losses - other.losses).max() < 0.02 * np.ptp(exact.losses)


@pytest.mark.parametrize("method", ["LSODA", "RK23"])
def test_gradient_flow_is_the_limit_of_gradient_descent(method):
    """A network whose kernel moves, against Euler steps written out; half the step, half the error."""
    torch.manual_seed(2)
    model = MLP([1, 5, 2], std=1.0).double()
    x, y, gaps = np.linspace(-1, 1, 6), np.random.default_rng(5).standard_normal((6, 2)), []
    flow = gradient_flow(model, x, y, [0.0, 3.0], method=method, rtol=1e-7)
    for steps in (200, 400):
        descent = copy.deepcopy(model)
        for _ in range(steps):
            descent.zero_grad()
            ((descent(torch.as_tensor(x[:, None])) - torch.as_tensor(y)) ** 2).sum().div(2 * 6).backward()
            with torch.no_grad():
                for p in descent.parameters():
                    p -= 3 / steps * p.grad
        gaps.append(np.abs(parameters_of(descent) - flow.parameters[-1]).max())
    assert gaps[1] < 0.02 and gaps[0] / gaps[1] == pytest.approx(2, rel=0.1)
    np.testing.assert_allclose(flow.parameters[0], parameters_of(model), rtol=1e-12)
    rebuilt = with_parameters(model, flow.parameters[-1])(torch.as_tensor(x[:, None])).detach().numpy()
    np.testing.assert_allclose(flow.outputs[-1], rebuilt, rtol=1e-12)
    np.testing.assert_allclose(flow.losses, square_loss(flow.outputs, y), rtol=1e-12)
    np.testing.assert_allclose(flow.inputs[:, 0], x)


def test_centred_gradient_flow_is_that_of_the_antisymmetric_pair():
    """It starts from the function 0 and follows f - f_0, to which the pair's two halves give the same kernel."""
    torch.manual_seed(3)
    model = MLP([1, 4, 1], std=1.0).double()
    x, y = np.linspace(-1, 1, 5), np.array([1.0, 0.0, -1.0, 0.0, 2.0])
    centred = gradient_flow(model, x, y, [0.0, 0.5, 4.0], centred=True)
    np.testing.assert_allclose(centred.outputs[0], 0, atol=1e-14)
    raw = gradient_flow(model, x, y + model(torch.as_tensor(x[:, None])).detach().numpy()[:, 0], [0.0, 0.5, 4.0])
    np.testing.assert_allclose(centred.outputs, raw.outputs - raw.outputs[0], atol=1e-5)
    np.testing.assert_allclose(centred.losses, square_loss(centred.outputs, y[:, None]), rtol=1e-12)
    early = gradient_flow(antisymmetric(model), x, y, [0.0, 1e-3]).outputs[-1]
    np.testing.assert_allclose(
        gradient_flow(model, x, y, [0.0, 1e-3], centred=True).outputs[-1], early, rtol=0.01, atol=1e-6
    )


def test_gradient_flow_in_float32_is_that_in_float64():
    torch.manual_seed(5)
    model, x, y = lazy_pair(2, 200), np.random.default_rng(6).standard_normal((8, 2)), np.ones(8)
    options = {"method": "RK23", "rtol": 1e-4}
    double = gradient_flow(model, x, y, [0.0, 1.0, 10.0], **options)
    single = gradient_flow(model, x, y, [0.0, 1.0, 10.0], dtype=torch.float32, **options)
    assert single.outputs.dtype == np.float32 and double.outputs.dtype == np.float64
    assert np.abs(double.outputs[-1] - double.outputs[0]).max() > 0.1
    np.testing.assert_allclose(single.outputs, double.outputs, atol=1e-4)
    with pytest.raises(ValueError, match="dtype"):
        gradient_flow(model, x, y, [1.0], dtype=torch.float16)


def test_frozen_parameters_stay():
    torch.manual_seed(4)
    model = MLP([1, 4, 1])
    model.layers[0].bias.requires_grad_(False)
    before = [p.detach().clone() for p in model.parameters()]
    flow = gradient_flow(model, np.linspace(-1, 1, 5), np.linspace(0, 1, 5), [0.0, 10.0])
    sizes = np.cumsum([0] + [p.numel() for p in model.parameters()])
    moved = [np.abs(np.diff(flow.parameters[:, a:b], axis=0)).max() for a, b in itertools.pairwise(sizes)]
    assert moved[1] == 0 and min(moved[0], moved[2], moved[3]) > 1e-3
    for p, q in zip(model.parameters(), before, strict=True):
        torch.testing.assert_close(p.detach(), q, rtol=0, atol=0)  # the model itself stays as it is
    assert not model.layers[0].bias.requires_grad and model.layers[0].weight.dtype == torch.float32


@pytest.mark.parametrize(
    ("times", "message"), [([-1.0, 1.0], "times must be >= 0"), ([2.0, 1.0], "increase"), ([np.inf], "finite")]
)
def test_gradient_flow_refuses_times_out_of_order(times, message):
    with pytest.raises(ValueError, match=message):
        gradient_flow(MLP([1, 1]), [1.0, 2.0], [3.0, 4.0], times)


@pytest.mark.slow
def test_wide_lazy_pair_follows_its_kernel():
    """m = 4096, eta = 0.05 / lambda_max, n = 32: within 5 % of |y| at all times."""
    torch.manual_seed(2)
    angles = torch.linspace(-torch.pi, torch.pi, 33)[:-1]
    x = torch.stack([angles.cos(), angles.sin()], 1)
    y = torch.sin(angles) + torch.sin(2 * angles)
    model = lazy_pair(2, 4096)
    kernel = empirical_ntk(model, x)
    options = {"optimizer": "gd", "clock": "flow", "snapshots": 25, "progress": False, "device": "cpu"}
    run = train(model, x, y, steps=600, learning_rate=0.05 / rates(kernel)[0], **options)
    flow = kernel_flow(kernel, y, run.times)
    distance = np.linalg.norm(run.outputs - flow.outputs, axis=(1, 2)) / float(y.norm())
    assert distance.max() < 0.05
    assert flow.losses[-1] < 0.1 * flow.losses[0]
    np.testing.assert_allclose(rates(kernel), rates(two_layer_ntk(x, bias=False, trained="first")), atol=0.02)


def test_as_matrix_acts_on_all_outputs_at_once():
    rng = np.random.default_rng(0)
    kernel, values = rng.standard_normal((3, 4, 2, 2)), rng.standard_normal((4, 2))
    expected = np.einsum("ijcd,jd->ic", kernel, values)
    np.testing.assert_allclose((as_matrix(kernel) @ values.ravel()).reshape(3, 2), expected)
    np.testing.assert_allclose(as_matrix(kernel[..., 0, 0]), kernel[..., 0, 0])


def test_rates_are_eigenvalues_over_n_largest_first():
    torch.manual_seed(5)
    model, x = MLP([3, 4, 2]), np.random.default_rng(1).standard_normal((5, 3))
    kernel = empirical_ntk(model, x)
    found = rates(kernel)
    assert found.shape == (10,) and (np.diff(found) <= 0).all()
    np.testing.assert_allclose(found.sum(), np.einsum("iicc->", kernel) / 5)
    np.testing.assert_allclose(rates(np.diag([1.0, 4.0, 2.0])), np.array([4.0, 2.0, 1.0]) / 3)


# Limits


@given(st.integers(0, 2**32 - 1))
def test_interpolant_is_the_limit_and_goes_through_the_data(seed):
    case, _ = problem(seed)
    limit = interpolant(**case)
    smallest = np.linalg.eigvalsh(case["kernel"])[0]
    late = kernel_flow(times=[240 / smallest], **case).outputs[0]
    scale = np.linalg.cond(case["kernel"])
    np.testing.assert_allclose(late, limit, atol=1e-13 * scale)
    wanted = case["initial_test"] + case["kernel_test"] @ np.linalg.solve(case["kernel"], case["y"] - case["initial"])
    np.testing.assert_allclose(limit, wanted, atol=1e-13 * scale)
    at_data = {**case, "kernel_test": case["kernel"], "initial_test": case["initial"]}
    np.testing.assert_allclose(interpolant(**at_data), case["y"], atol=1e-13 * scale)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_null_directions_stay_where_they_started(seed, rank):
    case, features = problem(seed, rank=rank)
    basis = linalg.orth(features[:6])
    late = kernel_flow(times=[0.5, 1e12], **training_part(case)).outputs
    moved = late - case["initial"]
    np.testing.assert_allclose(moved - basis @ (basis.T @ moved), 0, atol=1e-9)
    wanted = case["initial"] + basis @ (basis.T @ (case["y"] - case["initial"]))
    np.testing.assert_allclose(late[-1], wanted, atol=1e-9)
    wanted = case["initial_test"] + features[6:] @ np.linalg.pinv(features[:6]) @ (case["y"] - case["initial"])
    scale = np.linalg.cond(basis.T @ features[:6]) ** 2
    np.testing.assert_allclose(interpolant(**case), wanted, atol=1e-12 * scale)
    np.testing.assert_allclose(kernel_flow(times=[1e12], **case).outputs[0], wanted, atol=1e-12 * scale)


def test_a_point_given_twice_with_two_values_is_fitted_by_their_mean():
    angles = np.array([0.0, 0.0, 1.0, 2.5])
    x = np.stack([np.cos(angles), np.sin(angles)], 1)
    kernel = two_layer_ntk(x, bias=True, trained="both")
    y = np.array([1.0, 3.0, -1.0, 0.5])
    np.testing.assert_allclose(interpolant(kernel, y, kernel)[:, 0], [2, 2, -1, 0.5], atol=1e-10)
    end = kernel_flow(kernel, y, [1e9])
    np.testing.assert_allclose(end.outputs[0, :, 0], [2, 2, -1, 0.5], atol=1e-10)
    np.testing.assert_allclose(end.losses, 2 / (2 * 4), atol=1e-10)


def test_without_a_kernel_nothing_moves():
    y, start = np.array([1.0, 2.0]), np.array([[0.5], [-0.5]])
    flow = kernel_flow(np.zeros((2, 2)), y, [0.0, 1.0, 1e9], initial=start)
    np.testing.assert_allclose(flow.outputs, np.broadcast_to(start, (3, 2, 1)), rtol=1e-15)
    np.testing.assert_allclose(interpolant(np.zeros((2, 2)), y, np.zeros((1, 2))), [[0.0]], atol=1e-15)


def test_rounding_of_the_test_kernel_along_null_directions_does_nothing():
    kernel, kernel_test = np.diag([2.0, 0.0]), np.array([[2.0, 1e-3]])
    np.testing.assert_allclose(interpolant(kernel, [3.0, 1e6], kernel_test), [[3.0]], rtol=1e-14)
    np.testing.assert_allclose(
        kernel_flow(kernel, [3.0, 1e6], [1e3], kernel_test=kernel_test).outputs, [[[3.0]]], rtol=1e-14
    )


def test_slow_directions_move_by_velocity_times_time():
    """(1 - exp(-lambda t)) / lambda -> t without cancellation, down to eigenvalues 1e-12 of the largest."""
    kernel, kernel_test = np.diag([1.0, 1e-9, 1e-12]), np.diag([1.0, 1e-9, 1e-12])[[1, 2]] * 1e3
    moved = 2 * np.array([1e-9 * (1 - 1e-9), 1e-12 * (1 - 1e-12)])  # lambda t (1 - lambda t / 2) at t = 6 / 3
    found = kernel_flow(kernel, np.ones(3), [6.0], kernel_test=kernel_test)
    np.testing.assert_allclose(found.outputs[0, :, 0], 1e3 * moved, rtol=1e-13)
    found = kernel_flow(kernel, np.ones(3), [6.0])
    np.testing.assert_allclose(found.outputs[0, 1:, 0], moved, rtol=1e-13)


def test_rounding_of_float32_kernels_does_not_explode():
    """A smooth kernel in float32 has negative eigenvalues; growing as exp(-lambda t) they would reach 1e40 here."""
    x = np.linspace(-1, 1, 60)
    kernel = np.exp(-((x[:, None] - x) ** 2)).astype(np.float32).astype(float)
    eigenvalues = rates(kernel)
    assert -1e-6 * eigenvalues[0] < eigenvalues[-1] < -1e-10 * eigenvalues[0]
    y = np.sin(5 * x)
    late = kernel_flow(kernel, y, [100 / -eigenvalues[-1]])
    assert np.abs(late.outputs[0, :, 0] - y).max() < 1e-3


def test_what_counts_as_rounding_is_measured_by_the_largest_entry():
    kernel = np.array([[1.0, 1e-7, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]])
    found = kernel_flow(kernel, np.ones(3), [3.0]).outputs[0, :, 0]
    np.testing.assert_allclose(found, -np.expm1(-np.array([1.0, 2.0, 3.0])), atol=1e-6)


def test_values_at_time_zero_are_the_initial_ones():
    case, _ = problem(7)
    np.testing.assert_allclose(kernel_flow(times=[0.0], **case).outputs[0], case["initial_test"], rtol=1e-15)
    np.testing.assert_allclose(kernel_flow(times=[0.0], **training_part(case)).outputs[0], case["initial"], rtol=1e-15)
    zero = {name: case[name] for name in ("kernel", "y", "kernel_test")}
    np.testing.assert_allclose(kernel_flow(times=[0.0], **zero).outputs[0], 0, atol=1e-15)


def test_vectors_tensors_and_columns_are_the_same_data():
    case, _ = problem(8, c=1)
    wanted = kernel_flow(times=[0.5, 2.0], **case)
    flat = {name: torch.as_tensor(v if name.startswith("kernel") else v[:, 0]) for name, v in case.items()}
    found = kernel_flow(times=torch.tensor([0.5, 2.0]), **flat)
    np.testing.assert_allclose(found.outputs, wanted.outputs, rtol=1e-12)
    assert found.outputs.shape == (2, 4, 1) and found.outputs.dtype == np.float64
    np.testing.assert_allclose(interpolant(**flat), interpolant(**case), rtol=1e-12)


def test_arguments_are_left_as_they_were():
    case, _ = problem(9, rank=3)
    before = copy.deepcopy(case)
    kernel_flow(times=[1.0], **case)
    interpolant(**case)
    for name, value in case.items():
        np.testing.assert_array_equal(value, before[name])


EYE = np.eye(3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernel": np.ones((3, 2))}, "kernel must be square"),
        ({"kernel": np.eye(4)}, "kernel must be square"),
        ({"kernel": np.ones((3, 3, 2, 2))}, "kernel must be square"),
        ({"kernel": EYE + np.triu(np.full((3, 3), 1e-5), 1)}, "symmetric"),
        ({"kernel": np.diag([1.0, 1.0, -1e-4])}, "positive semi-definite"),
        ({"y": [1.0, np.inf, 0.0]}, "y must be finite"),
        ({"y": []}, "y must not be empty"),
        ({"times": [-1.0, 2.0]}, "times must be >= 0"),
        ({"times": [1.0, 1.0]}, "increase"),
        ({"initial": np.ones(2)}, r"initial must have shape \(3, 1\)"),
        ({"initial_test": np.ones(2)}, "initial_test needs kernel_test"),
        ({"kernel_test": np.ones((2, 4))}, "kernel_test must be"),
        ({"kernel_test": np.ones((2, 3, 1, 1))}, "kernel_test must have"),
        ({"kernel_test": np.ones((2, 3)), "initial": np.ones(3)}, "both or neither"),
        ({"kernel_test": np.ones((2, 3)), "initial_test": np.ones(2)}, "both or neither"),
        (
            {"kernel_test": np.ones((2, 3)), "initial": np.ones(3), "initial_test": np.ones(3)},
            r"initial_test must have shape \(2, 1\)",
        ),
        ({"inputs": np.ones((2, 1))}, "inputs"),
    ],
)
def test_bad_input_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        kernel_flow(**{"kernel": EYE, "y": np.ones(3), "times": [0.0, 1.0], **changes})
    if "times" not in changes and "inputs" not in changes and "kernel_test" in changes:
        with pytest.raises(ValueError, match=message):
            interpolant(**{"kernel": EYE, "y": np.ones(3), **changes})


# Steps of finite size


@pytest.mark.parametrize("rate", [1e-3, 0.3, 0.9, 1.7, 2.2])  # in units of 1 / lambda_max: 1 leaves nothing, 2.2 grows
@pytest.mark.parametrize("rank", [None, 3])
def test_descent_is_gradient_descent(rate, rank):
    case, _ = problem(10, rank=rank)
    kernel, y, kernel_test, u, v = case.values()
    n, eta, steps = len(y), rate / rates(kernel)[0], [0, 1, 2, 7, 40]
    on_training = kernel_descent(steps=steps, learning_rate=eta, inputs=np.arange(6.0), **training_part(case))
    on_test = kernel_descent(steps=steps, learning_rate=eta, **case)
    for step in range(41):
        if step in steps:
            i = steps.index(step)
            np.testing.assert_allclose(on_training.outputs[i], u, rtol=1e-10, atol=1e-12)
            np.testing.assert_allclose(on_test.outputs[i], v, rtol=1e-10, atol=1e-12)
            for trajectory in (on_training, on_test):
                np.testing.assert_allclose(trajectory.losses[i], square_loss(u[None], y)[0], rtol=1e-10, atol=1e-14)
        u, v = u - eta * kernel @ (u - y) / n, v - eta * kernel_test @ (u - y) / n
    np.testing.assert_allclose(on_test.times, steps)
    np.testing.assert_allclose(on_training.inputs[:, 0], np.arange(6))


def test_descent_in_small_steps_is_the_flow():
    case, _ = problem(11)
    flow = kernel_flow(times=[0.6, 12.0], **case).outputs
    for eta, close in ((6e-2, 1e-2), (6e-5, 1e-5)):
        steps = np.round(np.array([0.6, 12.0]) / eta)
        np.testing.assert_allclose(kernel_descent(steps=steps, learning_rate=eta, **case).outputs, flow, atol=close)


def test_descent_takes_no_logarithm_of_modes_that_overshoot():
    """A mode shrinks by 1 - eta lambda at each step, whatever the sign of that; numpy has nothing to warn of."""
    part = np.array([1e-3, 0.4, 0.6, 1.2, 1.9])
    with np.errstate(all="raise"):
        found = kernel_descent(np.diag(part), np.ones(5), [3], 5.0)
    np.testing.assert_allclose(found.outputs[0, :, 0], 1 - (1 - part) ** 3, rtol=1e-13)


def test_descent_of_slow_directions_does_not_cancel():
    kernel, kernel_test = np.diag([1.0, 1e-9, 1e-12]), np.diag([1.0, 1e-9, 1e-12])[[1, 2]]
    moved = np.array([3e-9 * (1 - 1e-9), 3e-12 * (1 - 1e-12)])  # s lambda (1 - (s - 1) lambda / 2)
    found = kernel_descent(kernel, np.ones(3), [3], 3.0, kernel_test=kernel_test)
    np.testing.assert_allclose(found.outputs[0, :, 0], moved, rtol=1e-13)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": [0.0, 1.5]}, "whole numbers"),
        ({"steps": [-1, 2]}, "whole numbers"),
        ({"steps": [2, 1]}, "increase"),
        ({"learning_rate": -1.0}, "learning_rate must be"),
    ],
)
def test_bad_input_of_a_descent_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        kernel_descent(**{"kernel": EYE, "y": np.ones(3), "steps": [0, 1], "learning_rate": 0.1, **changes})


def test_interpolant_needs_points():
    with pytest.raises(ValueError, match="kernel_test"):
        interpolant(EYE, np.ones(3), None)


def test_decay_rates_of_a_flow_are_its_eigenvalues():
    eigenvalues, vectors = np.array([2.0, 0.5, 0.01]), np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    times = np.linspace(0, 60, 121)
    flow = kernel_flow(vectors * eigenvalues @ vectors.T, np.array([1.0, 2.0, -3.0]), times)
    residual = (np.array([1.0, 2.0, -3.0]) - flow.outputs[:, :, 0]) @ vectors
    eigenvalues = eigenvalues / 3
    np.testing.assert_allclose(decay_rate(residual, times, 2.5 / eigenvalues), eigenvalues, rtol=1e-6)
    assert decay_rate(residual[:, 1], times, 10) == pytest.approx(0.5 / 3, rel=1e-9)


def test_decay_rate_is_the_least_squares_line_through_the_logarithms_from_time_zero_on():
    times, logarithms = np.array([0.0, 1.0, 2.0]), np.array([0.0, -1.0, -5.0])
    assert decay_rate(np.exp(logarithms), times, 2.0) == pytest.approx(2.5)  # from t = 1 on it would be 4
    assert decay_rate(np.exp(logarithms), times, 1.0) == pytest.approx(1.0)  # two times are enough
    assert isinstance(decay_rate(np.exp(logarithms), times, 2.0), float)


def test_decay_rate_sees_nothing_after_the_fit():
    times = np.arange(7.0) - 1
    residual = np.exp(-0.3 * times)
    residual[times > 3] = 5.0
    residual[times < 0] = 7.0
    assert decay_rate(residual, times, 3.0) == pytest.approx(0.3)
    assert decay_rate(residual, times, 4.0) < 0.1


@pytest.mark.parametrize(
    ("residual", "times", "until"),
    [
        (np.ones(3), [0, 1], 1), (np.ones(3), [0, 1, 2], 0.5), ([1, 0, 1], [0, 1, 2], 2),
        (np.ones((3, 2)), [0, 1, 2], [2, 2, 2]), (np.ones((3, 2)), [0, 1, 2], [2, 0.5]),
    ],
)  # fmt: skip
def test_bad_input_of_a_decay_rate_is_refused(residual, times, until):
    with pytest.raises(ValueError, match=r"two times|until must|must be finite|same number|broadcast"):
        decay_rate(residual, times, until)


@pytest.mark.parametrize(("period", "largest", "dim"), [(1.0, 3.0, 1), (2.5, 1.0, 2), (0.1, 20.0, 2), (4.0, 0.8, 3)])
def test_frequencies_of_a_box_are_those_of_its_periodic_functions(period, largest, dim):
    reach = range(-12, 13)
    wanted = {k for k in itertools.product(reach, repeat=dim) if 0 < math.hypot(*k) <= period * largest + 1e-9}
    found = box_frequencies(period, largest, dim=dim)
    assert found.shape == (len(wanted), dim)
    np.testing.assert_allclose(found * period, np.round(found * period), atol=1e-12)
    assert set(map(tuple, np.round(found * period).astype(int))) == wanted


def waves(seed, dim, n=4, n_test=3, c=2):
    """A small LFP problem: points, targets, test points, frequencies of a box with a spectrum, an initial function."""
    rng = np.random.default_rng(seed)
    k = box_frequencies(1.0, 5.0 if dim == 1 else 2.3, dim=dim)
    spectrum = np.linalg.norm(k, axis=1) ** -2.0
    x, x_test = rng.uniform(size=(n, dim)), rng.uniform(size=(n_test, dim))
    initial, initial_test = (np.column_stack([np.cos(7 * p.sum(1)), p[:, 0]])[:, :c] for p in (x, x_test))
    problem = {"x": x, "y": rng.standard_normal((n, c)), "frequencies": k, "spectrum": spectrum, "x_test": x_test}
    return problem | {"initial": initial, "initial_test": initial_test}


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_spectral_kernel_is_the_sum_of_waves(dim):
    problem = waves(0, dim)
    a, b, k, spectrum = (problem[name] for name in ("x", "x_test", "frequencies", "spectrum"))
    wanted = [
        [sum(s * np.exp(2j * np.pi * xi @ (p - q)) for xi, s in zip(k, spectrum, strict=True)) for q in b] for p in a
    ]
    found = spectral_kernel(a, b, frequencies=k, spectrum=spectrum)
    np.testing.assert_allclose(found, np.real(wanted), atol=1e-12)
    assert np.abs(np.imag(wanted)).max() < 1e-12
    within = spectral_kernel(a, frequencies=k, spectrum=spectrum)
    np.testing.assert_allclose(within, spectral_kernel(a, a, frequencies=k, spectrum=spectrum), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize("mean_rate", [0.0, 0.7, pytest.param(None, marks=pytest.mark.slow)])
def test_lfp_flow_moves_every_frequency_as_the_law_says(dim, mean_rate):
    """Coefficient by coefficient through an ODE solver, with the transforms of the samples written out."""
    problem = waves(1, dim)
    if mean_rate is not None:
        problem["frequencies"] = np.vstack([problem["frequencies"], np.zeros((1, dim))])
        problem["spectrum"] = np.append(problem["spectrum"], mean_rate)
    k, spectrum = problem["frequencies"], problem["spectrum"]
    if mean_rate is None:  # a free mean is the limit of a very fast one
        k, spectrum = np.vstack([k, np.zeros((1, dim))]), np.append(spectrum, 3e5)
    x, y, times = problem["x"], problem["y"], np.array([0.02, 0.3, 2.0, 20.0])
    at_x, at_test = (np.exp(2j * np.pi * p @ k.T) for p in (x, problem["x_test"]))

    def velocity(t, change):
        error = (at_x @ change.reshape(len(k), -1)).real + problem["initial"] - y
        return -(spectrum[:, None] * (at_x.conj().T @ error) / len(x)).ravel()

    start = np.zeros(len(k) * y.shape[1], dtype=complex)
    method = "BDF" if mean_rate is None else "DOP853"
    solved = integrate.solve_ivp(velocity, (0, 20), start, method, times, rtol=1e-9, atol=1e-11).y.T
    changes = solved.reshape(len(times), len(k), -1)
    tolerance = 3e-5 if mean_rate is None else 1e-7
    on_test = lfp_flow(times=times, **problem)
    np.testing.assert_allclose(on_test.outputs, (at_test @ changes).real + problem["initial_test"], atol=tolerance)
    np.testing.assert_allclose(on_test.inputs, problem["x_test"])
    on_samples = lfp_flow(times=times, **{**problem, "x_test": None, "initial_test": None})
    wanted = (at_x @ changes).real + problem["initial"]
    np.testing.assert_allclose(on_samples.outputs, wanted, atol=tolerance)
    np.testing.assert_allclose(on_samples.inputs, x)
    for run in (on_test, on_samples):
        np.testing.assert_allclose(run.losses, square_loss(wanted, y), atol=tolerance)


def test_a_free_mean_is_set_at_once():
    problem = waves(2, 1)
    problem |= {"x_test": None, "initial_test": None}
    outputs = lfp_flow(times=[0.0, 1.0], **problem).outputs
    shift = (problem["y"] - problem["initial"]).mean(axis=0)
    np.testing.assert_allclose(outputs[0], problem["initial"] + shift, atol=1e-14)
    np.testing.assert_allclose(outputs.mean(axis=1), np.tile(problem["y"].mean(axis=0), (2, 1)), atol=1e-14)


def least_norm(problem, free_mean):
    """Minimize sum |h^ - h_ini^|^2 / spectrum under h(x_i) = y_i by numpy's least squares: real waves as columns."""
    x, y, k = problem["x"], problem["y"], problem["frequencies"]
    root = np.sqrt(problem["spectrum"])

    def columns(points):  # per pair +-xi: |h^|^2 / spectrum summed over the pair is the sum of squares below
        return np.hstack([trig(2 * np.pi * points @ k.T) * root for trig in (np.cos, np.sin)])

    a, a_test, gap = columns(x), columns(problem["x_test"]), y - problem["initial"]
    if not free_mean:
        return a_test @ np.linalg.lstsq(a, gap, rcond=None)[0] + problem["initial_test"]
    n, size = a.shape  # stationarity: v = a^T m, 0 = 1^T m for the multipliers m; constraint: a v + mean = gap
    system = np.block([
        [np.eye(size), np.zeros((size, 1)), -a.T],
        [np.zeros((1, size + 1)), np.ones((1, n))],
        [a, np.ones((n, 1)), np.zeros((n, n))],
    ])  # fmt: skip
    solved = np.linalg.solve(system, np.vstack([np.zeros((size + 1, gap.shape[1])), gap]))
    return a_test @ solved[:size] + solved[size] + problem["initial_test"]


@given(st.integers(0, 2**32 - 1), st.integers(1, 2), st.booleans(), st.integers(1, 6))
def test_lfp_ends_at_the_constrained_minimiser_of_the_norm(seed, dim, free_mean, n):
    problem = waves(seed, dim, n=n)
    apart = problem["x"][:, None] - problem["x"]
    apart = np.abs(apart - apart.round()).max(axis=2)  # on the torus
    assume(n == 1 or apart[~np.eye(n, dtype=bool)].min() > 0.03)
    if not free_mean:
        problem["frequencies"] = np.vstack([problem["frequencies"], np.zeros((1, dim))])
        problem["spectrum"] = np.append(problem["spectrum"], 0.4)
    found = lfp_interpolant(**problem)
    np.testing.assert_allclose(found, least_norm(problem, free_mean), atol=1e-6, rtol=1e-6)
    slowest = np.linalg.eigvalsh(spectral_kernel(problem["x"], **{k: problem[k] for k in ("frequencies", "spectrum")}))
    late = lfp_flow(times=[40 * n / slowest[0]], **problem).outputs[0]
    np.testing.assert_allclose(late, found, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    ("moments", "period", "largest", "spline", "bound"),
    [
        ({"w2": 1.0, "a2": 0.5, "a2w2": 0.0}, 500.0, 12.0, "cubic", 1e-4),
        ({"w2": 0.0, "a2": 0.0, "a2w2": 1.0}, 4.0, 600.0, "linear", 6e-4),
    ],
)
def test_lfp_interpolants_are_splines(moments, period, largest, spline, bound):
    """xi^-4 gives the natural cubic spline, xi^-2 the linear one (scipy), up to the size of the box and the cut-off."""
    x, y = np.array([-0.8, -0.6, -0.3, -0.06, 0.1]), np.array([0.25, -0.25, -0.07, 0.15, -0.05])
    line = np.linspace(-0.8, 0.1, 91)
    splines = {"cubic": interpolate.CubicSpline(x, y, bc_type="natural")(line), "linear": np.interp(line, x, y)}
    k = box_frequencies(period, largest)
    found = lfp_interpolant(x, y, line, frequencies=k, spectrum=lfp_spectrum(k[:, 0], **moments))[:, 0]
    assert np.abs(found - splines.pop(spline)).max() < bound
    assert np.abs(found - splines.popitem()[1]).max() > 0.1


def test_samples_cannot_tell_aliases_apart():
    """On 8 even points cos 5x is cos 3x: both targets give one flow, and the flow holds both frequencies."""
    x = np.arange(8) / 8
    k = box_frequencies(1.0, 8.0)
    law = {"frequencies": k, "spectrum": np.abs(k[:, 0]) ** -2.0, "x_test": np.arange(40) / 40}
    three, five = (lfp_interpolant(x, np.cos(2 * np.pi * j * x), **law)[:, 0] for j in (3, 5))
    np.testing.assert_allclose(three, five, atol=1e-13)
    parts = np.abs(np.fft.fft(three))[[3, 5]] / 20
    np.testing.assert_allclose(parts, [5**2 / (3**2 + 5**2), 3**2 / (3**2 + 5**2)], rtol=1e-10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: box_frequencies(1.0, 0.5), "at least 1 / period"),
        (lambda: box_frequencies(0.0, 1.0), "period must be"),
        (lambda: spectral_kernel([0.0, 1.0], frequencies=[[1.0, 2.0]], spectrum=[1.0]), "same dimension"),
        (lambda: spectral_kernel([0.0, 1.0], frequencies=[1.0, 2.0], spectrum=[1.0]), "same number"),
        (lambda: spectral_kernel([0.0, 1.0], frequencies=[1.0], spectrum=[-1.0]), "spectrum must be >= 0"),
        (lambda: lfp_flow([0.0, 1.0], [1.0], [0.0], frequencies=[1.0], spectrum=[1.0]), "same number"),
        (lambda: lfp_flow([0.0], [1.0], [-1.0], frequencies=[1.0], spectrum=[1.0]), "times must be >= 0"),
        (
            lambda: lfp_flow([0.0], [1.0], [0.0], frequencies=[1.0], spectrum=[1.0], initial_test=[1.0]),
            "initial_test needs",
        ),
        (
            lambda: lfp_interpolant([0.0], [1.0], [0.5], frequencies=[1.0], spectrum=[1.0], initial=[1.0]),
            "give both or neither",
        ),
    ],
)
def test_bad_input_to_the_lfp_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Any loss


def test_loss_flow_of_the_squared_loss_is_the_kernel_flow():
    p, _ = problem(3, c=1)
    y, initial = p["y"][:, 0], p["initial"][:, 0]
    times, alpha = loss_flow(p["kernel"], lambda u: u - y, 30.0, initial=initial)
    exact = kernel_flow(p["kernel"], y, times, initial=initial)
    np.testing.assert_allclose(initial + alpha @ p["kernel"], exact.outputs[:, :, 0], atol=2e-5)
    assert times[0] == 0 and times[-1] == 30 and not alpha[0].any()


@pytest.mark.parametrize(("power", "until"), [(1.5, 1.3), (4, 1e6)])
def test_loss_flow_of_one_point_has_its_closed_form(power, until):
    # de/dt = -K |e|^(p-1): |e|^(2-p) is linear in time
    kernel, start = 0.7, 2.0
    times, alpha = loss_flow([[kernel]], lambda u: np.sign(u) * np.abs(u) ** (power - 1), until, initial=[start])
    exact = (start ** (2 - power) - (2 - power) * kernel * times) ** (1 / (2 - power))
    np.testing.assert_allclose(start + kernel * alpha[:, 0], exact, atol=2e-5)


def test_loss_flow_ends_at_its_target_and_there_at_the_interpolant():
    p, _ = problem(4, c=1)
    y = p["y"][:, 0]
    times, alpha = loss_flow(p["kernel"], lambda u: (u - y) ** 3, 1e16, target=y, tolerance=1e-5)
    assert times[-1] < 1e15
    assert np.abs(alpha[-1] @ p["kernel"] - y).max() == pytest.approx(1e-5, rel=0.05)
    assert np.abs(alpha[-2] @ p["kernel"] - y).max() > 1e-5
    expected = interpolant(p["kernel"], y, p["kernel_test"])[:, 0]
    np.testing.assert_allclose(p["kernel_test"] @ alpha[-1], expected, atol=1e-3)
    _, alpha = loss_flow(p["kernel"], lambda u: u - y, 1e6, target=y)
    assert np.abs(alpha[-1] @ p["kernel"] - y).max() == pytest.approx(1e-6, rel=0.05)


@pytest.mark.parametrize(
    ("kernel", "gradient", "options", "message"),
    [
        (np.ones((2, 3)), lambda u: u, {}, "rows of kernel and columns"),
        (np.eye(2), lambda u: u, {"initial": [1.0]}, "initial and kernel"),
        (np.eye(2), lambda u: u, {"target": [1.0]}, "target and kernel"),
        (np.eye(2), lambda u: np.full(2, np.nan), {}, "gradient"),
        (np.eye(1), lambda u: -((u + 1) ** 2), {}, "could not be followed beyond t = 1"),  # u = 1 / (1 - t) - 1
    ],
)
def test_loss_flow_refuses(kernel, gradient, options, message):
    with pytest.raises(ValueError, match=message):
        loss_flow(kernel, gradient, 2.0, **options)


@given(st.integers(0, 999), st.integers(1, 30), st.sampled_from([0.0, 1e-6, 0.1, 10.0]))
def test_learnability_spends_the_budget(seed, n, ridge):
    rng = np.random.default_rng(seed)
    eigenvalues, multiplicities = np.exp(rng.uniform(-12, 3, size=5)), rng.integers(1, 20, size=5)
    learned = learnability(eigenvalues, n, multiplicities=multiplicities, ridge=ridge)
    assert (learned >= 0).all() and (learned <= 1).all()
    assert (np.diff(learned[np.argsort(eigenvalues)]) >= 0).all()
    if ridge == 0 and n >= multiplicities.sum():
        assert (learned == 1).all()
    else:
        kappa = eigenvalues[0] * (1 / learned[0] - 1)
        assert multiplicities @ learned + ridge / kappa == pytest.approx(n, rel=1e-6)


def test_learnability_is_what_ridge_regression_on_independent_modes_learns():
    # sum_k of the measured learnabilities is exactly n - ridge tr (K + ridge)^-1, for any values of the modes
    rng = np.random.default_rng(0)
    eigenvalues, n, ridge = 1.0 / np.arange(1, 401) ** 1.5, 60, 0.01
    measured = np.zeros(400)
    for _ in range(20):
        modes = rng.standard_normal((n, 400))
        inverse = np.linalg.inv(modes * eigenvalues @ modes.T + ridge * np.eye(n))
        learned = eigenvalues * np.einsum("ik,ij,jk->k", modes, inverse, modes)
        assert learned.sum() == pytest.approx(n - ridge * np.trace(inverse), rel=1e-9)
        measured += learned / 20
    assert np.sqrt(np.mean((learnability(eigenvalues, n, ridge=ridge) - measured) ** 2)) < 0.02


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: learnability([1.0, -1.0], 1), ">= 0"),
        (lambda: learnability([1.0, 1.0], 0), "n must be"),
        (lambda: learnability([1.0, 1.0], 1, multiplicities=[1]), "multiplicities"),
        (lambda: learnability([1.0], 1, ridge=-1.0), "ridge"),
    ],
)
def test_learnability_refuses(call, message):
    with pytest.raises(ValueError, match=message):
        call()
