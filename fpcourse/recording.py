"""Record a model while your own loop trains it, without side effects.

Call a :class:`Recorder` after each optimizer step of any loop; :func:`fpcourse.training.train` does so, too.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.utils import data

from fpcourse._arguments import accepted_by_model, as_array, as_count, as_inputs, require_module, require_same_length
from fpcourse.trajectory import Trajectory

EVALUATION_BLOCK = 512  # rows per forward pass without gradients: bounds the memory of convolutional networks


class TrainingDiverged(RuntimeError):
    """A loss or an output became NaN or infinite.

    Attributes
    ----------
    trajectory : Trajectory or None
        All snapshots before, None if there was none.

    Examples
    --------
    >>> TrainingDiverged("the loss became nan at step 0").trajectory is None
    True
    """

    # The default lets the error cross from a worker process to its parent: pickle rebuilds it from the message alone.
    def __init__(self, message: str, trajectory: Trajectory | None = None) -> None:
        super().__init__(message)
        self.trajectory = trajectory


def log_spaced(steps: int, count: int = 60) -> list[int]:
    """Return at most ``count`` distinct whole steps from 0 to ``steps``, evenly spaced on a logarithmic axis.

    Examples
    --------
    >>> log_spaced(1000, 7)
    [0, 1, 4, 16, 63, 251, 1000]
    """
    steps, count = as_count("steps", steps), as_count("count", count, minimum=2)
    return sorted({0, *np.geomspace(steps, 1, count - 1).round().astype(int).tolist()})  # first of all: the last step


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """Put ``model`` into evaluation mode, without gradients, inside a ``with`` block.

    Afterwards, even after an error, the mode of each submodule and torch's random numbers are as they were before.

    Examples
    --------
    >>> model = nn.Dropout()
    >>> with evaluating(model):
    ...     model.training
    False
    >>> model.training
    True
    """
    modes = [(module, module.training) for module in model.modules()]
    device, _ = _home(model)
    model.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield model
    finally:
        for module, mode in modes:
            module.training = mode


def evaluate(model: nn.Module, x: ArrayLike | Tensor, *, output: Callable[[Any], Tensor] | None = None) -> Tensor:
    """Return the outputs of ``model`` at x in evaluation mode, without gradients.

    Parameters
    ----------
    model : nn.Module
        Any model that returns a row for each sample.
    x : array_like or Tensor
        (n, ...), taken in blocks of rows. Each moves to the model's device, and to its precision unless it holds whole
        numbers (tokens).
    output : callable, optional
        Picks the tensor out of what the model returns.

    Returns
    -------
    Tensor
        (n, c), on the device of the model, at least in single precision; further dimensions are flattened.

    Examples
    --------
    >>> evaluate(nn.Linear(3, 2), np.zeros((5, 3))).shape
    torch.Size([5, 2])
    """
    return _evaluate(model, torch.as_tensor(x).split(EVALUATION_BLOCK), output)


class Recorder:
    """Keeps the outputs of a model in training, as a :class:`~fpcourse.trajectory.Trajectory`.

    Snapshots change nothing in the training, see :func:`evaluating`. Only outputs are kept, on the CPU; the inputs of
    a loader are not.

    Parameters
    ----------
    x : array_like or iterable
        Where to evaluate: an array (n, ...); or, for data that do not fit in memory, a DataLoader or any other
        re-iterable of batches x or (x, y, ...) that come in the same order every time.
    y : array_like, optional
        Targets, (n,) or (n, ...); default: the second items of the loader's batches. Whole numbers of shape (n,) are
        classes: their :attr:`targets` are one-hot rows, and the outputs kept are probabilities.
    steps : int or sequence of int
        The last step (up to 60 snapshots are then spaced by :func:`log_spaced`), or the steps themselves.
    output : callable, optional
        Picks the tensor out of what the model returns: ``output=lambda result: result["logits"]``.
    probabilities : bool, optional
        Turn outputs into probabilities: softmax, or the sigmoid of a single one. Default: if y holds classes. False for
        a model that returns probabilities; log-probabilities are right either way.

    Examples
    --------
    >>> model, recorder = nn.Linear(1, 1), Recorder(np.linspace(0, 1, 3), steps=[0, 10])
    >>> for step in range(11):
    ...     recorder(model, step)
    >>> recorder.trajectory().outputs.shape
    (2, 3, 1)
    """

    def __init__(
        self,
        x: ArrayLike | Iterable,
        y: ArrayLike | None = None,
        *,
        steps: int | Sequence[int],
        output: Callable[[Any], Tensor] | None = None,
        probabilities: bool | None = None,
    ) -> None:
        self._inputs = _inputs(x) if hasattr(x, "__array__") else None
        self._loader = None if hasattr(x, "__array__") else _in_order(x)
        self._labels = None if y is None else _labels(y)
        if self._inputs is not None and self._labels is not None:
            require_same_length("x", self._inputs, "y", self._labels)
        due = as_array("steps", steps if hasattr(steps, "__len__") else log_spaced(steps), ndim=1)
        if (due != due.round()).any() or due.min() < 0:
            raise ValueError(f"steps must be whole numbers >= 0; got {due}")
        self._due = sorted(set(due.astype(int).tolist()))
        self._output = output
        self._probabilities = probabilities
        self._targets: np.ndarray | None = None
        self._order: list[int] | None = None
        self._kept: dict[str, list] = {"times": [], "outputs": [], "losses": [], "parameters": []}

    def __len__(self) -> int:
        return len(self._kept["times"])

    def __call__(self, model: nn.Module, step: int) -> None:
        """Keep a snapshot of ``model`` after ``step`` optimizer steps if one is due, else return at once.

        One is due at the first call at or after each of the steps asked for.

        Raises
        ------
        TrainingDiverged
            If an output is not finite.
        ValueError
            If the model, its outputs or the loader do not fit, or ``step`` is smaller than the last one kept.
        """
        times = self._kept["times"]
        if times and step < times[-1]:
            raise ValueError(f"step must not fall; got {step} after {times[-1]}: a new training takes a new Recorder")
        if self._due and step >= self._due[0]:
            blocks = self._inputs.split(EVALUATION_BLOCK) if self._loader is None else self._read()
            self.keep(step, _evaluate(model, blocks, self._output))

    def keep(self, step: int, outputs: Tensor, *, loss: float | None = None, parameters: Tensor | None = None) -> None:
        """Keep outputs (n, c) that were computed elsewhere, and with them a loss or all parameters (P,)."""
        outputs = _full_precision(outputs.detach()).cpu()
        bad = int((~outputs.isfinite()).sum())
        if bad:
            raise TrainingDiverged(
                f"{bad} of {outputs.numel()} outputs are NaN or infinite at step {step}"
                " (the snapshots so far are in this error's .trajectory)",
                self.trajectory() if self else None,
            )
        if self._labels is not None:
            self._targets = _targets(self._labels, *outputs.shape)
        if self._probabilities or (self._probabilities is None and _are_classes(self._labels)):
            outputs = outputs.sigmoid() if outputs.shape[1] == 1 else outputs.softmax(1)
        kept = {"times": step, "outputs": outputs.numpy().copy(), "losses": loss}
        if parameters is not None:
            kept["parameters"] = _full_precision(parameters.detach()).cpu().numpy().copy()
        for name, value in kept.items():
            if value is not None:
                self._kept[name].append(value)
        self._due = [due for due in self._due if due > step]

    def trajectory(self) -> Trajectory:
        """Return what was kept so far; inputs are those given as an array, else None."""
        if not self:
            raise ValueError("no snapshot was kept yet: call recorder(model, 0) before the first step")
        kept = {name: np.stack(rows) for name, rows in self._kept.items() if rows}
        return Trajectory(inputs=self._inputs, **kept)

    @property
    def targets(self) -> np.ndarray:
        """Targets of the outputs, (n, c) float64, either y or one-hot rows for classes; c is known from the outputs."""
        if self._targets is None:
            raise ValueError("targets are known after the first snapshot, where y was given or came with the batches")
        return self._targets

    def callback(self, base: type) -> Any:
        """Return a callback for ``lightning.Trainer(callbacks=[...])``; ``base`` is its class, ``lightning.Callback``.

        Steps are the trainer's ``global_step``. A Trainer calls every hook of every callback, so a callback inherits
        them from Lightning's class; naming it here keeps Lightning out of this package.

        Notes
        -----
        For ``transformers.Trainer(callbacks=[...])``, whose hooks bring the model and the state of the training, and
        whose models return more than a tensor::

            recorder = Recorder(tokens, labels, steps=2000, output=lambda result: result.logits)

            class Record(transformers.TrainerCallback):
                def on_train_begin(self, args, state, control, model, **others):
                    recorder(model, state.global_step)

                on_step_end = on_train_begin
        """
        recorder = self

        class RecorderCallback(base):
            def on_train_start(self, trainer: Any, pl_module: nn.Module) -> None:
                recorder(pl_module, trainer.global_step)

            def on_train_batch_end(self, trainer: Any, pl_module: nn.Module, *_: Any) -> None:
                recorder(pl_module, trainer.global_step)

        return RecorderCallback()

    def _read(self) -> Iterator[Tensor]:
        """Bring the loader's inputs; its labels are kept the first time, and later it must bring the same again."""
        order, labels = [], []
        for x, y in _pairs(self._loader):
            order.append(zlib.crc32(x.reshape(-1).view(torch.uint8).numpy()))
            if self._labels is None and y is not None:
                labels.append(_labels(y))
            yield x
        if self._order not in (None, order):
            raise ValueError(
                "the loader must bring the same inputs in the same order each time: no shuffling, no noise"
            )
        self._order = order
        if labels:
            self._labels = np.concatenate(labels)


def _evaluate(model: nn.Module, blocks: Iterable[Tensor], output: Callable[[Any], Tensor] | None) -> Tensor:
    require_module("model", model)
    device, dtype = _home(model)
    results = []
    with evaluating(model):
        for block in blocks:
            with accepted_by_model("x", block.shape):
                result = model(block.to(device, dtype if block.is_floating_point() else None))
            result = result if output is None else output(result)
            if not isinstance(result, Tensor):
                keys = f" with {', '.join(map(repr, result))}" if isinstance(result, dict) else ""
                raise ValueError(
                    f"the model must return a tensor; got a {type(result).__name__}{keys}."
                    " Say which part of it is meant: output=lambda result: ..."
                )
            if result.ndim == 0 or len(result) != len(block):
                raise ValueError(f"the model must return a row for each of {len(block)}; got {tuple(result.shape)}")
            results.append(_full_precision(result)[:, None].flatten(1))
    if not any(map(len, results)):
        raise ValueError("x must not be empty")
    return torch.cat(results)


def _inputs_for(model: nn.Module, name: str, x: ArrayLike) -> Tensor:
    """Return x as (n, ...) on the device of ``model`` and in its precision, or whole if it takes only tokens."""
    array, (device, dtype) = as_inputs(name, x, dtype=None), _home(model)
    points = torch.as_tensor(array.astype(np.float64, copy=False), dtype=dtype, device=device)
    if array.dtype.kind not in "iu" or _takes(model, points):
        return points
    tokens = torch.as_tensor(array.astype(np.int64), device=device)
    return tokens if _takes(model, tokens) else points


def _takes(model: nn.Module, x: Tensor) -> bool:
    try:
        with evaluating(model), accepted_by_model("x", x.shape):
            model(x[:1])
    except ValueError:
        return False
    return True


def _home(model: nn.Module) -> tuple[torch.device, torch.dtype | None]:
    """Return device and floating type of the parameters and buffers; without any, the CPU and None."""
    tensors = [*model.parameters(), *model.buffers()]
    dtype = next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), None)
    return tensors[0].device if tensors else torch.device("cpu"), dtype


def _full_precision(x: Tensor) -> Tensor:
    """Return x in single precision if it is in half: numpy has no bfloat16, and sums over samples need more."""
    return x.float() if x.dtype in (torch.bfloat16, torch.half) else x


def _inputs(x: ArrayLike) -> Tensor:
    """Return a copy on the CPU, so that a later change of x does not change the trajectory."""
    x = as_inputs("x", _full_precision(x) if isinstance(x, Tensor) else x, dtype=None)
    return torch.tensor(x, dtype=torch.int64 if x.dtype.kind in "iub" else None)


def _in_order(loader: Iterable) -> Iterable:
    """Return ``loader``, unless it can be seen to bring its batches only once or in another order each time."""
    if not isinstance(loader, Iterable) or isinstance(loader, Iterator):
        raise ValueError(
            "x must be an array, or a DataLoader or list of batches, which can be read again and again;"
            f" got {type(loader).__name__}"
        )
    if isinstance(getattr(loader, "sampler", None), data.RandomSampler):
        raise ValueError("the loader must keep its order: give a second DataLoader(..., shuffle=False)")
    return loader


def _pairs(loader: Iterable) -> Iterator[tuple[Tensor, Any]]:
    """Bring x and y (or None) of each batch."""
    for batch in loader:
        x, y = (*batch, None)[:2] if isinstance(batch, (tuple, list)) and batch else (batch, None)
        if not hasattr(x, "__array__"):
            raise ValueError(f"a batch must be an array x or (x, y, ...); got a {type(batch).__name__}")
        yield torch.as_tensor(x).detach().cpu(), y


def _are_classes(labels: np.ndarray | None) -> bool:
    return labels is not None and labels.dtype.kind == "i"


def _labels(y: ArrayLike) -> np.ndarray:
    """Return y as (n,) int64 if it holds classes, else as (n, c) float64."""
    array = as_inputs("y", y, dtype=None)
    if array.dtype.kind in "iub" and np.ndim(y) == 1:
        return array[:, 0].astype(np.int64)
    return array.reshape(len(array), -1).astype(np.float64)


def _targets(labels: np.ndarray, n: int, c: int) -> np.ndarray:
    """Return the targets (n, c) for outputs of that shape."""
    if _are_classes(labels):
        classes = max(c, 2)  # a single output is the probability of class 1
        if labels.min() < 0 or labels.max() >= classes:
            raise ValueError(
                f"y must hold classes 0..{classes - 1} for {c} output(s); got {labels.min()} to {labels.max()}:"
                " numbers to be predicted as such are floats"
            )
        labels = np.eye(classes)[labels][:, -c:]
    if labels.shape != (n, c):
        raise ValueError(
            f"y must have the shape of the outputs, {(n, c)}; got {labels.shape} (classes: whole numbers, shape (n,))"
        )
    return labels
