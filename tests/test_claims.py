"""A claim holds exactly where its inequalities do; its line and its record say what was compared."""

import io
import json
import math
import operator
import re
import sys
from contextlib import redirect_stdout
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st

from fpcourse import claims
from fpcourse.claims import check

bounds = st.floats(allow_nan=False)
maybe_bounds = st.none() | bounds


@pytest.fixture(autouse=True)
def no_record(monkeypatch):
    monkeypatch.delenv("FPCOURSE_CLAIMS", raising=False)


@pytest.fixture
def record(tmp_path, monkeypatch):
    """The rows written so far, read by a parser that takes JSON as the standard defines it."""
    path = tmp_path / "claims.jsonl"
    monkeypatch.setenv("FPCOURSE_CLAIMS", str(path))

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return lambda: [json.loads(line, parse_constant=refuse) for line in path.read_text("utf-8").splitlines()]


def line_or_failure(*args, **kwargs) -> tuple[bool, str]:
    with redirect_stdout(io.StringIO()) as out:
        try:
            check(*args, **kwargs)
        except AssertionError as error:
            assert out.getvalue() == ""
            return False, str(error)
    return True, out.getvalue()


@given(st.floats(), maybe_bounds, maybe_bounds)
@example(math.inf, 1.0, math.inf)
@example(math.inf, 5.0, None)
@example(-math.inf, None, 3.0)
@example(5.0, None, math.inf)
@example(0.0, 0.0, None)
@example(5e-324, 0.0, None)
@example(math.nextafter(1.0, 0.0), None, 1.0)
def test_holds_exactly_where_the_inequalities_do(value, above, below):
    assume(above is not None or below is not None)
    assume(above is None or below is None or above < below)
    expected = math.isfinite(value) and (above is None or value > above) and (below is None or value < below)
    holds, text = line_or_failure("claim", value, above=above, below=below)
    assert holds == expected
    assert text.startswith("✓ claim: measured " if expected else "claim fails: claim: measured ")


@given(st.floats(), maybe_bounds, maybe_bounds)
@example(0.99999, None, 1.0)
@example(1.00001, 1.0, None)
@example(0.99999, 1.0, None)
@example(12345.4, 12345.0, 12346.0)
@example(math.nextafter(0.1, 1.0), 0.1, None)
def test_the_line_never_contradicts_itself(value, above, below):
    """The rounded numbers in the text stand to each other as the exact ones do."""
    assume(above is not None or below is not None)
    assume(above is None or below is None or above < below)
    holds, text = line_or_failure("claim", value, above=above, below=below)
    numbers = re.fullmatch(r".*: measured (\S+), claimed (?:> (\S+))?(?: and )?(?:< (\S+))?\n?", text)
    measured = float(numbers[1])
    assert (numbers[2] is None, numbers[3] is None) == (above is None, below is None)
    as_written = math.isfinite(measured) and all(
        compare(measured, float(bound))
        for bound, compare in ((numbers[2], operator.gt), (numbers[3], operator.lt))
        if bound is not None
    )
    assert as_written == holds
    if abs(value) < 1e308:
        assert measured == pytest.approx(value, rel=1e-3, abs=1e-320)


def test_lines_read_well():
    assert line_or_failure("low before high", 31.0, above=5)[1] == "✓ low before high: measured 31, claimed > 5\n"
    both = line_or_failure("slope", -1.98765, above=-2.3, below=-1.7)[1]
    assert both == "✓ slope: measured -1.988, claimed > -2.3 and < -1.7\n"
    assert line_or_failure("slope", 3, below=2)[1] == "claim fails: slope: measured 3, claimed < 2"


def test_an_array_holds_where_each_entry_does_and_shows_its_range():
    times = np.array([[12.0, 31.0], [8.0, 20.0]])
    assert line_or_failure("late", times, above=5, below=40)[1] == "✓ late: measured 8 to 31, claimed > 5 and < 40\n"
    assert line_or_failure("late", times, above=8)[1] == "claim fails: late: measured 8 to 31, claimed > 8"
    assert not line_or_failure("late", [1.0, math.inf], above=0)[0]  # never learned is no large time
    assert not line_or_failure("late", [1.0, math.nan], above=0)[0]


def test_counts_equal_what_is_claimed_exactly():
    assert line_or_failure("ranks", [3, 6], equals=[3, 6])[1] == "✓ ranks: measured 3, 6, claimed the same\n"
    assert line_or_failure("ranks", [3, 3], equals=3)[1] == "✓ ranks: measured 3, claimed = 3\n"
    assert line_or_failure("ranks", [3, 7], equals=[3, 6])[1] == "claim fails: ranks: measured 3, 7, claimed = 3, 6"
    assert line_or_failure("never", [math.inf], equals=math.inf)[0]
    assert line_or_failure("many", range(10), equals=range(10))[1] == "✓ many: measured 0 to 9, claimed the same\n"
    with pytest.raises(ValueError, match=r"equals must be a number or of shape \(2,\); got \(3,\)"):
        check("ranks", [3, 6], equals=[3, 6, 9])


def test_integers_tensors_and_numpy_scalars_are_numbers(record):
    for value in (3, np.float32(3), np.int64(3), np.array(3.0), torch.tensor(3.0, requires_grad=True), True + 2):
        check("three", value, above=2, below=np.float64(4))
    assert [row["least"] for row in record()] == [3.0] * 6


@pytest.mark.parametrize("bad", ["three", None, [], {}])
def test_anything_else_is_no_number(record, tmp_path, bad):
    with pytest.raises(ValueError, match=r"the value of claim 'c' must"):
        check("c", bad, above=0)
    if bad is not None:
        with pytest.raises(ValueError, match=r"the bound of claim 'c' must"):
            check("c", 1.0, above=bad)
        with pytest.raises(ValueError, match=r"the equals of claim 'c' must"):
            check("c", 1.0, equals=bad)
    assert not (tmp_path / "claims.jsonl").exists()


def test_a_claim_needs_a_bound_that_can_hold():
    for none_or_both in ({}, {"above": 1, "equals": 2}):
        with pytest.raises(ValueError, match="claim 'c' needs above"):
            check("c", 1.0, **none_or_both)
    for impossible in ({"above": math.nan}, {"below": math.nan}, {"above": 2, "below": 2}, {"above": 3, "below": 2}):
        with pytest.raises(ValueError, match="claim 'c': no number lies"):
            check("c", 1.0, **impossible)
    with pytest.raises(ValueError, match="must hold one number"):
        check("c", 1.0, above=[1, 2])


def test_record(record):
    check("Kurve – „a“\nb", [6, 7], above=5.0)
    check("never", math.inf, equals=math.inf)
    line_or_failure("late", [1.0, math.inf], below=3)
    rows = [tuple(row.values()) for row in record()]
    assert list(record()[0]) == ["claim", "least", "largest", "above", "below", "equals", "holds"]
    assert rows == [
        ("Kurve – „a“\nb", 6, 7, 5, None, None, True),
        ("never", "inf", "inf", None, None, "inf", True),
        ("late", 1, "inf", None, 3, None, False),
    ]


def test_record_grows_by_one_line_per_claim_pass_or_fail(record):
    check("a", 1, above=0)
    with pytest.raises(AssertionError):
        check("b", 1, above=2)
    check("c", 1, below=2)
    assert [row["claim"] for row in record()] == ["a", "b", "c"]


def test_nothing_is_recorded_unless_asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FPCOURSE_CLAIMS", raising=False)
    check("a", 1, above=0)
    monkeypatch.setenv("FPCOURSE_CLAIMS", "")
    check("a", 1, above=0)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def shell(tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    yield InteractiveShell.instance(config=config)
    InteractiveShell.clear_instance()


def test_in_ipython_the_line_is_rich_and_escaped(shell):
    from IPython.utils.capture import capture_output

    name = 'e < f & "g" <script>alert(1)</script>'
    with capture_output() as captured:
        check(name, 1.5, above=1, below=2)
    assert captured.stdout == ""  # shown once, not twice
    (output,) = captured.outputs
    assert output.data["text/plain"] == f"✓ {name}: measured 1.5, claimed > 1 and < 2"

    tags, text = [], []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: tags.append(tag)
    parser.handle_data = text.append
    parser.feed(output.data["text/html"])
    parser.close()
    assert set(tags) <= {"div", "strong", "br", "span"}
    assert "".join(text) == f"✓ {name}measured 1.5, claimed > 1 and < 2"
    assert ">" not in re.sub(r"<[^<>]*>", "", output.data["text/html"])  # "> 1" is escaped as well


def test_in_ipython_a_false_claim_shows_nothing_and_raises(shell):
    from IPython.utils.capture import capture_output

    with capture_output() as captured, pytest.raises(AssertionError, match="claim fails: c: measured 1, claimed > 2"):
        check("c", 1, above=2)
    assert captured.outputs == [] and captured.stdout == ""


def test_in_plain_python_with_ipython_loaded_the_line_is_printed(capsys):
    import IPython

    assert IPython.get_ipython() is None
    check("c", 1, above=0)
    assert capsys.readouterr().out == "✓ c: measured 1, claimed > 0\n"


def test_in_plain_python_ipython_is_not_needed(capsys, monkeypatch):
    for module in [name for name in sys.modules if name.split(".")[0] == "IPython"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "IPython", None)  # an import would fail
    claims.check("c", 1, above=0)
    assert capsys.readouterr().out == "✓ c: measured 1, claimed > 0\n"
