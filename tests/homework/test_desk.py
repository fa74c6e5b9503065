"""The tables for platforms, in their own columns, and their own times."""

import csv
from datetime import datetime

import pytest

from fpcourse.grading import desk

CANVAS = """Student,ID,SIS User ID,SIS Login ID,Section,Homework 2 (77)
    Points Possible,,,,,4
"Lovelace, Ada",1,900,ada,A,
"Babbage, Ben",2,901,ben,A,2.5
"""


def row(folder, name, student, points, handed_in=None):
    result = {"student_id": student, "status": "graded", "id_changed": False, "errors": {}, "explanation": "",
              "seconds": 1.0, "questions": {"2.1": {"points": points, "possible": 4.0, "tests": []}}}  # fmt: skip
    (folder / name).touch()
    return {"file": folder / name, "name": name, "key": name, "result": result, "handed_in": handed_in}


def read(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def test_canvas_keeps_its_possible_points_its_other_marks_and_its_logins(tmp_path):
    (tmp_path / "class.csv").write_text(CANVAS)
    rows = [row(tmp_path, "lovelaceada_LATE_1_22_hw.ipynb", "Ada", 3.0)]
    desk.choose(rows)
    assert rows[0]["note"] == "late, says Canvas"
    desk.write_upload(tmp_path / "upload.csv", rows, tmp_path / "class.csv", "Homework 2 (77)")
    head, *lines = read(tmp_path / "upload.csv")
    assert head == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Homework 2 (77)"]
    assert [line[-1] for line in lines] == ["4", "3.0", "2.5"]
    desk.write_students(tmp_path / "students.csv", rows, ["2.1"], tmp_path / "class.csv", "Homework 2 (77)")
    assert [line[3] for line in read(tmp_path / "students.csv")] == ["SIS Login ID", "ada", "ben"]


def test_gradescope_says_when_a_file_was_handed_in(tmp_path):
    export = tmp_path / "assignment_5_export"
    for name in ("submission_1", "submission_2"):
        (export / name).mkdir(parents=True)
    (export / "submission_metadata.yml").write_text(
        "submission_1:\n  :submitters:\n  - :name: Ada\n    :sid: '900'\n  :created_at: 2026-11-27 20:00:00.5 Z\n"
        "submission_2:\n  :submitters: []\n  :created_at: 2026-11-28 02:00:00 Z\n"
    )
    times = desk.handed_in(tmp_path.rglob("*"))
    assert [path.name for path in times] == ["submission_1", "submission_2"]
    rows = [row(path, "hw.ipynb", "ada", 4.0, time) for path, time in times.items()]
    desk.choose(rows, datetime.fromisoformat("2026-11-27T23:00+01:00"))
    assert [each["counts"] for each in rows] == [False, True]
    assert "late by" not in rows[0]["note"] and "late by 4.0 hours, says Gradescope" in rows[1]["note"]
    (export / "submission_metadata.yml").write_text("- else")
    with pytest.raises(ValueError, match="not as Gradescope writes it"):
        desk.handed_in(tmp_path.rglob("*"))
    assert desk.handed_in([export / "submission_1"]) == {}


def test_a_file_with_another_students_name_is_noted(tmp_path):
    (tmp_path / "canvas.csv").write_text(CANVAS.replace(",1,900", ",5021,900").replace(",2,901", ",5022,901"))
    (tmp_path / "moodle.csv").write_text(
        "First name;Last name;ID number;Email address\nAda;Lovelace;900;a@x.org\nBen;Babbage;901;b@x.org\n"
    )
    for roster, names, ids in (
        ("canvas.csv", ("lovelaceada_5021_22_hw.ipynb", "babbageben_5022_23_hw-2.ipynb"), ("ada", "ben")),
        (
            "moodle.csv",
            ("Ada Lovelace_77_assignsubmission_file", "Ben Babbage_78_assignsubmission_file"),
            (900, "0901"),
        ),
    ):
        for students, said in ((ids, False), (ids[::-1], True)):
            rows = [row(tmp_path, name, student, 4.0) for name, student in zip(names, students, strict=True)]
            desk.choose(rows)
            desk.compare_names(rows, tmp_path / roster)
            assert ["the name of the file says" in each["note"] for each in rows] == [said] * 2


def test_a_table_that_a_spreadsheet_wrote_with_semicolons(tmp_path):
    (tmp_path / "class.csv").write_text('Name;ID number\n"Lovelace; Ada";900\n', "utf-8-sig")
    (tmp_path / "overrides.csv").write_text("student_id;question;points;comment\r\n900;2.1;2.5;too, short\r\n")
    rows = [row(tmp_path, "a.ipynb", "900", 3.0)]
    desk.choose(rows)
    assert desk.override(rows, tmp_path / "overrides.csv") == []
    desk.write_upload(tmp_path / "upload.csv", rows, tmp_path / "class.csv", "Homework 2")
    assert (tmp_path / "upload.csv").read_text().splitlines()[1] == '"Lovelace; Ada";900;2.5'
