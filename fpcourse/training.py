"""Train a network and keep its trajectory: gradient descent, SGD and Adam, with snapshots spaced like a logarithm."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
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
    copied,
    require_memory,
    require_module,
    require_same_length,
    require_tensor,
)
from fpcourse.recording import Recorder, TrainingDiverged, _inputs_for, evaluate, evaluating, log_spaced
from fpcourse.trajectory import Trajectory

OPTIMIZERS = ("gd", "sgd", "adam")
LOSSES = ("square", "cross_entropy")
CLOCKS = ("step", "flow")


def square_loss(outputs: Tensor, y: Tensor) -> Tensor:
    """Return the loss of the course, L = 1/(2n) sum_i |f(x_i) - y_i|^2, of outputs and targets (n, c).

    Examples
    --------
    >>> square_loss(torch.zeros(4, 2), torch.ones(4, 2))
    tensor(1.)
    """
    return (outputs - y).square().sum() / (2 * len(y))


def train(
    model: nn.Module,
    x: ArrayLike,
    y: ArrayLike,
    *,
    steps: int,
    learning_rate: float,
    optimizer: str = "adam",
    batch_size: int | None = None,
    loss: str = "square",
    clock: str = "step",
    evaluate_on: ArrayLike | None = None,
    snapshots: int | Sequence[int] = 60,
    record_parameters: bool = False,
    seed: int | None = None,
    device: str | torch.device = "auto",
    progress: bool = True,
) -> Trajectory:
    """Train ``model`` in place on (x, y) and return its trajectory.

    Snapshots are taken in evaluation mode and draw no random numbers: they change nothing in the training. Each member
    of an :class:`~fpcourse.models.Ensemble` follows its own loss, and the losses returned are their mean ("square").

    Parameters
    ----------
    model : nn.Module
        (n, ...) -> (n, c).
    x : array_like
        (n, ...) points or images; a vector of n numbers counts as (n, 1).
    y : array_like
        (n, c) or (n,) targets; for "cross_entropy" (n,) whole-number classes. For an ensemble one target for all
        members, or (n, members * c) for one each.
    steps : int
        Number of optimizer steps.
    learning_rate : float
        Step size.
    optimizer : {"gd", "sgd", "adam"}
        Full-batch or mini-batch gradient descent, or Adam; without momentum or weight decay.
    batch_size : int, optional
        Rows per step, reshuffled every epoch. Default: all rows.
    loss : {"square", "cross_entropy"}
        "square": L = 1/(2n) sum_i |f(x_i) - y_i|^2, whose gradient flow is du/dt = -K (u - y) / n. (PyTorch's
        ``MSELoss`` is 2/c times this L: give it c/2 times the learning rate.) "cross_entropy": mean over samples; the
        outputs kept are class probabilities, which compare with one-hot labels.
    clock : {"step", "flow"}
        "step": times count optimizer steps. "flow": times are learning_rate * step, those of the gradient flow, for
        "gd" and "sgd".
    evaluate_on : array_like, optional
        Where to take the snapshots. Default: x.
    snapshots : int or sequence of int
        How many (spaced by :func:`~fpcourse.recording.log_spaced`), or the steps themselves.
    record_parameters : bool
        Keep all parameters at each snapshot.
    seed : int, optional
        Of the mini-batches. Default: what torch was seeded with.
    device : str or torch.device
        The model moves to ``settings.device(device)`` and stays there.
    progress : bool
        Show a bar with the loss.

    Returns
    -------
    Trajectory
        Its losses are those of the whole training set.

    Raises
    ------
    ValueError
        If shapes disagree, an input is not finite or a name is unknown.
    TrainingDiverged
        With the trajectory so far, if the loss stops being finite.

    Examples
    --------
    >>> x = np.linspace(-1, 1, 9)
    >>> options = {"optimizer": "gd", "clock": "flow", "snapshots": [0, 100], "progress": False}
    >>> run = train(nn.Linear(1, 1), x, 2 * x, steps=100, learning_rate=0.5, **options)
    >>> run.times.tolist(), run.outputs.shape, bool(run.losses[-1] < 1e-6)
    ([0.0, 50.0], (2, 9, 1), True)
    """
    require_module("model", model, trainable=True)
    _check_choices(optimizer, loss, clock, batch_size)
    steps, learning_rate = as_count("steps", steps), as_positive("learning_rate", learning_rate)
    due = _snapshot_steps(snapshots, steps)
    model.to(settings.device(device))
    x = _inputs("x", x, model)
    y = _targets(y, loss, model, x)
    grid = x if evaluate_on is None else _inputs("evaluate_on", evaluate_on, model)
    batches = _batches(len(x), batch_size, torch.initial_seed() if seed is None else seed, x.device)
    criterion = nn.functional.cross_entropy if loss == "cross_entropy" else square_loss
    members = getattr(model, "members", 1)  # the square loss adds theirs up, so that each follows its own gradient
    recorder = Recorder(grid, steps=due, probabilities=loss == "cross_entropy")
    descent = _optimizer(model, optimizer, learning_rate)

    def snapshot(step: int) -> float:
        fitted = evaluate(model, x)
        value = _finite(float(criterion(fitted, y)) / members, step, recorder)
        if step in due:
            shown = fitted if grid is x else evaluate(model, grid)
            parameters = nn.utils.parameters_to_vector(model.parameters()) if record_parameters else None
            recorder.keep(step, shown, loss=value, parameters=parameters)
        return value

    with settings.progress_bar(steps, "training", show=progress) as bar:
        for step, rows in zip(range(steps), batches, strict=False):
            if step in due:
                bar.set_postfix(loss=f"{snapshot(step):.3g}", refresh=False)
            descent.zero_grad(set_to_none=True)
            value = criterion(model(x[rows]), y[rows])
            _finite(float(value.detach()), step, recorder)
            value.backward()
            descent.step()
            bar.update()
        snapshot(steps)  # in any case: the last step's loss may be infinite
    run = recorder.trajectory()
    return run if clock == "step" else dataclasses.replace(run, times=learning_rate * run.times)


class SquareLoss:
    """The loss L = 1/(2n) sum_i |f(x_i; theta) - y_i|^2 as a function of all parameters, one float64 vector theta (P,).

    Parameters
    ----------
    model : nn.Module
        (n, ...) -> (n, c); it is copied, on its device, and never changed.
    x, y : array_like
        (n, ...) and (n, c); vectors count as one column.
    dtype : torch.dtype
        Of the computation: torch.float64 or torch.float32.

    Attributes
    ----------
    start : ndarray
        The parameters of ``model``, (P,).

    Examples
    --------
    >>> loss = SquareLoss(nn.Linear(1, 1, bias=False), [1.0, 2.0], [1.0, 2.0])  # L = 5/4 (theta - 1)^2
    >>> theta = np.array([3.0])
    >>> loss.value(theta), loss.gradient(theta), loss.hessian(theta)
    (5.0, array([5.]), array([[2.5]]))
    """

    def __init__(self, model: nn.Module, x: ArrayLike, y: ArrayLike, *, dtype: torch.dtype = torch.float64) -> None:
        require_module("model", model, trainable=True)
        as_choice("dtype", dtype, (torch.float32, torch.float64))
        self.model = copied(model, dtype)
        self.parameters = list(self.model.parameters())
        self.trained = self.flat(torch.full_like(p, float(p.requires_grad)) for p in self.parameters)
        self.model.requires_grad_(True)
        self.x = _inputs_for(self.model, "x", x)
        self.y = torch.as_tensor(as_points("y", y), dtype=dtype, device=self.x.device)
        with accepted_by_model("x", self.x.shape):
            outputs = require_tensor(self.model(self.x))
        if outputs.shape != self.y.shape:
            raise ValueError(f"y must have the shape of the outputs {tuple(outputs.shape)}; got {tuple(self.y.shape)}")
        self.start = as_array("the parameters of model", self.flat(self.parameters))

    @staticmethod
    def flat(tensors: Iterable[Tensor]) -> np.ndarray:
        """Return tensors as one vector (P,) float64."""
        return torch.cat([tensor.detach().reshape(-1).double() for tensor in tensors]).cpu().numpy()

    def function(self, theta: np.ndarray) -> Tensor:
        """Put ``theta`` into the model and return f(x; theta), (n, c), to be differentiated."""
        vector = torch.tensor(theta, dtype=self.y.dtype, device=self.y.device)
        nn.utils.vector_to_parameters(vector, self.parameters)
        return self.model(self.x)

    def at(self, theta: np.ndarray) -> Tensor:
        """Put ``theta`` into the model and return the loss, to be differentiated."""
        return square_loss(self.function(theta), self.y)

    def outputs(self, theta: np.ndarray) -> Tensor:
        """Return f(x; theta), (n, c), without a gradient."""
        with torch.no_grad():
            return self.function(theta)

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
            direction = torch.as_tensor(self.trained * vector.ravel(), dtype=gradient.dtype, device=gradient.device)
            return self.trained * self.flat(
                torch.autograd.grad(gradient, self.parameters, direction, retain_graph=True)
            )

        return product

    def hessian(self, theta: np.ndarray) -> np.ndarray:
        """Return the Hessian (P, P)."""
        require_memory("the Hessian", (len(theta), len(theta)), "ask for extreme eigenvalues only")
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


def _check_choices(optimizer: str, loss: str, clock: str, batch_size: int | None) -> None:
    for name, value, allowed in (
        ("optimizer", optimizer, OPTIMIZERS),
        ("loss", loss, LOSSES),
        ("clock", clock, CLOCKS),
    ):
        as_choice(name, value, allowed)
    if clock == "flow" and optimizer == "adam":
        raise ValueError("clock 'flow' is the time of gradient descent, and Adam has none: use clock='step'")
    if optimizer == "gd" and batch_size is not None:
        raise ValueError(f"'gd' takes all samples at every step; for batch_size={batch_size} use 'sgd'")


def _inputs(name: str, x: ArrayLike, model: nn.Module) -> Tensor:
    """Return a copy of x for ``model``, so that a later change of x does not change the trajectory."""
    parameter = next(model.parameters())
    array = as_inputs(name, x, dtype=np.float64 if parameter.dtype == torch.float64 else np.float32)
    return torch.tensor(array, dtype=parameter.dtype, device=parameter.device)


def _targets(y: ArrayLike, loss: str, model: nn.Module, x: Tensor) -> Tensor:
    array, members = as_array("y", y, ndim=(1, 2)), getattr(model, "members", 1)
    require_same_length("x", x, "y", array)
    with accepted_by_model("x", x.shape), evaluating(model):
        shape = tuple(require_tensor(model(x[:1])).shape)
    if len(shape) != 2 or shape[0] != 1:
        raise ValueError(f"the model must return shape (n, c); for 1 sample of x it returned {shape}")
    outputs = shape[1]
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


def _snapshot_steps(snapshots: int | Sequence[int], steps: int) -> list[int]:
    if not hasattr(snapshots, "__len__"):
        return log_spaced(steps, as_count("snapshots", snapshots, minimum=2))
    due = as_array("snapshots", snapshots, ndim=1)
    if (due != due.round()).any() or due.min() < 0 or due.max() > steps:
        raise ValueError(f"snapshots must be whole steps from 0 to {steps}; got {due}")
    return sorted(set(due.astype(int).tolist()))


def _optimizer(model: nn.Module, name: str, learning_rate: float) -> torch.optim.Optimizer:
    if name == "adam":  # fused: one kernel for all parameters, measured 1.35 times the default's speed on two cores
        return torch.optim.Adam(model.parameters(), lr=learning_rate, fused=True)
    return torch.optim.SGD(model.parameters(), lr=learning_rate)


def _batches(n: int, batch_size: int | None, seed: int, device: torch.device) -> Iterator[Tensor | slice]:
    """Return the rows of one step after the other, every row once an epoch."""
    if batch_size is not None and as_count("batch_size", batch_size) > n:
        raise ValueError(f"batch_size must be at most the number of samples {n}; got {batch_size}")
    if batch_size in (None, n):
        return itertools.repeat(slice(None))
    generator = torch.Generator().manual_seed(as_count("seed", seed, minimum=0))
    epochs = (torch.randperm(n, generator=generator).to(device).split(batch_size) for _ in itertools.count())
    return itertools.chain.from_iterable(epochs)
