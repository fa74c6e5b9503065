"""The lemmas of "Ridges and depth", each side paired with a Gaussian that has no symmetry to hide a wrong sign."""

import numpy as np
import pytest

W, B, CENTRE = np.array([3.0, -1.6]), 0.7, np.array([0.3, 0.4])
SIZE = np.linalg.norm(W)


def phi(spots):
    return np.exp(-np.pi * ((spots - CENTRE) ** 2).sum(axis=-1))


@pytest.fixture(scope="module")
def plane():
    """Points of the plane, and there the transform of phi times the area of a cell."""
    side = np.arange(-140, 140) * 0.05
    points = np.stack(np.meshgrid(side, side, indexing="ij"), axis=2)
    return points, np.exp(-np.pi * (points**2).sum(axis=2) - 2j * np.pi * points @ CENTRE) * 0.05**2


LINE = np.arange(-4000, 4000) * 0.001
SECH_HAT = np.pi / np.cosh(np.pi**2 * LINE) * 0.001  # transform of sech, times the length of a cell


def test_transform_of_a_ridge_through_the_origin(plane):
    points, phi_hat = plane
    found = (phi_hat / np.cosh(points @ W / SIZE)).sum()
    assert found == pytest.approx(SECH_HAT @ phi(np.outer(LINE, W / SIZE)), rel=1e-10)


def test_transform_of_a_ridge(plane):
    points, phi_hat = plane
    found = (phi_hat / np.cosh(points @ W + B)).sum()
    assert found == pytest.approx((SECH_HAT * np.exp(2j * np.pi * B * LINE)) @ phi(np.outer(LINE, W)), rel=1e-10)


def test_transform_of_x_times_a_ridge(plane):
    """In the distribution on the right the gradient moves to phi, with a change of sign."""
    points, phi_hat = plane
    spots = np.outer(LINE, W)
    gradient = -2 * np.pi * (spots - CENTRE) * phi(spots)[:, None]
    found = np.tensordot(phi_hat / np.cosh(points @ W + B), points)
    wanted = -1j / (2 * np.pi) * (SECH_HAT * np.exp(2j * np.pi * B * LINE)) @ gradient
    np.testing.assert_allclose(found, wanted, rtol=1e-10)


def test_scaling_of_the_delta_function_on_a_line():
    """By a Gaussian ridge of width 1/1000 in its place, which is right to the square of its width."""
    along, across, thin = np.arange(-4000, 4000) * 0.002, np.arange(-80, 81) * 0.1, 1e-3
    normal = np.array([-W[1], W[0]]) / SIZE
    around = SIZE * thin * across[:, None, None] * normal + along[:, None] * W / SIZE
    delta = np.exp(-(across**2) / 2) / np.sqrt(2 * np.pi) / thin  # on the line, taken at x / |w|
    found = delta @ phi(around).sum(axis=1) * (0.1 * SIZE * thin * 0.002) / SIZE**2  # d = 2
    assert found == pytest.approx(0.001 * phi(np.outer(LINE, W)).sum(), rel=1e-4)
