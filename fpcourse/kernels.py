"""Tangent kernels: of a given network, of infinitely wide two-layer ReLU networks, and their spectra.

The tangent kernel of a network h(x; theta) is K(x, x') = <dh/dtheta (x), dh/dtheta (x')>; gradient flow moves the
outputs by du/dt = -K (u - y) / n, see :mod:`fpcourse.flow` (Jacot, Gabriel, Hongler, NeurIPS 2018).
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from fpcourse._arguments import (
    accepted_by_model,
    as_array,
    as_choice,
    as_count,
    as_inputs,
    as_points,
    as_positive,
    require_module,
    require_tensor,
)
from fpcourse.models import MLP, TwoLayer
from fpcourse.sphere import SPHERE_TOLERANCE, quarter_circle_rule, zonals

BLOCK_SAMPLES, BLOCK_BYTES = 1024, 2**27  # a block of gradients stays below both; what they are made from is larger
BLOCK = 256  # rows and columns of a kernel computed at once: what the processor's cache holds

# Gradients of a block of b samples with c outputs, factored by layer: each term (delta (b, c, w), h (b, v) or None,
# constant) adds (delta . delta') (h . h' + constant) to the kernel. For a dense layer delta is the derivative of the
# outputs by its preactivations, h its input, and the constant 1 its bias; no product delta h is ever formed.
Term = tuple[Tensor, Tensor | None, float]


def empirical_ntk(
    model: nn.Module, x1, x2=None, *, dtype: torch.dtype = torch.float64, block: int | None = None
) -> np.ndarray:
    """Tangent kernel of ``model`` at its present parameters, in evaluation mode.

    model   any torch module, x (n, ...) -> (n, c) or (n,). It is copied, never changed; parameters that do not require
            a gradient do not count
    x1, x2  (n1, ...) and (n2, ...) points or images; a vector of n numbers counts as (n, 1); x2 defaults to x1
    dtype   of the computation; torch.float32 halves time and memory and costs positivity below 1e-6 of the largest
            eigenvalue
    block   samples per block; default: what fits in 128 MiB

    Returns float64, (n1, n2) for c = 1 and (n1, n2, c, c) otherwise. Without x2 it is symmetric to the last bit and
    positive semi-definite to rounding. ``TwoLayer`` and ``MLP`` go layer by layer (Jacot et al. 2018), everything else
    through per-sample Jacobians (Novak et al., ICML 2022). Raises ValueError for bad input, a model without trainable
    parameters or one that does not take the inputs.
    """
    require_module("model", model, trainable=True)
    if dtype is not torch.float32 and dtype is not torch.float64:  # an array has no say in "in"
        raise ValueError(f"dtype must be torch.float32 or torch.float64; got {dtype}")
    model = copy.deepcopy(model).to(dtype).eval()
    device = next(model.parameters()).device
    a = _inputs("x1", x1, dtype, device)
    b = a if x2 is None else _inputs("x2", x2, dtype, device)
    if a.shape[1:] != b.shape[1:]:
        raise ValueError(f"x1 and x2 must hold points of one shape; got {tuple(a.shape)} and {tuple(b.shape)}")
    outputs, gradients = _outputs(model, a), _gradients(model)
    if block is None:
        sample = sum(t.nbytes for delta, h, _ in gradients(a[:1]) for t in (delta, h) if t is not None)
        block = max(1, min(BLOCK_SAMPLES, BLOCK_BYTES // sample))
    else:
        block = as_count("block", block)
    kernel = np.empty((len(a), len(b), outputs, outputs))
    for i in range(0, len(a), block):
        left = gradients(a[i : i + block])
        for j in range(i if x2 is None else 0, len(b), block):
            same = x2 is None and i == j
            right = left if same else gradients(b[j : j + block])
            _fill(kernel[i : i + block, j : j + block], left, right, same)
            if x2 is None and not same:
                kernel[j : j + block, i : i + block] = kernel[i : i + block, j : j + block].transpose(1, 0, 3, 2)
    return as_array("the tangent kernel of the model", kernel[:, :, 0, 0] if outputs == 1 else kernel)


def _inputs(name: str, x, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.as_tensor(as_inputs(name, x), dtype=dtype, device=device)


def _outputs(model: nn.Module, x: Tensor) -> int:
    """Outputs per sample; here a model meets inputs it may not take."""
    with accepted_by_model("inputs", x.shape), torch.no_grad():
        y = require_tensor(model(x[:1]))
    if y.ndim not in (1, 2) or len(y) != 1:
        raise ValueError(f"the model must return (n, c) or (n,); for one sample it returned {tuple(y.shape)}")
    return y.numel()


def _fill(kernel: np.ndarray, left: list[Term], right: list[Term], same: bool) -> None:
    """Write the (b1, b2, c, c) of two blocks of gradients in tiles; of one with itself only one half is computed."""
    for i in range(0, kernel.shape[0], BLOCK):
        rows = _rows(left, i)
        for j in range(i if same else 0, kernel.shape[1], BLOCK):
            tile = _gram(rows, _rows(right, j)).cpu().double().numpy()
            if same and i == j:  # a matrix product is symmetric only to rounding
                tile = (tile + tile.transpose(1, 0, 3, 2)) / 2
            kernel[i : i + BLOCK, j : j + BLOCK] = tile
            if same:
                kernel[j : j + BLOCK, i : i + BLOCK] = tile.transpose(1, 0, 3, 2)


def _rows(terms: list[Term], i: int) -> list[Term]:
    return [(delta[i : i + BLOCK], None if h is None else h[i : i + BLOCK], one) for delta, h, one in terms]


def _gram(left: list[Term], right: list[Term]) -> Tensor:
    """(b1, b2, c, c): sum over terms of (delta . delta') (h . h' + constant)."""
    total = 0
    for (delta1, h1, constant), (delta2, h2, _) in zip(left, right, strict=True):
        b1, c, b2 = *delta1.shape[:2], len(delta2)
        product = (delta1.reshape(b1 * c, -1) @ delta2.reshape(b2 * c, -1).T).view(b1, c, b2, c).transpose(1, 2)
        if h1 is None:
            total = total + constant * product
        else:
            total = total + product * (h1 @ h2.T).add_(constant)[:, :, None, None]
    return total


def _gradients(model: nn.Module) -> Callable[[Tensor], list[Term]]:
    """Inputs (b, ...) -> terms. Subclasses, activations with parameters and shared layers take the general path."""
    names = {name for name, _ in model.named_parameters()}
    if type(model) is TwoLayer and names <= {"w", "b", "a"}:
        return lambda x: _two_layer_terms(model, x)
    dense = ("weight", "bias")
    if type(model) is MLP and names == {f"layers.{i}.{p}" for i in range(len(model.layers)) for p in dense}:
        return lambda x: _mlp_terms(model, x)
    rows = _per_sample(model)
    return lambda x: [(jacobian[..., None].flatten(2), None, 1.0) for jacobian in rows(x)]


def _activate(activation: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    """sigma(z) and sigma'(z) of an elementwise function."""
    value, pullback = torch.func.vjp(activation, z)
    return value, pullback(torch.ones_like(value))[0]


def _dense(delta: Tensor, h: Tensor, weight: nn.Parameter, bias: nn.Parameter | None) -> list[Term]:
    trains_bias = bias is not None and bias.requires_grad
    if not (weight.requires_grad or trains_bias):
        return []
    return [(delta, h if weight.requires_grad else None, float(trains_bias))]


def _identity(c: int, x: Tensor) -> Tensor:
    """(b, c, c): the derivative of the outputs by themselves."""
    return torch.eye(c, dtype=x.dtype, device=x.device).expand(len(x), c, c)


@torch.no_grad()
def _two_layer_terms(model: TwoLayer, x: Tensor) -> list[Term]:
    value, slope = _activate(model.activation, model.preactivation(x))
    delta = model.scale * slope[:, None] * model.a
    last = _dense(_identity(len(model.a), x), model.scale * value, model.a, None)
    if model.bias != "shift":
        return _dense(delta, x, model.w, model.b) + last
    # w_j.x + |w_j| l_j: its derivative x + l_j w_j/|w_j| depends on j and does not factor; one term per coordinate
    if model.w.requires_grad:
        shifts = model.b[:, None] * nn.functional.normalize(model.w, eps=torch.finfo(x.dtype).tiny)
        last += [(delta * (x[:, i, None, None] + shifts[:, i]), None, 1.0) for i in range(x.shape[1])]
    return last + ([(delta * model.w.norm(dim=1), None, 1.0)] if model.b.requires_grad else [])


@torch.no_grad()
def _mlp_terms(model: MLP, x: Tensor) -> list[Term]:
    *hidden, last = model.layers
    into, slopes = [x.flatten(1)], []  # inputs of the layers; slopes of the activations behind them
    for layer in hidden:
        value, slope = _activate(model.activation, layer(into[-1]))
        into.append(value)
        slopes.append(slope)
    delta = _identity(last.out_features, x)
    terms = _dense(delta, into.pop(), last.weight, last.bias)
    for layer, after in zip(reversed(hidden), reversed(model.layers), strict=False):
        delta = (delta @ after.weight) * slopes.pop()[:, None]
        terms += _dense(delta, into.pop(), layer.weight, layer.bias)
    return terms


def jacobian(model: nn.Module, x) -> np.ndarray:
    """df(x_i; theta)/dtheta at the present parameters, float64 (n * c, P): a row per sample and output.

    model   any torch module, x (n, ...) -> (n, c) or (n,). It is copied, never changed, and taken in evaluation mode;
            parameters that do not require a gradient do not count
    x       (n, ...) points; a vector of n numbers counts as (n, 1)

    Raises ValueError for bad input, a model without trainable parameters or one that does not take the inputs.
    """
    require_module("model", model, trainable=True)
    model = copy.deepcopy(model).double().cpu().eval()
    x = torch.as_tensor(as_inputs("x", x))
    _outputs(model, x)
    parts = [part.flatten(2).flatten(0, 1) for part in _per_sample(model)(x)]
    return as_array("the Jacobian of the model", torch.cat(parts, dim=1))


def _per_sample(model: nn.Module) -> Callable[[Tensor], list[Tensor]]:
    """Inputs (b, ...) -> the derivatives (b, c, ...) of the outputs by each trained parameter."""
    trained = {name: parameter.detach() for name, parameter in model.named_parameters() if parameter.requires_grad}

    def output(parameters: dict[str, Tensor], point: Tensor) -> Tensor:
        return torch.func.functional_call(model, parameters, (point[None],)).flatten()

    rows = torch.func.vmap(torch.func.jacrev(output), (None, 0))
    return lambda x: [jacobian.detach() for jacobian in rows(trained, x).values()]


def two_layer_ntk(x1, x2=None, *, bias: bool, trained: str) -> np.ndarray:
    """Tangent kernel (n1, n2) of infinitely wide two-layer ReLU networks at inputs (n, d) on the unit sphere.

    It is the limit m -> inf of ``empirical_ntk`` for ``TwoLayer(d, m, bias=None, scale=m**-0.5, ...)`` with
    trained="first":  ``a`` frozen, a_std=1 (or signs=True):  H of Basri et al. (NeurIPS 2019), :func:`basri_kernel`
    trained="both":   a_std=1, w_std=2**0.5:                  Cao et al. (IJCAI 2021), :func:`cao_kernel`
    With bias=True the inputs are (x, 1) / sqrt 2 and the bias starts at zero: in terms of ``TwoLayer``
    bias="additive", b_std=0, scale=(2 * m)**-0.5. Then the first-layer kernel is H-bar of Basri et al.

    Small angles come from |x - x'| and those near pi from |x + x'|, which do not cancel: the diagonal is exact. Without
    x2 the matrix is symmetric to the last bit. Raises ValueError for points more than 1e-6 off the sphere and for bad
    input.
    """
    a = _on_sphere("x1", x1)
    b = a if x2 is None else _on_sphere("x2", x2)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"x1 and x2 must have the same dimension; got shapes {tuple(a.shape)} and {tuple(b.shape)}")
    kernel = a.new_empty(len(a), len(b))
    for i in range(0, len(a), BLOCK):
        for j in range(i if b is a else 0, len(b), BLOCK):
            block = _two_layer_kernel(*_cos_sin_angle(a[i : i + BLOCK], b[j : j + BLOCK]), bias, trained)
            if b is a and i == j:
                block = block.triu() + block.triu(1).T  # a product rounds its two halves apart
            elif b is a:
                kernel[j : j + BLOCK, i : i + BLOCK] = block.T
            kernel[i : i + BLOCK, j : j + BLOCK] = block
    return kernel.numpy()


def _cos_sin_angle(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """cos, sin and value of the angles between rows on the unit sphere, all to rounding."""
    cos = a @ b.T
    angle, sin = cos.clamp(-1.0, 1.0).arccos_(), (1 - cos * cos).clamp_(min=0.0).sqrt_()
    close = (cos.abs() > 0.999).nonzero()  # there the product cancels, and distances do not
    for pairs in close.split(max(1, 2**20 // a.shape[1])):  # many where the points crowd
        i, j = pairs.T
        far, near = ((a[i] - sign * b[j]).norm(dim=1) for sign in (1, -1))
        angle[i, j] = 2 * torch.atan2(far, near)
        square = near**2 + far**2  # 4 up to rounding, which this takes out: equal points give exactly 1 and 0
        cos[i, j], sin[i, j] = (near**2 - far**2) / square, 2 * far * near / square
    return cos, sin, angle


def _on_sphere(name: str, x) -> Tensor:
    array = as_points(name, x)
    norms = np.linalg.norm(array, axis=1, keepdims=True)
    worst = np.abs(norms - 1).max()
    if worst > SPHERE_TOLERANCE:
        raise ValueError(f"{name} must lie on the unit sphere to {SPHERE_TOLERANCE:g}; a norm is off by {worst:.3g}")
    return torch.as_tensor(array / norms)


def _of_cosine(t) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """cos, sin and value of an angle in [0, pi] whose cosine rounding may have carried past +-1."""
    t = as_array("t", t)
    if np.abs(t).max() > 1 + SPHERE_TOLERANCE:
        raise ValueError(f"t is the cosine of an angle and must lie in [-1, 1]; got values up to {np.abs(t).max():g}")
    t = np.clip(t, -1.0, 1.0)
    return t, np.sqrt((1 - t) * (1 + t)), np.arccos(t)


def _two_layer_kernel(cos, sin, angle, bias: bool, trained: str):
    """The three as numpy arrays or as tensors."""
    as_choice("trained", trained, ("first", "both"))
    zero = (np.pi - angle) / (2 * np.pi)
    kernel = cos * zero
    if trained == "both":
        kernel = kernel + 2 * (kernel + sin / (2 * np.pi))
    return (kernel + zero) / 2 if bias else kernel


def basri_kernel(t, *, bias: bool) -> np.ndarray:
    """First layer trained: H = t (pi - theta) / 2 pi, with bias H-bar = (t + 1) (pi - theta) / 4 pi; t any shape.

    Basri et al. (NeurIPS 2019), after Du et al. (ICLR 2019) and Xie et al. (AISTATS 2017). See :func:`two_layer_ntk`.
    """
    return _two_layer_kernel(*_of_cosine(t), bias, "first")


def cao_kernel(t, *, bias: bool = False) -> np.ndarray:
    """Both layers trained: K = t kappa_1 + 2 kappa_2, with bias (K + kappa_1) / 2; t any shape.

    Cao et al. (IJCAI 2021), who have no bias. See :func:`two_layer_ntk` for the network and what its bias means.
    """
    return _two_layer_kernel(*_of_cosine(t), bias, "both")


def sphere_eigenvalues(kernel: Callable[[np.ndarray], np.ndarray], dim: int, degrees) -> np.ndarray:
    """Eigenvalues of f -> E_v[kernel(u.v) f(v)] on the spherical harmonics of the given degrees.

    kernel   t = cos(angle) (N,) -> (N,)
    dim      >= 1: the sphere S^dim in R^(dim+1); v is uniform on it, with total mass one
    degrees  whole numbers >= 0, shape (K,) (or one number)

    Returns (K,) by the Funk-Hecke formula, the mean over v of kernel(t) C_k(t) / C_k(1) with the Gegenbauer polynomial
    C_k of index (dim - 1) / 2 (Basri et al. 2019; Cao et al. 2021). The kernel may be singular at t = +-1, as
    arc-cosine kernels are. Rounding leaves an error of a few 1e-16 mean |kernel C_k / C_k(1)|; what lies below that
    level is returned as exactly 0. For the kernels of this module and degrees to 100 the relative error is below 1e-8
    wherever the eigenvalue exceeds 1e-11. Raises ValueError for dim < 1, degrees < 0 and a kernel that does not return
    one finite number per t.
    """
    dim, degrees = as_count("dim", dim), _whole("degrees", degrees)
    if not callable(kernel):
        raise ValueError(f"kernel must be a function of t; got {type(kernel).__name__}")
    t, log_sine, weight = quarter_circle_rule()
    weight = weight * np.exp((dim - 1) * log_sine)
    weight /= 2 * weight.sum()
    ahead, behind = (as_array("kernel(t)", kernel(side)) for side in (t, -t))
    if ahead.shape != t.shape or behind.shape != t.shape:
        raise ValueError(f"kernel must map t of shape {t.shape} to the same shape; got {ahead.shape}")
    size = weight * (np.abs(ahead) + np.abs(behind))
    parts = weight * (ahead + behind), weight * (ahead - behind)  # C_k(-t) = (-1)^k C_k(t)
    found = np.empty(degrees.max() + 1)
    for k, polynomial in zip(range(len(found)), zonals(t, dim), strict=False):  # zonals never ends
        value, level = parts[k % 2] @ polynomial, size @ np.abs(polynomial)
        found[k] = value if abs(value) > 16 * np.finfo(float).eps * level else 0.0
    return found[degrees]


def circle_eigenvalues(frequencies, *, bias: bool) -> np.ndarray:
    """Closed form of the integral of H (bias: H-bar) times cos(k theta) over (-pi, pi), (K,), at frequencies k >= 0.

    Basri et al. (NeurIPS 2019), with the even entries with bias corrected: half of those printed. Divide by 2 pi for
    the uniform probability measure of :func:`sphere_eigenvalues`. Raises ValueError for frequencies < 0.
    """
    k = _whole("frequencies", frequencies).astype(float)
    even = k % 2 == 0
    square = np.where(even, k**2, 0.0)  # the formulas of the other parity must not divide by zero
    without = np.where(even, 2 * (square + 1) / (np.pi * (square - 1) ** 2), np.where(k == 1, np.pi / 4, 0.0))
    # H-bar = H / 2 + (pi - theta) / 4 pi; the second part gives pi / 4 at k = 0 and 1 / (pi k^2) at odd k
    ramp = np.where(k == 0, np.pi / 4, np.where(even, 0.0, 1 / (np.pi * np.maximum(k, 1) ** 2)))
    return without / 2 + ramp if bias else without


def lfp_spectrum(xi, *, w2: float, a2: float, a2w2: float, dim: int = 1) -> np.ndarray:
    """The linear frequency principle: gamma^2 = (<w^2> + <a^2>) / |xi|^(d+3) + 4 pi^2 <a^2 w^2> / |xi|^(d+1).

    The rate at which a wide two-layer ReLU network sum_j a_j relu(w_j.x + |w_j| l_j), all trained, learns the frequency
    xi, up to a factor common to all frequencies (Zhang et al., Chinese Phys. Lett. 38, 2021; Luo et al., SIMODS 4,
    2022). The shifts l_j must spread far beyond the data; for d >= 2 the law leaves out the turning of the w_j.

    xi             lengths |xi| in cycles per unit of x, any shape, not 0 (there the law has a pole); signs do not count
    w2, a2, a2w2   means over the initial weights of |w|^2, a^2 and a^2 |w|^2, >= 0
    dim            d >= 1

    Returns float64 of the shape of xi. For m neurons with shifts uniform on [-L, L], L -> inf, and the loss
    1/(2n) sum of squares the factor is m / (32 pi^4 L), times 2 / |S^(d-1)|. Raises ValueError for bad input.
    """
    length, dim = np.abs(as_array("xi", xi)), as_count("dim", dim)
    if not length.all():
        raise ValueError("xi must not be 0: the law has a pole there, the mean of the function is not its affair")
    w2, a2, a2w2 = (
        as_positive(name, value, zero_allowed=True) for name, value in (("w2", w2), ("a2", a2), ("a2w2", a2w2))
    )
    return (w2 + a2) / length ** (dim + 3) + 4 * np.pi**2 * a2w2 / length ** (dim + 1)


def _whole(name: str, value) -> np.ndarray:
    array = np.atleast_1d(as_array(name, value, ndim=(0, 1)))
    if (array != array.round()).any() or (array < 0).any():
        raise ValueError(f"{name} must be whole numbers >= 0; got {value!r}")
    if array.max() > 2**31:
        raise ValueError(f"{name} must be below 2^31; got {array.max():g}")
    return array.astype(int)
