"""Train a network and keep its trajectory: gradient descent, SGD and Adam, with snapshots spaced like a logarithm."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from fpcourse import settings
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
from fpcourse.recording import Recorder, TrainingDiverged, evaluate, evaluating, log_spaced
from fpcourse.trajectory import Trajectory

OPTIMIZERS = ("gd", "sgd", "adam")
LOSSES = ("square", "cross_entropy")
CLOCKS = ("step", "flow")


def square_loss(outputs: Tensor, y: Tensor) -> Tensor:
    """Return the loss of the course, L = 1/(2n) sum_i |f(x_i) - y_i|^2, of outputs and targets (n, c)."""
    return (outputs - y).square().sum() / (2 * len(y))


def train(
    model: nn.Module,
    x,
    y,
    *,
    steps: int,
    learning_rate: float,
    optimizer: str = "adam",
    batch_size: int | None = None,
    loss: str = "square",
    clock: str = "step",
    evaluate_on=None,
    snapshots: int | Sequence[int] = 60,
    record_parameters: bool = False,
    seed: int | None = None,
    device: str | torch.device = "auto",
    progress: bool = True,
) -> Trajectory:
    """Train ``model`` in place on (x, y) and return its trajectory.

    x             (n, ...) points or images; a vector of n numbers counts as (n, 1)
    y             (n, c) or (n,) targets; for "cross_entropy" (n,) whole-number classes
    optimizer     "gd" (full batch), "sgd" (mini-batches) or "adam"; plain, without momentum or weight decay
    batch_size    rows per step, reshuffled every epoch; None: all rows
    loss          "square": L = 1/(2n) sum_i |f(x_i) - y_i|^2, whose gradient flow is du/dt = -K (u - y) / n. (PyTorch's
                  ``MSELoss`` is 2/c times this L: give it c/2 times the learning rate.)  "cross_entropy": mean over
                  samples; the outputs kept are then class probabilities, which compare with one-hot labels
    clock         "step": times count optimizer steps.  "flow": times are learning_rate * step, those of the gradient
                  flow, for "gd" and "sgd"
    evaluate_on   where to take the snapshots, default x
    snapshots     how many (spaced by ``log_spaced``), or the steps themselves
    record_parameters   keep all parameters at each snapshot
    seed          of the mini-batches; default: what torch was seeded with
    device        "auto": the model moves to ``settings.device()`` and stays there
    progress      show a bar with the loss

    Losses are those of the whole training set at the snapshot. Snapshots are taken in evaluation mode and draw no
    random numbers: how many there are changes nothing in the training. An :class:`~fpcourse.models.Ensemble` takes
    one target y (n, c) for all members or (n, members * c) for one each ("square" only); each member follows its own
    loss, and the losses returned are their mean. Raises ValueError for arguments that do not fit and
    :class:`TrainingDiverged`, with the trajectory so far, where the loss stops being finite.
    """
    require_module("model", model, trainable=True)
    as_choice("optimizer", optimizer, OPTIMIZERS)
    as_choice("loss", loss, LOSSES)
    as_choice("clock", clock, CLOCKS)
    if clock == "flow" and optimizer == "adam":
        raise ValueError("clock 'flow' is the time of gradient descent, and Adam has none: use clock='step'")
    steps, learning_rate = as_count("steps", steps), as_positive("learning_rate", learning_rate)
    due = _snapshot_steps(snapshots, steps)
    model.to(_device(device))
    x = _inputs("x", x, model)
    y = _targets(y, loss, model, x)
    if optimizer == "gd" and batch_size is not None:
        raise ValueError(f"'gd' takes all samples at every step; for batch_size={batch_size} use 'sgd'")
    batches = _batches(len(x), batch_size, torch.initial_seed() if seed is None else seed, x.device)
    grid = x if evaluate_on is None else _inputs("evaluate_on", evaluate_on, model)
    members = getattr(model, "members", 1)

    def criterion(outputs: Tensor, y: Tensor) -> Tensor:
        return nn.functional.cross_entropy(outputs, y) if loss == "cross_entropy" else square_loss(outputs, y) / members

    recorder = Recorder(grid, steps=sorted(due), probabilities=loss == "cross_entropy")

    def snapshot(step: int) -> float:
        fitted = evaluate(model, x)
        value = _finite(float(criterion(fitted, y)), step, recorder)
        if step in due:
            shown = fitted if grid is x else evaluate(model, grid)
            parameters = nn.utils.parameters_to_vector(model.parameters()) if record_parameters else None
            recorder.keep(step, shown, loss=value, parameters=parameters)
        return value

    optimise = _optimizer(model, optimizer, learning_rate)
    with settings.progress_bar(steps, "training", show=progress) as bar:
        for step in range(steps):
            if step in due:
                bar.set_postfix(loss=f"{snapshot(step):.3g}", refresh=False)
            rows = next(batches)
            optimise.zero_grad(set_to_none=True)
            value = criterion(model(x if rows is None else x[rows]), y if rows is None else y[rows])
            _finite(float(value.detach()), step, recorder)
            (value * members).backward()  # each member follows the gradient of its own loss, not of the mean
            optimise.step()
            bar.update()
        snapshot(steps)  # in any case: the last step's loss may be infinite
    run = recorder.trajectory()
    return run if clock == "step" else dataclasses.replace(run, times=learning_rate * run.times)


class SquareLoss:
    """The loss L = 1/(2n) sum_i |f(x_i; theta) - y_i|^2 as a function of all parameters, one float64 vector (P,).

    model   any torch module, x (n, ...) -> (n, c); it is copied in float64, on its device, and never changed
    x, y    (n, ...) and (n, c); vectors count as one column

    Raises ValueError where y does not have the shape of the outputs.
    """

    def __init__(self, model: nn.Module, x, y) -> None:
        require_module("model", model)
        self.model = copy.deepcopy(model).double()
        self.parameters = list(self.model.parameters())
        if not self.parameters:
            raise ValueError(f"model must have parameters; {type(model).__name__} has none")
        self.trained = self.flat([torch.full_like(p, float(p.requires_grad)) for p in self.parameters])
        self.model.requires_grad_(True)
        self.x, self.y = (
            torch.as_tensor(a, device=self.parameters[0].device) for a in (as_inputs("x", x), as_points("y", y))
        )
        with accepted_by_model("x", self.x.shape):
            outputs = require_tensor(self.model(self.x))
        if outputs.shape != self.y.shape:
            raise ValueError(f"y must have the shape of the outputs {tuple(outputs.shape)}; got {tuple(self.y.shape)}")
        self.start = as_array("the parameters of model", self.flat(self.parameters))

    @staticmethod
    def flat(tensors) -> np.ndarray:
        """Return tensors as one vector (P,) float64."""
        return torch.cat([tensor.detach().reshape(-1).double() for tensor in tensors]).cpu().numpy()

    def at(self, theta: np.ndarray) -> Tensor:
        """Put ``theta`` into the model and return the loss, to be differentiated."""
        nn.utils.vector_to_parameters(torch.tensor(theta, device=self.x.device), self.parameters)
        return square_loss(self.model(self.x), self.y)

    def outputs(self, theta: np.ndarray) -> Tensor:
        """Return f(x; theta), (n, c), without a gradient."""
        with torch.no_grad():
            self.at(theta)
            return self.model(self.x)

    def value(self, theta: np.ndarray) -> float:
        """Return the loss at ``theta``."""
        with torch.no_grad():
            return float(self.at(theta))

    def gradient(self, theta: np.ndarray) -> np.ndarray:
        """Return its gradient (P,), 0 for parameters that are not trained."""
        return self.trained * self.flat(torch.autograd.grad(self.at(theta), self.parameters))

    def hessian_product(self, theta: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Return the map v -> H v at ``theta``, one backward pass each."""
        gradients = torch.autograd.grad(self.at(theta), self.parameters, create_graph=True)
        gradient = torch.cat([each.reshape(-1) for each in gradients])

        def product(vector: np.ndarray) -> np.ndarray:
            direction = torch.as_tensor(self.trained * vector.ravel(), device=gradient.device)
            return self.trained * self.flat(torch.autograd.grad(gradient, self.parameters, direction, retain_graph=True))

        return product

    def hessian(self, theta: np.ndarray) -> np.ndarray:
        """Return the Hessian (P, P)."""
        product = self.hessian_product(theta)
        matrix = np.stack([product(unit) for unit in np.eye(len(theta))])
        return (matrix + matrix.T) / 2


def _finite(value: float, step: int, recorder: Recorder) -> float:
    if math.isfinite(value):
        return value
    if step == 0:
        raise ValueError(f"the loss is {value} before the first step: are all parameters of the model finite?")
    raise TrainingDiverged(
        f"the loss became {value} at step {step}; try a smaller learning_rate"
        " (the snapshots so far are in this error's .trajectory)",
        recorder.trajectory() if recorder else None,
    )


def _device(device: str | torch.device) -> torch.device:
    if device == "auto":
        return settings.device()
    try:
        return torch.device(device)
    except RuntimeError:
        raise ValueError(f"device must be 'auto' or a torch device such as 'cpu', 'cuda'; got {device!r}") from None


def _inputs(name: str, x, model: nn.Module) -> Tensor:
    parameter = next(model.parameters())
    array = as_inputs(name, x, dtype=np.float64 if parameter.dtype == torch.float64 else np.float32)
    # A copy: whoever changes x afterwards must not change the trajectory.
    x = torch.tensor(array, dtype=parameter.dtype, device=parameter.device)
    with accepted_by_model(name, x.shape), evaluating(model):
        shape = tuple(require_tensor(model(x[:1])).shape)
    if len(shape) != 2 or shape[0] != 1:
        raise ValueError(f"the model must return shape (n, c); for 1 sample of {name} it returned {shape}")
    return x


def _targets(y, loss: str, model: nn.Module, x: Tensor) -> Tensor:
    array = as_array("y", y, ndim=(1, 2))
    if len(array) != len(x):
        raise ValueError(f"x and y must hold the same number of samples; got {len(x)} and {len(array)}")
    with evaluating(model):
        outputs = model(x[:1]).shape[1]
    members = getattr(model, "members", 1)
    if loss == "cross_entropy":
        if members > 1:
            raise ValueError("an ensemble is trained with loss 'square': its outputs are not class scores")
        if array.ndim != 1 or (array != array.round()).any() or array.min() < 0 or array.max() >= outputs:
            raise ValueError(
                f"for cross_entropy y must hold classes 0..{outputs - 1}, shape (n,); got shape {array.shape}"
                f" with values from {array.min():g} to {array.max():g}"
            )
        return torch.as_tensor(array, dtype=torch.int64, device=x.device)
    array = array[:, None] if array.ndim == 1 else array
    if array.shape[1] == outputs // members:  # one target for every member of an ensemble
        array = np.tile(array, (1, members))
    if array.shape[1] != outputs:
        each = "" if members == 1 else f" for one target, {outputs} for one per member"
        raise ValueError(f"y must hold {outputs // members} column(s){each}; got {array.shape[1]}")
    return torch.as_tensor(array, dtype=x.dtype, device=x.device)


def _snapshot_steps(snapshots: int | Sequence[int], steps: int) -> set[int]:
    if not hasattr(snapshots, "__len__"):
        return set(log_spaced(steps, as_count("snapshots", snapshots, minimum=2)))
    due = as_array("snapshots", snapshots, ndim=1)
    if (due != due.round()).any() or due.min() < 0 or due.max() > steps:
        raise ValueError(f"snapshots must be whole steps from 0 to {steps}; got {due}")
    return set(due.astype(int).tolist())


def _optimizer(model: nn.Module, name: str, learning_rate: float) -> torch.optim.Optimizer:
    if name == "adam":  # fused: one kernel for all parameters, measured 1.35 times the default's speed on two cores
        return torch.optim.Adam(model.parameters(), lr=learning_rate, fused=True)
    return torch.optim.SGD(model.parameters(), lr=learning_rate)


def _batches(n: int, batch_size: int | None, seed: int, device: torch.device) -> Iterator[Tensor | None]:
    """Return the rows of one step after the other, every row once an epoch; None stands for all rows."""
    if batch_size is not None and as_count("batch_size", batch_size) > n:
        raise ValueError(f"batch_size must be at most the number of samples {n}; got {batch_size}")
    if batch_size in (None, n):
        return itertools.repeat(None)
    generator = torch.Generator().manual_seed(as_count("seed", seed, minimum=0))
    epochs = (torch.randperm(n, generator=generator).to(device).split(batch_size) for _ in itertools.count())
    return itertools.chain.from_iterable(epochs)
