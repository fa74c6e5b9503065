"""What the neurons of a network do during training: conserved quantities, directions on which they condense, phases."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from fpcourse import settings
from fpcourse._arguments import as_array, as_choice, as_count, as_number, as_points, require_same_length
from fpcourse.models import MLP, CircularCNN, Ensemble, TwoLayer

Layers = list[tuple[np.ndarray, np.ndarray]]  # (weight (out, in), bias (out,)) of each layer
BINS = 90  # of 4 degrees, for orientations in the plane of weight and bias
STEP = 0.05  # the most that either layer may move in a step, relative to its norm


def conserved_quantities(model: TwoLayer | CircularCNN, parameters: ArrayLike | None = None) -> np.ndarray:
    """Return outgoing minus incoming energy of each neuron or channel: |a_j|^2 - |w_j|^2 - b_j^2 (w = K in a CNN).

    Gradient flow with all parameters trained conserves each entry, for any loss, if the activation is homogeneous,
    sigma(c z) = c sigma(z) for c > 0: then a_j . dL/da_j = w_j . dL/dw_j + b_j dL/db_j. Gradient descent with rate eta
    moves them by eta^2 (|dL/da_j|^2 - |dL/dw_j|^2 - (dL/db_j)^2). With ``bias="shift"`` w alone is homogeneous, and
    b_j^2 is not subtracted. With tanh nothing is conserved.

    Parameters
    ----------
    model : TwoLayer or CircularCNN
        m neurons or channels; of an antisymmetric pair give one half.
    parameters : array-like, optional
        (P,) or (T, P), such as ``Trajectory.parameters``; default: those of the model.

    Returns
    -------
    ndarray
        (m,) or (T, m).

    References
    ----------
    Du, Hu and Lee, NeurIPS (2018).

    Examples
    --------
    >>> from fpcourse.models import with_parameters
    >>> conserved_quantities(with_parameters(TwoLayer(1, 2, bias=None), [1.0, 2.0, 3.0, -3.0]))  # w, a
    array([8., 5.])
    """
    if not isinstance(model, (TwoLayer, CircularCNN)):
        raise ValueError(f"model must be a TwoLayer or a CircularCNN; got {type(model).__name__}")
    squares = {name: block**2 for name, block in _blocks(model, parameters).items()}
    if isinstance(model, CircularCNN):
        energy = squares["a"] - squares["kernels"].sum(axis=-1)
    else:
        energy = squares["a"].sum(axis=-2) - squares["w"].sum(axis=-1)
    shifted = isinstance(model, TwoLayer) and model.bias == "shift"
    return energy - squares["b"] if "b" in squares and not shifted else energy


def neurons(model: TwoLayer | MLP, parameters: ArrayLike | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return input weights and amplitudes of the m neurons of a network with one hidden layer.

    Parameters
    ----------
    model : TwoLayer or MLP
        One hidden layer, its bias additive or None.
    parameters : array-like, optional
        (P,) or (T, P), such as ``Trajectory.parameters``; default: those of the model.

    Returns
    -------
    weights : ndarray
        (m, d + 1), the bias as last coordinate, as if every input carried a 1; (m, d) without bias. T comes in front.
    amplitudes : ndarray
        |a_j| |(w_j, b_j)|, (m,) or (T, m): with its direction it determines a ReLU neuron up to sign.

    Examples
    --------
    >>> from fpcourse.models import with_parameters
    >>> weights, amplitudes = neurons(with_parameters(TwoLayer(1, 2), [3.0, 0.0, 4.0, 1.0, 1.0, -2.0]))  # w, b, a
    >>> weights.tolist(), amplitudes.tolist()
    ([[3.0, 4.0], [0.0, 1.0]], [5.0, 2.0])
    """
    shallow = isinstance(model, MLP) and len(model.layers) == 2
    if not shallow and not (isinstance(model, TwoLayer) and model.bias != "shift"):
        raise ValueError(f"model must have one hidden layer, a TwoLayer with additive bias or an MLP; got {model}")
    blocks = _blocks(model, parameters)
    w, b, a = ("layers.0.weight", "layers.0.bias", "layers.1.weight") if shallow else "wba"
    weights = np.concatenate([blocks[w], blocks[b][..., None]], axis=-1) if b in blocks else blocks[w]
    return weights, np.linalg.norm(blocks[a], axis=-2) * np.linalg.norm(weights, axis=-1)


def group_greedily(near: np.ndarray, strength: np.ndarray | None = None) -> list[tuple[int, np.ndarray]]:
    """Partition m objects into groups, each around a founder, and return (founder, members) of each.

    The first of those that are left founds a group with all that are left near it, until none is left.

    Parameters
    ----------
    near : ndarray
        (m, m) bool: whether founder i takes in j; true on the diagonal.
    strength : ndarray, optional
        (m,): the strongest comes first. Default: the number of those left near each.

    Examples
    --------
    >>> near = np.eye(4, dtype=bool)
    >>> near[1, 3] = True
    >>> [members.tolist() for founder, members in group_greedily(near)]
    [[1, 3], [0], [2]]
    """
    left, groups = np.ones(len(near), dtype=bool), []
    while left.any():
        order = (near & left).sum(axis=1) if strength is None else strength
        founder = int(np.argmax(np.where(left, order, -1)))
        groups.append((founder, np.flatnonzero(near[founder] & left)))
        left[groups[-1][1]] = False
    return groups


class Condensation(NamedTuple):
    """Condensed directions and the neurons of each, see :func:`condensed_directions`.

    Attributes
    ----------
    directions : ndarray
        (K, D) unit vectors.
    sizes : ndarray
        (K,) numbers of neurons, largest first.
    share : float
        Fraction of all m neurons, sum(sizes) / m.
    labels : ndarray
        (m,) which direction each neuron belongs to; -1: none.

    Examples
    --------
    >>> condensed_directions(np.ones((4, 2))).labels
    array([0, 0, 0, 0])
    """

    directions: np.ndarray
    sizes: np.ndarray
    share: float
    labels: np.ndarray


def condensed_directions(weights: ArrayLike, *, cosine: float = 0.95, smallest: int = 3) -> Condensation:
    """Cluster the directions of ``weights``, biases included, to find those that several neurons share.

    The neuron with most neighbours founds a cluster with them; then the same among the rest, until none is left.

    Parameters
    ----------
    weights : array-like
        (m, D), none of them zero.
    cosine : float
        Neurons are neighbours at a larger cosine, in (0, 1). In 2 dimensions a cap of 0.95 (18 degrees) holds a tenth
        of the circle and the count means nothing: take a cosine much closer to 1.
    smallest : int
        Neurons in a condensed direction at least: one or two neighbours occur by chance. Of 50 random directions in 6
        dimensions about 0.7 pairs lie within a cosine of 0.95, and hardly ever three.

    Examples
    --------
    >>> found = condensed_directions([[1, 0], [2, 0.1], [0, 1], [3, -0.1]], cosine=0.99)
    >>> found.sizes, found.labels, found.share
    (array([3]), array([ 0,  0, -1,  0]), 0.75)
    """
    weights = as_array("weights", weights, ndim=2)
    smallest = as_count("smallest", smallest)
    if not 0 < as_number("cosine", cosine) < 1:
        raise ValueError(f"cosine must lie between 0 and 1; got {cosine!r}")
    unit = _unit("weights", weights)
    near = unit @ unit.T > cosine
    np.fill_diagonal(near, True)
    clusters = [members for _, members in group_greedily(near) if len(members) >= smallest]
    labels = np.full(len(unit), -1)
    for i, members in enumerate(clusters):
        labels[members] = i
    means = np.array([unit[members].mean(axis=0) for members in clusters]).reshape(-1, weights.shape[1])
    sizes = np.array([len(members) for members in clusters], dtype=int)
    return Condensation(_unit("means", means), sizes, float(sizes.sum() / len(unit)), labels)


def initial_directions(
    x: ArrayLike, y: ArrayLike, start: ArrayLike, *, multiplicity: int, sign: int = 1, steps: int = 20_000
) -> np.ndarray:
    """Return the directions to which the first phase of training from tiny weights carries the neurons ``start``.

    Near zero an activation of multiplicity p is c z^p, and every neuron feels the targets only: its direction u climbs
    sign(a c) V(u) on the unit sphere, V(u) = sum_i y_i (u . x_i)^p. For p = 1 the only maximum is along sum_i y_i x_i;
    for p = 2 there are two, the eigenvectors +-e of sum_i y_i x_i x_i^T with the largest eigenvalue.

    Parameters
    ----------
    x, y : array-like
        (n, D) inputs, with a column of ones for a bias, and (n,) targets, not all zero.
    start : array-like
        (m, D), not zero; only the directions matter.
    multiplicity : int
        p.
    sign : int
        Of a c: 1 climbs, -1 descends.
    steps : int
        Largest number of steps.

    Returns
    -------
    ndarray
        (m, D) unit vectors.

    Raises
    ------
    RuntimeError
        If a direction still moves after ``steps`` steps: V is nearly flat there.

    References
    ----------
    Zhou, Zhou, Luo, Zhang and Xu, NeurIPS (2022).

    Examples
    --------
    >>> initial_directions(np.eye(2), [3.0, 4.0], [[1.0, 0.0]], multiplicity=1).round(3)
    array([[0.6, 0.8]])
    """
    x, start, y = as_points("x", x), as_points("start", start), as_array("y", y, ndim=1)
    require_same_length("x", x, "y", y)
    require_same_length("x", x, "start", start, 1, 1)
    if not y.any():
        raise ValueError("y must not be all zero: then no direction is preferred")
    p, u = as_count("multiplicity", multiplicity), _unit("start", start)
    y = as_choice("sign", sign, (-1, 1)) * y
    lengths = np.linalg.norm(x, axis=1)
    for _ in range(as_count("steps", steps)):
        z = u @ x.T
        climb = (z ** (p - 1) * y) @ x
        climb -= (climb * u).sum(axis=1, keepdims=True) * u
        # A bound of V's slope (p = 1) or curvature (p > 1) at u: so short a step does not jump over the maximum.
        bound = (np.abs(z) ** max(p - 2, 0) * np.abs(y)) @ lengths ** min(p, 2)
        u = _unit("start", u + climb / bound[:, None])
        if (np.linalg.norm(climb, axis=1) < 1e-9 * bound).all():
            return u
    raise RuntimeError(f"some directions still move after {steps} steps")


def member_layers(model: Ensemble) -> list[Layers]:
    """Return copies of the layers of each member of an ensemble, as :func:`match_neurons` takes them.

    Examples
    --------
    >>> layers = member_layers(Ensemble([1, 3, 1], members=2))
    >>> [weight.shape for weight, bias in layers[0]]
    [(3, 1), (1, 3)]
    """
    if not isinstance(model, Ensemble):
        raise ValueError(f"model must be an Ensemble; got {type(model).__name__}")
    layers = [(as_array("weight", w), as_array("bias", b)) for w, b in zip(model.weights, model.biases, strict=True)]
    return [[(w[m].T.copy(), b[m, 0].copy()) for w, b in layers] for m in range(model.members)]


def match_neurons(layers: Layers, reference: Layers, *, odd: bool) -> Layers:
    """Renumber the hidden neurons of a fully connected network so that its parameters come close to ``reference``.

    One hidden layer after the other is matched to the reference by linear assignment, given the others, as long as this
    brings the two closer. With one hidden layer the result is the nearest network; with more it need not be.

    Parameters
    ----------
    layers, reference : list
        Two networks of the same widths: (weight (out, in), bias (out,)) of each layer.
    odd : bool
        Whether the activation is odd, such as tanh: then a neuron may also change all its signs, in and out.

    Returns
    -------
    list
        The layers of the renumbered network, which computes the same function.

    References
    ----------
    Ainsworth, Hayase and Srinivasa, ICLR (2023).

    Examples
    --------
    >>> layers = [(np.array([[2.0], [1.0]]), np.zeros(2)), (np.array([[4.0, 3.0]]), np.zeros(1))]
    >>> reference = [(np.array([[1.0], [2.0]]), np.zeros(2)), (np.array([[3.0, 4.0]]), np.zeros(1))]
    >>> (weight, bias), _ = match_neurons(layers, reference, odd=False)
    >>> weight.ravel()
    array([1., 2.])
    """
    from scipy.optimize import linear_sum_assignment

    layers, reference = _layers("layers", layers), _layers("reference", reference)
    widths, others = ([weight.shape for weight, _ in network] for network in (layers, reference))
    if widths != others:
        raise ValueError(f"layers and reference must have the same widths; got {widths} and {others}")
    closer = True
    while closer:
        closer = False
        for i in range(len(layers) - 1):
            (weight, bias), (out, out_bias) = layers[i], layers[i + 1]
            own, wanted = (np.column_stack([net[i][0], net[i][1], net[i + 1][0].T]) for net in (layers, reference))
            likeness = wanted @ own.T
            rows, order = linear_sum_assignment(np.abs(likeness) if odd else likeness, maximize=True)
            signs = np.where(odd & (likeness[rows, order] < 0), -1.0, 1.0)
            gain = (likeness[rows, order] * signs).sum() - np.trace(likeness)
            if gain > 1e-12 * np.abs(likeness).sum():
                closer = True
                layers[i] = (weight[order] * signs[:, None], bias[order] * signs)
                layers[i + 1] = (out[:, order] * signs, out_bias)
    return layers


def train_scaled(
    x: ArrayLike,
    y: ArrayLike,
    *,
    width: int,
    gamma: ArrayLike,
    gamma_prime: ArrayLike,
    draws: int = 4,
    seed: int = 0,
    steps: int = 600,
) -> dict[str, np.ndarray]:
    """Train f(x) = kappa sum_j a_j ReLU(w_j x + b_j), kappa = width^-gamma, at G points of the phase diagram at once.

    All weights start as N(0, 1), in pairs with opposite a, so that f = 0. An initialization a ~ N(0, beta_1^2),
    w ~ N(0, beta_2^2) with the factor 1/alpha in front becomes, in these normalized variables, kappa = beta_1 beta_2 /
    alpha and kappa' = beta_1 / beta_2 = width^-gamma_prime, and the gradient flow gets two speeds:

        da/dt = -(1/kappa') dL/da,    d(w,b)/dt = -kappa' dL/d(w,b).

    Euler's method follows it. Every network has its own step, 1 / trace of its tangent kernel, or less where a layer
    would move by more than 5 %. So one number of steps suits all scales.

    Parameters
    ----------
    x, y : array-like
        (n,) points in one dimension and their targets, not all zero.
    width : int
        m, even.
    gamma, gamma_prime : array-like
        (G,) each, or a number.
    draws : int
        Initializations, the same ones at all points; float32, on ``settings.device()``.
    seed : int
        Of the initializations.
    steps : int
        Euler steps.

    Returns
    -------
    dict
        float32 arrays: "change" (G, draws), the maximum over time of |W(t) - W(0)| / |W(0)|, W all of w and b (RD in
        the paper); "loss" (G, draws), relative to the initial one; "amplitudes" (G, draws, 90), the sum of |a||(w, b)|
        by direction of (w, b), in bins of 4 degrees from -180 on.

    References
    ----------
    Luo, Xu, Ma and Zhang, JMLR 22 (2021).

    Examples
    --------
    >>> run = train_scaled([-1, 0, 1], [1, 0, 1], width=20, gamma=[0.5, 1.5], gamma_prime=0, draws=3, steps=200)
    >>> run["change"].shape, bool((run["loss"] < 0.01).all())
    ((2, 3), True)
    """
    x, y = as_array("x", x, ndim=1), as_array("y", y, ndim=1)
    require_same_length("x", x, "y", y)
    if not y.any():
        raise ValueError("y must not be all zero: the networks start from zero and would stay there")
    gamma, gamma_prime = (as_array(n, v, ndim=(0, 1)) for n, v in (("gamma", gamma), ("gamma_prime", gamma_prime)))
    gamma, gamma_prime = np.broadcast_arrays(np.atleast_1d(gamma), gamma_prime)
    points = len(gamma)
    start, a = (_tensor(each, points) for each in _draw(as_count("width", width, minimum=2), draws, seed))
    kappa, speed_a = (np.repeat(power, draws) for power in (width**-gamma, float(width) ** gamma_prime))
    kappa, speed_a = _tensor(kappa), _tensor(speed_a)
    x, y = _tensor(np.column_stack([x, np.ones_like(x)])), _tensor(y)
    moved = torch.zeros_like(start)  # apart: float32 would lose a change below 1e-7 in the sum
    change, loss, length = torch.zeros_like(kappa), torch.ones_like(kappa), start.norm(dim=(1, 2))
    for _ in range(as_count("steps", steps)):
        step_a, step_w, error = _flow_step(a, start + moved, x, y, kappa, speed_a)
        a, moved = a + step_a, moved + step_w
        change = torch.maximum(change, moved.norm(dim=(1, 2)) / length)
        loss = (error**2).sum(1) / (y**2).sum()
    found = {"change": change, "loss": loss, "amplitudes": _amplitudes(a, start + moved)}
    arrays = {name: as_array(name, value, dtype=np.float32) for name, value in found.items()}
    return {name: value.reshape(points, draws, *value.shape[1:]) for name, value in arrays.items()}


def _tensor(array: np.ndarray, repeats: int = 1) -> Tensor:
    repeated = np.tile(array, (repeats, *[1] * (array.ndim - 1)))
    return torch.as_tensor(repeated, dtype=torch.float32, device=settings.device())


def _draw(width: int, draws: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """N(0, 1) weights (w, b) (draws, m, 2) and a (draws, m), the second half a copy with opposite a."""
    if width % 2:
        raise ValueError(f"width must be even, for neurons in pairs; got {width}")
    generator = np.random.default_rng([as_count("seed", seed, minimum=0), width])
    half = generator.standard_normal((as_count("draws", draws), width // 2, 3))
    return np.tile(half[..., :2], (1, 2, 1)), np.concatenate([half[..., 2], -half[..., 2]], axis=1)


def _flow_step(
    a: Tensor, w: Tensor, x: Tensor, y: Tensor, kappa: Tensor, speed_a: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Euler step of a (E, m) and w (E, m, 2) for E networks with inputs x (n, 2), and the error (E, n) before it."""
    z = w @ x.T  # (E, m, n)
    features, slopes = z.clamp(min=0), (z > 0) * a[:, :, None]
    error = kappa[:, None] * torch.einsum("em,emn->en", a, features) - y
    descent_a = (kappa * speed_a)[:, None] * torch.einsum("emn,en->em", features, error)
    descent_w = (kappa / speed_a)[:, None, None] * ((slopes * error[:, None]) @ x)
    trace = speed_a * (features**2).sum((1, 2)) + ((slopes**2).sum(1) * (x**2).sum(1)).sum(1) / speed_a
    relative = torch.maximum(descent_a.norm(dim=1) / a.norm(dim=1), descent_w.norm(dim=(1, 2)) / w.norm(dim=(1, 2)))
    eta = torch.minimum(1 / (kappa**2 * trace), STEP / relative)
    return -eta[:, None] * descent_a, -eta[:, None, None] * descent_w, error


def _amplitudes(a: Tensor, w: Tensor) -> np.ndarray:
    """Sum of |a||w| by direction of w: (E, BINS)."""
    amplitudes, angles = (a.abs() * w.norm(dim=2)).cpu().numpy(), torch.atan2(w[..., 1], w[..., 0]).cpu().numpy()
    bins = ((angles / (2 * np.pi) + 0.5) * BINS).astype(int).clip(0, BINS - 1) + BINS * np.arange(len(a))[:, None]
    return np.bincount(bins.ravel(), amplitudes.ravel(), minlength=BINS * len(a)).reshape(-1, BINS)


def top_share(amplitudes: ArrayLike, *, bins: int = 6) -> np.ndarray:
    """Return the fraction of ``amplitudes`` in the fullest ``bins``: near 1 if condensed, near bins / B if spread.

    Parameters
    ----------
    amplitudes : array-like
        (..., B), >= 0, not all zero.
    bins : int
        At most B.

    Examples
    --------
    >>> top_share([[8.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0]], bins=1)
    array([0.8 , 0.25])
    """
    amplitudes = as_array("amplitudes", amplitudes)
    if amplitudes.ndim == 0 or as_count("bins", bins) > amplitudes.shape[-1] or (amplitudes < 0).any():
        raise ValueError(f"amplitudes must be >= 0 in at least {bins} bins; got shape {amplitudes.shape}")
    if (amplitudes.sum(axis=-1) == 0).any():
        raise ValueError("amplitudes must not be all zero")
    return np.sort(amplitudes, axis=-1)[..., -bins:].sum(axis=-1) / amplitudes.sum(axis=-1)


def predicted_slope(gamma: ArrayLike, gamma_prime: ArrayLike) -> np.ndarray:
    """Return the exponent S of the relative change of the input weights with the width, RD ~ m^S, by scaling alone.

    This balances powers of m in the flow of :func:`train_scaled`. For gamma <= 1 the kernel is constant and
    S = gamma - 1 - 2 max(gamma', 0). For gamma > 1 the products a_j w_j have to grow by m^(gamma - 1): through a if
    gamma' > gamma - 1, S = 2 (gamma - 1 - gamma'); through w if gamma' < 1 - gamma, S = gamma - 1; else through both,
    S = (gamma - 1 - gamma') / 2. The sign of S gives the phases of Luo et al.: S < 0 linear, S > 0 condensed.

    References
    ----------
    Luo, Xu, Ma and Zhang, JMLR 22 (2021).

    Examples
    --------
    >>> predicted_slope([0.5, 1.75], 0.0)
    array([-0.5  ,  0.375])
    """
    g, q = np.broadcast_arrays(as_array("gamma", gamma) - 1, as_array("gamma_prime", gamma_prime))
    return np.select([g <= 0, q > g, q < -g], [g - 2 * np.maximum(q, 0), 2 * (g - q), g], (g - q) / 2)


def _unit(name: str, vectors: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if (norms == 0).any():
        raise ValueError(f"{name} must not be zero: a zero vector has no direction; {(norms == 0).sum()} are")
    return vectors / norms


def _blocks(model: nn.Module, parameters: ArrayLike | None) -> dict[str, np.ndarray]:
    """Return the model's parameters by name, or those of each row of ``parameters`` (T, P)."""
    flat = nn.utils.parameters_to_vector(model.parameters()) if parameters is None else parameters
    flat = as_array("parameters", flat, ndim=(1, 2))
    named = dict(model.named_parameters())
    ends = np.cumsum([parameter.numel() for parameter in named.values()])
    if flat.shape[-1] != ends[-1]:
        raise ValueError(f"parameters must hold the {ends[-1]} numbers of the model in each row; got {flat.shape}")
    blocks = zip(named.items(), np.split(flat, ends[:-1], axis=-1), strict=True)
    return {name: block.reshape(*flat.shape[:-1], *parameter.shape) for (name, parameter), block in blocks}


def _layers(name: str, layers: Layers) -> Layers:
    pairs = [(as_array(f"a weight of {name}", w, ndim=2), as_array(f"a bias of {name}", b, ndim=1)) for w, b in layers]
    fit = all(len(w) == len(b) for w, b in pairs)
    if not fit or any(len(w) != above.shape[1] for (w, _), (above, _) in itertools.pairwise(pairs)):
        shapes = [(w.shape, b.shape) for w, b in pairs]
        raise ValueError(f"{name} must be pairs of weight (out, in) and bias (out,) that fit together; got {shapes}")
    return pairs
