"""Every check lets the good through unchanged and names what was wrong with the rest."""

import decimal
import re
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from fpcourse import checks

finite_arrays = npst.arrays(
    st.sampled_from([np.float64, np.float32, np.float16, np.int8, np.int64, np.uint8, np.bool_]),
    npst.array_shapes(min_dims=0, max_dims=3),
)


@given(finite_arrays)
def test_array_keeps_shape_and_values(value):
    value = np.nan_to_num(value)
    for given_as in (value, value.tolist(), torch.tensor(value), value.T.copy().T):
        result = checks.array("a", given_as)
        assert result.dtype == np.float64
        np.testing.assert_array_equal(result, value.astype(np.float64))


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor([1.0, 2.0], requires_grad=True),
        torch.nn.Parameter(torch.tensor([1.0, 2.0])),
        torch.tensor([1 - 1j, 2 - 2j]).conj().imag,  # carries torch's "negative bit"
    ],
)
def test_array_takes_any_real_tensor(tensor):
    np.testing.assert_array_equal(checks.array("a", tensor), [1.0, 2.0])


def test_array_keeps_complex_only_where_asked():
    z = np.array([1 + 2j, 3.0])
    np.testing.assert_array_equal(checks.array("z", z, dtype=np.complex128), z)
    np.testing.assert_array_equal(checks.array("z", torch.tensor(z).conj(), dtype=np.complex128), z.conj())
    for value in (z, torch.tensor(z), [1j]):
        with pytest.raises(ValueError, match=r"^z must be real; got dtype complex128"):
            checks.array("z", value)


@pytest.mark.parametrize(
    "value",
    [
        "12",
        ["1", "2"],
        b"1",
        None,
        [None],
        [1, None],
        {1, 2},
        {"a": 1},
        [[1, 2], [3]],
        np.array(["2020-01-01"], "M8[D]"),
        np.array([5], "m8[s]"),
        [decimal.Decimal(1)],
        torch.nn.Linear(1, 1),
        torch.ones(2, dtype=torch.bfloat16),
        [torch.ones(2, requires_grad=True)],
    ],
    ids=repr,
)
def test_array_takes_numbers_only(value):
    with pytest.raises(ValueError, match=r"^a must be an array of numbers; got "):
        checks.array("a", value)
    with pytest.raises(ValueError, match=r"^a must be a number; got "):
        checks.number("a", value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.array, torch.tensor, list])
def test_array_must_be_finite(bad, kind):
    with pytest.raises(ValueError, match="a must be finite; 2 of 4 values are NaN or inf in float64"):
        checks.array("a", kind([1.0, bad, bad, 4.0]))


def test_what_overflows_a_smaller_dtype_is_not_finite():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="1 of 2 values are NaN or inf in float32"):
            checks.array("a", [1.0, 1e300], dtype=np.float32)


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 2)])
def test_array_must_not_be_empty(shape):
    with pytest.raises(ValueError, match=re.escape(f"a must not be empty; got shape {shape}")):
        checks.array("a", np.zeros(shape))


@pytest.mark.parametrize(
    ("ndim", "good", "bad", "said"),
    [(1, [(3,)], [(), (3, 1)], "1"), ((1, 2), [(3,), (3, 1)], [(), (1, 1, 1)], "1 or 2"), (0, [()], [(1,)], "0")],
)
def test_array_dimensions(ndim, good, bad, said):
    for shape in good:
        assert checks.array("a", np.ones(shape), ndim=ndim).shape == shape
    for shape in bad:
        with pytest.raises(ValueError, match=f"a must have {said} dimension"):
            checks.array("a", np.ones(shape), ndim=ndim)


def test_points():
    np.testing.assert_array_equal(checks.points("x", [1, 2, 3]), [[1.0], [2.0], [3.0]])
    np.testing.assert_array_equal(checks.points("x", [[1, 2, 3]]), [[1.0, 2.0, 3.0]])
    for bad in (1.0, np.ones((2, 2, 2))):
        with pytest.raises(ValueError, match="x must have 1 or 2 dimension"):
            checks.points("x", bad)


def test_same_length_compares_the_named_axes():
    a, b = np.ones((4, 3)), np.ones((3, 4))
    checks.same_length("a", a, "b", a[:, :1])
    checks.same_length("a", a, "b", b, 1, 0)
    checks.same_length("a", a, "b", b, 0, 1)
    for axes, lengths in (((0, 0), "got 4 .* and 3 "), ((1, 1), "got 3 .* and 4 ")):
        with pytest.raises(ValueError, match=f"a and b must hold the same number of samples; {lengths}"):
            checks.same_length("a", a, "b", b, *axes)


@given(st.floats())
def test_number_is_float(value):
    for given_as in (value, np.float64(value), np.array(value), torch.tensor(value, dtype=torch.float64)):
        result = checks.number("v", given_as)
        assert type(result) is float
        assert result == value or value != value != result or result != result


@pytest.mark.parametrize(
    "value", ["3", b"3", None, [1.0], np.ones(1), torch.ones(1), 1j, np.complex128(1), torch.tensor(1j), 10**400]
)
def test_number_refuses(value):
    with pytest.raises(ValueError, match=r"v must be (a number|real); got"):
        checks.number("v", value)


def test_positive():
    assert checks.positive("d", 1e-300) == 1e-300
    assert checks.positive("d", np.float32(2)) == 2.0
    assert checks.positive("d", 0, zero_allowed=True) == 0.0
    for bad in (0, -0.0, -1e-300, np.nan, np.inf, -np.inf):
        with pytest.raises(ValueError, match=r"d must be a finite number > 0; got"):
            checks.positive("d", bad)
    for bad in (-1e-300, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"d must be a finite number >= 0; got"):
            checks.positive("d", bad, zero_allowed=True)
    for bad in ("1", None, [1.0, 2.0]):
        with pytest.raises(ValueError, match=r"d must be a number; got"):
            checks.positive("d", bad)


def test_count():
    assert checks.count("m", 1) == 1
    assert checks.count("m", 0, minimum=0) == 0
    assert type(checks.count("m", np.int8(5))) is int
    for bad in (0, -3, 1.0, 2.5, np.float64(2), True, np.True_, "2", None, [2]):
        with pytest.raises(ValueError, match="m must be a whole number >= 1; got"):
            checks.count("m", bad)
    with pytest.raises(ValueError, match="m must be a whole number >= 2; got 1"):
        checks.count("m", 1, minimum=2)


def test_choice_names_what_is_allowed():
    assert checks.choice("loss", "mse", ("mse", None)) == "mse"
    assert checks.choice("loss", None, ("mse", None)) is None
    for bad in ("MSE", "", 1, ["mse"]):
        with pytest.raises(ValueError, match=r"loss must be one of 'mse', None; got"):
            checks.choice("loss", bad, ("mse", None))
    assert checks.choice("a", "relu", {"relu": 1}) == "relu"
    with pytest.raises(ValueError, match=r"a must be one of 'relu'; got None"):
        checks.choice("a", None, {"relu": 1})
