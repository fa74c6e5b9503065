"""Argument checks: each returns the argument in the form that is computed with, or raises ``ValueError``.

They catch the mistakes that people make: shapes that disagree, values that are not finite, names that do not exist.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import DTypeLike


def as_array(
    name: str, value: Any, *, ndim: int | tuple[int, ...] | None = None, dtype: DTypeLike | None = np.float64
) -> np.ndarray:
    """Return ``value``, array-like or a tensor, as a finite, non-empty array; ``dtype`` None keeps its own."""
    try:
        result = value.numpy(force=True) if hasattr(value, "detach") else np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} must be an array of numbers; got {type(value).__name__}: {error}") from None
    if result.dtype.kind not in "biufc":  # text and None: numpy would turn some of them into numbers
        raise ValueError(f"{name} must be an array of numbers; got {type(value).__name__} {repr(value)[:60]}")
    if np.iscomplexobj(result) and not np.issubdtype(dtype, np.complexfloating):
        raise ValueError(f"{name} must be real; got dtype {result.dtype}")
    if min(result.strides, default=0) < 0:  # which "C" allows for a single entry, and torch does not
        result = result.copy()
    result = np.require(result, dtype, "CW")  # torch takes neither reversed nor read-only views
    if ndim is not None and result.ndim not in np.atleast_1d(ndim):
        wanted = " or ".join(map(str, np.atleast_1d(ndim)))
        raise ValueError(f"{name} must have {wanted} dimension(s); got shape {result.shape}")
    if result.size == 0:
        raise ValueError(f"{name} must not be empty; got shape {result.shape}")
    bad = int((~np.isfinite(result)).sum())
    if bad:
        raise ValueError(f"{name} must be finite; {bad} of {result.size} values are NaN or inf in {result.dtype}")
    return result


def as_points(name: str, x: Any) -> np.ndarray:
    """Return ``x`` as (n, d) float64 points; a vector of n numbers counts as n points in one dimension."""
    result = as_array(name, x, ndim=(1, 2))
    return result[:, None] if result.ndim == 1 else result


def as_inputs(name: str, x: Any, *, dtype: DTypeLike | None = np.float64) -> np.ndarray:
    """Return ``x`` as n inputs of any shape, (n, ...); a vector of n numbers counts as (n, 1)."""
    result = as_array(name, x, dtype=dtype)
    if result.ndim == 0:
        raise ValueError(f"{name} must hold inputs, shape (n,) or (n, ...); got a single number")
    return result[:, None] if result.ndim == 1 else result


def as_number(name: str, value: Any) -> float:
    """Return ``value`` as a float, NaN and inf included."""
    try:
        return float(value.detach() if hasattr(value, "detach") else value)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name} must be a number; got {type(value).__name__} {repr(value)[:60]}") from None


def as_positive(name: str, value: Any, *, zero_allowed: bool = False) -> float:
    """Return ``value`` as a finite float > 0 (or >= 0)."""
    result = as_number(name, value)
    if not np.isfinite(result) or result < 0 or (result == 0 and not zero_allowed):
        raise ValueError(f"{name} must be a finite number {'>=' if zero_allowed else '>'} 0; got {value!r}")
    return result


def as_count(name: str, value: Any, *, minimum: int = 1) -> int:
    """Return ``value``, a whole number >= ``minimum``, as an int."""
    if not isinstance(value, (int, np.integer)) or value < minimum:
        raise ValueError(f"{name} must be a whole number >= {minimum}; got {value!r}")
    return int(value)


def as_counts(name: str, values: Any, *, minimum: int = 1) -> list[int]:
    """Return ``values``, one whole number or several, as a list of at least one."""
    entries = list(values) if isinstance(values, Iterable) else [values]
    if not entries:
        raise ValueError(f"{name} must hold at least one whole number; got {values!r:.60}")
    return [as_count(f"each of {name}", entry, minimum=minimum) for entry in entries]


def as_choice(name: str, value: Any, allowed: Iterable) -> Any:
    """Return ``value``, one of ``allowed``."""
    if not any(value is each or (isinstance(value, type(each)) and value == each) for each in allowed):
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}; got {value!r}")
    return value


def require_same_length(
    name_a: str, a: np.ndarray, name_b: str, b: np.ndarray, axis_a: int = 0, axis_b: int = 0
) -> None:
    """Raise ValueError unless ``a`` and ``b`` hold the same number of samples along the given axes."""
    if a.shape[axis_a] != b.shape[axis_b]:
        raise ValueError(
            f"{name_a} and {name_b} must hold the same number of samples; got {a.shape[axis_a]} "
            f"(shape {tuple(a.shape)}) and {b.shape[axis_b]} (shape {tuple(b.shape)})"
        )


def require_module(name: str, model: Any, *, trainable: bool = False) -> None:
    """Raise ValueError unless ``model`` is a torch module (duck-typed: torch is not imported here)."""
    if not hasattr(model, "parameters") or not hasattr(model, "state_dict"):
        raise ValueError(f"{name} must be a torch module; got {type(model).__name__}")
    if trainable and not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError(f"{name} must have parameters to train; {type(model).__name__} has none")


def require_tensor(result: Any) -> Any:
    """Return what a model made of its inputs; raise ValueError unless it is a tensor."""
    if not hasattr(result, "detach"):
        raise ValueError(f"the model must return a tensor; got {type(result).__name__}")
    return result


def copied(model: Any, dtype: Any) -> Any:
    """Return a copy of a torch module in the given precision, on its device."""
    duplicate = copy.deepcopy(model)
    try:
        return duplicate.to(dtype)
    except TypeError as error:
        raise ValueError(f"the device of model has no {dtype}, use model.cpu(): {error}") from None


def require_memory(name: str, shape: tuple[int, ...], instead: str) -> None:
    """Raise MemoryError if float64 numbers of this shape do not fit into the memory that is free."""
    import psutil

    needed, free = 8 * math.prod(shape), psutil.virtual_memory().available
    if needed > free:
        sizes = f"takes {needed / 1e9:.3g} GB, and {free / 1e9:.3g} GB are free"
        raise MemoryError(f"{name} of shape {shape} {sizes}: {instead}")


@contextmanager
def accepted_by_model(name: str, shape: tuple[int, ...]) -> Iterator[None]:
    """Turn what a module says of inputs that it does not take into a ValueError, but not the failure of a GPU."""
    try:
        yield
    except (RuntimeError, IndexError) as error:
        if type(error).__name__ == "OutOfMemoryError" or str(error).startswith("CUDA error"):
            raise
        raise ValueError(f"the model does not take {name} of shape {tuple(shape)}: {error}") from None
