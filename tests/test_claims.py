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
@example(math.inf, None, math.inf)
@example(-math.inf, -math.inf, 3.0)
@example(5.0, None, math.inf)
@example(math.inf, 5.0, None)
@example(0.0, 0.0, None)
@example(5e-324, 0.0, None)
@example(math.nextafter(1.0, 0.0), None, 1.0)
def test_holds_exactly_where_the_inequalities_do(value, above, below):
    assume(above is not None or below is not None)
    assume(above is None or below is None or above < below)
    expected = (above is None or value > above) and (below is None or value < below)
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
    as_written = all(
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


def test_integers_tensors_and_numpy_scalars_are_numbers(record):
    for value in (3, np.float32(3), np.int64(3), np.array(3.0), torch.tensor(3.0, requires_grad=True), True + 2):
        check("three", value, above=2, below=np.float64(4))
    assert [row["value"] for row in record()] == [3.0] * 6


@pytest.mark.parametrize("bad", ["three", None, [3.0], torch.ones(2)])
def test_anything_else_is_no_number(record, tmp_path, bad):
    with pytest.raises(ValueError, match=r"the value of claim 'c' must be"):
        check("c", bad, above=0)
    if bad is not None:
        with pytest.raises(ValueError, match=r"the bound of claim 'c' must be"):
            check("c", 1.0, above=bad)
        with pytest.raises(ValueError, match=r"the bound of claim 'c' must be"):
            check("c", 1.0, below=bad)
    assert not (tmp_path / "claims.jsonl").exists()


def test_a_claim_needs_a_bound_that_can_hold():
    with pytest.raises(ValueError, match="claim 'c' needs a bound"):
        check("c", 1.0)
    for impossible in ({"above": math.nan}, {"below": math.nan}, {"above": 2, "below": 2}, {"above": 3, "below": 2}):
        with pytest.raises(ValueError, match="claim 'c': no number lies"):
            check("c", 1.0, **impossible)


@pytest.mark.parametrize(
    ("value", "above", "below", "margin"),
    [
        (6.0, 5.0, None, 0.2),
        (4.0, None, 5.0, 0.2),
        (-3.0, -4.0, None, 0.25),
        (-5.0, None, -4.0, 0.25),
        (4.0, 5.0, None, -0.2),
        (3.0, 2.0, 10.0, 0.5),  # nearer to 2
        (9.0, 2.0, 10.0, 0.1),  # nearer to 10
        (0.25, 0.0, None, 0.25),  # a bound of zero: the distance itself
        (-0.25, None, 0.0, 0.25),
        (5.0, 5.0, None, 0.0),
        (math.inf, 5.0, None, math.inf),
        (5.0, None, math.inf, math.inf),
        (5.0, 4.0, math.inf, 0.25),
        (math.inf, 4.0, math.inf, 0.0),
        (math.nan, 4.0, 5.0, math.nan),
    ],
)
def test_record(record, value, above, below, margin):
    holds, _ = line_or_failure("Kurve – „a“\nb", value, above=above, below=below)
    (row,) = record()
    assert row.keys() == {"name", "value", "above", "below", "margin"}
    assert row["name"] == "Kurve – „a“\nb"
    assert (row["above"] is None, row["below"] is None) == (above is None, below is None)
    for key, expected in {"value": value, "above": above, "below": below, "margin": margin}.items():
        if expected is not None:
            assert float(row[key]) == pytest.approx(expected, rel=1e-12, nan_ok=True)
            assert isinstance(row[key], float) == math.isfinite(expected)
    assert holds == (float(row["margin"]) > 0)


def test_record_grows_by_one_line_per_claim_pass_or_fail(record):
    check("a", 1, above=0)
    with pytest.raises(AssertionError):
        check("b", 1, above=2)
    check("c", 1, below=2)
    assert [row["name"] for row in record()] == ["a", "b", "c"]


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
