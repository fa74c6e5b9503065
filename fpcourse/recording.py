"""Take snapshots of a model that somebody else trains: evaluation that disturbs nothing, and a ``Recorder`` of f(., t).

A recorder is called after each optimiser step of any loop, and keeps a snapshot when one is due::

    recorder = Recorder(x, y, steps=2000)
    recorder(model, 0)
    for step, (inputs, labels) in enumerate(batches, start=1):
        ...                                  # your own loss.backward() and optimizer.step()
        recorder(model, step)
    trajectory, targets = recorder.trajectory(), recorder.targets

:func:`fpcourse.training.train` keeps its snapshots in one, too.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import data

from fpcourse._arguments import accepted_by_model, as_array, as_count, as_number, require_module, require_same_length
from fpcourse.trajectory import Trajectory

EVALUATION_BLOCK = 512  # rows per forward pass without gradients: bounds the memory of convolutional nets


class TrainingDiverged(RuntimeError):
    """A loss or an output became NaN or infinite. ``trajectory`` holds all snapshots before, None where none was."""

    # The default lets the error cross from a worker process to its parent: pickle rebuilds it from the message alone.
    def __init__(self, message: str, trajectory: Trajectory | None = None) -> None:
        super().__init__(message)
        self.trajectory = trajectory


def log_spaced(steps: int, count: int = 60) -> list[int]:
    """At most ``count`` distinct whole steps from 0 to ``steps``, dense early: 0, 1, 2, 3, 5, ... , steps."""
    steps, count = as_count("steps", steps), as_count("count", count, minimum=2)
    return sorted({0, *np.geomspace(steps, 1, count - 1).round().astype(int).tolist()})  # first of all: the last step


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """Evaluation mode without gradients. Afterwards, even after an error, each submodule is put back as it was, and so
    are torch's random numbers: loaders draw some, and so do models with noise of their own.
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


def evaluate(model: nn.Module, x, *, output: Callable | None = None) -> Tensor:
    """Outputs (n, c) of ``model`` in evaluation mode, float32 or float64, on the device of the model.

    x       (n, ...) tensor, taken in blocks of rows, or a loader as :func:`batches` takes it. Each block is moved to
            the model's device, and to its precision unless it holds whole numbers (tokens)
    output  picks the tensor out of what the model returns, where that is a tuple, a dict or an object

    Outputs (n,) become (n, 1), those of more dimensions are flattened to (n, c). Raises ValueError where the model
    returns no tensor, or not one row per sample.
    """
    return _evaluate(model, x.split(EVALUATION_BLOCK) if isinstance(x, Tensor) else batches(x), _picker(output))


def batches(loader: Iterable) -> Iterator[Tensor]:
    """The inputs of a DataLoader or any other re-iterable, batch after batch: x of each batch x or (x, y, ...).

    Raises ValueError for a loader that shuffles, an iterator that can be read only once, and a batch that is no array.
    """
    return (x for x, _ in _pairs(_in_order(loader)))


class Recorder:
    """Keeps the outputs of a model in training, as a :class:`~fpcourse.trajectory.Trajectory`.

    x       where to evaluate: an array (n, ...); or, for data that do not fit in memory, a DataLoader or any other
            re-iterable of batches x or (x, y, ...) that come in the same order every time
    y       targets, (n,) or (n, ...); default: the second items of the loader's batches. Whole numbers of shape (n,)
            are classes: their :attr:`targets` are one-hot rows, and the outputs kept are probabilities
    steps   the last step (up to 60 snapshots are then spaced by :func:`log_spaced`), or the steps themselves
    output  picks the tensor out of what the model returns: ``output=lambda result: result["logits"]``
    probabilities   turn outputs into probabilities: softmax, or the sigmoid of a single one. Default: where y holds
            classes. False for a model that returns probabilities; log-probabilities are right either way

    Snapshots change nothing in the training, see :func:`evaluating`. Only outputs are kept, on the CPU; the inputs of
    a loader are not. Raises ValueError for arguments that do not fit.
    """

    def __init__(
        self,
        x,
        y=None,
        *,
        steps: int | Sequence[int],
        output: Callable | None = None,
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
        self._output = _picker(output)
        self._probabilities = probabilities
        self._targets: np.ndarray | None = None
        self._order: list[int] | None = None
        self._kept: dict[str, list] = {"times": [], "outputs": [], "losses": [], "parameters": []}

    def __len__(self) -> int:
        return len(self._kept["times"])

    def __call__(self, model: nn.Module, step: int) -> None:
        """Keep a snapshot of ``model`` after ``step`` optimiser steps if one is due, else return at once.

        One is due at the first call at or after each of the steps asked for; calling twice at one step does no harm.
        Raises :class:`TrainingDiverged` where an output is not finite; ValueError where the model, its outputs or the
        loader do not fit (see :func:`evaluate`) and where ``step`` is smaller than the last one kept.
        """
        times, step = self._kept["times"], as_count("step", step, minimum=0)
        if times and step < times[-1]:
            raise ValueError(f"step must not fall; got {step} after {times[-1]}: a new training takes a new Recorder")
        if self._due and step >= self._due[0]:
            blocks = self._inputs.split(EVALUATION_BLOCK) if self._loader is None else self._read()
            self.keep(step, _evaluate(model, blocks, self._output))

    def keep(self, step: int, outputs: Tensor, *, loss: float | None = None, parameters: Tensor | None = None) -> None:
        """Keep outputs (n, c) that were computed elsewhere, and with them a loss or all parameters (P,)."""
        step, loss = as_count("step", step, minimum=0), None if loss is None else as_number("loss", loss)
        for name, value, ndim in (("outputs", outputs, 2), ("parameters", parameters, 1)):
            missing = value is None and name == "parameters"
            if not missing and not (isinstance(value, Tensor) and value.ndim == ndim):
                raise ValueError(f"{name} must be a tensor of {ndim} dimension(s); got {type(value).__name__}")
        outputs = _in_full_precision(_on_cpu("outputs", outputs))
        bad = int((~outputs.isfinite()).sum())
        if bad:
            raise TrainingDiverged(
                f"{bad} of {outputs.numel()} outputs are NaN or infinite at step {step}"
                " (the snapshots so far are in this error's .trajectory)",
                self.trajectory() if self else None,
            )
        if self._labels is not None:
            self._targets = _targets(self._labels, len(outputs), outputs.shape[1])
        if self._probabilities or (self._probabilities is None and _are_classes(self._labels)):
            outputs = outputs.sigmoid() if outputs.shape[1] == 1 else outputs.softmax(1)
        if parameters is not None:
            parameters = _in_full_precision(_on_cpu("parameters", parameters)).numpy().copy()
        values = {"times": step, "outputs": outputs.numpy(force=True).copy(), "losses": loss, "parameters": parameters}
        for name, value in values.items():
            if value is not None:
                self._kept[name].append(value)
        self._due = [due for due in self._due if due > step]

    def trajectory(self) -> Trajectory:
        """What was kept so far; ValueError where that is nothing. Inputs are those given as an array, else None."""
        if not self:
            raise ValueError("no snapshot was kept yet: call recorder(model, 0) before the first step")
        kept = {name: np.stack(rows) for name, rows in self._kept.items() if rows}
        return Trajectory(inputs=None if self._inputs is None else self._inputs.numpy(), **kept)

    @property
    def targets(self) -> np.ndarray:
        """What the outputs should become, (n, c) float64: y, or one-hot rows for classes (c known from the outputs)."""
        if self._targets is None:
            raise ValueError("targets are known after the first snapshot, where y was given or came with the batches")
        return self._targets

    def callback(self, base: type):
        """Return a callback for ``lightning.Trainer(callbacks=[...])``; ``base`` is its class, ``lightning.Callback``.

        Steps are the trainer's ``global_step``. A Trainer calls every hook of every callback, so a callback inherits
        them from Lightning's class; naming it here keeps Lightning out of this package.
        """
        recorder = self

        class RecorderCallback(base):
            def on_train_start(self, trainer, pl_module) -> None:
                recorder(pl_module, trainer.global_step)

            def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
                recorder(pl_module, trainer.global_step)

        return RecorderCallback()

    def _read(self) -> Iterator[Tensor]:
        """The loader's inputs; its labels are kept the first time, and later it must bring the same again."""
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


def _evaluate(model: nn.Module, blocks: Iterable[Tensor], output: Callable | None) -> Tensor:
    require_module("model", model)
    device, dtype = _home(model)
    results = []
    with evaluating(model):
        for block in blocks:
            if not len(block):
                raise ValueError(f"x must hold inputs; got a batch of shape {tuple(block.shape)}")
            with accepted_by_model("x", block.shape):
                result = model(block.to(device, dtype if block.is_floating_point() else None))
            result = result if output is None else output(result)
            if not isinstance(result, Tensor):
                raise ValueError(
                    f"the model must return a tensor; got {_described(result)}."
                    " Say which part of it is meant: output=lambda result: ..."
                )
            if result.ndim == 0 or len(result) != len(block):
                raise ValueError(f"the model must return a row for each of {len(block)}; got {tuple(result.shape)}")
            result = result if result.dtype == torch.float64 else result.float()
            results.append(result.reshape(len(result), -1))
    if not results:
        raise ValueError("x must hold inputs; the loader brought no batch")
    return torch.cat(results)


def _home(model: nn.Module) -> tuple[torch.device, torch.dtype | None]:
    """Device and floating type of the first parameter, of a buffer where there is none; else the CPU, any type."""
    tensors = [*model.parameters(), *model.buffers()]
    dtypes = [tensor.dtype for tensor in tensors if tensor.is_floating_point()]
    return tensors[0].device if tensors else torch.device("cpu"), dtypes[0] if dtypes else None


def _described(result) -> str:
    if isinstance(result, dict):
        return f"a dict with {', '.join(map(repr, result))}"
    return f"a {type(result).__name__}" + (f" of {len(result)}" if isinstance(result, (tuple, list)) else "")


def _picker(output: Callable | None) -> Callable | None:
    if output is not None and not callable(output):
        raise ValueError(f"output must be a function of what the model returns; got {type(output).__name__}")
    return output


def _on_cpu(name: str, x: Tensor) -> Tensor:
    if x.is_meta or x.layout != torch.strided:
        raise ValueError(f"{name} must be a dense tensor that holds numbers; got {x.layout} on {x.device}")
    return x.detach().cpu()


def _in_full_precision(x: Tensor) -> Tensor:
    """numpy has no bfloat16, and half a precision is too little for sums over samples."""
    return x.float() if x.dtype in (torch.bfloat16, torch.half) else x


def _inputs(x) -> Tensor:
    """A copy on the CPU: whoever changes x afterwards must not change the trajectory."""
    x = _on_cpu("x", x) if isinstance(x, Tensor) else x
    x = _in_full_precision(x) if isinstance(x, Tensor) else x
    kind = np.asarray(x).dtype
    array = as_array("x", x, dtype=np.float32 if kind == np.float32 else np.float64)
    if array.ndim == 0:
        raise ValueError(f"x must have shape (n, ...); got the single number {array}")
    array = np.array(array[:, None] if array.ndim == 1 else array, order="C")
    return torch.as_tensor(array.astype(np.int64) if kind.kind in "iu" else array)


def _in_order(loader: Iterable) -> Iterable:
    """Return ``loader`` unless it can be seen to bring its batches only once or in another order each time."""
    if not isinstance(loader, Iterable) or isinstance(loader, (Iterator, data.Dataset)):
        raise ValueError(
            "x must be an array, or a DataLoader or list of batches, which can be read again and again;"
            f" got {type(loader).__name__}"
        )
    sampler = getattr(getattr(loader, "batch_sampler", None) or loader, "sampler", None)
    random = (data.RandomSampler, data.SubsetRandomSampler, data.WeightedRandomSampler)
    if isinstance(sampler, random) or getattr(sampler, "shuffle", False):
        raise ValueError(
            f"the loader must keep its order, but samples with {type(sampler).__name__}:"
            " give a second DataLoader(..., shuffle=False)"
        )
    return loader


def _pairs(loader: Iterable) -> Iterator[tuple[Tensor, object]]:
    """(x, y) of each batch, None for a y that is not there. The loader's own generator is put back as it was."""
    generator = getattr(loader, "generator", None)
    state = None if generator is None else generator.get_state()
    try:
        for batch in loader:
            x, y = (*batch, None)[:2] if isinstance(batch, (tuple, list)) and batch else (batch, None)
            if not hasattr(x, "__array__"):
                raise ValueError(f"a batch must be an array x or (x, y, ...); got {_described(batch)}")
            try:  # torch takes no reversed view
                x = torch.as_tensor(np.ascontiguousarray(x) if isinstance(x, np.ndarray) else x)
            except (TypeError, ValueError, RuntimeError) as error:
                raise ValueError(f"a batch must hold numbers; got {_described(batch)}: {error}") from None
            yield _on_cpu("a batch", x), y
    finally:
        if generator is not None:
            generator.set_state(state)


def _are_classes(labels: np.ndarray | None) -> bool:
    return labels is not None and labels.dtype.kind == "i"


def _labels(y) -> np.ndarray:
    """y as (n,) int64 where it holds classes, else as (n, c) float64."""
    try:
        y = _on_cpu("y", y) if isinstance(y, Tensor) else np.asarray(y)
    except ValueError as error:
        raise ValueError(f"y must be an array of numbers; got {type(y).__name__}: {error}") from None
    whole = y.dtype.kind in "iub" if isinstance(y, np.ndarray) else not y.dtype.is_floating_point
    array = as_array("y", y.float() if y.dtype == torch.bfloat16 else y)
    if array.ndim == 0:
        raise ValueError(f"y must have shape (n,) or (n, ...); got the single number {array}")
    if whole and array.ndim > 1:
        raise ValueError(
            f"y of a whole-number type must hold classes, shape (n,); got {array.shape}: values are floats"
        )
    return array.astype(np.int64) if whole else array.reshape(len(array), -1)


def _targets(labels: np.ndarray, n: int, c: int) -> np.ndarray:
    """Targets (n, c) for outputs of that shape."""
    if len(labels) != n:
        raise ValueError(f"x and y must hold the same number of samples; got {n} and {len(labels)}")
    if not _are_classes(labels):
        if labels.shape[1] != c:
            raise ValueError(
                f"y must have the shape of the outputs, {(n, c)}; got {labels.shape} (classes have a whole-number type)"
            )
        return labels
    classes = max(c, 2)  # a single output is the probability of class 1
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"y must hold classes 0..{classes - 1} for {c} output(s); got {labels.min()} to {labels.max()}:"
            " numbers to be predicted as such are floats"
        )
    return np.eye(classes)[labels][:, -c:]
