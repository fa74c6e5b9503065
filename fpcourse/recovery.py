"""How many samples a nonlinear model needs: its rank, optimistic sample sizes, and recovery by training.

The rank R of a model f(x; theta) at a target f* = f(.; theta*) is the rank of its Jacobian df/dtheta there, as a
function of x. The smallest R over all theta* that represent f* is the optimistic sample size: from R generic samples
the tangent model at theta* recovers f*, however many parameters there are, and from fewer it does not (Zhang, Zhang,
Zhang, Bai, Luo and Xu, JML 2025; Zhang, Zhang, Zhang and Bai, JMLR 2025). Whether training from small initialization
reaches it is an empirical question, see :func:`recovery_errors`. The networks are small, in float64 on the CPU.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

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
    as_inputs,
    as_number,
    as_positive,
    require_module,
    require_same_length,
)
from fpcourse.kernels import jacobian
from fpcourse.models import NETWORKS, _shape, _windows, network

OPTIMIZERS = {"gd": torch.optim.SGD, "adam": torch.optim.Adam}
GAP = 100.0  # between the singular values that count and those that do not


def optimistic_sample_size(name: str, shape: Sequence[int], k: int, *, kernel_size: int | None = None) -> int:
    """Return the number of samples from which a network of any width >= k can recover a target of width k.

    "tanh": k (d + 1). "tanh with bias": k (d + 2). "matrix": k (rows + columns - k). "shared": k (q + P), "unshared":
    k (q + 1) P, for kernels of q weights, q = s or s^2, and P windows, P = d + 1 - s or the product of two. The target
    is in general position: no two neurons are the same up to a sign, no output weight is zero.

    Parameters
    ----------
    name, shape, kernel_size
        As in :func:`fpcourse.models.network`.
    k : int
        Neurons or channels of the target, or rank of the matrix.

    References
    ----------
    Zhang, Zhang, Zhang, Bai, Luo and Xu, Journal of Machine Learning (2025).

    Examples
    --------
    >>> optimistic_sample_size("matrix", (4, 4), 1), optimistic_sample_size("tanh", (2,), 3)
    (7, 9)
    """
    as_choice("name", name, NETWORKS)
    k = as_count("k", k)
    if name == "matrix":
        rows, columns = _shape(shape, (2,))
        if k > min(rows, columns):
            raise ValueError(f"a matrix of shape {(rows, columns)} has no rank k = {k}")
        return k * (rows + columns - k)
    if name in ("shared", "unshared"):
        windows, weights = _windows(shape, kernel_size)
        return k * (weights + windows if name == "shared" else (weights + 1) * windows)
    (d,) = _shape(shape, (1,))
    return k * (d + 1 + (name == "tanh with bias"))


def embed(narrow: nn.Module, wide: nn.Module) -> nn.Module:
    """Return a copy of ``wide`` that computes the function of ``narrow``, its other neurons unused.

    The first neurons get the parameters of ``narrow``. The rest keep their input weights and get output weights zero:
    null neurons. These add nothing to the rank if their input weights are zero, and one for every output weight if they
    are in general position.

    Parameters
    ----------
    narrow, wide : nn.Module
        Two models of one kind from :func:`fpcourse.models.network` that differ in width alone.

    Examples
    --------
    >>> narrow, wide = (network("tanh", (2,), width, std=1.0) for width in (2, 5))
    >>> x = torch.ones(1, 2, dtype=torch.float64)
    >>> torch.allclose(embed(narrow, wide)(x), narrow(x))
    True
    """
    for name, model in (("narrow", narrow), ("wide", wide)):
        require_module(name, model)
    result = copy.deepcopy(wide)
    inner, outer = dict(narrow.named_parameters()), dict(result.named_parameters())
    shapes = [{name: tuple(p.shape) for name, p in each.items()} for each in (inner, outer)]
    if type(narrow) is not type(wide) or "a" not in outer or not _fits(*shapes):
        raise ValueError(f"narrow must be a narrower model of the kind of wide; got {shapes[0]} and {shapes[1]}")
    with torch.no_grad():
        outer["a"].zero_()
        for name, parameter in inner.items():
            outer[name][tuple(slice(n) for n in parameter.shape)] = parameter
    return result


def _fits(inner: dict[str, tuple[int, ...]], outer: dict[str, tuple[int, ...]]) -> bool:
    """Whether the shapes differ in width alone: by the same amount, along one axis of each parameter."""
    if {name: len(shape) for name, shape in inner.items()} != {name: len(shape) for name, shape in outer.items()}:
        return False
    wider = [np.sort(np.subtract(outer[name], inner[name])) for name in inner]
    return all(each[-1] == wider[0][-1] >= 0 and not each[:-1].any() for each in wider)


def model_rank(model: nn.Module, x: ArrayLike, *, tolerance: float = 1e-12) -> int:
    """Return the rank of the Jacobian at x: the number of singular values above ``tolerance`` times the largest.

    Parameters
    ----------
    x : array-like
        (n, ...) points. The rank is at most n c; for the rank of the model take clearly more, in general position.
    tolerance : float
        In (0, 1).

    Raises
    ------
    ValueError
        If there is no factor of 100 between the last singular value that counts and the next: choose a tolerance
        inside a gap, or look at ``numpy.linalg.svd`` of :func:`fpcourse.kernels.jacobian`.

    References
    ----------
    Zhang, Zhang, Zhang, Bai, Luo and Xu, arXiv:2211.11623 (2022).

    Examples
    --------
    >>> model = embed(network("tanh", (2,), 1, std=1.0), network("tanh", (2,), 5, std=0.0))
    >>> model_rank(model, np.random.default_rng(0).standard_normal((20, 2)))  # one neuron: w has two weights, a one
    3
    """
    return _rank(np.linalg.svd(jacobian(model, x), compute_uv=False), tolerance)


def _rank(values: np.ndarray, tolerance: float) -> int:
    if not 0 < as_number("tolerance", tolerance) < 1:
        raise ValueError(f"tolerance must lie between 0 and 1; got {tolerance}")
    rank = int((values > tolerance * values[0]).sum())
    if 0 < rank < len(values) and values[rank - 1] < GAP * values[rank]:
        raise ValueError(
            f"no rank at tolerance {tolerance:g}: singular values {rank} and {rank + 1} are"
            f" {values[rank - 1] / values[0]:.1e} and {values[rank] / values[0]:.1e} of the largest, without a gap"
        )
    return rank


def tangent_recovery(
    model: nn.Module, x: ArrayLike, x_test: ArrayLike, *, seed: int, repeats: int = 20, tolerance: float = 1e-12
) -> float:
    """Return the relative test error of the tangent model at ``model``, fitted to samples x of ``model`` itself.

    The tangent model f* + J (theta - theta*) starts at theta ~ N(theta*, 1), and gradient descent on the samples takes
    it to the nearest interpolant. Its error at x_test, relative to the initial one (root mean squares over ``repeats``
    initializations), is 0 exactly if the rows of the Jacobian at x span those at x_test: f* is locally linearly
    recoverable. It is rounding from R generic samples on, R the :func:`model_rank`, and well above it for R - 1.

    Parameters
    ----------
    x, x_test : array-like
        (n, ...) and (m, ...) points.
    tolerance : float
        As in :func:`model_rank`, errors too.

    References
    ----------
    Zhang, Zhang, Zhang and Bai, JMLR (2025).

    Examples
    --------
    >>> model = embed(network("tanh", (2,), 1, std=1.0), network("tanh", (2,), 5, std=0.0))  # of rank 3
    >>> x = np.random.default_rng(0).standard_normal((20, 2))
    >>> [tangent_recovery(model, x[:n], x, seed=0) < 1e-10 for n in (2, 3)]
    [False, True]
    """
    rows, test = jacobian(model, x), jacobian(model, x_test)
    generator = np.random.default_rng(as_count("seed", seed, minimum=0))
    starts = generator.standard_normal((rows.shape[1], as_count("repeats", repeats)))
    _, values, directions = np.linalg.svd(rows, full_matrices=False)
    fitted = directions[: _rank(values, tolerance)]
    start, left = test @ starts, test @ (starts - fitted.T @ (fitted @ starts))
    if not start.any():
        raise ValueError("the Jacobian of the model vanishes at x_test: there is nothing to recover")
    return float(np.linalg.norm(left) / np.linalg.norm(start))


def recovery_errors(
    *,
    name: str,
    shape: Sequence[int],
    width: int,
    x: ArrayLike,
    y: ArrayLike,
    sizes: Sequence[int],
    seeds: Sequence[int],
    std: float,
    steps: int,
    learning_rate: float,
    optimizer: str = "gd",
    kernel_size: int | None = None,
    shuffle: bool = True,
) -> dict[str, np.ndarray]:
    """Train networks from small initialization on the first n samples, for each n in ``sizes``: a column of a heat map.

    All len(seeds) * len(sizes) networks train side by side, each on L = 1/(2n) sum |f - y|^2 with all its samples at
    every step. All arguments are numbers, texts and arrays, as :func:`fpcourse.sweep.run` requires.

    Parameters
    ----------
    name, shape, width, std, kernel_size
        As in :func:`fpcourse.models.network`.
    x, y : array-like
        (N, ...) and (N,): where the target is known.
    sizes, seeds : sequence of int
        Numbers of samples, at most N. A seed draws the initialization and the order of the points.
    optimizer : str
        "gd" or "adam". From small initialization gradient descent lets the neurons grow one direction after the other;
        Adam, for which every parameter grows alike, loses much of that.
    shuffle : bool
        False: take the points in the order given. Use this for matrices: few random entries rarely determine the rest.

    Returns
    -------
    dict
        "test_error" (len(seeds), len(sizes)), |f - y| / |y| over all N points, which means something only where
        "train_error" is small: the root mean square error at the samples over that of y at all points. "outputs"
        (len(seeds), len(sizes), N): what each network learned.

    Raises
    ------
    ValueError
        Also if a training diverges.

    Examples
    --------
    >>> entries = np.array([(i, j) for i in range(2) for j in range(2)], float)  # of the matrix (1, 1; 1, 1)
    >>> options = {"std": 1e-2, "steps": 100, "learning_rate": 0.7, "shuffle": False}
    >>> found = recovery_errors(
    ...     name="matrix", shape=(2, 2), width=2, x=entries, y=np.ones(4), sizes=[2, 3], seeds=[0], **options
    ... )
    >>> found["test_error"].round(1)
    array([[0.7, 0. ]])
    """
    x, y = as_inputs("x", x), as_array("y", y, ndim=1)
    require_same_length("x", x, "y", y)
    sizes, seeds, steps = as_counts("sizes", sizes), as_counts("seeds", seeds, minimum=0), as_count("steps", steps)
    if max(sizes) > len(x) or not y.any():
        raise ValueError(f"sizes must be at most {len(x)}, the points in x, and y not all zero; got {max(sizes)}")
    models, order = [], []
    for seed in seeds:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            models.append(network(name, shape, width, std=std, kernel_size=kernel_size))
        order.append(np.random.default_rng(seed).permutation(len(x)) if shuffle else np.arange(len(x)))
    with accepted_by_model("x", x.shape), torch.no_grad():
        models[0](torch.as_tensor(x))
    rows = np.repeat(order, len(sizes), axis=0)[:, : max(sizes)]  # the samples of each network
    points, targets = torch.as_tensor(x[rows]), torch.as_tensor(y[rows])
    n = torch.tensor(sizes * len(seeds))[:, None]
    weights = (torch.arange(max(sizes)) < n) / n.double()  # of each sample in the loss of each network
    parameters, _ = torch.func.stack_module_state([model for model in models for _ in sizes])

    def outputs(parameters: dict[str, Tensor], points: Tensor) -> Tensor:
        return torch.func.functional_call(models[0], parameters, (points,))[:, 0]

    def squares() -> Tensor:
        return weights * (torch.func.vmap(outputs)(parameters, points) - targets) ** 2

    method = OPTIMIZERS[as_choice("optimizer", optimizer, OPTIMIZERS)]
    descent = method(parameters.values(), lr=as_positive("learning_rate", learning_rate), fused=True)
    for _ in range(steps):
        descent.zero_grad()
        squares().sum().div(2).backward()
        descent.step()
    with torch.no_grad():
        everywhere = as_array("outputs", torch.func.vmap(outputs, (0, None))(parameters, torch.as_tensor(x)))
        train = as_array("train_error", squares().sum(dim=1).sqrt()) / np.sqrt((y**2).mean())
    test = np.linalg.norm(everywhere - y, axis=1) / np.linalg.norm(y)
    results = {"test_error": test, "train_error": train, "outputs": everywhere}
    return {key: value.reshape(len(seeds), len(sizes), *value.shape[1:]) for key, value in results.items()}
