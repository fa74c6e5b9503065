"""What the parameters of a network do while it trains: conserved quantities, neurons that condense on directions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from torch import nn

from fpcourse import checks
from fpcourse.critical_points import gradient_norm, hessian_spectrum  # noqa: F401
from fpcourse.embedding import merge_neurons, split_neuron  # noqa: F401
from fpcourse.models import MLP, CircularCNN, Ensemble, TwoLayer


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
    weights = checks.array("weights", weights, ndim=2)
    smallest = checks.count("smallest", smallest)
    if not 0 < checks.number("cosine", cosine) < 1:
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
    x, start, y = checks.points("x", x), checks.points("start", start), checks.array("y", y, ndim=1)
    checks.same_length("x", x, "y", y)
    checks.same_length("x", x, "start", start, 1, 1)
    if not y.any():
        raise ValueError("y must not be all zero: no direction is better than another then")
    p = checks.count("multiplicity", multiplicity)
    u = _unit("start", start)
    y = checks.choice("sign", sign, (-1, 1)) * y
    lengths = np.linalg.norm(x, axis=1)
    for _ in range(checks.count("steps", steps)):
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
        [checks.array("parameters", block.detach()) for block in blocks] for blocks in (model.weights, model.biases)
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
    flat = checks.array("parameters", flat, ndim=(1, 2))
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
        (checks.array(f"weight of {name}", weight, ndim=2), checks.array(f"bias of {name}", bias, ndim=1))
        for weight, bias in pairs
    ]
    widths = [pairs[0][0].shape[1], *(len(weight) for weight, _ in pairs)]
    if any(w.shape[1] != width or len(w) != len(b) for (w, b), width in zip(pairs, widths[:-1], strict=True)):
        shapes = [(weight.shape, bias.shape) for weight, bias in pairs]
        raise ValueError(f"{name} must be pairs of weight (out, in) and bias (out,) that fit together; got {shapes}")
    return pairs
