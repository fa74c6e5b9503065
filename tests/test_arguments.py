"""Every check lets the good through unchanged and names what was wrong with the rest."""

import re
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from fpcourse import _arguments
from fpcourse._arguments import (
    as_array,
    as_choice,
    as_count,
    as_counts,
    as_inputs,
    as_number,
    as_points,
    as_positive,
    require_module,
    require_same_length,
)

finite_arrays = npst.arrays(
    st.sampled_from([np.float64, np.float32, np.int64, np.uint8, np.bool_]), npst.array_shapes(min_dims=0, max_dims=3)
)


@given(finite_arrays)
def test_array_keeps_shape_and_values(value):
    value = np.nan_to_num(value)
    backwards = value[::-1].copy()[::-1] if value.ndim else value
    for given_as in (value, value.tolist(), torch.tensor(value), value.T.copy().T, backwards):
        result = as_array("a", given_as)
        assert result.dtype == np.float64
        np.testing.assert_array_equal(result, value.astype(np.float64))
        torch.as_tensor(result)  # which takes neither reversed nor read-only views
        assert as_array("a", value, dtype=None).dtype == value.dtype


def test_array_takes_a_tensor_with_a_gradient():
    np.testing.assert_array_equal(as_array("a", torch.nn.Parameter(torch.tensor([1.0, 2.0]))), [1.0, 2.0])


@pytest.mark.parametrize("value", ["12", ["1", "2"], None, [1, None], {"a": 1}, [[1, 2], [3]], torch.nn.Linear(1, 1)])
def test_array_takes_numbers_only(value):
    with pytest.raises(ValueError, match=r"^a must be an array of numbers; got "):
        as_array("a", value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: as_array("a", [1j]), "a must be real; got dtype complex128"),
        (
            lambda: as_array("a", [1.0, np.nan, np.inf, 4.0]),
            "a must be finite; 2 of 4 values are NaN or inf in float64",
        ),
        (lambda: as_array("a", np.zeros((3, 0))), re.escape("a must not be empty; got shape (3, 0)")),
        (lambda: as_array("a", 1.0, ndim=1), r"a must have 1 dimension\(s\); got shape \(\)"),
        (lambda: as_points("x", np.ones((2, 2, 2))), r"x must have 1 or 2 dimension"),
        (lambda: as_inputs("x", 1.0), "x must hold inputs"),
        (lambda: as_number("v", "three"), "v must be a number; got str 'three'"),
        (lambda: as_number("v", [1.0, 2.0]), "v must be a number; got list"),
        (lambda: as_positive("d", 0), "d must be a finite number > 0; got 0"),
        (lambda: as_positive("d", -1, zero_allowed=True), "d must be a finite number >= 0; got -1"),
        (lambda: as_positive("d", np.inf), "d must be a finite number > 0; got inf"),
        (lambda: as_count("m", 0), "m must be a whole number >= 1; got 0"),
        (lambda: as_count("m", 2.0), "m must be a whole number >= 1; got 2.0"),
        (lambda: as_count("m", 1, minimum=2), "m must be a whole number >= 2; got 1"),
        (lambda: as_counts("m", []), "m must hold at least one whole number"),
        (lambda: as_counts("m", [3, 0]), "each of m must be a whole number >= 1; got 0"),
        (lambda: as_choice("loss", "mse", ("square", None)), "loss must be one of 'square', None; got 'mse'"),
        (lambda: require_module("model", abs), "model must be a torch module; got builtin_function_or_method"),
        (lambda: require_module("model", torch.nn.Tanh(), trainable=True), "model must have parameters to train"),
    ],
)
def test_what_does_not_fit_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_good_comes_back():
    np.testing.assert_array_equal(as_points("x", [1, 2, 3]), [[1.0], [2.0], [3.0]])
    assert as_inputs("x", np.ones((2, 3, 4))).shape == (2, 3, 4)
    assert as_positive("d", np.float32(2)) == 2.0 and as_positive("d", 0, zero_allowed=True) == 0.0
    assert type(as_count("m", np.int8(5))) is int and as_counts("m", 3) == [3]
    assert as_choice("loss", None, ("square", None)) is None and as_choice("a", "relu", {"relu": 1}) == "relu"
    for value in (3, np.float64(3), np.array(3.0), torch.tensor(3.0, requires_grad=True)):
        assert as_number("v", value) == 3.0


def test_same_length_compares_the_named_axes():
    a, b = np.ones((4, 3)), np.ones((3, 4))
    require_same_length("a", a, "b", b, 1, 0)
    for axes, lengths in (((0, 0), "got 4 .* and 3 "), ((1, 1), "got 3 .* and 4 ")):
        with pytest.raises(ValueError, match=f"a and b must hold the same number of samples; {lengths}"):
            require_same_length("a", a, "b", b, *axes)


def test_what_a_model_does_not_take_is_a_value_error():
    refused = pytest.raises(ValueError, match=r"the model does not take x of shape \(2, 3\): mat1")
    with refused, _arguments.accepted_by_model("x", (2, 3)):
        torch.nn.Linear(4, 1)(torch.ones(2, 3))
    with pytest.raises(ValueError, match="the model must return a tensor; got tuple"):
        _arguments.require_tensor((1, 2))


@pytest.mark.parametrize(
    "failure",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("CUDA error: no kernel image is available for execution on the device"),
    ],
)
def test_the_failure_of_a_gpu_is_not_the_readers(failure):
    with pytest.raises(RuntimeError, match=r"^CUDA") as raised, _arguments.accepted_by_model("x", (2, 3)):
        raise failure
    assert raised.value is failure


def test_a_device_without_the_precision_is_named():
    class Model:
        def to(self, _):
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")

    with pytest.raises(ValueError, match=r"device of model has no torch.float64, use model.cpu\(\): Cannot convert"):
        _arguments.copied(Model(), torch.float64)


def test_what_does_not_fit_into_memory(monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=800))
    _arguments.require_memory("the kernel", (10, 10), "take less")
    message = r"^the kernel of shape \(10, 11\) takes 8.8e-07 GB, and 8e-07 GB are free: take less$"
    with pytest.raises(MemoryError, match=message):
        _arguments.require_memory("the kernel", (10, 11), "take less")
