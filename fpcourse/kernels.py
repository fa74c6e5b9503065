"""Tangent kernels: of a given network, of infinitely wide two-layer ReLU networks, and their spectra.

The tangent kernel of a network f(x; theta) is ``K(x, x') = <df/dtheta(x), df/dtheta(x')>``. Gradient flow moves the
outputs u by ``du/dt = -K (u - y) / n``, see :mod:`fpcourse.flow`.

References
----------
Jacot, Gabriel, Hongler, NeurIPS 2018 (tangent kernel); Novak, Sohl-Dickstein, Schoenholz, ICML 2022 (its computation);
Xie, Liang, Song, AISTATS 2017; Basri, Jacobs, Kasten, Kritchman, NeurIPS 2019; Cao, Fang, Wu, Zhou, Gu, IJCAI 2021
(two-layer ReLU networks); Zhang, Luo, Ma, Xu, Chinese Phys. Lett. 38, 2021; Luo, Ma, Xu, Zhang, SIMODS 4, 2022 (LFP).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from fpcourse._arguments import (
    accepted_by_model,
    as_array,
    as_choice,
    as_count,
    as_counts,
    as_positive,
    copied,
    require_memory,
    require_module,
    require_tensor,
)
from fpcourse.models import MLP, TwoLayer
from fpcourse.recording import _inputs_for
from fpcourse.sphere import _cosines, _on_sphere, quarter_circle_rule, zonals

BLOCK_SAMPLES, BLOCK_BYTES = 1024, 2**27  # a block of gradients stays below both; what they are made from is larger
BLOCK = 256  # rows and columns of a kernel computed at once: what the processor's cache holds

# Gradients of a block of b samples with c outputs, factored by layer: each term (delta (b, c, w), h (b, v) or None,
# constant) adds (delta . delta') (h . h' + constant) to the kernel. For a dense layer delta is the derivative of the
# outputs by its preactivations, h its input, and the constant 1 its bias; no product delta h is ever formed.
Term = tuple[Tensor, Tensor | None, float]


def empirical_ntk(
    model: nn.Module,
    x1: ArrayLike,
    x2: ArrayLike | None = None,
    *,
    dtype: torch.dtype = torch.float64,
    block: int | None = None,
) -> np.ndarray:
    """Return the tangent kernel of ``model`` at its present parameters, in evaluation mode.

    ``TwoLayer`` and ``MLP`` go layer by layer, every other module through per-sample Jacobians. Without x2 the kernel
    is exactly symmetric, and positive semi-definite to rounding. It takes 8 n1 n2 c^2 bytes.

    Parameters
    ----------
    model : nn.Module
        (n, ...) -> (n, c) or (n,). It is copied, never changed; parameters that do not require a gradient do not count.
    x1, x2 : array_like
        (n1, ...) and (n2, ...) points, images or tokens; a vector of n numbers counts as (n, 1). x2 defaults to x1.
    dtype : torch.dtype
        Of the computation. float32 halves time and memory and loses positivity below 1e-6 of the largest eigenvalue.
    block : int, optional
        Samples per block. Default: what fits into 128 MiB.

    Returns
    -------
    ndarray
        (n1, n2) float64 for one output, (n1, n2, c, c) for c.

    Raises
    ------
    MemoryError
        If the kernel is larger than the memory that is free.

    Examples
    --------
    >>> empirical_ntk(MLP([1, 1]), [1.0, 2.0])  # f(x) = w x + b has the kernel x x' + 1
    array([[2., 3.],
           [3., 5.]])
    """
    require_module("model", model, trainable=True)
    as_choice("dtype", dtype, (torch.float32, torch.float64))
    model = copied(model, dtype).eval()
    a = _inputs_for(model, "x1", x1)
    b = a if x2 is None else _inputs_for(model, "x2", x2)
    if a.shape[1:] != b.shape[1:]:
        raise ValueError(f"x1 and x2 must hold points of one shape; got {tuple(a.shape)} and {tuple(b.shape)}")
    outputs, gradients = _outputs(model, a), _gradients(model)
    if block is None:
        sample = sum(t.nbytes for delta, h, _ in gradients(a[:1]) for t in (delta, h) if t is not None)
        block = max(1, min(BLOCK_SAMPLES, BLOCK_BYTES // sample))
    block = as_count("block", block)
    shape = len(a), len(b), outputs, outputs
    require_memory("the kernel", shape, "take fewer points or outputs, or parts: empirical_ntk(model, x1[:100], x2)")
    kernel = np.empty(shape)
    for i in range(0, len(a), block):
        left = gradients(a[i : i + block])
        for j in range(i if x2 is None else 0, len(b), block):
            same = x2 is None and i == j
            right = left if same else gradients(b[j : j + block])
            _fill(kernel[i : i + block, j : j + block], left, right, same)
            if x2 is None and not same:
                kernel[j : j + block, i : i + block] = kernel[i : i + block, j : j + block].transpose(1, 0, 3, 2)
    return kernel[:, :, 0, 0] if outputs == 1 else kernel


def _outputs(model: nn.Module, x: Tensor) -> int:
    """Return the outputs per sample; here a model meets inputs it may not take."""
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
    """Return (b1, b2, c, c): the sum over terms of (delta . delta') (h . h' + constant)."""
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
    """Return inputs (b, ...) -> terms. Subclasses, shared layers, activations with parameters take the general path."""
    names = {name for name, _ in model.named_parameters()}
    if type(model) is TwoLayer and names <= {"w", "b", "a"}:
        return lambda x: _two_layer_terms(model, x)
    dense = ("weight", "bias")
    if type(model) is MLP and names == {f"layers.{i}.{p}" for i in range(len(model.layers)) for p in dense}:
        return lambda x: _mlp_terms(model, x)
    rows = _per_sample(model)
    return lambda x: [(each, None, 1.0) for each in rows(x)]


def _activate(activation: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    """Return sigma(z) and sigma'(z) of an elementwise function."""
    value, pullback = torch.func.vjp(activation, z)
    return value, pullback(torch.ones_like(value))[0]


def _dense(delta: Tensor, h: Tensor, weight: nn.Parameter, bias: nn.Parameter | None) -> list[Term]:
    trains_bias = bias is not None and bias.requires_grad
    if not (weight.requires_grad or trains_bias):
        return []
    return [(delta, h if weight.requires_grad else None, float(trains_bias))]


def _identity(c: int, x: Tensor) -> Tensor:
    """Return (b, c, c): the derivative of the outputs by themselves."""
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


def jacobian(model: nn.Module, x: ArrayLike) -> np.ndarray:
    """Return df(x_i; theta)/dtheta at the present parameters, a row per sample and output.

    Parameters
    ----------
    model : nn.Module
        As in :func:`empirical_ntk`, P parameters that require a gradient.
    x : array_like
        (n, ...) points; a vector of n numbers counts as (n, 1).

    Returns
    -------
    ndarray
        (n * c, P) float64.

    Examples
    --------
    >>> jacobian(MLP([1, 1]), [1.0, 2.0])  # of w x + b by w and b
    array([[1., 1.],
           [2., 1.]])
    """
    require_module("model", model, trainable=True)
    model = copied(model, torch.float64).cpu().eval()
    x = _inputs_for(model, "x", x)
    shape = len(x) * _outputs(model, x), sum(p.numel() for p in model.parameters() if p.requires_grad)
    require_memory("the Jacobian", shape, "take fewer points at a time")
    return torch.cat(_per_sample(model)(x), dim=2).flatten(0, 1).numpy()


def _per_sample(model: nn.Module) -> Callable[[Tensor], list[Tensor]]:
    """Return inputs (b, ...) -> the derivatives (b, c, p) of the outputs by each trained parameter of p entries."""
    trained = {name: parameter.detach() for name, parameter in model.named_parameters() if parameter.requires_grad}

    def output(parameters: dict[str, Tensor], point: Tensor) -> Tensor:
        return torch.func.functional_call(model, parameters, (point[None],)).flatten()

    rows = torch.func.vmap(torch.func.jacrev(output), (None, 0))
    return lambda x: [each.detach()[..., None].flatten(2) for each in rows(trained, x).values()]


def two_layer_ntk(x1: ArrayLike, x2: ArrayLike | None = None, *, bias: bool, trained: str) -> np.ndarray:
    """Return the tangent kernel of infinitely wide two-layer ReLU networks between points on the unit sphere.

    It is the limit m -> inf of :func:`empirical_ntk` for ``TwoLayer(d, m, bias=None, scale=m**-0.5, ...)`` with

    - trained="first": ``a`` frozen, a_std=1 (or signs=True); :func:`basri_kernel` of the cosine;
    - trained="both": a_std=1, w_std=2**0.5; :func:`cao_kernel` of the cosine.

    With bias=True the inputs are (x, 1) / sqrt 2 and the bias starts at 0: bias="additive", b_std=0,
    scale=(2 * m)**-0.5. Small angles come from ``|x - x'|``, those near pi from ``|x + x'|``, so that nothing cancels:
    the diagonal is right to rounding. Without x2 the kernel is exactly symmetric.

    Parameters
    ----------
    x1, x2 : array_like
        (n1, d) and (n2, d) points with norms of 1, to 1e-6. x2 defaults to x1.
    bias : bool
        Whether the hidden neurons have a bias.
    trained : {"first", "both"}
        The layers that are trained.

    Returns
    -------
    ndarray
        (n1, n2).

    Examples
    --------
    >>> two_layer_ntk([[1, 0], [0, 1], [-1, 0]], bias=True, trained="first")  # 1/2, 1/8, 0 at angles 0, pi/2, pi
    array([[0.5  , 0.125, 0.   ],
           [0.125, 0.5  , 0.125],
           [0.   , 0.125, 0.5  ]])
    """
    a = torch.as_tensor(_on_sphere("x1", x1))
    b = a if x2 is None else torch.as_tensor(_on_sphere("x2", x2))
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"x1 and x2 must have the same dimension; got shapes {tuple(a.shape)} and {tuple(b.shape)}")
    require_memory("the kernel", (len(a), len(b)), "take fewer points, or parts: two_layer_ntk(x1[:100], x2)")
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
    """Return cos, sin and value of the angles between rows on the unit sphere, all to rounding."""
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


def _of_cosine(t: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    t = _cosines(t)
    return t, np.sqrt((1 - t) * (1 + t)), np.arccos(t)


def _two_layer_kernel(cos: Tensor, sin: Tensor, angle: Tensor, bias: bool, trained: str) -> Tensor:
    """Return the kernel at angles given as tensors or as numpy arrays."""
    as_choice("trained", trained, ("first", "both"))
    kappa_1 = (np.pi - angle) / (2 * np.pi)
    kernel = cos * kappa_1
    if trained == "both":
        kernel = kernel + 2 * (kernel + sin / (2 * np.pi))
    return (kernel + kappa_1) / 2 if bias else kernel


def basri_kernel(t: ArrayLike, *, bias: bool) -> np.ndarray:
    """Return the kernel of the first layer, ``t (pi - angle) / 2 pi``; with bias ``(t + 1) (pi - angle) / 4 pi``.

    t = cos(angle), any shape. The network and its bias are those of :func:`two_layer_ntk` (Basri et al. 2019).

    Examples
    --------
    >>> basri_kernel([1.0, 0.0, -1.0], bias=True)
    array([0.5  , 0.125, 0.   ])
    """
    return _two_layer_kernel(*_of_cosine(t), bias, "first")


def cao_kernel(t: ArrayLike, *, bias: bool = False) -> np.ndarray:
    """Return the kernel of both layers, ``t kappa_1 + 2 kappa_2``; with bias half of it plus ``kappa_1 / 2``.

    ``kappa_1 = (pi - angle) / 2 pi``, ``kappa_2 = t kappa_1 + sin(angle) / 2 pi`` and t = cos(angle), any shape. The
    network and its bias are those of :func:`two_layer_ntk` (Cao et al. 2021, who have no bias).

    Examples
    --------
    >>> cao_kernel([1.0, -1.0])
    array([1.5, 0. ])
    """
    return _two_layer_kernel(*_of_cosine(t), bias, "both")


def sphere_eigenvalues(kernel: Callable[[np.ndarray], np.ndarray], dim: int, degrees: ArrayLike) -> np.ndarray:
    """Return the eigenvalues of ``f -> E_v[kernel(u . v) f(v)]``, v uniform on S^dim, on the spherical harmonics.

    By the Funk-Hecke formula they are the means of ``kernel(t) C_k(t) / C_k(1)``. As n grows the rates of the flow,
    :func:`fpcourse.flow.rates`, tend to them. The kernel may be singular at t = 1 and -1. For the kernels of this
    module and degrees up to 100 the relative error is below 1e-8 wherever the eigenvalue exceeds 1e-11; values below
    the rounding level, a few 1e-16 of the mean of ``|kernel C_k|``, are returned as 0.

    Parameters
    ----------
    kernel : callable
        t = cos(angle) (N,) -> (N,).
    dim : int
        >= 1: the sphere S^dim in R^(dim+1).
    degrees : array_like of int
        (K,) or one number, >= 0.

    Returns
    -------
    ndarray
        (K,).

    Examples
    --------
    >>> sphere_eigenvalues(cao_kernel, 2, [0, 1, 2, 3, 4]).round(4)  # without bias, odd degrees >= 3 vanish
    array([0.4375, 0.25  , 0.0508, 0.    , 0.0029])
    """
    dim, degrees = as_count("dim", dim), as_counts("degrees", degrees, minimum=0)
    t, log_sine, weight = quarter_circle_rule()
    weight = weight * np.exp((dim - 1) * log_sine)
    weight /= 2 * weight.sum()
    ahead, behind = (as_array("kernel(t)", kernel(side)) for side in (t, -t))
    if ahead.shape != t.shape:
        raise ValueError(f"kernel must map t of shape {t.shape} to the same shape; got {ahead.shape}")
    even, odd = weight * (ahead + behind), weight * (ahead - behind)  # C_k(-t) = (-1)^k C_k(t)
    size = weight * (np.abs(ahead) + np.abs(behind))
    found = []
    for k, polynomial in zip(range(max(degrees) + 1), zonals(t, dim), strict=False):  # zonals never ends
        value = (odd if k % 2 else even) @ polynomial
        rounding = 16 * np.finfo(float).eps * (size @ np.abs(polynomial))
        found.append(value if abs(value) > rounding else 0.0)
    return np.array(found)[degrees]


def circle_eigenvalues(frequencies: ArrayLike, *, bias: bool) -> np.ndarray:
    """Return the integrals (K,) of :func:`basri_kernel` times cos(k theta) over (-pi, pi), in closed form, k >= 0.

    Divide by 2 pi for the rates, the eigenvalues under the uniform probability measure (:func:`sphere_eigenvalues`).
    The even ones with bias are half of those printed (Basri et al. 2019).

    Examples
    --------
    >>> circle_eigenvalues([0, 1, 2, 3], bias=False).round(4)
    array([0.6366, 0.7854, 0.3537, 0.    ])
    """
    k = np.array(as_counts("frequencies", frequencies, minimum=0), dtype=float)
    sign, one = (-1) ** k, k == 1
    plain = np.where(one, np.pi / 4, (1 + sign) * (k**2 + 1) / (np.pi * np.where(one, 1, k**2 - 1) ** 2))
    # H-bar = H / 2 + (pi - theta) / 4 pi; the second part gives pi / 4 at k = 0 and 1 / (pi k^2) at odd k
    ramp = np.where(k == 0, np.pi / 4, (1 - sign) / (2 * np.pi * np.maximum(k, 1) ** 2))
    return plain / 2 + ramp if bias else plain


def lfp_spectrum(xi: ArrayLike, *, w2: float, a2: float, a2w2: float, dim: int = 1) -> np.ndarray:
    """Return the linear frequency principle, ``(<w^2> + <a^2>) / xi^(d+3) + 4 pi^2 <a^2 w^2> / xi^(d+1)``.

    It is the rate, up to a factor, at which a wide network ``sum_j a_j relu(w_j . x + |w_j| l_j)``, all trained, learns
    the frequency xi. The shifts l_j must spread far beyond the data; for d >= 2 the law leaves out the turning of the
    w_j. For m shifts uniform on [-L, L], L -> inf, the factor is m / (32 pi^4 L), times 2 / ``|S^(d-1)|``.

    Parameters
    ----------
    xi : array_like
        Lengths of frequencies in cycles per unit of x, any shape, not 0. Signs do not count.
    w2, a2, a2w2 : float
        Means over the initial weights of ``|w|^2``, ``a^2`` and ``a^2 |w|^2``.
    dim : int
        d >= 1.

    Examples
    --------
    >>> lfp_spectrum([1.0, 2.0], w2=1, a2=1, a2w2=0)  # halving the wavelength costs 2^4
    array([2.   , 0.125])
    """
    length, dim = np.abs(as_array("xi", xi)), as_count("dim", dim)
    if not length.all():
        raise ValueError("xi must be non-zero: the law diverges at xi = 0")
    means = {"w2": w2, "a2": a2, "a2w2": a2w2}
    w2, a2, a2w2 = (as_positive(name, value, zero_allowed=True) for name, value in means.items())
    return (w2 + a2) / length ** (dim + 3) + 4 * np.pi**2 * a2w2 / length ** (dim + 1)
