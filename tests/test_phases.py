"""The flow beside a finer one in double precision, the theory's slopes, and bad input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpcourse import neurons

X, Y = np.array([-1, -1 / 3, 1 / 3, 1]), np.array([0.4, -0.2, -0.1, 0.3])


def fine_flow(width, gamma, gamma_prime, seed):
    """The flow of the docstring for one network in float64, in steps eight times as fine: a, w, largest change of w."""
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
        eta = min(1 / np.linalg.eigvalsh(kernel)[-1], 0.05 / speed) / 8
        a, w = a + eta * da, w + eta * dw
        change = max(change, np.linalg.norm(w - start) / np.linalg.norm(start))
    return a, w, change


@pytest.mark.parametrize(("gamma", "gamma_prime"), [(0.5, 0.0), (1.0, 0.0), (1.5, 0.0), (1.5, 0.4), (1.5, -0.4)])
def test_it_follows_the_flow(gamma, gamma_prime):
    run = neurons.train_scaled(X, Y, width=40, gamma=gamma, gamma_prime=gamma_prime, draws=1, seed=3, steps=2000)
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
    batch = neurons.train_scaled(X, Y, width=20, gamma=[0.5, 1.5], gamma_prime=[0.2, -0.3], draws=3, seed=1, steps=50)
    for i, (gamma, gamma_prime) in enumerate([(0.5, 0.2), (1.5, -0.3)]):
        one = neurons.train_scaled(X, Y, width=20, gamma=gamma, gamma_prime=gamma_prime, draws=3, seed=1, steps=50)
        for name in one:
            np.testing.assert_allclose(one[name][0], batch[name][i], rtol=1e-3, atol=1e-6)
    assert len({float(v) for v in batch["change"].ravel()}) == 6  # every draw has weights of its own


def test_small_changes_are_not_lost_in_single_precision():
    """Under a fast a the w hardly move, far below the spacing of float32 near 1."""
    run = neurons.train_scaled(X, Y, width=1600, gamma=0.5, gamma_prime=1.5, draws=1, steps=300)
    half = neurons.train_scaled(X, Y / 2, width=1600, gamma=0.5, gamma_prime=1.5, draws=1, steps=300)
    assert 0 < run["change"][0, 0] < 1e-7
    np.testing.assert_allclose(run["change"] / half["change"], 2, rtol=0.01)  # so close to the start all is linear


def test_top_share_counts_the_fullest_bins():
    spread, one = np.ones(90), np.eye(90)[4]
    np.testing.assert_allclose(neurons.top_share(spread), 6 / 90)
    np.testing.assert_allclose(neurons.top_share([spread, one, spread + 84 * one], bins=1), [1 / 90, 1, 85 / 174])


@given(st.floats(-1, 3), st.floats(-2, 2))
def test_predicted_phases_are_those_of_the_paper(gamma, gamma_prime):
    slope = neurons.predicted_slope(gamma, gamma_prime)
    if gamma < 1 or gamma_prime > gamma - 1:
        assert slope < 0 or np.isclose(slope, 0)
    elif gamma > 1 and gamma_prime < gamma - 1:
        assert slope > 0 or np.isclose(slope, 0)
    for step in ((1e-9, 0), (0, 1e-9)):  # the pieces fit together
        assert abs(neurons.predicted_slope(gamma + step[0], gamma_prime + step[1]) - slope) < 1e-8


@pytest.mark.parametrize(
    ("point", "slope"),
    [((0.5, 0), -0.5), ((0.5, 1), -2.5), ((0.5, -1), -0.5), ((1, 0), 0), ((1.75, 0), 0.375), ((1.75, -0.5), 0.625),
     ((1.75, -1), 0.75), ((1.75, 0.75), 0), ((1.75, 1), -0.5), ((1.5, 1), -1)],
)  # fmt: skip
def test_predicted_slopes(point, slope):
    np.testing.assert_allclose(neurons.predicted_slope(*point), slope, atol=1e-12)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"y": Y[:3]}, "same number"),
        ({"y": 0 * Y}, "all zero"),
        ({"width": 5}, "even"),
        ({"width": 0}, "width"),
        ({"gamma": [1, 2], "gamma_prime": [1, 2, 3]}, "match"),
        ({"gamma": np.nan}, "finite"),
        ({"draws": 0}, "draws"),
        ({"seed": -1}, "seed"),
        ({"steps": 0}, "steps"),
    ],
)
def test_it_refuses(changed, message):
    with pytest.raises(ValueError, match=message):
        neurons.train_scaled(**({"x": X, "y": Y, "width": 4, "gamma": 1.0, "gamma_prime": 0.0} | changed))


@pytest.mark.parametrize(("amplitudes", "bins"), [(np.ones(3), 4), (np.ones(3), 0), (-np.ones(9), 6), (np.zeros(9), 6)])
def test_top_share_refuses(amplitudes, bins):
    with pytest.raises(ValueError):
        neurons.top_share(amplitudes, bins=bins)


def test_predicted_slope_refuses():
    with pytest.raises(ValueError, match="match"):
        neurons.predicted_slope([1, 2], [1, 2, 3])
