"""Critical points of the loss: gradient, Hessian, descent to a minimum; neurons that split and merge.

The loss is L = 1/(2n) sum_i |f(x_i) - y_i|^2. Everything is computed in float64, whatever the dtype of the model, and
on its device. P parameters stand in the order of ``model.parameters()``; x is (n, ...) or (n,), y is (n, c) or (n,).
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from fpcourse._arguments import as_array, as_count, as_number, as_positive, require_module
from fpcourse.models import MLP, TwoLayer, with_parameters
from fpcourse.neurons import group_greedily
from fpcourse.training import SquareLoss

ODD = (torch.tanh, torch.sin, torch.positive)
HOMOGENEOUS = (torch.relu, nn.functional.leaky_relu, torch.positive)


def gradient(model: nn.Module, x: ArrayLike, y: ArrayLike) -> np.ndarray:
    """Return the gradient (P,) of the loss in all parameters.

    Examples
    --------
    >>> line = with_parameters(MLP([1, 1]), [1.0, 0.0])  # slope, intercept
    >>> gradient(line, [0.0, 2.0], [-5.0, -1.0])
    array([3., 4.])
    """
    loss = SquareLoss(model, x, y)
    return loss.gradient(loss.start)


def gradient_norm(model: nn.Module, x: ArrayLike, y: ArrayLike) -> float:
    """Return the Euclidean norm of :func:`gradient`.

    Examples
    --------
    >>> gradient_norm(with_parameters(MLP([1, 1]), [1.0, 0.0]), [0.0, 2.0], [-5.0, -1.0])
    5.0
    """
    return float(np.linalg.norm(gradient(model, x, y)))


def hessian(model: nn.Module, x: ArrayLike, y: ArrayLike) -> np.ndarray:
    """Return the matrix (P, P) of second derivatives of the loss, by automatic differentiation.

    A kink of the activation on a data point counts as flat.

    Examples
    --------
    >>> hessian(MLP([1, 1]), [0.0, 2.0], [-5.0, -1.0])  # the means of x^2, x and 1
    array([[2., 1.],
           [1., 1.]])
    """
    loss = SquareLoss(model, x, y)
    return loss.hessian(loss.start)


def hessian_spectrum(model: nn.Module, x: ArrayLike, y: ArrayLike, *, extreme: int | None = None) -> np.ndarray:
    """Return the eigenvalues of the Hessian of the loss, ascending.

    Parameters
    ----------
    extreme : int, optional
        None: all P eigenvalues, from the matrix, in O(P^3). k < P / 2: the k smallest and the k largest, (2k,), by
        Lanczos iteration on Hessian-vector products; their errors are about 1e-13 of the largest magnitude.

    Examples
    --------
    >>> hessian_spectrum(MLP([1, 1]), [0.0, 2.0], [-5.0, -1.0]).round(4)  # (3 +- sqrt 5) / 2
    array([0.382, 2.618])
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

    if not product(start).any():  # H = 0, for which Lanczos iteration fails
        return np.zeros(2 * extreme)
    # The tolerance is relative to each eigenvalue, and many may be zero: shifted by the largest, none is.
    scale = np.abs(ends("LM", 1)).item()
    return np.concatenate([ends("SA", extreme, -scale), ends("LA", extreme, scale)])


class Inertia(NamedTuple):
    """Numbers of eigenvalues of each sign, see :func:`inertia`.

    Examples
    --------
    >>> Inertia(negative=1, zero=0, positive=5).negative
    1
    """

    negative: int
    zero: int
    positive: int


def inertia(eigenvalues: ArrayLike, *, tolerance: float = 1e-10) -> Inertia:
    """Count negative, zero and positive eigenvalues.

    By Sylvester's law the counts of a Hessian at a critical point do not depend on the coordinates.

    Parameters
    ----------
    eigenvalues : array-like
        (P,), such as :func:`hessian_spectrum` returns.
    tolerance : float
        An eigenvalue counts as zero up to ``tolerance`` times the largest magnitude.

    Examples
    --------
    >>> inertia([-2.0, 0.0, 1e-14, 3.0])
    Inertia(negative=1, zero=2, positive=1)
    """
    eigenvalues = as_array("eigenvalues", eigenvalues, ndim=1)
    zero = np.abs(eigenvalues) <= as_positive("tolerance", tolerance) * np.abs(eigenvalues).max()
    return Inertia(int((eigenvalues[~zero] < 0).sum()), int(zero.sum()), int((eigenvalues[~zero] > 0).sum()))


def polish(model: nn.Module, x: ArrayLike, y: ArrayLike, *, tolerance: float = 1e-12, steps: int = 100) -> nn.Module:
    """Return a float64 copy at the nearby critical point, minimum or saddle, found by Newton's method.

    Each step is the shortest solution of H step = -gradient, because critical points may form lines, along which H is
    singular; it is halved until the gradient shrinks.

    Parameters
    ----------
    tolerance : float
        Largest |gradient| that counts as critical.
    steps : int
        Largest number of steps.

    Raises
    ------
    RuntimeError
        If the gradient does not become that small.

    Examples
    --------
    >>> x = np.linspace(-2, 2, 9)
    >>> neuron = with_parameters(TwoLayer(1, 1, bias=None, activation="tanh"), [1.4, 0.9])  # w, a
    >>> w, a = polish(neuron, x, np.tanh(x)).parameters()
    >>> print(f"{w.item():.6f} {a.item():.6f}")
    1.000000 1.000000
    """
    loss = SquareLoss(model, x, y)
    tolerance, steps = as_positive("tolerance", tolerance), as_count("steps", steps)
    return _critical(model, loss, _newton(loss, loss.start, tolerance, steps), tolerance)


def minimize(model: nn.Module, x: ArrayLike, y: ArrayLike, *, tolerance: float = 1e-12, tries: int = 5) -> nn.Module:
    """Return a float64 copy at a minimum of the loss, found by descent from the parameters of ``model``.

    BFGS descends and the Newton steps of :func:`polish` add the last digits. A descent may also end on a plateau, as
    its rounding errors decide; then the next try starts from randomly perturbed parameters. If a descent crosses the
    basin of a saddle, it may end there: look at the :func:`inertia`.

    Parameters
    ----------
    tolerance : float
        Largest |gradient| that counts as critical.
    tries : int
        Largest number of descents. Perturbations have a standard deviation of a tenth of the largest parameter.

    Raises
    ------
    RuntimeError
        If no try reaches a critical point. A loss may fall forever, towards infinite weights.

    Examples
    --------
    >>> x = np.linspace(-2, 2, 9)
    >>> neuron = with_parameters(TwoLayer(1, 1, bias=None, activation="tanh"), [0.2, 0.3])  # w, a
    >>> w, a = minimize(neuron, x, np.tanh(x)).parameters()
    >>> print(f"{w.item():.6f} {a.item():.6f}")
    1.000000 1.000000
    """
    from scipy.optimize import minimize as descend

    loss, generator = SquareLoss(model, x, y), np.random.default_rng(0)
    tolerance, start = as_positive("tolerance", tolerance), loss.start
    size = 0.1 * np.abs(start).max() * loss.trained
    for _ in range(as_count("tries", tries)):
        options = {"gtol": 1e-9, "maxiter": 10_000}
        end = descend(loss.value, start, jac=loss.gradient, method="BFGS", options=options).x
        end = _newton(loss, end, tolerance, steps=100)
        if np.linalg.norm(loss.gradient(end)) <= tolerance:
            break
        start = loss.start + size * generator.standard_normal(len(size))
    return _critical(model, loss, end, tolerance)


def _newton(loss: SquareLoss, theta: np.ndarray, tolerance: float, steps: int) -> np.ndarray:
    """Return where Newton's method leads from ``theta``: |gradient| <= tolerance, or no step shrinks it further."""
    gradient = loss.gradient(theta)
    for _ in range(steps):
        norm = np.linalg.norm(gradient)
        if not tolerance < norm < np.inf:
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
    return theta


def _critical(model: nn.Module, loss: SquareLoss, theta: np.ndarray, tolerance: float) -> nn.Module:
    norm = np.linalg.norm(loss.gradient(theta))
    if not norm <= tolerance:
        raise RuntimeError(
            f"no critical point was reached: |gradient| = {norm:.1e} > {tolerance:.1e} at |parameters| = "
            f"{np.linalg.norm(theta):.1e}; initialize elsewhere, or nearer to one"
        )
    return with_parameters(model, theta)


def loss_at(model: nn.Module, x: ArrayLike, y: ArrayLike, parameters: ArrayLike) -> np.ndarray:
    """Return the losses (...) at ``parameters`` (..., P), such as the points of a plane through parameter space.

    Examples
    --------
    >>> loss_at(MLP([1, 1]), [0.0, 2.0], [-5.0, -1.0], [[1.0, 0.0], [2.0, -5.0]])  # slope, intercept
    array([8.5, 0. ])
    """
    loss = SquareLoss(model, x, y)
    parameters = as_array("parameters", parameters)
    if parameters.shape[-1:] != loss.start.shape:
        raise ValueError(f"parameters must have shape (..., {len(loss.start)}); got {parameters.shape}")
    values = [loss.value(theta) for theta in parameters.reshape(-1, len(loss.start))]
    return np.reshape(values, parameters.shape[:-1])


def split_neuron(model: TwoLayer | MLP, neuron: int, alpha: float, *, layer: int = 0) -> TwoLayer | MLP:
    """Return a network with one neuron more and the same function: ``neuron`` and a copy share its output.

    The copy, last in its layer, has the input weights and bias of ``neuron``. Of the output weights a it gets alpha a;
    (1 - alpha) a stays. If ``model`` is at a critical point, so is the result.

    Parameters
    ----------
    neuron : int
        0..m-1.
    alpha : float
        Any real number.
    layer : int
        Hidden layer of an MLP; 0 is next to the input.

    References
    ----------
    Fukumizu and Amari, Neural Networks 13 (2000); Zhang, Zhang, Luo and Xu, NeurIPS (2021).

    Examples
    --------
    >>> model = with_parameters(TwoLayer(1, 1, bias=None), [2.0, 3.0])  # 3 ReLU(2 x)
    >>> split_neuron(model, 0, 0.25).a.tolist()
    [[2.25, 0.75]]
    """
    w, b, a = _weights(model, layer)
    neuron, alpha = _index(neuron, len(w)), as_number("alpha", alpha)
    if not np.isfinite(alpha):
        raise ValueError(f"alpha must be finite; got {alpha}")
    kept = a.copy()
    kept[:, neuron] *= 1 - alpha
    twice = [*range(len(w)), neuron]
    a = np.column_stack([kept, alpha * a[:, neuron]])
    return _with_weights(model, layer, w[twice], None if b is None else b[twice], a)


def split_curvature(model: TwoLayer, neuron: int, x: ArrayLike, y: ArrayLike) -> np.ndarray:
    """Return the matrix G whose alpha (1 - alpha) multiple is the Hessian for pulling a split neuron apart.

    G = a / n sum_i (f(x_i) - y_i) sigma''(w.x_i + b) x~_i x~_i^T with x~ = (x, 1), or x without bias. The Hessian of an
    embedded critical point has the inertia of the original one, of alpha (1 - alpha) G, and one zero more.

    Parameters
    ----------
    model : TwoLayer
        At a critical point, with one output and an additive bias or none; its ``scale`` multiplies a.
    neuron : int
        0..m-1.

    Returns
    -------
    ndarray
        (d + 1, d + 1) with bias, (d, d) without.

    References
    ----------
    Fukumizu and Amari, Neural Networks 13 (2000).

    Examples
    --------
    >>> model = with_parameters(TwoLayer(1, 1, bias=None, activation="tanh"), [1.0, 1.0])
    >>> split_curvature(model, 0, [-1.0, 1.0], [-1.0, 1.0]).round(4)
    array([[0.1525]])
    """
    require_module("model", model)
    if not isinstance(model, TwoLayer) or model.bias == "shift" or len(model.a) != 1:
        raise ValueError(f"model must be a TwoLayer with one output and no shifts; got {model}")
    neuron = _index(neuron, len(model.w))
    loss = SquareLoss(model, x, y)
    model, x = loss.model, loss.x
    residual = (model(x) - loss.y)[:, 0]
    z = model.preactivation(x)[:, neuron]
    (slope,) = torch.autograd.grad(model.activation(z).sum(), z, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), z)
    inputs = x if model.bias is None else torch.cat([x, torch.ones_like(x[:, :1])], dim=1)
    factors = model.scale * model.a[0, neuron] * residual * bend / len(x)
    return as_array("the curvature of model", (inputs.T * factors) @ inputs)


def merge_neurons(
    model: TwoLayer | MLP, *, tolerance: float = 1e-8, groups: ArrayLike | None = None, layer: int = 0
) -> TwoLayer | MLP:
    """Return the network in which neurons of a layer that agree up to a factor are one: undo :func:`split_neuron`.

    Two neurons agree if their input weights u = (w, b) do; up to a sign if the activation is odd (tanh, sine), up to a
    positive factor if it is homogeneous (ReLU). Then sigma(u_j . x) = s_j sigma(u . x), and one neuron with output
    weights sum_j s_j a_j replaces them. The strongest neurons, by |a| |u|, come first.

    Parameters
    ----------
    tolerance : float
        Largest distance |u_i - u_j| / |u_i| to the strongest neuron i of a group. Neurons that nearly agree are
        replaced by their mean, weighted by |a_j|: an error of second order if all s_j a_j have the same direction.
    groups : array-like, optional
        (m,) integers in place of a tolerance: neurons with the same number become one, those with -1 are left out, as
        in the labels of :func:`fpcourse.neurons.condensed_directions`.
    layer : int
        Hidden layer of an MLP; 0 is next to the input.

    Examples
    --------
    >>> model = with_parameters(TwoLayer(1, 2, bias=None, activation="tanh"), [2.0, -2.0, 3.0, 1.0])
    >>> merged = merge_neurons(model)  # 3 tanh(2 x) + tanh(-2 x)
    >>> merged.w.tolist(), merged.a.tolist()
    ([[2.0]], [[2.0]])
    """
    from scipy.spatial.distance import cdist

    w, b, a = _weights(model, layer)
    shift = isinstance(model, TwoLayer) and model.bias == "shift"
    u = w if b is None else np.column_stack([w, np.linalg.norm(w, axis=1) * b if shift else b])
    if groups is not None:
        groups = as_array("groups", groups, ndim=1)
        if groups.shape != (len(w),) or (groups < 0).all():
            raise ValueError(f"groups must hold {len(w)} numbers, not all of them -1; got {groups}")
        u, a, groups = u[groups >= 0], a[:, groups >= 0], groups[groups >= 0]
    size, amplitude = np.linalg.norm(u, axis=1), np.linalg.norm(a, axis=0)
    homogeneous, odd = model.activation in HOMOGENEOUS, model.activation in ODD
    direction = u / np.where(size > 0, size, 1)[:, None] if homogeneous else u
    signs = np.where(odd & (direction @ direction.T < 0), -1.0, 1.0)
    apart = np.where(signs > 0, cdist(direction, direction), cdist(direction, -direction))
    alike = apart <= as_positive("tolerance", tolerance, zero_allowed=True) * np.linalg.norm(direction, axis=1)[:, None]
    inputs, outputs = [], []
    for founder, members in group_greedily(alike if groups is None else groups[:, None] == groups, amplitude * size):
        sign, weight = signs[founder, members], amplitude[members]
        mean = np.average(sign[:, None] * u[members], axis=0, weights=weight if weight.any() else None)
        factor = size[members] / np.linalg.norm(mean) if homogeneous and mean.any() else 1.0
        inputs.append(mean)
        outputs.append(a[:, members] @ (sign * factor))
    u, a = np.stack(inputs), np.stack(outputs, axis=1)
    w, b = (u, None) if b is None else (u[:, :-1], u[:, -1])
    return _with_weights(model, layer, w, b / np.linalg.norm(w, axis=1) if shift else b, a)


def _index(neuron: int, m: int) -> int:
    if as_count("neuron", neuron, minimum=0) >= m:
        raise ValueError(f"neuron must be one of 0..{m - 1}; got {neuron}")
    return neuron


def _parts(model: TwoLayer | MLP, layer: int) -> list[tuple[nn.Module, str]]:
    """Where a hidden layer keeps its input weights (m, d), biases (m,) and output weights (c, m): module and name."""
    require_module("model", model)
    layer = as_count("layer", layer, minimum=0)
    if isinstance(model, TwoLayer) and layer == 0:
        return [(model, "w"), (model, "b"), (model, "a")]
    if isinstance(model, MLP) and layer < len(model.layers) - 1:
        below, above = model.layers[layer], model.layers[layer + 1]
        return [(below, "weight"), (below, "bias"), (above, "weight")]
    raise ValueError(f"model must be a TwoLayer or an MLP with hidden layer {layer}; got {model}")


def _weights(model: TwoLayer | MLP, layer: int) -> list[np.ndarray | None]:
    parts = (getattr(module, name) for module, name in _parts(model, layer))
    return [None if part is None else as_array("the parameters of model", part) for part in parts]


def _with_weights(model: TwoLayer | MLP, layer: int, *weights: np.ndarray | None) -> TwoLayer | MLP:
    """Return a copy of ``model`` with the weights of one hidden layer replaced, whatever its new number of neurons."""
    result = copy.deepcopy(model)
    for (module, name), new in zip(_parts(result, layer), weights, strict=True):
        if new is not None:
            old = getattr(module, name)
            setattr(module, name, nn.Parameter(torch.tensor(new).to(old), requires_grad=old.requires_grad))
    if isinstance(result, MLP):
        below, above = result.layers[layer], result.layers[layer + 1]
        below.out_features = above.in_features = len(weights[0])
    return result
