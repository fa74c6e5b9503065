"""Embed a network in a wider one by splitting neurons, predict the new curvatures, and merge condensed neurons back."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn

from fpcourse import checks
from fpcourse.models import MLP, TwoLayer

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
    alpha = checks.number("alpha", alpha)
    neuron = checks.count("neuron", neuron, minimum=0)
    if neuron >= len(w) or not np.isfinite(alpha):
        raise ValueError(f"neuron must be one of 0..{len(w) - 1} and alpha finite; got {neuron} and {alpha}")
    kept = a.clone()
    kept[:, neuron] *= 1 - alpha
    twice = [*range(len(w)), neuron]
    a = torch.cat([kept, alpha * a[:, [neuron]]], dim=1)
    return _with_weights(model, layer, w[twice], None if b is None else b[twice], a)


def split_curvature(model: TwoLayer, neuron: int, x, y) -> np.ndarray:
    """The matrix G whose alpha (1 - alpha) multiple is the Hessian in the direction that pulls a split neuron apart.

    G = 2 a / n sum_i (f(x_i) - y_i) sigma''(w.x_i + b) x~_i x~_i^T with x~ = (x, 1), or x without bias, at a critical
    point of the mean square error: an embedded critical point has the curvatures of the old one, those of
    alpha (1 - alpha) G and a zero (after Fukumizu and Amari, Neural Networks 2000; ``scale`` multiplies a).

    model   one output, bias additive or None;  x (n, d), y (n,) or (n, 1)

    Returns float64 (d + 1, d + 1) or (d, d). Raises ValueError for other models and shapes.
    """
    if not isinstance(model, TwoLayer) or model.bias == "shift" or len(model.a) != 1:
        raise ValueError(f"model must be a TwoLayer with one output and no shifts; got {model}")
    checks.filled_module("model", model)
    if checks.count("neuron", neuron, minimum=0) >= len(model.w):
        raise ValueError(f"neuron must be one of 0..{len(model.w) - 1}; got {neuron}")
    model = copy.deepcopy(model).double()
    x, y = (torch.as_tensor(checks.points(name, each)) for name, each in (("x", x), ("y", y)))
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
    factor = 2 * model.scale * model.a[0, neuron].detach() / len(x)
    return checks.array("the curvature of model", factor * (inputs.T * residual[:, 0] * bend) @ inputs)


def merge_neurons(model: TwoLayer | MLP, *, tolerance: float = 1e-8, groups=None, layer: int = 0) -> TwoLayer | MLP:
    """The inverse of :func:`split_neuron`: neurons of a layer that compute the same up to a factor become one.

    Two neurons are the same if their input weights u = (w, b) are; up to a sign where the activation is odd (tanh,
    sine), up to a positive factor where it is homogeneous (ReLU). Then sigma(u_j . x) = s_j sigma(u . x), and one
    neuron with output weights sum_j s_j a_j replaces them all.

    tolerance   largest distance |u_i - u_j| / |u_i| to the strongest neuron of a group. What is only nearly the same
                is replaced by its mean, weighted by |a_j|, which errs in second order if the s_j a_j point one way
    groups      (m,) whole numbers instead of a tolerance: neurons with the same number become one, and those with -1
                are left out, as in the labels of :func:`fpcourse.landscape.condensed_directions`

    Returns a new model, the strongest neurons first; the old one is untouched. Raises ValueError for another model and
    for groups that do not fit.
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
    if groups is not None:
        groups = checks.array("groups", groups, ndim=1)
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
    layer = checks.count("layer", layer, minimum=0)
    checks.filled_module("model", model)
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
