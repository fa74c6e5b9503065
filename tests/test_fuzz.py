"""A few of the calls that tests/fuzz.py draws, the same ones every time."""

import pytest
from fuzz import call
from test_bad_inputs import CALLS

DRAWINGS = ("interactive.", "plotting.")  # leave what they are shown to plotly and matplotlib
LEFT = {"recording.evaluate", "training.gradient_flow"}  # tests/fuzz.md


@pytest.mark.filterwarnings("ignore")  # of overflow, on the way to the refusal
@pytest.mark.parametrize("name", [name for name in CALLS if not name.startswith(DRAWINGS) and name not in LEFT])
def test_odd_arguments_are_refused_or_do_no_harm(name):
    for seed in range(20):
        arguments, wrong = call(name, seed)
        assert wrong is None, (wrong, arguments)
