"""Every row of the table in tests/test_bad_inputs.py with odd arguments, drawn by hypothesis: tests/fuzz.md.

    FUZZ_EXAMPLES=2000 pytest tests/test_fuzz.py [-k fourier] [--hypothesis-seed 7]

Wrong is: an error that is not raised by the package itself, a result with NaN, an argument that was changed, and a
call that does not end.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import inspect
import os
import random
import signal
import traceback
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from test_bad_inputs import CALLS, has_numbers, is_number, net
from torch import nn

from fpcourse import models
from fpcourse.trajectory import Trajectory

DRAWINGS = ("interactive.", "plotting.")  # leave what they are shown to plotly and matplotlib
LEFT = {"recording.evaluate", "flow.gradient_flow"}  # tests/fuzz.md
AS_IT_IS = {"models.parameters_of"}  # reads off a model what is there, NaN too
HANGS_AFTER = 8  # seconds of the processor; the good calls take milliseconds
ENTRIES = [np.nan, np.inf, -np.inf, 1e300, -1e300, 1e155, 5e-324, 1e-300, 0.0, -0.0, -1.0, 0.5, 1.0, 7.0]
SCALES = [1e300, 1e150, 1e-160, 1e-300, -1.0, 0.0, 3.0]
DTYPES = ["f8", "f4", "f2", ">f8", ">i4", "i8", "i1", "u1", "u8", "?", "O", "c16", "U8", "S4", "M8[s]", "m8[s]"]

RESHAPED = [
    lambda a: a[None],
    lambda a: a[..., None],
    lambda a: a.T,
    lambda a: a[:0],
    lambda a: a[..., :0],
    lambda a: a[:1],
    lambda a: a[..., :1],
    lambda a: a[[0] * len(a)],
    lambda a: a[::-1],
    lambda a: a[::2],
    lambda a: np.concatenate([a, a]),
    lambda a: np.stack([a, a, a]),
    np.ravel,
    np.sort,
]
DRESSED = [
    *[lambda a: a] * 4,
    np.asfortranarray,
    lambda a: np.repeat(a, 2, axis=0)[::2],
    lambda a: np.broadcast_to(a, a.shape),  # read-only
    np.ndarray.tolist,
    tuple,
    np.ma.masked_array,
    lambda a: torch.tensor(a.tolist(), dtype=torch.float64, requires_grad=True),
    *(partial(lambda dtype, a: torch.tensor(a.tolist()).to(dtype), each)
      for each in (torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.complex64)),
    lambda a: torch.tensor(a.tolist()).to_sparse(),
    lambda a: torch.empty(a.shape, device="meta"),
]  # fmt: skip
ANYTHING = [
    None, "", "no such name", b"ab", object(), {}, set(), [], [[]], [[1, 2], [3]], ["a", 1], [None], range(3), ..., 1j,
    True, False, 0, 1, 2, 3, 5, -1, -7, 2.0, 0.5, -0.5, 1e300, 5e-324, float("inf"), float("nan"), type, iter([1, 2]),
    np.True_, np.float64("nan"), np.float32(1.5), np.int8(3), np.uint8(4), np.float16(2), np.array(3), np.array(2.5),
    np.datetime64("NaT"), np.timedelta64(1, "s"), np.array("a"), np.zeros((0, 3)), torch.float64,
    torch.empty(3, device="meta"), torch.tensor(2.0, requires_grad=True), [torch.ones(2), torch.ones(3)],
]  # fmt: skip


class Returning(nn.Module):
    """A module that makes of its inputs whatever ``make`` says."""

    def __init__(self, make) -> None:
        super().__init__()
        self.make, self.weight = make, nn.Parameter(torch.ones(1, dtype=torch.float64))

    def forward(self, x):
        return self.make(self.weight * x)


def filled(value: float) -> nn.Module:
    model = net()
    with torch.no_grad():
        model.w.fill_(value)
    return model


MODULES = [
    lambda: nn.Linear(1, 1), nn.ReLU, nn.Sequential, lambda: net().half(), lambda: net().bfloat16(),
    lambda: net().float(), lambda: net().to("meta"), lambda: net().requires_grad_(False), lambda: models.MLP([1, 3, 1]),
    lambda: models.Ensemble([1, 3, 1], 2), lambda: models.TwoLayer(2, 3), lambda: models.TwoLayer(1, 3, 2, bias=None),
    lambda: models.CircularCNN(3, 2), lambda: Returning(lambda x: (x, x)), lambda: Returning(lambda x: None),
    lambda: Returning(lambda x: x.sum()), lambda: Returning(lambda x: x[:, :, None]),
    *(partial(filled, value) for value in (np.nan, np.inf, 1e300, 1e-300, 0.0)),
]  # fmt: skip
FUNCTIONS = [
    lambda u: None, lambda u: 1.0, lambda u: np.nan * u, lambda u: 1j * u, lambda u: u[:1], lambda u: u[None], str,
    lambda u: 1e300 * u, torch.as_tensor, list,
]  # fmt: skip


def odd_array(r: random.Random, like):
    """An array near a good one, or one from nowhere; then of any type, in any guise."""
    if r.random() < 0.7:
        value = np.array(like.detach() if isinstance(like, torch.Tensor) else like, dtype=float)
        for _ in range(r.randint(1, 3)):
            change = r.choice(["shape", "entry", "all entries", "scale"])
            if change == "shape":
                with contextlib.suppress(IndexError, TypeError, ValueError):  # a single number, or nothing left
                    value = r.choice(RESHAPED)(value)
            elif change == "entry" and value.size:
                value = value.copy()
                value.flat[r.randrange(value.size)] = r.choice(ENTRIES)
            elif change == "all entries":
                value = np.full_like(value, r.choice(ENTRIES))
            elif change == "scale":
                value = value * r.choice(SCALES)
    else:
        shape = [r.choice([0, 1, 2, 3, 5, 12]) for _ in range(r.randrange(4))]
        value = np.random.default_rng(r.randrange(10**6)).normal(size=shape)
    with contextlib.suppress(TypeError, ValueError, OverflowError, RuntimeError):  # not every guise fits every type
        value = value if r.random() < 0.5 else value.astype(r.choice(DTYPES))
        return r.choice(DRESSED)(value)
    return value


def odd(r: random.Random, like):
    """An odd value for an argument that is meant to be such as ``like``."""
    if r.random() < 0.75:
        if isinstance(like, nn.Module):
            return r.choice(MODULES)()
        if callable(like):
            return r.choice(FUNCTIONS)
        if is_number(like):
            kind = r.choice([int, float, np.int16, np.uint8, np.array, torch.tensor])
            return r.choice(ENTRIES) if r.random() < 0.4 else kind(r.randint(0, 9))
        if isinstance(like, torch.Tensor) or (np.size(like) and has_numbers(like)):
            return odd_array(r, like)
    return copy.deepcopy(r.choice(ANYTHING))  # an iterator is used up


def arguments_of(name: str) -> dict:
    """Arguments of a row, each with a good value: those it gives, and those left to their defaults that are no texts to
    be shown and lead to no other machine."""
    function, good = CALLS[name]
    fixed = {
        "full",
        "device",
        "x_label",
        "y_label",
        "time_label",
        *(function.keywords if isinstance(function, partial) else ()),
    }
    parameters = inspect.signature(function).parameters.values()
    return {each.name: each.default for each in parameters if each.name not in fixed} | good


def state(value):
    """All that a call must leave as it was."""
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape, repr(value) if value.dtype.hasobject else value.tobytes()
    if isinstance(value, torch.Tensor):
        return value.dtype, value.shape, value.requires_grad, value.grad is None, repr(value)
    if isinstance(value, nn.Module):
        return value.training, [(key, state(each)) for key, each in value.state_dict(keep_vars=True).items()]
    if isinstance(value, (list, tuple)):
        return [state(each) for each in value]
    if isinstance(value, dict):
        return {key: state(each) for key, each in value.items()}
    return state(vars(value)) if isinstance(value, Trajectory) else repr(value)


def numbers_in(result) -> list[np.ndarray]:
    """All arrays of numbers in a result; not the parameters of a module, which may be those it was given."""
    if dataclasses.is_dataclass(result):
        result = vars(result)
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, (list, tuple)):
        return [each for part in result for each in numbers_in(part)]
    if isinstance(result, torch.Tensor):
        return [] if result.is_meta else [result.detach().to_dense().double().numpy()]
    return [np.asarray(result)] if isinstance(result, (np.ndarray, np.generic, float)) else []


class Hangs(BaseException):
    """Raised out of a call that does not end."""


def stop(*_) -> None:
    raise Hangs


@pytest.mark.filterwarnings("ignore")  # of overflow, on the way to the refusal
@pytest.mark.parametrize("name", [name for name in CALLS if not name.startswith(DRAWINGS) and name not in LEFT])
@settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "20")),
    derandomize="FUZZ_EXAMPLES" not in os.environ,  # in every run of the tests the same ones, by hand new ones
    phases=[Phase.generate],  # arguments as odd as these do not shrink in any time worth waiting for
    suppress_health_check=list(HealthCheck),
)
@given(r=st.randoms(use_true_random=False))
def test_odd_arguments_are_refused_or_do_no_harm(name, r):
    good = arguments_of(name)
    spoilt = {each: odd(r, good[each]) for each in r.sample(sorted(good), min(len(good), r.randint(1, 2)))}
    note(f"{name} with {spoilt!r:.300}")
    arguments = {**copy.deepcopy(CALLS[name][1]), **spoilt}
    before = state(arguments)
    torch.manual_seed(0)
    signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, HANGS_AFTER)
    try:
        result = CALLS[name][0](**arguments)
    except Exception as error:
        if not refused(error):
            raise
        return
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        plt.close("all")
    if name not in AS_IT_IS:
        assert not any(np.isnan(a).any() for a in numbers_in(result) if a.dtype.kind in "fc"), "NaN returned"
    if not name.startswith("training"):  # which trains the model it is given
        assert state(arguments) == before, "an argument was changed"


def refused(error: Exception) -> bool:
    """Whether the package itself raised the error."""
    frames = traceback.extract_tb(error.__traceback__)
    return "/fpcourse/" in frames[-1].filename and frames[-1].line.startswith("raise")
