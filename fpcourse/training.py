"""Train a network and keep its trajectory: gradient descent, SGD and Adam, with snapshots spaced like a logarithm."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from fpcourse import checks, settings
from fpcourse.trajectory import Trajectory

OPTIMIZERS = ("gd", "sgd", "adam")
LOSSES = ("mse", "cross_entropy")
EVALUATION_BLOCK = 512  # rows per forward pass without gradients: bounds the memory of convolutional nets


class TrainingDiverged(RuntimeError):
    """The loss became NaN or infinite. ``trajectory`` holds all snapshots taken before."""

    def __init__(self, message: str, trajectory: Trajectory) -> None:
        super().__init__(message)
        self.trajectory = trajectory


def log_spaced(steps: int, count: int = 60) -> list[int]:
    """At most ``count`` distinct whole steps from 0 to ``steps``, dense early: 0, 1, 2, 3, 5, ... , steps."""
    steps, count = checks.count("steps", steps), checks.count("count", count, minimum=2)
    return sorted({0, *np.unique(np.geomspace(1, steps, count - 1).round().astype(int)).tolist()})


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """Evaluation mode without gradients; each submodule is put back as it was, even after an error."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield model
    finally:
        for module, mode in modes:
            module.training = mode


def evaluate(model: nn.Module, x: Tensor) -> Tensor:
    """Outputs (n, c) of ``model`` in evaluation mode, computed in blocks of rows."""
    with evaluating(model):
        return torch.cat([model(block) for block in x.split(EVALUATION_BLOCK)])


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

    Losses are those of the whole training set at the snapshot. An :class:`~fpcourse.models.Ensemble` takes y (n, c)
    once; every member is trained on it. Raises ValueError for arguments that do not fit and
    :class:`TrainingDiverged`, with the trajectory so far, where the loss stops being finite.
    """
    checks.choice("optimizer", optimizer, OPTIMIZERS)
    checks.choice("loss", loss, LOSSES)
    steps = checks.count("steps", steps)
    learning_rate = checks.positive("learning_rate", learning_rate)
    device = settings.device() if device == "auto" else torch.device(device)
    model.to(device)
    x = _inputs("x", x, model, device)
    y = _targets(y, loss, model, x, device)
    n = len(x)
    if batch_size is not None and checks.count("batch_size", batch_size) > n:
        raise ValueError(f"batch_size must be at most the number of samples {n}; got {batch_size}")
    if optimizer == "gd" and batch_size is not None:
        raise ValueError(f"'gd' takes all samples at every step; for batch_size={batch_size} use 'sgd'")
    grid = x if evaluate_on is None else _inputs("evaluate_on", evaluate_on, model, device)
    due = _snapshot_steps(snapshots, steps)
    criterion = nn.functional.mse_loss if loss == "mse" else nn.functional.cross_entropy
    members = getattr(model, "members", 1)
    kept: dict[str, list] = {"times": [], "outputs": [], "losses": [], "parameters": []}

    def diverged(value: float, step: int) -> Exception:
        if not kept["times"]:
            return ValueError(f"the loss is {value} before the first step: the model's parameters must be finite")
        return TrainingDiverged(
            f"the loss became {value} at step {step}; try a smaller learning_rate than {learning_rate:g}"
            " (the snapshots so far are in this error's .trajectory)",
            trajectory(),
        )

    def snapshot(step: int) -> None:
        fitted = evaluate(model, x)
        shown = fitted if grid is x else evaluate(model, grid)
        value = float(criterion(fitted, y))
        if not (math.isfinite(value) and torch.isfinite(shown).all()):
            raise diverged(value, step)
        kept["times"].append(step)
        kept["losses"].append(value)
        kept["outputs"].append((shown.softmax(1) if loss == "cross_entropy" else shown).cpu().numpy())
        if record_parameters:
            kept["parameters"].append(nn.utils.parameters_to_vector(model.parameters()).detach().cpu().numpy())

    def trajectory() -> Trajectory:
        return Trajectory(inputs=grid.cpu().numpy(), **{name: np.stack(rows) for name, rows in kept.items() if rows})

    optimise = _optimizer(model, optimizer, learning_rate)
    batches = _batches(n, batch_size, seed, device)
    bar = _bar(steps, progress)
    with bar:
        for step in range(steps + 1):
            if step in due:
                snapshot(step)
                bar.set_postfix(loss=f"{kept['losses'][-1]:.3g}", refresh=False)
            if step == steps:
                break
            rows = next(batches)
            optimise.zero_grad(set_to_none=True)
            value = criterion(model(x if rows is None else x[rows]), y if rows is None else y[rows])
            if not torch.isfinite(value):
                raise diverged(float(value), step)
            (value * members).backward()  # the mean over members must not shrink each one's gradient
            optimise.step()
            bar.update()
    return trajectory()


def _inputs(name: str, x, model: nn.Module, device: torch.device) -> Tensor:
    array = checks.array(name, x)
    array = array[:, None] if array.ndim == 1 else array
    return torch.as_tensor(array, dtype=next(model.parameters()).dtype, device=device)


def _targets(y, loss: str, model: nn.Module, x: Tensor, device: torch.device) -> Tensor:
    array = checks.array("y", y, ndim=(1, 2))
    if len(array) != len(x):
        raise ValueError(f"x and y must hold the same number of samples; got {len(x)} and {len(array)}")
    expected = tuple(evaluate(model, x[:1]).shape[1:])
    if loss == "cross_entropy":
        if array.ndim != 1 or (array != array.round()).any() or array.min() < 0 or array.max() >= expected[0]:
            raise ValueError(
                f"for cross_entropy y must hold classes 0..{expected[0] - 1}, shape (n,); got {array.shape}"
                f" with values from {array.min():g} to {array.max():g}"
            )
        return torch.as_tensor(array, dtype=torch.int64, device=device)
    array = array[:, None] if array.ndim == 1 else array
    array = np.tile(array, (1, getattr(model, "members", 1)))
    if array.shape[1:] != expected:
        raise ValueError(f"the model returns {expected} per sample, y holds {array.shape[1:]}")
    return torch.as_tensor(array, dtype=x.dtype, device=device)


def _snapshot_steps(snapshots: int | Sequence[int], steps: int) -> set[int]:
    if isinstance(snapshots, int):
        return set(log_spaced(steps, snapshots))
    due = {checks.count("each of snapshots", int(step), minimum=0) for step in snapshots}
    if not due or max(due) > steps:
        raise ValueError(f"snapshots must be steps from 0 to {steps}; got {sorted(due)}")
    return due


def _optimizer(model: nn.Module, name: str, learning_rate: float) -> torch.optim.Optimizer:
    if name == "adam":  # fused: one kernel for all parameters, measured 1.35 times the default's speed on two cores
        return torch.optim.Adam(model.parameters(), lr=learning_rate, fused=True)
    return torch.optim.SGD(model.parameters(), lr=learning_rate)


def _batches(n: int, batch_size: int | None, seed: int | None, device: torch.device) -> Iterator[Tensor | None]:
    """Rows of one step after the other, every row once an epoch; None stands for all rows."""
    generator = torch.Generator().manual_seed(torch.initial_seed() if seed is None else seed)
    while True:
        if batch_size is None or batch_size == n:
            yield None
        else:
            yield from torch.randperm(n, generator=generator).to(device).split(batch_size)


def _bar(steps: int, progress: bool):
    from tqdm.auto import tqdm

    # Only "off" is passed on: tqdm's own TQDM_DISABLE then still silences the bars of a book build.
    return tqdm(total=steps, desc="training", leave=False, mininterval=0.5, **({} if progress else {"disable": True}))
