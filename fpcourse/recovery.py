"""How many samples a nonlinear model needs: its rank at a target, optimistic sample sizes, and recovery tried out.

A model f(x; theta) has at a target f* = f(.; theta*) the rank R of its Jacobian df/dtheta as a function of x. The
least R over all theta* that represent f* is the optimistic sample size: from as many generic samples the tangent model
at theta* recovers f*, however many parameters there are, and from fewer it does not (Zhang, Zhang, Zhang, Bai, Luo, Xu,
"Optimistic estimate uncovers the potential of nonlinear models", JML 2025; Zhang, Zhang, Zhang, Bai, "Local linear
recovery guarantee of deep neural networks at overparameterization", JMLR 2025). Whether training from a small start
gets there is a question to experiment, see :func:`recovery_errors`.

The networks here are small and everything is float64 on the CPU.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
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

OPTIMIZERS = ("gd", "adam")
GAP = 100.0  # between the singular values that count and those that do not


def optimistic_sample_size(name: str, shape: Sequence[int], k: int, *, kernel_size: int | None = None) -> int:
    """Samples from which a :func:`network` of any width >= k can recover a target of that kind and of width k.

    "tanh" k (d + 1);  "tanh with bias" k (d + 2);  "matrix" k (rows + columns - k), k the rank;  "shared" k (q + P) and
    "unshared" k (q + 1) P for kernels of q weights, q = s or s^2, and P windows, P = d + 1 - s or the product of two.

    For targets in general position: no two neurons the same up to a sign, no output weight zero (Zhang et al., JML
    2025). Arguments and errors as in :func:`network`; ValueError also for a rank k above the smaller side.
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
    """``narrow`` as a part of ``wide``, two models from :func:`network`: the same function, the other neurons unused.

    The first neurons get the parameters of ``narrow``; the rest keep the input weights they have in ``wide``, and their
    output weights become zero. These null neurons add nothing to the rank where their input weights are zero, and one
    for every output weight where they are in general position: the embedding matters.

    Returns a new model; raises ValueError where ``narrow`` does not fit in.
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


def model_rank(model: nn.Module, x, *, tolerance: float = 1e-12) -> int:
    """Rank of the :func:`jacobian` at x: singular values above ``tolerance`` times the largest.

    At most n c; for the rank of the model take clearly more samples, in general position. A rank is a number only where
    the singular values have a gap: ValueError if no factor of 100 lies between the last one that counts and the next
    (choose a tolerance inside a gap, or look at ``numpy.linalg.svd`` of the Jacobian). Otherwise raises as
    :func:`jacobian` does, and for a tolerance outside (0, 1) (Zhang et al., arXiv:2211.11623, 2022).
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


def tangent_recovery(model: nn.Module, x, x_test, *, seed: int, repeats: int = 20, tolerance: float = 1e-12) -> float:
    """Relative test error of the tangent model at ``model``, fitted to the samples x of ``model`` itself.

    The tangent model f* + J (theta - theta*) starts at parameters drawn from N(theta*, 1), and gradient descent on the
    samples takes it to the interpolant nearest to its start. The error that remains at x_test, relative to the error of
    the start there (both as root mean squares over ``repeats`` starts), is 0 exactly if f* is locally linearly
    recoverable from x (Zhang et al., JMLR 2025): if the rows of the Jacobian at x span those at x_test. It is rounding
    from R generic samples on, R the :func:`model_rank`, and lies well above it for R - 1.

    x, x_test   (n, ...) and (m, ...) points
    tolerance   and errors as in :func:`model_rank`
    """
    rows, test = jacobian(model, x), jacobian(model, x_test)
    generator = np.random.default_rng(as_count("seed", seed, minimum=0))
    starts = generator.standard_normal((rows.shape[1], as_count("repeats", repeats)))
    _, values, directions = np.linalg.svd(rows, full_matrices=False)
    fitted = directions[: _rank(values, tolerance)]
    start, left = test @ starts, test @ (starts - fitted.T @ (fitted @ starts))
    if not start.any():
        raise ValueError("the Jacobian of the model vanishes at x_test: there is nothing to recover")
    scale = as_array("the norm of the tangent model at x_test", np.linalg.norm(start))
    return float(np.linalg.norm(left) / scale)


def recovery_errors(
    *,
    name: str,
    shape: Sequence[int],
    width: int,
    x,
    y,
    sizes: Sequence[int],
    seeds: Sequence[int],
    std: float,
    steps: int,
    learning_rate: float,
    optimizer: str = "gd",
    kernel_size: int | None = None,
    shuffle: bool = True,
) -> dict[str, np.ndarray]:
    """Train a :func:`network` from a small start on n of the samples, each n in ``sizes``: a column of a heat map.

    All arguments are numbers, texts and arrays, so :func:`fpcourse.sweep.run` takes this function for its points; the
    trainings of one point run side by side (a batch of ``len(seeds) * len(sizes)`` networks). Each minimises its
    L = 1/(2n) sum |f - y|^2, with all its samples at every step. A seed draws the start and, unless ``shuffle`` is off, the order
    of the points.

    name, shape, width, std, kernel_size   as in :func:`network`
    x, y      (N, ...) and (N,): where the target is known. The errors are over all of them, seen and unseen
    optimizer "gd" or "adam". From a small start gradient descent lets the neurons grow one direction after the other;
              Adam, which makes every parameter grow alike, loses much of that
    shuffle   False: the samples are the first n points as they come. So for matrices, where few random entries seldom
              determine the rest

    Returns float64 arrays (len(seeds), len(sizes)): "test_error", |f - y| / |y| over all N points, and "train_error",
    the root mean square error at the samples over that of y; test errors mean something only where it is small. And
    "outputs" (len(seeds), len(sizes), N), what each network learned. Raises ValueError for bad input, sizes above N
    included, and where a training diverges.
    """
    x, y = as_inputs("x", x), as_array("y", y, ndim=1)
    require_same_length("x", x, "y", y)
    sizes, seeds = as_counts("sizes", sizes), as_counts("seeds", seeds, minimum=0)
    steps, learning_rate = as_count("steps", steps), as_positive("learning_rate", learning_rate)
    if max(sizes) > len(x) or not y.any():
        raise ValueError(f"sizes must be at most {len(x)}, the points in x, and y not all zero; got {max(sizes)}")
    models, order = [], []
    for seed in seeds:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            models += [network(name, shape, width, std=std, kernel_size=kernel_size)] * len(sizes)
        rows = np.random.default_rng(seed).permutation(len(x)) if shuffle else np.arange(len(x))
        order += [rows[: max(sizes)]] * len(sizes)
    with accepted_by_model("x", x.shape), torch.no_grad():
        models[0](torch.as_tensor(x))
    points, targets = torch.as_tensor(x[np.stack(order)]), torch.as_tensor(y[np.stack(order)])
    sizes_each = torch.tensor(sizes * len(seeds))[:, None]
    share = (torch.arange(max(sizes)) < sizes_each) / sizes_each.double()  # of each sample in the loss of each network
    parameters, _ = torch.func.stack_module_state(models)

    def outputs(parameters: dict[str, Tensor], points: Tensor) -> Tensor:
        return torch.func.functional_call(models[0], parameters, (points,))[:, 0]

    together = torch.func.vmap(outputs)
    method = {"gd": torch.optim.SGD, "adam": torch.optim.Adam}[as_choice("optimizer", optimizer, OPTIMIZERS)]
    descent = method(parameters.values(), lr=learning_rate, fused=True)
    for _ in range(steps):
        descent.zero_grad()
        (share * (together(parameters, points) - targets) ** 2).sum().div(2).backward()
        descent.step()
    with torch.no_grad():
        everywhere = torch.func.vmap(outputs, (0, None))(parameters, torch.as_tensor(x))
        train = (share * (together(parameters, points) - targets) ** 2).sum(dim=1).sqrt() / np.sqrt((y**2).mean())
        test = torch.linalg.norm(everywhere - torch.as_tensor(y), dim=1) / np.linalg.norm(y)
    results = {"test_error": test, "train_error": train, "outputs": everywhere}
    grid = (len(seeds), len(sizes))
    return {key: as_array(key, value).reshape(*grid, *value.shape[1:]) for key, value in results.items()}
