"""Critical points of the loss: its gradient and Hessian, the way down to a minimum, and the last digits of it.

The loss is L = 1/(2n) sum_i |f(x_i) - y_i|^2, and everything is computed in float64 whatever the dtype of the model.
Parameters come in the order of ``model.parameters()``. Splitting a neuron embeds a network in a wider one, with its
critical points; merging condensed neurons leads back.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from fpcourse._arguments import as_array, as_count, as_number, as_points, as_positive, require_module
from fpcourse.models import MLP, TwoLayer
from fpcourse.training import SquareLoss


def gradient(model: nn.Module, x, y) -> np.ndarray:
    """Gradient (P,) of the loss in all parameters, float64; x (n, ...) or (n,), y (n, c) or (n,).

    Raises ValueError where y does not have the shape of the outputs.
    """
    loss = SquareLoss(model, x, y)
    return loss.gradient(loss.start)


def gradient_norm(model: nn.Module, x, y) -> float:
    """Euclidean norm of :func:`gradient`."""
    return float(np.linalg.norm(gradient(model, x, y)))


def hessian(model: nn.Module, x, y) -> np.ndarray:
    """Matrix (P, P) of second derivatives of the loss, float64, by automatic differentiation. For x, y see
    :func:`gradient`. Where an activation has a kink on a data point, the kink counts as flat."""
    loss = SquareLoss(model, x, y)
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

    loss = SquareLoss(model, x, y)
    size = len(loss.start)
    if 2 * as_count("extreme", extreme) >= size:
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
    eigenvalues = as_array("eigenvalues", eigenvalues, ndim=1)
    zero = np.abs(eigenvalues) <= as_positive("tolerance", tolerance) * np.abs(eigenvalues).max()
    return Inertia(int((eigenvalues[~zero] < 0).sum()), int(zero.sum()), int((eigenvalues[~zero] > 0).sum()))


def polish(model: nn.Module, x, y, *, tolerance: float = 1e-12, steps: int = 100) -> nn.Module:
    """Move to the critical point nearby, minimum or saddle, by Newton's method: a float64 copy with |gradient| <=
    ``tolerance``.

    Each step is the shortest one that solves H step = -gradient, since critical points may form lines and H be
    singular along them; it is halved until the gradient shrinks. For x, y see :func:`gradient`. Raises
    RuntimeError where the gradient cannot be made that small from here.
    """
    loss = SquareLoss(model, x, y)
    tolerance = as_positive("tolerance", tolerance)
    theta, gradient = loss.start, loss.gradient(loss.start)
    for _ in range(as_count("steps", steps)):
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


def minimize(model: nn.Module, x, y, *, tolerance: float = 1e-12, tries: int = 5) -> nn.Module:
    """Descend from here to a minimum of the loss: a float64 copy with |gradient| <= ``tolerance``.

    BFGS goes down (scipy), :func:`polish` takes the last digits. Where that ends in a flat place, it starts again from
    there, moved by a tenth of the parameters' size at random, up to ``tries`` times: which way rounding sends one run
    does not decide. Where the way down crosses the basin of a saddle it may end there: look at the :func:`inertia`. For
    x, y see :func:`gradient`. Raises RuntimeError where no such point is reached; a loss may fall forever towards
    weights at infinity.
    """
    from scipy.optimize import minimize as descend

    loss, rng = SquareLoss(model, x, y), np.random.default_rng(0)
    start, options = loss.start, {"gtol": 1e-9, "maxiter": 10_000}
    for remaining in reversed(range(as_count("tries", tries))):
        end = descend(loss.value, start, jac=loss.gradient, method="BFGS", options=options).x
        loss.at(end)
        try:
            return polish(loss.model, x, y, tolerance=tolerance)
        except RuntimeError:
            if not remaining:
                raise
        start = loss.start + 0.1 * np.abs(loss.start).max() * rng.standard_normal(len(end))
    raise AssertionError("unreachable")


def _demand_critical(loss: SquareLoss, theta: np.ndarray, gradient: np.ndarray, tolerance: float) -> nn.Module:
    norm = np.linalg.norm(gradient)
    if not norm <= tolerance:
        raise RuntimeError(
            f"no critical point was reached: |gradient| = {norm:.1e} > {tolerance:.1e} at |parameters| = "
            f"{np.linalg.norm(theta):.1e}; start elsewhere, or nearer to one"
        )
    loss.at(theta)
    return loss.model


def loss_at(model: nn.Module, x, y, parameters) -> np.ndarray:
    """The loss at many places: for ``parameters`` (..., P) the (...) losses, float64. For x, y see
    :func:`gradient`."""
    loss = SquareLoss(model, x, y)
    parameters = as_array("parameters", parameters)
    if parameters.shape[-1:] != loss.start.shape:
        raise ValueError(f"parameters must have shape (..., {len(loss.start)}); got {parameters.shape}")
    values = [loss.value(theta) for theta in parameters.reshape(-1, len(loss.start))]
    return np.reshape(values, parameters.shape[:-1])


ODD = (torch.tanh, torch.sin, torch.positive)
HOMOGENEOUS = (torch.relu, nn.functional.leaky_relu, torch.positive)


def split_neuron(model: TwoLayer | MLP, neuron: int, alpha: float, *, layer: int = 0) -> TwoLayer | MLP:
    """A network with one neuron more and the same function: ``neuron`` and a copy share its output.

    The copy, last in its layer, has the input weights and bias of ``neuron``; of the output weights a it gets alpha a,
    and (1 - alpha) a stays. Any real alpha will do. If ``model`` is at a critical point, so is the result (Fukumizu and
    Amari, Neural Networks 2000; Zhang, Zhang, Luo, Xu, NeurIPS 2021).

    neuron   0..m-1, in the hidden layer ``layer`` of an MLP, 0 being the one next to the input

    Returns a new model; the old one is untouched. Raises ValueError for another model and for a neuron it has not got.
    """
    w, b, a = _weights(model, layer)
    alpha = as_number("alpha", alpha)
    neuron = as_count("neuron", neuron, minimum=0)
    if neuron >= len(w) or not np.isfinite(alpha):
        raise ValueError(f"neuron must be one of 0..{len(w) - 1} and alpha finite; got {neuron} and {alpha}")
    kept = a.clone()
    kept[:, neuron] *= 1 - alpha
    twice = [*range(len(w)), neuron]
    a = torch.cat([kept, alpha * a[:, [neuron]]], dim=1)
    return _with_weights(model, layer, w[twice], None if b is None else b[twice], a)


def split_curvature(model: TwoLayer, neuron: int, x, y) -> np.ndarray:
    """The matrix G whose alpha (1 - alpha) multiple is the Hessian in the direction that pulls a split neuron apart.

    G = a / n sum_i (f(x_i) - y_i) sigma''(w.x_i + b) x~_i x~_i^T with x~ = (x, 1), or x without bias, at a critical
    point of the loss: an embedded critical point has the curvatures of the old one, those of
    alpha (1 - alpha) G and a zero (after Fukumizu and Amari, Neural Networks 2000; ``scale`` multiplies a).

    model   one output, bias additive or None;  x (n, d), y (n,) or (n, 1)

    Returns float64 (d + 1, d + 1) or (d, d). Raises ValueError for other models and shapes.
    """
    if not isinstance(model, TwoLayer) or model.bias == "shift" or len(model.a) != 1:
        raise ValueError(f"model must be a TwoLayer with one output and no shifts; got {model}")
    require_module("model", model)
    if as_count("neuron", neuron, minimum=0) >= len(model.w):
        raise ValueError(f"neuron must be one of 0..{len(model.w) - 1}; got {neuron}")
    model = copy.deepcopy(model).double()
    x, y = (torch.as_tensor(as_points(name, each)) for name, each in (("x", x), ("y", y)))
    if x.shape[1] != model.w.shape[1] or y.shape != (len(x), 1):
        raise ValueError(
            f"x must have shape (n, {model.w.shape[1]}) and y (n,); got {tuple(x.shape)}, {tuple(y.shape)}"
        )
    with torch.no_grad():
        residual = model(x) - y
        z = model.preactivation(x)[:, neuron]
        inputs = x if model.bias is None else torch.cat([x, torch.ones_like(x[:, :1])], dim=1)
    z.requires_grad_(True)
    (slope,) = torch.autograd.grad(model.activation(z).sum(), z, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), z)
    factor = model.scale * model.a[0, neuron].detach() / len(x)
    return as_array("the curvature of model", factor * (inputs.T * residual[:, 0] * bend) @ inputs)


def merge_neurons(model: TwoLayer | MLP, *, tolerance: float = 1e-8, groups=None, layer: int = 0) -> TwoLayer | MLP:
    """The inverse of :func:`split_neuron`: neurons of a layer that compute the same up to a factor become one.

    Two neurons are the same if their input weights u = (w, b) are; up to a sign where the activation is odd (tanh,
    sine), up to a positive factor where it is homogeneous (ReLU). Then sigma(u_j . x) = s_j sigma(u . x), and one
    neuron with output weights sum_j s_j a_j replaces them all.

    tolerance   largest distance |u_i - u_j| / |u_i| to the strongest neuron of a group. What is only nearly the same
                is replaced by its mean, weighted by |a_j|, which errs in second order if the s_j a_j point one way
    groups      (m,) whole numbers instead of a tolerance: neurons with the same number become one, and those with -1
                are left out, as in the labels of :func:`fpcourse.neurons.condensed_directions`

    Returns a new model, the strongest neurons first; the old one is untouched. Raises ValueError for another model and
    for groups that do not fit.
    """
    w, b, a = _weights(model, layer)
    tolerance = as_positive("tolerance", tolerance, zero_allowed=True)
    shift = isinstance(model, TwoLayer) and model.bias == "shift"
    offset = None if b is None else w.norm(dim=1) * b if shift else b
    u = w if offset is None else torch.cat([w, offset[:, None]], dim=1)
    size, weight = u.norm(dim=1), a.norm(dim=0)
    homogeneous, odd = model.activation in HOMOGENEOUS, model.activation in ODD
    compared = nn.functional.normalize(u, dim=1) if homogeneous else u
    left = torch.argsort(weight * size, descending=True).tolist()
    if groups is not None:
        groups = as_array("groups", groups, ndim=1)
        if groups.shape != (len(w),) or (groups < 0).all():
            raise ValueError(f"groups must hold {len(w)} numbers, not all of them -1; got {groups}")
        left = [j for j in left if groups[j] >= 0]
    inputs, outputs = [], []
    while left:
        founder = compared[left[0]]
        signs = {j: -1.0 if odd and compared[j] @ founder < 0 else 1.0 for j in left}
        if groups is None:
            apart = {j: (signs[j] * compared[j] - founder).norm() for j in left}
            group = [j for j in left if j == left[0] or apart[j] <= tolerance * founder.norm()]
        else:
            group = [j for j in left if groups[j] == groups[left[0]]]
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
    layer = as_count("layer", layer, minimum=0)
    require_module("model", model)
    if isinstance(model, TwoLayer) and layer == 0:
        parts = model.w, model.b, model.a
    elif isinstance(model, MLP) and layer < len(model.layers) - 1:
        parts = model.layers[layer].weight, model.layers[layer].bias, model.layers[layer + 1].weight
    else:
        raise ValueError(f"model must be a TwoLayer or an MLP with hidden layer {layer}; got {model}")
    if not all(part.isfinite().all() for part in parts if part is not None):
        raise ValueError("the parameters of model must be finite; some are NaN or infinite")
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
