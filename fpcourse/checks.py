"""Checks of arguments shared by all modules: each raises ``ValueError`` saying what was expected and what came.

A diagnostic that broadcasts a wrong shape into a number is worse than one that stops, so every public function
passes its arrays through here before it computes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


def _numbers(name: str, expected: str, value, dtype) -> np.ndarray:
    """Array-like or torch tensor -> numpy array of a floating ``dtype``. Text, dates, None, and complex where ``dtype``
    is real raise ValueError: left to itself numpy would turn most of them into numbers.
    """
    try:
        # force: a torch tensor on any device, with or without a gradient or a pending conjugation
        result = value.numpy(force=True) if hasattr(value, "detach") else np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} must be {expected}; got {type(value).__name__}: {error}") from None
    if result.dtype.kind not in "biufc":
        raise ValueError(f"{name} must be {expected}; got {type(value).__name__} {repr(value)[:60]}")
    if np.iscomplexobj(result) and not np.issubdtype(dtype, np.complexfloating):
        raise ValueError(f"{name} must be real; got dtype {result.dtype}")
    with np.errstate(over="ignore"):  # what does not fit becomes inf, and is judged as such
        result = result.astype(dtype, copy=False)
    return result.copy() if any(stride < 0 for stride in result.strides) else result  # torch takes no reversed view


def array(name: str, value, *, ndim: int | tuple[int, ...] | None = None, dtype=np.float64) -> np.ndarray:
    """Return ``value`` (array-like or torch tensor) as a finite, non-empty numpy array of ``dtype``, a floating one.

    ``ndim`` lists the numbers of dimensions that are allowed. Raises ValueError for anything else.
    """
    result = _numbers(name, "an array of numbers", value, dtype)
    if ndim is not None:
        allowed = (ndim,) if isinstance(ndim, int) else tuple(ndim)
        if result.ndim not in allowed:
            wanted = " or ".join(str(n) for n in allowed)
            raise ValueError(f"{name} must have {wanted} dimension(s); got shape {result.shape}")
    if result.size == 0:
        raise ValueError(f"{name} must not be empty; got shape {result.shape}")
    if not np.isfinite(result).all():
        bad = int((~np.isfinite(result)).sum())
        raise ValueError(f"{name} must be finite; {bad} of {result.size} values are NaN or inf in {result.dtype}")
    return result


def points(name: str, x) -> np.ndarray:
    """Return ``x`` as an (n, d) float64 array of points; a vector of n numbers counts as n points in one dimension."""
    result = array(name, x, ndim=(1, 2))
    return result[:, None] if result.ndim == 1 else result


def inputs(name: str, x, *, dtype=np.float64) -> np.ndarray:
    """Return ``x`` as n inputs of any shape, (n, ...); a vector of n numbers counts as (n, 1)."""
    result = array(name, x, dtype=dtype)
    if result.ndim == 0:
        raise ValueError(f"{name} must hold inputs, shape (n,) or (n, ...); got a single number")
    return result[:, None] if result.ndim == 1 else result


def module(name: str, model) -> None:
    """Raise ValueError unless ``model`` is a torch module (told by its ways: torch is not imported here)."""
    if not (callable(model) and hasattr(model, "named_parameters")) or isinstance(model, type):
        raise ValueError(f"{name} must be a torch module; got {type(model).__name__}")


def filled_module(name: str, model) -> None:
    """Raise ValueError unless ``model`` is a torch module whose parameters have values."""
    module(name, model)
    if any(parameter.is_meta for parameter in model.parameters()):
        raise ValueError(f"{name} must hold numbers; its parameters are on torch's meta device, which keeps none")


def outputs(result):
    """Return what a model made of its inputs; raise ValueError unless it is a tensor."""
    if not hasattr(result, "detach"):
        raise ValueError(f"the model must return a tensor; got {type(result).__name__}")
    return result


def phases(name_a: str, a: np.ndarray, name_b: str, b: np.ndarray) -> None:
    """Raise ValueError where the products 2 pi a.b of points (n, d) and (m, d) may leave float64."""
    with np.errstate(over="ignore"):
        if not np.isfinite(2 * np.pi * a.shape[-1] * np.abs(a).max() * np.abs(b).max()):
            raise ValueError(f"2 pi {name_a}.{name_b} must stay within float64; {name_a} or {name_b} is too large")


@contextmanager
def accepted_by_model(name: str, shape) -> Iterator[None]:
    """Turn what a module says of inputs it does not take into a ValueError."""
    try:
        yield
    except (RuntimeError, IndexError) as error:
        raise ValueError(f"the model does not take {name} of shape {tuple(shape)}: {error}") from None


def same_length(name_a: str, a: np.ndarray, name_b: str, b: np.ndarray, axis_a: int = 0, axis_b: int = 0) -> None:
    """Raise ValueError unless ``a`` and ``b`` hold the same number of samples along the given axes."""
    if a.shape[axis_a] != b.shape[axis_b]:
        raise ValueError(
            f"{name_a} and {name_b} must hold the same number of samples; got {a.shape[axis_a]} "
            f"(shape {a.shape}) and {b.shape[axis_b]} (shape {b.shape})"
        )


def number(name: str, value) -> float:
    """Return ``value`` as a float, NaN and inf included; raise ValueError unless it is one real number."""
    result = _numbers(name, "a number", value, np.float64)
    if result.ndim:
        raise ValueError(f"{name} must be a number; got an array of shape {result.shape}")
    return float(result)


def positive(name: str, value, *, zero_allowed: bool = False) -> float:
    """Return ``value`` as a float; raise ValueError unless it is a finite number > 0 (or >= 0)."""
    result = number(name, value)
    if not np.isfinite(result) or result < 0 or (result == 0 and not zero_allowed):
        raise ValueError(f"{name} must be a finite number {'>=' if zero_allowed else '>'} 0; got {value!r}")
    return result


def count(name: str, value, *, minimum: int = 1) -> int:
    """Return ``value`` as an int; raise ValueError unless it is a whole number >= ``minimum``, at most 2^53."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.timedelta64))
    if not whole or value < minimum:
        raise ValueError(f"{name} must be a whole number >= {minimum}; got {value!r}")
    if value > 2**53:  # where float64 ends to tell whole numbers apart; sizes of torch end at 2^63
        raise ValueError(f"{name} must be at most 2^53; got {value!r}")
    return int(value)


def counts(name: str, values, *, minimum: int = 1) -> list[int]:
    """Return ``values``, one whole number or a sequence of them, as a list of at least one; else raise ValueError."""
    try:
        entries = np.atleast_1d(np.asarray(values, object)).tolist()
    except (TypeError, ValueError, RuntimeError):  # tensors that hold no numbers, or are asked for a gradient
        entries = []
    if not entries:
        raise ValueError(f"{name} must hold at least one whole number; got {values!r:.60}")
    return [count(f"each of {name}", entry, minimum=minimum) for entry in entries]


def choice(name: str, value, allowed) -> str:
    """Return the one of ``allowed`` that equals ``value``; raise ValueError where none does, naming them."""
    try:
        equal = [each for each in allowed if value is each or value == each]
    except (TypeError, ValueError, RuntimeError):  # arrays and tensors compare entry by entry
        equal = []
    if not equal:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}; got {value!r}")
    return equal[0]
