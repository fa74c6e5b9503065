"""Train a network and keep its trajectory: gradient descent, SGD and Adam, with snapshots spaced like a logarithm."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from fpcourse import checks, settings
from fpcourse.recording import Recorder, TrainingDiverged, evaluate, evaluating, log_spaced
from fpcourse.trajectory import Trajectory

OPTIMIZERS = ("gd", "sgd", "adam")
LOSSES = ("mse", "cross_entropy")


def train(
    model: nn.Module,
    x,
    y,
    *,
    steps: int,
    learning_rate: float,
    optimizer: str = "adam",
    batch_size: int | None = None,
    loss: str = "mse",
    evaluate_on=None,
    snapshots: int | Sequence[int] = 60,
    record_parameters: bool = False,
    seed: int | None = None,
    device: str | torch.device = "auto",
    progress: bool = True,
) -> Trajectory:
    """Train ``model`` in place on (x, y) and return its trajectory; times are optimiser steps.

    x             (n, ...) points or images; a vector of n numbers counts as (n, 1)
    y             (n, c) or (n,) targets; for "cross_entropy" (n,) whole-number classes
    optimizer     "gd" (full batch), "sgd" (mini-batches) or "adam"; plain, without momentum or weight decay
    batch_size    rows per step, reshuffled every epoch; None: all rows
    loss          "mse": mean over samples and outputs, so that full-batch gradient descent follows the kernel flow
                  du/dt = -K (u - y) at t = 2 * learning_rate * step / (n * c).  "cross_entropy": mean over samples;
                  the outputs kept are then class probabilities, which compare with one-hot labels
    evaluate_on   where to take the snapshots, default x
    snapshots     how many (spaced by ``log_spaced``), or the steps themselves
    record_parameters   keep all parameters at each snapshot
    seed          of the mini-batches; default: what torch was seeded with
    device        "auto": the model moves to ``settings.device()`` and stays there
    progress      show a bar with the loss

    Losses are those of the whole training set at the snapshot. Snapshots are taken in evaluation mode and draw no
    random numbers: how many there are changes nothing in the training. An :class:`~fpcourse.models.Ensemble` takes
    one target y (n, c) for all members or (n, members * c) for one each ("mse" only). Raises ValueError for arguments
    that do not fit and :class:`TrainingDiverged`, with the trajectory so far, where the loss stops being finite.
    """
    _require_trainable(model)
    checks.choice("optimizer", optimizer, OPTIMIZERS)
    checks.choice("loss", loss, LOSSES)
    checks.choice("record_parameters", record_parameters, (True, False))
    steps = checks.count("steps", steps)
    learning_rate = checks.positive("learning_rate", learning_rate)
    due = _snapshot_steps(snapshots, steps)
    seed = torch.initial_seed() if seed is None else checks.count("seed", seed, minimum=0)
    device = _device(device)
    model.to(device)
    x = _inputs("x", x, model, device)
    y = _targets(y, loss, model, x, device)
    n = len(x)
    batch_size = None if batch_size is None else checks.count("batch_size", batch_size)
    if batch_size is not None and batch_size > n:
        raise ValueError(f"batch_size must be at most the number of samples {n}; got {batch_size}")
    if optimizer == "gd" and batch_size is not None:
        raise ValueError(f"'gd' takes all samples at every step; for batch_size={batch_size} use 'sgd'")
    grid = x if evaluate_on is None else _inputs("evaluate_on", evaluate_on, model, device)
    _outputs_each("evaluate_on", grid, model)
    criterion = nn.functional.mse_loss if loss == "mse" else nn.functional.cross_entropy
    members = getattr(model, "members", 1)
    recorder = Recorder(grid, steps=sorted(due), probabilities=loss == "cross_entropy")

    def demand_finite(what: str, value: float, step: int) -> None:
        if math.isfinite(value):
            return
        if step == 0:
            raise ValueError(f"{what} is {value} before the first step: are all parameters of the model finite?")
        raise TrainingDiverged(
            f"{what} became {value} at step {step}; try a smaller learning_rate than {learning_rate:g}"
            " (the snapshots so far are in this error's .trajectory)",
            recorder.trajectory() if recorder else None,
        )

    def snapshot(step: int) -> float:
        fitted = evaluate(model, x)
        value = float(criterion(fitted, y))
        demand_finite("the loss", value, step)
        if step in due:
            shown = fitted if grid is x else evaluate(model, grid)
            demand_finite("an output", float(shown.abs().max()), step)
            parameters = nn.utils.parameters_to_vector(model.parameters()) if record_parameters else None
            recorder.keep(step, shown, loss=value, parameters=parameters)
        return value

    optimise = _optimizer(model, optimizer, learning_rate)
    batches = _batches(n, batch_size, seed, device)
    with settings.progress_bar(steps, "training", show=progress) as bar:
        for step in range(steps + 1):
            if step in due or step == steps:  # the last step's loss is looked at in any case: it may be infinite
                bar.set_postfix(loss=f"{snapshot(step):.3g}", refresh=False)
            if step == steps:
                break
            rows = next(batches)
            optimise.zero_grad(set_to_none=True)
            value = criterion(model(x if rows is None else x[rows]), y if rows is None else y[rows])
            demand_finite("the loss", float(value.detach()), step)
            (value * members).backward()  # the mean over members must not shrink each one's gradient
            optimise.step()
            bar.update()
    return recorder.trajectory()


def gradient_flow(
    model: nn.Module, x, y, *, phases, every: int = 10, device: str | torch.device = "auto", progress: bool = True
) -> Trajectory:
    """Follow the gradient flow of the loss 1/(2n) sum |h - y|^2, h = f - f_0, by full-batch descent in large steps.

    h is what ``model`` adds to its initial function f_0, so that h = 0 at the start (the centred model of Chizat,
    Oyallon, Bach, NeurIPS 2019). As long as the tangent kernel K stands still, the residual along an eigenvalue lambda
    of K / n decays as exp(-lambda t), here by Euler's method: it is stable for eta < 2 / lambda_max, and accurate for
    the parts with eta lambda << 1.

    x, y     (n, ...) and (n, c) or (n,), as in :func:`train`; the model is trained in place
    phases   [(steps, eta), ...]: first small steps for the fast parts, then large ones for the slow ones
    every    snapshot at these steps of each phase, and at its end

    Returns h at x; times are those of the flow, the sum of all eta so far, and losses those above. Raises as
    :func:`train` does, and ValueError for phases that are no such pairs.
    """
    phases, every = checks.array("phases", phases, ndim=2), checks.count("every", every)
    if phases.shape[1] != 2 or (phases <= 0).any() or (phases[:, 0] % 1).any():
        raise ValueError(f"phases must be pairs (steps, eta): whole numbers > 0 and numbers > 0; got {phases.tolist()}")
    _require_trainable(model)
    device = _device(device)
    points = _inputs("x", x, model.to(device), device)
    _outputs_each("x", points, model)
    start = evaluate(model, points).cpu().numpy()
    y = checks.points("y", y)
    if y.shape != start.shape:
        raise ValueError(f"y must have the shape of the outputs {start.shape}; got {y.shape}")
    outputs_each = y.shape[1] // getattr(model, "members", 1)  # "mse" averages over them, the loss here sums
    time, times, outputs, losses = 0.0, [0.0], [np.zeros_like(start)], [(y**2).sum() / (2 * len(y))]
    for steps, eta in zip(phases[:, 0].astype(int).tolist(), phases[:, 1].tolist(), strict=True):
        run = train(
            model, x, y + start, steps=steps, learning_rate=eta * outputs_each / 2, optimizer="gd",
            snapshots=[*range(every, steps, every), steps], device=device, progress=progress,
        )  # fmt: skip
        times += list(time + eta * run.times)
        outputs += list(run.outputs - start)
        losses += list(run.losses * y.shape[1] / 2)
        time += eta * steps
    return Trajectory(np.array(times), np.stack(outputs), checks.array("x", x), np.array(losses))


def _require_trainable(model: nn.Module) -> None:
    if not isinstance(model, nn.Module) or not any(p.requires_grad for p in model.parameters()):
        raise ValueError(f"model must be a torch module with parameters to train; got {type(model).__name__}")
    checks.filled_module("model", model)


def _device(device: str | torch.device) -> torch.device:
    if device == "auto":
        return settings.device()
    try:
        return torch.device(device)
    except RuntimeError:
        raise ValueError(f"device must be 'auto' or a torch device such as 'cpu', 'cuda'; got {device!r}") from None


def _numpy_dtype(dtype: torch.dtype) -> type:
    return np.float64 if dtype == torch.float64 else np.float32


def _inputs(name: str, x, model: nn.Module, device: torch.device) -> Tensor:
    dtype = next(model.parameters()).dtype
    array = checks.inputs(name, x, dtype=_numpy_dtype(dtype))
    # A copy: whoever changes x afterwards must not change the trajectory (and torch takes no negative strides).
    return torch.as_tensor(np.array(array, order="C"), dtype=dtype, device=device)


def _outputs_each(name: str, x: Tensor, model: nn.Module) -> int:
    """Number of outputs per sample, tried on one sample before the training begins."""
    with checks.accepted_by_model(name, x.shape), evaluating(model):
        shape = tuple(checks.outputs(model(x[:1])).shape)
    if len(shape) != 2 or shape[0] != 1:
        raise ValueError(f"the model must return shape (n, c); for 1 sample of {name} it returned {shape}")
    return shape[1]


def _targets(y, loss: str, model: nn.Module, x: Tensor, device: torch.device) -> Tensor:
    array = checks.array("y", y, ndim=(1, 2), dtype=_numpy_dtype(x.dtype))
    if len(array) != len(x):
        raise ValueError(f"x and y must hold the same number of samples; got {len(x)} and {len(array)}")
    outputs = _outputs_each("x", x, model)
    members = getattr(model, "members", 1)
    if loss == "cross_entropy":
        if members > 1:
            raise ValueError("an ensemble is trained with loss 'mse': its members' outputs are no classes")
        if array.ndim != 1 or (array != array.round()).any() or array.min() < 0 or array.max() >= outputs:
            raise ValueError(
                f"for cross_entropy y must hold classes 0..{outputs - 1}, shape (n,); got shape {array.shape}"
                f" with values from {array.min():g} to {array.max():g}"
            )
        return torch.as_tensor(array, dtype=torch.int64, device=device)
    array = array[:, None] if array.ndim == 1 else array
    if array.shape[1] == outputs // members:  # one target for every member of an ensemble
        array = np.tile(array, (1, members))
    if array.shape[1] != outputs:
        each = "" if members == 1 else f" for one target, {outputs} for one per member"
        raise ValueError(f"y must hold {outputs // members} column(s){each}; got {array.shape[1]}")
    return torch.as_tensor(array, dtype=x.dtype, device=device)


def _snapshot_steps(snapshots: int | Sequence[int], steps: int) -> set[int]:
    if not hasattr(snapshots, "__len__"):
        return set(log_spaced(steps, checks.count("snapshots", snapshots, minimum=2)))
    due = checks.array("snapshots", snapshots, ndim=1)
    if (due != due.round()).any() or due.min() < 0 or due.max() > steps:
        raise ValueError(f"snapshots must be whole steps from 0 to {steps}; got {due}")
    return set(due.astype(int).tolist())


def _optimizer(model: nn.Module, name: str, learning_rate: float) -> torch.optim.Optimizer:
    if name == "adam":  # fused: one kernel for all parameters, measured 1.35 times the default's speed on two cores
        return torch.optim.Adam(model.parameters(), lr=learning_rate, fused=True)
    return torch.optim.SGD(model.parameters(), lr=learning_rate)


def _batches(n: int, batch_size: int | None, seed: int, device: torch.device) -> Iterator[Tensor | None]:
    """Rows of one step after the other, every row once an epoch; None stands for all rows."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        if batch_size is None or batch_size == n:
            yield None
        else:
            yield from torch.randperm(n, generator=generator).to(device).split(batch_size)
