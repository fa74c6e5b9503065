"""What a student's notebook checks itself with: a variant drawn from the id, answers whose mistake is named.

Nothing here knows a solution. The checks in a notebook test properties (a shape, a unit, a limit, a law, agreement with
another function of the package on the student's data); the grader uses the same functions with values that a student
never sees. Each check raises :class:`Wrong` with a message for the student.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from fpcourse._arguments import as_array

# Usual wrong factors: name, factor, where it comes from.
FACTORS = (
    ("2π", 2 * np.pi, "cycles and radians mixed up?"),
    ("4π²", 4 * np.pi**2, "cycles and radians mixed up, squared?"),
    ("π", np.pi, ""),
    ("2", 2.0, ""),
    ("4", 4.0, "a factor of two, squared?"),
    ("√2", np.sqrt(2), "a variance in place of a standard deviation, or a norm in place of an amplitude?"),
    ("100", 100.0, "per cent?"),
)


class Wrong(AssertionError):
    """An answer that is missing or wrong; a notebook shows its message without a traceback.

    Examples
    --------
    >>> Wrong("`gain` must be above 0.")._render_traceback_()
    ['✗ `gain` must be above 0.']
    """

    def _render_traceback_(self) -> list[str]:  # asked for by IPython
        return [f"✗ {self}"]


def plain_id(student_id: str | float) -> str:
    """Return an id in the one spelling that counts: "" where it holds nothing.

    Capital letters, spaces and quotes around it, invisible characters, forms of one letter and the zeros before a
    number do not count; a whole number is the text of its digits.

    Examples
    --------
    >>> [plain_id(each) for each in (" Ada ", "＇ada＇", 7.0, "007")]
    ['ada', 'ada', '7', '7']
    """
    if isinstance(student_id, (float, np.floating)) and float(student_id).is_integer():
        student_id = int(student_id)
    text = unicodedata.normalize("NFKC", str(student_id))
    text = "".join(each for each in text if unicodedata.category(each) not in ("Cf", "Cc", "Cs", "Co", "Cn"))
    text = unicodedata.normalize("NFKC", text.casefold()).strip(" \"'`´‘’‚‛“”„‟«»‹›")
    return text.lstrip("0") or "0" if text.isdecimal() else text


def variant(question: str, student_id: str) -> np.random.Generator:
    """Return the random numbers of this student for this question ("2.1"): the same everywhere, always.

    All spellings of one id (:func:`plain_id`) have the same numbers.

    Examples
    --------
    >>> variant("2.1", "ada").integers(1000, size=4)
    array([171, 653, 969, 485])
    """
    answered("student_id", student_id)
    name = plain_id(student_id)
    if not name:
        raise Wrong("`student_id` is empty: write your own id there, then run all cells again.")
    digest = hashlib.sha256(f"{question}\n{name}".encode()).digest()
    return np.random.default_rng(list(digest))


def require(condition: bool, message: str) -> None:
    """Raise Wrong with ``message`` unless ``condition`` holds.

    Examples
    --------
    >>> require(1 + 1 == 3, "Addition is broken.")
    Traceback (most recent call last):
    fpcourse.homework.Wrong: Addition is broken.
    """
    if not condition:
        raise Wrong(message)


def answered(name: str, value: object) -> None:
    """Raise Wrong if ``value`` is still ``...``, or None as an empty function returns it.

    Examples
    --------
    >>> answered("gain", None)
    Traceback (most recent call last):
    fpcourse.homework.Wrong: `gain` is None: is the function still empty, or does it lack a `return`?
    """
    if value is ...:
        raise Wrong(f"`{name}` is not answered yet: put your answer in place of the `...`, and run this cell again.")
    if value is None:
        raise Wrong(f"`{name}` is None: is the function still empty, or does it lack a `return`?")


def number(name: str, value: ArrayLike, *, above: float = -np.inf, below: float = np.inf, whole: bool = False) -> float:
    """Return ``value``, a number or an array that holds one, as a float strictly between the bounds.

    Examples
    --------
    >>> number("gain", np.array([3]), above=0, whole=True)
    3.0
    """
    value = _numbers(name, value)
    if value.size != 1 or np.iscomplexobj(value):
        raise Wrong(f"`{name}` must be one real number; it has shape {value.shape} and dtype {value.dtype}.")
    result = float(value.reshape(()))
    if whole and result != round(result):
        raise Wrong(f"`{name}` must be a whole number; it is {result:g}.")
    for fails, sign, bound in ((result <= above, "above", above), (result >= below, "below", below)):
        if fails:
            raise Wrong(f"`{name}` must be {sign} {bound:g}; it is {result:.4g}.")
    return result


def array(name: str, value: ArrayLike, shape: tuple[int, ...]) -> np.ndarray:
    """Return ``value`` as a finite array, float64 or complex128, of this shape.

    Examples
    --------
    >>> array("h", [1, 2], (2,))
    array([1., 2.])
    """
    value = _numbers(name, value)
    if shape == () and value.size == 1:  # as `number` takes it: an array or a list of one number is a number
        value = value.reshape(())
    if value.shape != tuple(shape):
        hint = " It is the transpose." if value.shape == tuple(shape)[::-1] else ""
        raise Wrong(f"`{name}` must have shape {tuple(shape)}; it has {value.shape}.{hint}")
    return value


def choice(name: str, value: str, options: Sequence[str]) -> str:
    """Return ``value`` without spaces around it, one of ``options``.

    Examples
    --------
    >>> choice("class", " low ", ["low", "high"])
    'low'
    """
    answered(name, value)
    if not isinstance(value, str) or value.strip() not in options:
        raise Wrong(f"`{name}` must be one of {', '.join(map(repr, options))}; it is {value!r:.60}.")
    return value.strip()


def text(name: str, value: str, *, words: int) -> str:
    """Return ``value``, a text of at least so many words.

    Examples
    --------
    >>> text("why", "Low frequencies first.", words=3)
    'Low frequencies first.'
    """
    answered(name, value)
    if not isinstance(value, str):
        raise Wrong(f"`{name}` must be a text in quotes; it is of type {type(value).__name__}.")
    if len(value.split()) < words:
        raise Wrong(f"`{name}` should explain itself in {words} words or more; it has {len(value.split())}.")
    return value


def function(name: str, value: Callable) -> Callable:
    """Return ``value`` if it can be called.

    Examples
    --------
    >>> function("h", abs)(-3)
    3
    """
    answered(name, value)
    if not callable(value):
        raise Wrong(f"`{name}` must be a function; it is of type {type(value).__name__}.")
    return value


def compare(
    name: str, value: ArrayLike, expected: ArrayLike, *, rtol: float = 1e-6, factors: dict[str, float] | None = None
) -> None:
    """Raise Wrong unless ``value`` agrees with ``expected`` within ``rtol``, relative, entry by entry.

    The message names a usual mistake: a sign, a factor (2π, 2, ..., and those in ``factors``, by name, such as
    {"n": 64}), off by one, shifted, reversed, transposed, conjugated, squared. It never tells the value.

    Examples
    --------
    >>> compare("energy", 6.0, 3.0)
    Traceback (most recent call last):
    fpcourse.homework.Wrong: `energy` is not right: it is too large by a factor 2.
    """
    expected = np.asarray(expected)
    value = array(name, value, expected.shape)
    if not _close(value, expected, rtol):
        raise Wrong(f"`{name}` is not right: {_diagnosis(value, expected, rtol, factors or {})}")


def passed(question: str, message: str) -> None:
    """Tell the student that the checks of a question are passed.

    Examples
    --------
    >>> passed("2.1", "the energy is conserved")
    ✓ 2.1: the energy is conserved
    """
    print(f"✓ {question}: {message}")


def _numbers(name: str, value: ArrayLike) -> np.ndarray:
    answered(name, value)
    try:
        value = as_array(f"`{name}`", value, dtype=np.complex128)
    except ValueError as error:
        raise Wrong(f"{error}.") from None
    return value if value.imag.any() else value.real


def _close(value: np.ndarray, expected: np.ndarray, rtol: float) -> bool:
    """Compare entry by entry; next to the largest entry, what is below the rounding of float64 counts as zero."""
    return bool((np.abs(value - expected) <= rtol * np.abs(expected) + 1e-12 * np.abs(expected).max(initial=0)).all())


def _diagnosis(value: np.ndarray, expected: np.ndarray, rtol: float, factors: dict[str, float]) -> str:
    """Say which usual mistake turns ``expected`` into ``value``, both of one shape; else how far apart they are."""

    def close(a: np.ndarray, b: np.ndarray) -> bool:
        return _close(a, b, rtol)

    if close(-value, expected):
        return "it has the wrong sign."
    for label, factor, origin in (*FACTORS, *((name, size, "") for name, size in factors.items())):
        for times, word in ((factor, "large"), (1 / factor, "small")):
            if close(np.abs(value), times * np.abs(expected)):
                sign = " and has the wrong sign" if close(-value, times * expected) else " and some signs are wrong"
                sign = "" if close(value, times * expected) else sign
                return f"it is too {word} by a factor {label}{sign}{origin and f' ({origin})'}."
    if np.iscomplexobj(expected) and close(value.conj(), expected):
        return "it is the complex conjugate: the sign in the exponent?"
    if close(np.abs(value), np.abs(expected)):
        return "the sizes are right, but some signs or phases are not."
    whole = np.isrealobj(value) and np.isrealobj(expected) and (value == np.round(value)).all()
    if whole and close(np.abs(value - expected), np.ones_like(expected)):
        return "it is off by one."
    if value.ndim and len(value) > 1:
        if close(value[::-1], expected):
            return "the order is reversed."
        if len(value) > 2 and close(value[1:], expected[:-1]):
            return "every entry stands one place too late: off by one in the index?"
        if len(value) > 2 and close(value[:-1], expected[1:]):
            return "every entry stands one place too early: off by one in the index?"
        if value.ndim == 2 and value.shape[0] == value.shape[1] and close(value.T, expected):
            return "it is the transpose."
        if close(np.sort(value, axis=None), np.sort(expected, axis=None)):
            return "the numbers are right, but not their order."
    if close(value, expected**2):
        return "it is the square of what is asked for."
    if close(value**2, expected):
        return "it should be squared."
    if expected.all() and close(value * expected, np.ones_like(expected)):
        return "it is the reciprocal (one over it) of what is asked for."
    off = np.abs(value - expected) / np.maximum(np.abs(expected), 1e-12 * np.abs(expected).max(initial=1e-300))
    where = np.unravel_index(off.argmax(), off.shape)
    place = f" (entry {', '.join(map(str, where))} is furthest off)" if value.ndim else ""
    return f"it is off by {off.max():.2g} of its size{place}."
