"""What the parameters of a network do while it trains: conserved quantities, neurons that condense on directions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from fpcourse import settings
from fpcourse._arguments import as_array, as_choice, as_count, as_number, as_points, require_same_length
from fpcourse.models import MLP, CircularCNN, Ensemble, TwoLayer

BINS = 90  # of 4 degrees, for orientations in the plane of weight and bias
STEP = 0.05  # the most that either layer may move in a step, relative to its norm


def conserved_quantities(model: TwoLayer | CircularCNN, parameters=None) -> np.ndarray:
    """Outgoing minus incoming energy of each of m neurons or channels: |a_j|^2 - |w_j|^2 - b_j^2 (w = K in a CNN).

    model       a ``TwoLayer`` or ``CircularCNN``; of an antisymmetric pair give one half
    parameters  (P,) or (T, P), as :func:`fpcourse.training.train` records them; default: those of the model

    Returns float64 (m,) or (T, m). Gradient flow with all parameters trained conserves each entry, for any loss, if the
    activation is homogeneous, sigma(c z) = c sigma(z) for c > 0: then a_j . dL/da_j = w_j . dL/dw_j + b_j dL/db_j (Du,
    Hu, Lee, NeurIPS 2018). Descent in steps of size eta moves them by eta^2 (|dL/da_j|^2 - |dL/dw_j|^2 - (dL/db_j)^2).
    With ``bias="shift"`` |w_j| multiplies the shift, so that w alone carries the homogeneity and no b_j^2 is taken off.
    With tanh nothing is conserved; the numbers are those of the formula. Raises ValueError for any other model and for
    parameters that are not finite or not those of such a model.
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


def neurons(model: TwoLayer | MLP, parameters=None) -> tuple[np.ndarray, np.ndarray]:
    """Input weights and amplitudes of the m neurons of a network with one hidden layer.

    model       a ``TwoLayer`` (its bias additive or None) or an ``MLP`` with one hidden layer
    parameters  (P,) or (T, P), as :func:`fpcourse.training.train` records them; default: those of the model

    Returns float64 arrays. The weights (m, d + 1) have the bias as last coordinate, as if every input carried a 1;
    without bias they are (m, d). The amplitudes |a_j| |(w_j, b_j)| (m,) are, up to a sign, all of a ReLU neuron that
    its direction leaves open. With T rows of parameters both get T in front. Raises ValueError for any other model and
    for parameters that are not finite or not those of such a model.
    """
    shallow = isinstance(model, MLP) and len(model.layers) == 2
    if not shallow and not (isinstance(model, TwoLayer) and model.bias != "shift"):
        raise ValueError(f"model must have one hidden layer, a TwoLayer with additive bias or an MLP; got {model}")
    blocks = _blocks(model, parameters)
    w, b, a = ("layers.0.weight", "layers.0.bias", "layers.1.weight") if shallow else "wba"
    weights = np.concatenate([blocks[w], blocks[b][..., None]], axis=-1) if b in blocks else blocks[w]
    return weights, np.linalg.norm(blocks[a], axis=-2) * np.linalg.norm(weights, axis=-1)


class Condensation(NamedTuple):
    """What :func:`condensed_directions` returns: K directions, the neurons of each, and their share of all."""

    directions: np.ndarray  # (K, D) unit vectors
    sizes: np.ndarray  # (K,) whole numbers, largest first
    share: float  # sum(sizes) / m
    labels: np.ndarray  # (m,) which direction each neuron belongs to; -1: none


def condensed_directions(weights, *, cosine: float = 0.95, smallest: int = 3) -> Condensation:
    """Cluster the directions w / |w| of ``weights`` (m, D), biases included: which ones are held by several neurons?

    The neuron with most neighbours, at a cosine above ``cosine``, founds a cluster with them; then the same among those
    left, until none is left. A cluster counts as a condensed direction from ``smallest`` neurons on, because one or two
    neighbours occur by chance: of 50 random directions in 6 dimensions about 0.7 pairs lie within 0.95 (18 degrees),
    and hardly ever three. In 2 dimensions the same cap holds a tenth of the circle and the count means nothing: take a
    ``cosine`` much closer to 1. Raises ValueError for zero weights, which have no direction, and values out of range.
    """
    weights = as_array("weights", weights, ndim=2)
    smallest = as_count("smallest", smallest)
    if not 0 < as_number("cosine", cosine) < 1:
        raise ValueError(f"cosine must lie between 0 and 1; got {cosine!r}")
    unit = _unit("weights", weights)
    near = unit @ unit.T > cosine
    np.fill_diagonal(near, True)
    clusters, left = [], np.ones(len(unit), dtype=bool)
    while left.any():
        founder = np.argmax((near & left).sum(axis=1) * left)
        clusters.append(np.flatnonzero(near[founder] & left))
        left[clusters[-1]] = False
    clusters = [members for members in clusters if len(members) >= smallest]  # founded in order of size
    labels = np.full(len(unit), -1)
    for i, members in enumerate(clusters):
        labels[members] = i
    means = np.array([unit[members].mean(axis=0) for members in clusters]).reshape(-1, weights.shape[1])
    sizes = np.array([len(members) for members in clusters], dtype=int)
    return Condensation(_unit("means", means), sizes, sizes.sum() / len(unit), labels)


def initial_directions(x, y, start, *, multiplicity: int, sign: int = 1, steps: int = 20_000) -> np.ndarray:
    """Where the first phase of training from tiny weights carries neurons that start in the directions ``start``.

    Near zero an activation of multiplicity p is c z^p, and every neuron feels the targets only: its direction u climbs
    sign(a c) V(u) on the unit sphere, V(u) = sum_i y_i (u . x_i)^p (Zhou et al., NeurIPS 2022). p = 1 has one summit,
    sum_i y_i x_i; p = 2 has two, the eigenvectors +-e of sum_i y_i x_i x_i^T with the largest eigenvalue.

    x, y    (n, D) inputs, with a column of ones for a bias, and (n,) targets
    start   (m, D), not zero; only the directions matter
    sign    of a c: 1 climbs, -1 descends

    Returns the (m, D) unit vectors at the end, float64. Raises ValueError for arguments that do not fit, y = 0 among
    them, and RuntimeError where some direction still moves after ``steps`` steps: V is nearly flat there.
    """
    x, start, y = as_points("x", x), as_points("start", start), as_array("y", y, ndim=1)
    require_same_length("x", x, "y", y)
    require_same_length("x", x, "start", start, 1, 1)
    if not y.any():
        raise ValueError("y must not be all zero: no direction is better than another then")
    p = as_count("multiplicity", multiplicity)
    u = _unit("start", start)
    y = as_choice("sign", sign, (-1, 1)) * y
    lengths = np.linalg.norm(x, axis=1)
    for _ in range(as_count("steps", steps)):
        z = u @ x.T
        climb = (z ** (p - 1) * y) @ x
        climb -= (climb * u).sum(axis=1, keepdims=True) * u
        # A bound of V's slope (p = 1) or curvature (p > 1) at u: so short a step does not jump over the summit.
        bound = (np.abs(z) ** max(p - 2, 0) * np.abs(y)) @ lengths ** min(p, 2)
        u = _unit("start", u + climb / bound[:, None])
        if (np.linalg.norm(climb, axis=1) < 1e-9 * bound).all():
            return u
    raise RuntimeError(f"some directions still move after {steps} steps")


def member_layers(model: Ensemble) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    """The layers of each member of an ensemble, as :func:`match_neurons` takes them: (weight (out, in), bias (out,)).

    Float64 copies: training the model further does not change them. Raises ValueError for any other model.
    """
    if not isinstance(model, Ensemble):
        raise ValueError(f"model must be an Ensemble; got {type(model).__name__}")
    weights, biases = (
        [as_array("parameters", block.detach()) for block in blocks] for blocks in (model.weights, model.biases)
    )
    return [
        [(weight[m].T.copy(), bias[m, 0].copy()) for weight, bias in zip(weights, biases, strict=True)]
        for m in range(model.members)
    ]


def match_neurons(layers, reference, *, odd: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """Renumber the hidden neurons of a fully connected network so that its parameters come close to ``reference``.

    layers, reference   two networks of the same widths: (weight (out, in), bias (out,)) of each layer, the last linear
    odd                 for an odd activation such as tanh: a neuron may also change all its signs, in and out

    Returns the layers of the renumbered network, float64, which computes the same function. One hidden layer after the
    other is matched to the reference by linear assignment, given the others, as long as that brings the two closer
    (Ainsworth, Hayase, Srinivasa, ICLR 2023). With one hidden layer the result is the nearest one there is, with more
    it need not be. Raises ValueError for layers that do not fit together and for two networks of different widths.
    """
    from scipy.optimize import linear_sum_assignment  # slow to import, and only this needs it

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


def _unit(name: str, vectors: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if (norms == 0).any():
        raise ValueError(f"{name} must not be zero: a zero vector has no direction; {(norms == 0).sum()} are")
    return vectors / norms


def _blocks(model: nn.Module, parameters) -> dict[str, np.ndarray]:
    """The model's parameters by name, or those of each row of ``parameters`` (T, P)."""
    flat = nn.utils.parameters_to_vector(model.parameters()) if parameters is None else parameters
    flat = as_array("parameters", flat, ndim=(1, 2))
    named = dict(model.named_parameters())
    ends = np.cumsum([parameter.numel() for parameter in named.values()])
    if flat.shape[-1] != ends[-1]:
        raise ValueError(f"parameters must hold the {ends[-1]} numbers of the model in each row; got {flat.shape}")
    blocks = zip(named.items(), np.split(flat, ends[:-1], axis=-1), strict=True)
    return {name: block.reshape(*flat.shape[:-1], *parameter.shape) for (name, parameter), block in blocks}


def _layers(name: str, layers) -> list[tuple[np.ndarray, np.ndarray]]:
    try:
        pairs = [(weight, bias) for weight, bias in layers]
    except (TypeError, ValueError, RuntimeError):  # no pairs, or tensors that hold no numbers
        pairs = []
    if not pairs:
        raise ValueError(f"{name} must be a list of at least one pair (weight, bias); got {layers!r:.60}")
    pairs = [
        (as_array(f"weight of {name}", weight, ndim=2), as_array(f"bias of {name}", bias, ndim=1))
        for weight, bias in pairs
    ]
    widths = [pairs[0][0].shape[1], *(len(weight) for weight, _ in pairs)]
    if any(w.shape[1] != width or len(w) != len(b) for (w, b), width in zip(pairs, widths[:-1], strict=True)):
        shapes = [(weight.shape, bias.shape) for weight, bias in pairs]
        raise ValueError(f"{name} must be pairs of weight (out, in) and bias (out,) that fit together; got {shapes}")
    return pairs


def train_scaled(
    x, y, *, width: int, gamma, gamma_prime, draws: int = 4, seed: int = 0, steps: int = 600
) -> dict[str, np.ndarray]:
    """Train f(x) = kappa sum_j a_j ReLU(w_j x + b_j), kappa = width^-gamma, at G points of the plane, a batch at once.

    All weights start as N(0, 1) (the normalised variables of Luo et al., JMLR 2021), in pairs with opposite a, so that
    f = 0. What the scales of a real initialization a ~ N(0, beta_1^2), w ~ N(0, beta_2^2), factor 1/alpha, leave behind
    is kappa = beta_1 beta_2 / alpha and kappa' = beta_1 / beta_2 = width^-gamma_prime, in the speeds of the flow

        da/dt = -(1/kappa') dL/da,    d(w,b)/dt = -kappa' dL/d(w,b),    L = 1/2 sum_i (f(x_i) - y_i)^2.

    The flow is followed by Euler's method with a step of its own for every network: 1 / trace of its tangent kernel, or
    less where a layer would move by more than 5 %. So one number of steps suits all scales.

    x, y         (n,) points in one dimension and their targets
    width        m, even
    gamma, gamma_prime   (G,) each, or a number
    draws        initial weights per point, the same ones at all points; float32, on ``settings.device()``

    Returns float32 arrays: "change" (G, draws), the largest |W(t) - W(0)| / |W(0)| on the way, W all of w and b (RD in
    the paper); "loss" (G, draws), what is left of the initial one; "amplitudes" (G, draws, 90), the sum of |a||(w, b)|
    by direction of (w, b), in bins of 4 degrees from -180 on. Raises ValueError for arguments that do not fit.
    """
    x, y = as_array("x", x, ndim=1), as_array("y", y, ndim=1)
    require_same_length("x", x, "y", y)
    if not np.any(y):
        raise ValueError("y must not be all zero: the networks start from zero and would stay there")
    gamma, gamma_prime = (
        as_array("gamma", gamma, ndim=(0, 1)),
        as_array("gamma_prime", gamma_prime, ndim=(0, 1)),
    )
    try:
        gamma, gamma_prime = np.broadcast_arrays(np.atleast_1d(gamma), gamma_prime)
    except ValueError:
        raise ValueError(f"gamma and gamma_prime must match; got {gamma.shape} and {gamma_prime.shape}") from None
    if as_count("width", width, minimum=2) % 2:
        raise ValueError(f"width must be even, for neurons in pairs; got {width}")
    draws, steps = as_count("draws", draws), as_count("steps", steps)
    device, points = settings.device(), len(gamma)

    def tensor(array, repeats=1) -> torch.Tensor:
        return torch.as_tensor(np.repeat(array, repeats, axis=0), dtype=torch.float32, device=device)

    generator = np.random.default_rng([as_count("seed", seed, minimum=0), width])
    weights = generator.standard_normal((draws, width // 2, 3))
    w = tensor(np.tile(np.concatenate([weights[..., :2]] * 2, axis=1), (points, 1, 1)))  # (E, m, 2)
    a = tensor(np.tile(np.concatenate([weights[..., 2], -weights[..., 2]], axis=1), (points, 1)))  # (E, m)
    kappa, speed_a = tensor(width**-gamma, draws), tensor(float(width) ** gamma_prime, draws)
    x, y = tensor(np.column_stack([x, np.ones_like(x)])), tensor(y)
    start, moved = w, torch.zeros_like(w)  # apart: float32 would lose a change below 1e-7 in the sum
    lengths, change, loss = (x**2).sum(1), torch.zeros_like(kappa), torch.ones_like(kappa)
    for _ in range(steps):
        z = w @ x.T  # (E, m, n)
        features, slopes = z.clamp(min=0), (z > 0) * a[:, :, None]
        error = kappa[:, None] * torch.einsum("em,emn->en", a, features) - y
        descent_a = (kappa * speed_a)[:, None] * torch.einsum("emn,en->em", features, error)
        descent_w = (kappa / speed_a)[:, None, None] * ((slopes * error[:, None]) @ x)
        trace = speed_a * (features**2).sum((1, 2)) + ((slopes**2).sum(1) * lengths).sum(1) / speed_a
        relative = torch.maximum(descent_a.norm(dim=1) / a.norm(dim=1), descent_w.norm(dim=(1, 2)) / w.norm(dim=(1, 2)))
        eta = torch.minimum(1 / (kappa**2 * trace), STEP / relative)
        a, moved = a - eta[:, None] * descent_a, moved - eta[:, None, None] * descent_w
        w = start + moved
        change = torch.maximum(change, moved.norm(dim=(1, 2)) / start.norm(dim=(1, 2)))
        loss = (error**2).sum(1) / (y**2).sum()
    amplitudes = (a.abs() * w.norm(dim=2)).cpu().numpy()
    bins = torch.atan2(w[..., 1], w[..., 0]).cpu().numpy() * (BINS / 2 / np.pi) + BINS / 2
    bins = bins.astype(int).clip(0, BINS - 1) + BINS * np.arange(len(bins))[:, None]
    histograms = np.bincount(bins.ravel(), amplitudes.ravel(), minlength=BINS * len(bins)).astype(np.float32)
    as_array("the change of the weights", change.cpu())  # x or y too large for float32
    as_array("the loss, relative to that of y = 0,", loss.cpu())  # y too small for float32
    return {
        "change": change.cpu().numpy().reshape(points, draws),
        "loss": loss.cpu().numpy().reshape(points, draws),
        "amplitudes": histograms.reshape(points, draws, BINS),
    }


def top_share(amplitudes, *, bins: int = 6) -> np.ndarray:
    """Share of ``amplitudes`` (..., B) in the fullest ``bins`` of the last axis: near 1 condensed, near bins / B not.

    Raises ValueError for negative amplitudes, for none at all, and for more bins than there are.
    """
    amplitudes = as_array("amplitudes", amplitudes)
    if amplitudes.ndim == 0 or not 1 <= as_count("bins", bins) <= amplitudes.shape[-1] or (amplitudes < 0).any():
        raise ValueError(f"amplitudes must be >= 0 in at least {bins} bins; got shape {amplitudes.shape}")
    if (amplitudes.sum(axis=-1) == 0).any():
        raise ValueError("amplitudes must not be all zero")
    return np.sort(amplitudes, axis=-1)[..., -bins:].sum(axis=-1) / amplitudes.sum(axis=-1)


def predicted_slope(gamma, gamma_prime) -> np.ndarray:
    """The power S of the width with which the relative change of the input weights grows, RD ~ m^S, by scaling alone.

    A balance of powers of m in the flow of :func:`train_scaled`. For gamma <= 1 the kernel stands still and
    S = gamma - 1 - 2 max(gamma', 0). For gamma > 1 the products a_j w_j have to grow by m^(gamma - 1): the a do it
    where gamma' > gamma - 1, with S = 2 (gamma - 1 - gamma'), the w where gamma' < 1 - gamma, with S = gamma - 1, and
    both between these, with S = (gamma - 1 - gamma') / 2. The sign of S gives the phases of Luo et al. (JMLR 2021):
    S < 0 linear, S > 0 condensed. Arguments broadcast; raises ValueError where they do not.
    """
    gamma, gamma_prime = as_array("gamma", gamma), as_array("gamma_prime", gamma_prime)
    try:
        g, q = np.broadcast_arrays(gamma - 1, gamma_prime)
    except ValueError:
        raise ValueError(f"gamma and gamma_prime must match; got {gamma.shape} and {gamma_prime.shape}") from None
    return np.select([g <= 0, q > g, q < -g], [g - 2 * np.maximum(q, 0), 2 * (g - q), g], (g - q) / 2)
