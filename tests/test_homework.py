"""What a student's notebook checks itself with: the variant belongs to the id, the message names the mistake."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fpcourse import homework

EXPECTED = np.array([1.0, 4.0, 9.0, -2.0])


def message(check, *arguments, **options) -> str:
    with pytest.raises(homework.Wrong) as caught:
        check(*arguments, **options)
    return str(caught.value)


def test_a_variant_belongs_to_question_and_id():
    first = homework.variant("2.1", "Ada Lovelace").integers(2**62, size=4)
    assert first.tolist() == homework.variant("2.1", "  ada lovelace ").integers(2**62, size=4).tolist()
    others = (("2.1", "Ada Lovelace2"), ("2.2", "Ada Lovelace"), ("1", "Ada Lovelace"))
    assert not any((homework.variant(*other).integers(2**62, size=4) == first).any() for other in others)


def test_a_variant_never_changes():
    """A new release must not give students other numbers than the graded ones."""
    assert homework.variant("2.1", "ada").integers(1000, size=4).tolist() == [171, 653, 969, 485]


def test_variants_cover_what_they_draw_from():
    drawn = {int(homework.variant("2.2", f"student {i}").integers(6)) for i in range(100)}
    assert drawn == set(range(6))


@pytest.mark.parametrize("student_id", [..., None, "", "   "])
def test_without_an_id_there_is_no_variant(student_id):
    assert "student_id" in message(homework.variant, "2.1", student_id)


def test_what_is_missing_is_said():
    assert "not answered yet" in message(homework.number, "gain", ...)
    assert "lack a `return`" in message(homework.array, "f(x)", None, (2,))


@pytest.mark.parametrize("value", [3, 3.0, np.float32(3), np.array([3]), torch.tensor(3.0, requires_grad=True)])
def test_a_number_comes_in_many_forms(value):
    assert homework.number("gain", value, above=2, below=4, whole=True) == 3.0


def test_numbers_out_of_bounds():
    assert "above 3" in message(homework.number, "gain", 3.0, above=3)
    assert "below 3" in message(homework.number, "gain", 3.0, below=3)
    assert "whole" in message(homework.number, "alias", 2.5, whole=True)
    assert "one real number" in message(homework.number, "gain", [1.0, 2.0])
    assert "one real number" in message(homework.number, "gain", 1j)
    assert "array of numbers" in message(homework.number, "gain", "three")
    assert "finite" in message(homework.number, "gain", np.nan)


def test_arrays_of_another_shape():
    assert homework.array("x", [[1, 2, 3]], (1, 3)).dtype == np.float64
    assert message(homework.array, "x", np.ones((3, 2)), (2, 3)).endswith("It is the transpose.")
    assert "shape (2, 3)" in message(homework.array, "x", np.ones(3), (2, 3))


def test_texts_and_choices():
    assert homework.choice("class", " low ", ["low", "high"]) == "low"
    assert "'low', 'high'" in message(homework.choice, "class", "middle", ["low", "high"])
    assert homework.text("why", "one two three", words=3) == "one two three"
    assert "it has 2" in message(homework.text, "why", "one two", words=3)
    assert "text in quotes" in message(homework.text, "why", 3, words=1)
    assert homework.function("f", abs) is abs
    assert "function" in message(homework.function, "f", 3)
    homework.require(True, "fine")
    assert message(homework.require, False, "not fine") == "not fine"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (-EXPECTED, "wrong sign"),
        (2 * np.pi * EXPECTED, "too large by a factor 2π (cycles"),
        (-EXPECTED / (2 * np.pi), "too small by a factor 2π and has the wrong sign"),
        (4 * np.pi**2 * EXPECTED, "factor 4π²"),
        (EXPECTED / np.pi, "too small by a factor π"),
        (2 * EXPECTED, "too large by a factor 2"),
        (EXPECTED / np.sqrt(2), "factor √2"),
        (100 * EXPECTED, "per cent"),
        (EXPECTED / 64, "too small by a factor n"),
        (np.abs(EXPECTED), "some signs"),
        (EXPECTED + 1, "off by one"),
        (np.roll(EXPECTED, 1), "one place too late"),
        (np.roll(EXPECTED, -1), "one place too early"),
        (EXPECTED[::-1], "reversed"),
        (EXPECTED[[2, 0, 1, 3]], "not their order"),
        (EXPECTED**2, "is the square"),
        (1 / EXPECTED, "reciprocal"),
        (EXPECTED * [1, 1, 1.3, 1], "off by 0.3 of its size (entry 2"),
        (EXPECTED[:3], "must have shape (4,)"),
    ],
)
def test_the_usual_mistakes_are_named(value, told):
    assert told in message(homework.compare, "h", value, EXPECTED, factors={"n": 64})


def test_other_mistakes_are_named():
    square = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert "it is the transpose" in message(homework.compare, "K", square.T, square)
    assert "complex conjugate" in message(homework.compare, "h", np.array([1 - 2j, 3j]), np.array([1 + 2j, -3j]))
    assert "off by one" in message(homework.compare, "alias", 6, 5)
    assert "should be squared" in message(homework.compare, "energy", 3.0, 9.0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8), st.floats(1e-9, 1e-2))
def test_a_value_within_the_tolerance_is_right_and_one_beyond_is_not(values, rtol):
    expected = np.array(values)
    homework.compare("h", expected * (1 + 0.9 * rtol), expected, rtol=rtol)
    beyond = expected * (1 + 3 * rtol) + 3e-12 * np.abs(expected).max()
    if expected.any():
        assert "is not right" in message(homework.compare, "h", beyond, expected, rtol=rtol)


@pytest.mark.parametrize("form", [list, tuple, torch.tensor, np.float32])
def test_right_answers_come_in_many_forms(form):
    homework.compare("h", form(EXPECTED), EXPECTED)


@given(st.floats(0.1, 10.0), st.floats(0.1, 10.0))
def test_the_message_never_tells_the_value(value, expected):
    if not np.isclose(value, expected, rtol=1e-3):
        assert f"{expected:.3f}" not in message(homework.compare, "h", value, expected)


def test_a_notebook_shows_the_message_without_a_traceback():
    with pytest.raises(homework.Wrong) as caught:
        homework.require(False, "say it")
    assert caught.value._render_traceback_() == ["✗ say it"]


def test_passing_is_told(capsys):
    homework.passed("2.1", "it all fits")
    assert capsys.readouterr().out == "✓ 2.1: it all fits\n"
