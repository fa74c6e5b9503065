"""Critical points of the loss: polish them, read their Hessian, embed them in a wider network and merge them back.

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
from fpcourse.models import MLP, TwoLayer
from fpcourse.trajectory import Trajectory

ODD = (torch.tanh, torch.sin, torch.positive)
HOMOGENEOUS = (torch.relu, nn.functional.leaky_relu, torch.positive)


class _Loss:
    """The loss as a function of the parameters in one float64 vector, with its gradient and Hessian."""

    def __init__(self, model: nn.Module, x, y) -> None:
        if not isinstance(model, nn.Module) or not any(True for _ in model.parameters()):
            raise ValueError(f"model must be a torch module with parameters; got {type(model).__name__}")
        self.model = copy.deepcopy(model).double()
        for parameter in self.model.parameters():
            parameter.requires_grad_(True)
        x = checks.array("x", x)
        self.x = torch.as_tensor(x[:, None] if x.ndim == 1 else x)
        self.y = torch.as_tensor(checks.points("y", y))
        outputs = self.model(self.x)
        if outputs.shape != self.y.shape:
            raise ValueError(f"y must have the shape of the outputs {tuple(outputs.shape)}; got {tuple(self.y.shape)}")
        self.parameters = list(self.model.parameters())
        self.start = self.flat(self.parameters)

    @staticmethod
    def flat(tensors) -> np.ndarray:
        return torch.cat([tensor.detach().reshape(-1) for tensor in tensors]).numpy().copy()

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
            # a piecewise linear network may be constant in a parameter: its row of H is zero
            along = torch.autograd.grad(
                gradient, self.parameters, torch.as_tensor(vector).reshape(-1), retain_graph=True,
                allow_unused=True, materialize_grads=True,
            )  # fmt: skip
            return self.flat(along)

        return product

    def hessian(self, theta: np.ndarray) -> np.ndarray:
        product = self.hessian_product(theta)
        matrix = np.stack([product(unit) for unit in np.eye(len(theta))])
        return (matrix + matrix.T) / 2


def gradient_norm(model: nn.Module, x, y) -> float:
    """Euclidean norm of the gradient of the loss in all parameters; x (n, ...) or (n,), y (n, c) or (n,).

    Raises ValueError where y does not have the shape of the outputs.
    """
    loss = _Loss(model, x, y)
    return float(np.linalg.norm(loss.gradient(loss.start)))


def hessian(model: nn.Module, x, y) -> np.ndarray:
    """Matrix (P, P) of second derivatives of the loss, float64, by automatic differentiation. For x, y see
    :func:`gradient_norm`. Where an activation has a kink on a data point, the kink counts as flat."""
    loss = _Loss(model, x, y)
    return loss.hessian(loss.start)


def hessian_spectrum(model: nn.Module, x, y, *, extreme: int | None = None) -> np.ndarray:
    """Eigenvalues of the Hessian of the loss, ascending, float64.

    extreme   None: all P of them, from the whole matrix, O(P^3). A number k: the k smallest and the k largest, (2k,),
              by Lanczos iteration on Hessian-vector products, for networks whose matrix would be too large; 2k < P

    For x, y see :func:`gradient_norm`. Raises ValueError for arguments that do not fit.
    """
    if extreme is None:
        return np.linalg.eigvalsh(hessian(model, x, y))
    from scipy.sparse.linalg import LinearOperator, eigsh

    loss = _Loss(model, x, y)
    size = len(loss.start)
    if 2 * checks.count("extreme", extreme) >= size:
        raise ValueError(f"extreme must be less than half of the {size} parameters; got {extreme}")
    product = LinearOperator((size, size), matvec=loss.hessian_product(loss.start), dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(size)  # the same answer every time
    return np.sort(eigsh(product, 2 * extreme, which="BE", v0=start, return_eigenvectors=False))


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
    singular along them; it is halved until the gradient shrinks. For x, y see :func:`gradient_norm`. Raises
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
    may end there: look at the :func:`inertia`. For x, y see :func:`gradient_norm`. Raises RuntimeError where no such
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


def with_parameters(model: nn.Module, parameters) -> nn.Module:
    """A float64 copy of ``model`` with the given ``parameters`` (P,), such as a row of ``Trajectory.parameters``."""
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
    if times[0] < 0 or (np.diff(times) <= 0).any():
        raise ValueError("times must increase strictly, from 0 on")
    solved = solve_ivp(
        lambda _, theta: -loss.gradient(theta), (0.0, times[-1]), loss.start, method="LSODA", t_eval=times,
        rtol=1e-6, atol=1e-10,
    )  # fmt: skip
    if not solved.success:
        raise RuntimeError(f"the gradient flow stopped at t = {solved.t[-1]:.3g}: {solved.message}")
    rows, outputs, losses = solved.y.T, [], []
    for theta in rows:
        losses.append(loss.value(theta))
        with torch.no_grad():
            outputs.append(loss.model(loss.x).numpy())
    return Trajectory(times, np.stack(outputs), loss.x.numpy(), np.array(losses), rows)


def loss_at(model: nn.Module, x, y, parameters) -> np.ndarray:
    """The loss at many places: for ``parameters`` (..., P) the (...) losses, float64. For x, y see
    :func:`gradient_norm`."""
    loss = _Loss(model, x, y)
    parameters = checks.array("parameters", parameters)
    if parameters.shape[-1:] != loss.start.shape:
        raise ValueError(f"parameters must have shape (..., {len(loss.start)}); got {parameters.shape}")
    values = [loss.value(theta) for theta in parameters.reshape(-1, len(loss.start))]
    return np.reshape(values, parameters.shape[:-1])


def split_neuron(model: TwoLayer | MLP, neuron: int, alpha: float, *, layer: int = 0) -> TwoLayer | MLP:
    """A network with one neuron more and the same function: ``neuron`` and a copy share its output.

    The copy, last in its layer, has the input weights and bias of ``neuron``; of the output weights a it gets alpha a,
    and (1 - alpha) a stays. Any real alpha will do. If ``model`` is at a critical point, so is the result (Fukumizu and
    Amari, Neural Networks 2000; Zhang, Zhang, Luo, Xu, NeurIPS 2021).

    neuron   0..m-1, in the hidden layer ``layer`` of an MLP, 0 being the one next to the input

    Returns a new model; the old one is untouched. Raises ValueError for another model and for a neuron it has not got.
    """
    w, b, a = _weights(model, layer)
    alpha = checks.number("alpha", alpha)
    if checks.count("neuron", neuron, minimum=0) >= len(w) or not np.isfinite(alpha):
        raise ValueError(f"neuron must be one of 0..{len(w) - 1} and alpha finite; got {neuron} and {alpha}")
    kept = a.clone()
    kept[:, neuron] *= 1 - alpha
    twice = [*range(len(w)), neuron]
    a = torch.cat([kept, alpha * a[:, [neuron]]], dim=1)
    return _with_weights(model, layer, w[twice], None if b is None else b[twice], a)


def merge_neurons(model: TwoLayer | MLP, *, tolerance: float = 1e-8, layer: int = 0) -> TwoLayer | MLP:
    """The inverse of :func:`split_neuron`: neurons of a layer that compute the same up to a factor become one.

    Two neurons are the same if their input weights u = (w, b) are; up to a sign where the activation is odd (tanh,
    sine), up to a positive factor where it is homogeneous (ReLU). Then sigma(u_j . x) = s_j sigma(u . x), and one
    neuron with output weights sum_j s_j a_j replaces them all.

    tolerance   largest distance |u_i - u_j| / |u_i| to the strongest neuron of a group. What is only nearly the same
                is replaced by its mean, weighted by |a_j|, which errs in second order if the s_j a_j point one way

    Returns a new model, the strongest neurons first; the old one is untouched. Raises ValueError for another model.
    """
    w, b, a = _weights(model, layer)
    tolerance = checks.positive("tolerance", tolerance, zero_allowed=True)
    shift = isinstance(model, TwoLayer) and model.bias == "shift"
    offset = None if b is None else w.norm(dim=1) * b if shift else b
    u = w if offset is None else torch.cat([w, offset[:, None]], dim=1)
    size, weight = u.norm(dim=1), a.norm(dim=0)
    homogeneous, odd = model.activation in HOMOGENEOUS, model.activation in ODD
    compared = nn.functional.normalize(u, dim=1) if homogeneous else u
    left = torch.argsort(weight * size, descending=True).tolist()
    inputs, outputs = [], []
    while left:
        founder = compared[left[0]]
        signs = {j: -1.0 if odd and compared[j] @ founder < 0 else 1.0 for j in left}
        group = [j for j in left if (signs[j] * compared[j] - founder).norm() <= tolerance * founder.norm()]
        left = [j for j in left if j not in group]
        sign, share = torch.tensor([signs[j] for j in group]).to(u), weight[group] if weight[group].any() else None
        share = torch.ones_like(sign) if share is None else share
        mean = (share * sign) @ u[group] / share.sum()
        scale = size[group] / mean.norm() if homogeneous and mean.any() else torch.ones_like(sign)
        inputs.append(mean)
        outputs.append(a[:, group] @ (sign * scale))
    u = torch.stack(inputs)
    w, offset = (u, None) if b is None else (u[:, :-1], u[:, -1])
    if shift:
        offset = offset / w.norm(dim=1)
    return _with_weights(model, layer, w, offset, torch.stack(outputs, dim=1))


def _weights(model: TwoLayer | MLP, layer: int) -> tuple[Tensor, Tensor | None, Tensor]:
    """Input weights (m, d), biases (m,) or None and output weights (c, m) of a hidden layer."""
    layer = checks.count("layer", layer, minimum=0)
    if isinstance(model, TwoLayer) and layer == 0:
        parts = model.w, model.b, model.a
    elif isinstance(model, MLP) and layer < len(model.layers) - 1:
        parts = model.layers[layer].weight, model.layers[layer].bias, model.layers[layer + 1].weight
    else:
        raise ValueError(f"model must be a TwoLayer or an MLP with hidden layer {layer}; got {model}")
    return tuple(None if part is None else part.detach() for part in parts)


def _with_weights(model: TwoLayer | MLP, layer: int, w: Tensor, b: Tensor | None, a: Tensor) -> TwoLayer | MLP:
    """A copy of ``model`` with the weights of one hidden layer replaced, however many neurons these make."""
    result = copy.deepcopy(model)
    w, b, a = (None if part is None else nn.Parameter(part.clone()) for part in (w, b, a))
    if isinstance(result, TwoLayer):
        result.w, result.b, result.a = w, b, a
    else:
        below, above = result.layers[layer], result.layers[layer + 1]
        below.weight, below.bias, above.weight = w, b, a
        below.out_features = above.in_features = len(w)
    return result
