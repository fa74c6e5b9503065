"""A few of the three hundred submissions of generate_submissions.py, through the command as a teacher runs it."""

import generate_submissions
import pytest
from test_grading import needs_walls

from fpcourse.grading import grade

SAMPLE = (b"right 0.ipynb", b"copied whole.ipynb", b"invented measurements.ipynb")


@pytest.mark.slow
@needs_walls
def test_right_answers_get_all_and_others_their_honest_part(tmp_path):
    made = [each for each in generate_submissions.submissions("3") if each.path in SAMPLE]
    assert len(made) == len(SAMPLE)
    folder, out = tmp_path / "collected", tmp_path / "results"
    generate_submissions.write(folder, made)
    assert grade.main([str(folder), "--assignment", "3", "--out", str(out), "--jobs", "1"]) == 0
    assert generate_submissions.complaints(made, out) == []
    assert "; 3 pairs under" in (out / "similar.md").read_text("utf-8")
    found = generate_submissions.complaints([*made, generate_submissions.Submission(b"no.ipynb", b"", 0.0)], out)
    assert found == ["3 rows for 4 files", "no.ipynb: no row"]
