"""Critical points of the loss: its gradient and Hessian, the way down to a minimum, and the last digits of it.

The loss is the course's "mse", the mean over samples and outputs, and everything is computed in float64 whatever the
dtype of the model. Parameters come in the order of ``model.parameters()``.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from fpcourse import checks
from fpcourse.trajectory import Trajectory


class _Loss:
    """The loss as a function of the parameters in one float64 vector, with its gradient and Hessian."""

    def __init__(self, model: nn.Module, x, y) -> None:
        _demand_parameters(model)
        self.model = copy.deepcopy(model).double()
        for parameter in self.model.parameters():
            parameter.requires_grad_(True)
        self.x = torch.as_tensor(checks.inputs("x", x))
        self.y = torch.as_tensor(checks.points("y", y))
        with checks.accepted_by_model("x", self.x.shape):
            outputs = checks.outputs(self.model(self.x))
        if outputs.shape != self.y.shape:
            raise ValueError(f"y must have the shape of the outputs {tuple(outputs.shape)}; got {tuple(self.y.shape)}")
        self.parameters = list(self.model.parameters())
        self.start = checks.array("the parameters of model", self.flat(self.parameters))
        checks.array("the loss", (outputs - self.y).detach().square().mean())

    @staticmethod
    def flat(tensors) -> np.ndarray:
        return torch.cat([tensor.detach().reshape(-1).double() for tensor in tensors]).numpy().copy()

    def at(self, theta: np.ndarray) -> Tensor:
        nn.utils.vector_to_parameters(torch.tensor(theta), self.parameters)
        return (self.model(self.x) - self.y).square().mean()

    def value(self, theta: np.ndarray) -> float:
        with torch.no_grad():
            return float(self.at(theta))

    def gradient(self, theta: np.ndarray) -> np.ndarray:
        return self.flat(torch.autograd.grad(self.at(theta), self.parameters))

    def hessian_product(self, theta: np.ndarray):
        """The map v -> H v at theta, one backward pass each."""
        gradients = torch.autograd.grad(self.at(theta), self.parameters, create_graph=True)
        gradient = torch.cat([each.reshape(-1) for each in gradients])

        def product(vector: np.ndarray) -> np.ndarray:
            direction = torch.as_tensor(vector).reshape(-1)
            along = torch.autograd.grad(gradient, self.parameters, direction, retain_graph=True)
            return self.flat(along)

        return product

    def hessian(self, theta: np.ndarray) -> np.ndarray:
        product = self.hessian_product(theta)
        matrix = np.stack([product(unit) for unit in np.eye(len(theta))])
        return checks.array("the Hessian of the loss", (matrix + matrix.T) / 2)


def _demand_parameters(model: nn.Module) -> None:
    checks.filled_module("model", model)
    if not any(True for _ in model.parameters()):
        raise ValueError(f"model must have parameters; {type(model).__name__} has none")


def gradient(model: nn.Module, x, y) -> np.ndarray:
    """Gradient (P,) of the loss in all parameters, float64; x (n, ...) or (n,), y (n, c) or (n,).

    Raises ValueError where y does not have the shape of the outputs.
    """
    loss = _Loss(model, x, y)
    return loss.gradient(loss.start)


def gradient_norm(model: nn.Module, x, y) -> float:
    """Euclidean norm of :func:`gradient`."""
    return float(np.linalg.norm(gradient(model, x, y)))


def hessian(model: nn.Module, x, y) -> np.ndarray:
    """Matrix (P, P) of second derivatives of the loss, float64, by automatic differentiation. For x, y see
    :func:`gradient`. Where an activation has a kink on a data point, the kink counts as flat."""
    loss = _Loss(model, x, y)
    return loss.hessian(loss.start)


def hessian_spectrum(model: nn.Module, x, y, *, extreme: int | None = None) -> np.ndarray:
    """Eigenvalues of the Hessian of the loss, ascending, float64.

    extreme   None: all P of them, from the whole matrix, O(P^3). A number k: the k smallest and the k largest, (2k,),
              by Lanczos iteration on Hessian-vector products, for networks whose matrix would be too large; 2k < P;
              errors about 1e-13 of the largest magnitude

    For x, y see :func:`gradient`. Raises ValueError for arguments that do not fit.
    """
    if extreme is None:
        return np.linalg.eigvalsh(hessian(model, x, y))
    from scipy.sparse.linalg import LinearOperator, eigsh

    loss = _Loss(model, x, y)
    size = len(loss.start)
    if 2 * checks.count("extreme", extreme) >= size:
        raise ValueError(f"extreme must be less than half of the {size} parameters; got {extreme}")
    product, start = loss.hessian_product(loss.start), np.random.default_rng(0).standard_normal(size)

    def ends(which: str, number: int, shift: float = 0.0) -> np.ndarray:
        shifted = LinearOperator((size, size), matvec=lambda v: product(v) + shift * v.ravel(), dtype=np.float64)
        found = eigsh(shifted, number, which=which, v0=start, tol=1e-13, return_eigenvectors=False)
        return np.sort(found) - shift

    if not product(start).any():  # no direction of a random vector is curved: H = 0, which Lanczos does not take
        return np.zeros(2 * extreme)
    # The tolerance is relative to each eigenvalue, and many may be zero: shifted by the largest, none is.
    scale = np.abs(ends("LM", 1)).item()
    return np.concatenate([ends("SA", extreme, -scale), ends("LA", extreme, scale)])


class Inertia(NamedTuple):
    """Numbers of eigenvalues of each sign."""

    negative: int
    zero: int
    positive: int


def inertia(eigenvalues, *, tolerance: float = 1e-10) -> Inertia:
    """Count negative, zero and positive eigenvalues; zero: at most ``tolerance`` times the largest magnitude.

    eigenvalues (P,), such as :func:`hessian_spectrum` returns. By Sylvester's law the counts of a Hessian at a critical
    point do not depend on the coordinates.
    """
    eigenvalues = checks.array("eigenvalues", eigenvalues, ndim=1)
    zero = np.abs(eigenvalues) <= checks.positive("tolerance", tolerance) * np.abs(eigenvalues).max()
    return Inertia(int((eigenvalues[~zero] < 0).sum()), int(zero.sum()), int((eigenvalues[~zero] > 0).sum()))


def polish(model: nn.Module, x, y, *, tolerance: float = 1e-12, steps: int = 100) -> nn.Module:
    """Move to the critical point nearby, minimum or saddle, by Newton's method: a float64 copy with |gradient| <=
    ``tolerance``.

    Each step is the shortest one that solves H step = -gradient, since critical points may form lines and H be
    singular along them; it is halved until the gradient shrinks. For x, y see :func:`gradient`. Raises
    RuntimeError where the gradient cannot be made that small from here.
    """
    loss = _Loss(model, x, y)
    tolerance = checks.positive("tolerance", tolerance)
    theta, gradient = loss.start, loss.gradient(loss.start)
    for _ in range(checks.count("steps", steps)):
        norm = np.linalg.norm(gradient)
        if norm <= tolerance:
            break
        step = -np.linalg.lstsq(loss.hessian(theta), gradient, rcond=1e-11)[0]
        for halvings in range(30):
            tried = theta + step / 2**halvings
            there = loss.gradient(tried)
            if np.linalg.norm(there) < norm:
                theta, gradient = tried, there
                break
        else:
            break
    return _demand_critical(loss, theta, gradient, tolerance)


def minimize(model: nn.Module, x, y, *, tolerance: float = 1e-12) -> nn.Module:
    """Descend from here to a minimum of the loss: a float64 copy with |gradient| <= ``tolerance``.

    BFGS goes down (scipy), :func:`polish` takes the last digits. Where the way down crosses the basin of a saddle it
    may end there: look at the :func:`inertia`. For x, y see :func:`gradient`. Raises RuntimeError where no such
    point is reached; a loss may fall forever towards weights at infinity.
    """
    from scipy.optimize import minimize as descend

    loss = _Loss(model, x, y)
    end = descend(loss.value, loss.start, jac=loss.gradient, method="BFGS", options={"gtol": 1e-9, "maxiter": 10_000})
    loss.at(end.x)
    return polish(loss.model, x, y, tolerance=tolerance)


def _demand_critical(loss: _Loss, theta: np.ndarray, gradient: np.ndarray, tolerance: float) -> nn.Module:
    norm = np.linalg.norm(gradient)
    if not norm <= tolerance:
        raise RuntimeError(
            f"no critical point was reached: |gradient| = {norm:.1e} > {tolerance:.1e} at |parameters| = "
            f"{np.linalg.norm(theta):.1e}; start elsewhere, or nearer to one"
        )
    loss.at(theta)
    return loss.model


def parameters_of(model: nn.Module) -> np.ndarray:
    """All parameters in one vector (P,), float64: a copy. Raises ValueError for a model without any."""
    _demand_parameters(model)
    return _Loss.flat(model.parameters())


def with_parameters(model: nn.Module, parameters) -> nn.Module:
    """A float64 copy of ``model`` with the given ``parameters`` (P,), such as a row of ``Trajectory.parameters``."""
    _demand_parameters(model)
    result = copy.deepcopy(model).double()
    size = sum(parameter.numel() for parameter in result.parameters())
    parameters = checks.array("parameters", parameters, ndim=1)
    if len(parameters) != size:
        raise ValueError(f"parameters must hold the {size} numbers of the model; got {len(parameters)}")
    nn.utils.vector_to_parameters(torch.tensor(parameters), result.parameters())
    return result


def gradient_flow(model: nn.Module, x, y, times) -> Trajectory:
    """Follow d theta/dt = -gradient of the loss from the parameters of ``model``, in steps as long as accuracy allows.

    Descent with rate eta in the limit of small steps, t = eta * step; scipy's LSODA (relative error 1e-6 a step) needs
    few steps where nothing happens, so that long plateaus cost little.

    times   (T,) increasing, from 0 on

    Returns outputs, losses and parameters at these times, float64; ``model`` itself stays. Raises ValueError for times
    that do not increase and RuntimeError where the solver gives up.
    """
    from scipy.integrate import solve_ivp

    loss = _Loss(model, x, y)
    times = checks.array("times", times, ndim=1)
    if times[0] < 0 or times[-1] == 0 or (np.diff(times) <= 0).any():
        raise ValueError(f"times must increase strictly, from 0 on and beyond it; got {times[0]:g} to {times[-1]:g}")
    solved = solve_ivp(
        lambda _, theta: -loss.gradient(theta), (0.0, times[-1]), loss.start, method="LSODA", t_eval=times,
        rtol=1e-6, atol=1e-10,
    )  # fmt: skip
    if not solved.success:
        raise RuntimeError(f"the gradient flow stopped at t = {solved.t[-1]:.3g}: {solved.message}")
    rows, outputs, losses = np.transpose(solved.y), [], []
    for theta in rows:
        losses.append(loss.value(theta))
        with torch.no_grad():
            outputs.append(loss.model(loss.x).numpy())
    return Trajectory(times, np.stack(outputs), loss.x.numpy(), np.array(losses), rows)


def loss_at(model: nn.Module, x, y, parameters) -> np.ndarray:
    """The loss at many places: for ``parameters`` (..., P) the (...) losses, float64. For x, y see
    :func:`gradient`."""
    loss = _Loss(model, x, y)
    parameters = checks.array("parameters", parameters)
    if parameters.shape[-1:] != loss.start.shape:
        raise ValueError(f"parameters must have shape (..., {len(loss.start)}); got {parameters.shape}")
    values = [loss.value(theta) for theta in parameters.reshape(-1, len(loss.start))]
    return np.reshape(values, parameters.shape[:-1])
