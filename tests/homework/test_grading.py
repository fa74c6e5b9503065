"""The grader among bad neighbours: every file gets a row with a reason, and marks as if the others were not there."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import synthetic
from nbformat.v4 import new_notebook

from fpcourse.grading import grade, sandbox, submission
from fpcourse.grading.assign import CHAPTERS
from fpcourse.grading.control_group import ControlGroup

pytestmark = pytest.mark.slow
WALLS = sandbox.available()
# Without walls the hostile cells would do what they say to this machine.
needs_walls = pytest.mark.skipif(set(sandbox.PROTECTIONS) != WALLS, reason="takes bubblewrap and namespaces")
LIMITS = sandbox.Limits(cell_seconds=4.0, call_seconds=2.0, seconds=40.0, memory=10**9, disk=10**7, processes=60)

TESTS = {
    "2.1": """
from otter.test_files import test_case
name, points = "2.1", None

@test_case(points=2, hidden=True)
def test_answer(env):
    expected = int(homework.variant("2.1", env["student_id"]).integers(1000))
    homework.compare("answer", env["answer"], expected)

@test_case(points=1, hidden=True)
def test_square(env):
    homework.compare("square(x)", env["square"](np.arange(3.0)), [0, 1, 4])
""",
    "2.2": """
from otter.test_files import test_case
name, points = "2.2", None

@test_case(points=1, hidden=True)
def test_words(env):
    homework.text("words", env["words"], words=2)
""",
}
GOOD = [
    "student_id = 'ada'",
    "from fpcourse import homework\nanswer = int(homework.variant('2.1', student_id).integers(1000))",
    "print('a place for a cell')",
    "def square(x):\n    return x**2",
    "words = 'two words'\nexplanation = words",
]


def notebook(*sources: str) -> dict:
    cells = [{"cell_type": "code", "metadata": {}, "source": source, "outputs": []} for source in sources]
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


@pytest.fixture
def graded():
    """Grade cells, a notebook or the content of a file."""

    def graded(work, limits=LIMITS) -> dict:
        content = work if isinstance(work, bytes) else json.dumps(work if isinstance(work, dict) else notebook(*work))
        content = content if isinstance(content, bytes) else content.encode()
        return submission.grade(content, "2", TESTS, WALLS, limits)

    return graded


def points(result: dict) -> list[float]:
    return [question["points"] for question in result["questions"].values()]


def told(result: dict) -> str:
    return " ".join(test["message"] for question in result["questions"].values() for test in question["tests"])


@pytest.mark.skipif("CI" not in os.environ, reason="elsewhere the tests that take walls are skipped")
def test_the_machine_of_a_forge_has_walls():
    assert set(sandbox.PROTECTIONS) == WALLS, sandbox.complaint()


@needs_walls
def test_a_right_notebook(graded):
    result = graded(GOOD)
    assert (points(result), result["student_id"], result["status"]) == ([3, 1], "ada", "graded")
    assert (result["errors"], result["explanation"]) == ({}, "two words")


# Those that only raise an error share one notebook, and one process: to start one takes most of a test's time.
ERRORS = {"sys.exit", "exit", "overwrites the checker", "reads hidden tests", "opens a socket", "syntax error",
          "asks the reader"}  # fmt: skip
HARMLESS = {"1 GB of output", "1 GB of output by a child", "deletes its directory", "talks to the grader"}


@needs_walls
@pytest.mark.parametrize("name", [name for name in synthetic.HOSTILE if name not in ERRORS])
def test_a_hostile_cell_costs_nobody_anything(name, graded):
    result = graded([*GOOD[:2], synthetic.HOSTILE[name], *GOOD[2:]])
    assert (points(result), result["status"]) == ([3, 1], "graded")
    assert list(result["errors"]) == [3] or name in HARMLESS


@needs_walls
def test_cells_that_raise_errors_cost_nobody_anything(graded):
    cells = [synthetic.HOSTILE[name] for name in sorted(ERRORS)]
    result = graded([*GOOD[:2], *cells, *GOOD[2:]])
    assert (points(result), result["status"]) == ([3, 1], "graded")
    assert list(result["errors"]) == list(range(3, 3 + len(cells)))


@needs_walls
def test_a_cell_that_runs_out_of_memory_leaves_nothing_to_the_next(graded):
    """Else what it has taken would be missing in every cell after it, and those would be blamed."""
    result = graded([*GOOD[:2], "square = lambda x: -1\nraise MemoryError", *GOOD[2:]])
    assert points(result) == [3, 1]
    assert "out of memory" in result["errors"][3]
    kept = graded([*GOOD, "answer = -1\nraise MemoryError"])
    assert points(kept) == [3, 1]


@needs_walls
@pytest.mark.parametrize(
    ("cell", "lost"),
    [
        ("def square(x):\n    while True:\n        pass", "took too long"),
        ("import os\ndef square(x):\n    os._exit(0)", "ended itself"),
        ("def square(x):\n    return 1 / 0", "ZeroDivisionError"),
        ("def square(x):\n    return [1.0] * 10**7", "more than can be graded"),
        ("def square(x):\n    return lambda: 1", "array of numbers"),
        (
            "class Sly(float):\n    def __eq__(self, other):\n        return True\ndef square(x):\n    return Sly(0)",
            "shape",
        ),
        ("def square(x):\n    return {'kind': 'array', 'dtype': 'O', 'shape': [1], 'data': ''}", "array of numbers"),
        ("square = 4", "not callable"),
        ("square = ...", "not callable"),
        ("", "not defined"),
        ("def square(x):\n    import sys\n    sys.exit(0)", "SystemExit"),
    ],
)
def test_a_bad_answer_costs_its_own_test_only(cell, lost, graded):
    result = graded([*GOOD[:3], cell, GOOD[4]])
    assert points(result) == [2, 1]
    assert lost in told(result)


@needs_walls
def test_checks_that_are_switched_off_help_nobody(graded):
    result = graded([*GOOD[:2], synthetic.HOSTILE["overwrites the checker"], "answer = -1", *GOOD[3:]])
    assert points(result) == [1, 1]


@needs_walls
def test_inside_there_is_nothing_to_see(graded, tmp_path):
    (tmp_path / "neighbour.ipynb").write_text("secret")
    look = f"""
import glob, os, socket, sys
seen, walls = [], ('/usr', '/lib', '/lib64', '/bin', '/proc', '/dev', sys.prefix, sys.base_prefix)
for folder, below, files in os.walk('/'):
    below[:] = [name for name in below if os.path.join(folder, name) not in walls]
    seen += {{*files}} & {{'grade.py', 'submission.py', 'neighbour.ipynb', 'homework_master.ipynb', 'otter.yml'}}
seen += [path for path in ({str(tmp_path)!r}, {str(CHAPTERS)!r}, '/sys', '/etc/passwd') if os.path.exists(path)]
seen += [path for path in glob.glob('/proc/[0-9]*/cmdline') if b'pytest' in open(path, 'rb').read()]
seen += [name for name in os.environ if name.startswith(('PYTEST', 'SSH', 'USER'))]
try:
    socket.create_connection(('127.0.0.1', 22), timeout=1)
except OSError as error:
    seen += [] if error.errno in (101, 111) else [str(error)]
seen += [name for index, name in socket.if_nameindex() if name != 'lo']
if os.getuid() == 0:
    seen.append('root')
words = ' '.join(['saw', *seen])
"""
    result = graded([*GOOD[:2], *GOOD[3:], look])
    assert "it has 1" in told(result)  # the words are "saw" and nothing else
    assert points(result) == [3, 0]


@needs_walls
def test_without_a_control_group_memory_is_watched(graded, monkeypatch):
    monkeypatch.setattr(ControlGroup, "make", lambda *_: ControlGroup(None))
    children = """
import os, time
for _ in range(8):
    if os.fork() == 0:
        piece = bytearray(b'1' * 3 * 10**8)
        time.sleep(100)
time.sleep(100)
"""
    result = graded([*GOOD[:2], children, *GOOD[2:]], sandbox.Limits(cell_seconds=30.0, memory=10**9))
    assert points(result) == [3, 1]
    assert "took more than 0.931 GiB" in result["errors"][3]


@pytest.mark.parametrize("name", synthetic.plumbing(notebook("")))
def test_careless_hands_cost_no_cell(name):
    content = synthetic.plumbing(notebook(*GOOD))[name]
    assert [cell for cell in submission.read(content, "2") if cell] == GOOD


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty.ipynb", "empty"),
        ("not json.ipynb", "not a notebook"),
        ("half.ipynb", "not a notebook"),
        ("a list.ipynb", "not a notebook"),
        ("deep.ipynb", "not a notebook"),
        ("binary.ipynb", "not a notebook"),
        ("report.pdf", "not a notebook"),
        ("wrong assignment.ipynb", "homework 8, not 2"),
    ],
)
def test_what_is_no_submission_is_told_so(name, reason, graded):
    other = notebook("rng = homework.variant('8.1', student_id)")
    result = graded(synthetic.broken(notebook(*GOOD), other)[name])
    assert (points(result), result["student_id"]) == ([0, 0], "")
    assert reason in result["status"]


def test_a_file_of_many_parts_is_refused_before_it_is_read():
    """It would take twenty times its size in memory; a long text does not, commas or no commas."""
    with pytest.raises(submission.Unreadable, match="more than 500000 parts"):
        submission.read(b'{"cells": [' + b"{}," * 600_000 + b"{}]}", "2")
    long = notebook(*GOOD)
    long["cells"][0]["outputs"] = [{"output_type": "stream", "text": ['1, 2, [{"3": 4}\\' * 10**5]}]
    assert submission.read(json.dumps(long).encode(), "2") == GOOD


@needs_walls
def test_a_notebook_that_takes_too_long_as_a_whole(graded):
    """What came before counts, also where the process is ended with the cell that takes all the time."""
    short = sandbox.Limits(cell_seconds=2.0, seconds=2.0)
    for slow in ("while True:\n    pass", synthetic.HOSTILE["floods the channel"]):
        result = graded([GOOD[0], GOOD[4], slow, GOOD[1], GOOD[3]], short)
        assert (points(result), result["student_id"], result["status"]) == ([0, 1], "ada", "graded")
        assert result["errors"][4] == "not run: the time for the whole notebook, 2 s, is over"


COMMAND = """
import sys
from fpcourse.grading import grade
from nbformat.v4 import new_notebook
grade.convert = lambda master, folder: (new_notebook(), {tests!r})
sys.exit(grade.main(sys.argv[1:]))
"""


def command(folder: Path, out: Path, *options: str) -> list[str]:
    program = COMMAND.format(tests=TESTS)
    return [sys.executable, "-c", program, str(folder), "--assignment", "2", "--out", str(out), *options]


def table(out: Path) -> dict[str, dict[str, str]]:
    with open(out / "marks.csv", encoding="utf-8-sig", newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


@pytest.fixture
def folder(tmp_path):
    """A class of good and bad submissions."""
    folder = tmp_path / "collected"
    (folder / "late").mkdir(parents=True)
    for i in range(3):
        cells = [f"student_id = 'student {i}'", *GOOD[1:]]
        (folder / f"student {i}.ipynb").write_text(json.dumps(notebook(*cells)))
    again = folder / "late" / "ada again.ipynb"
    again.write_text(json.dumps(notebook("student_id = 'Student 0'", *GOOD[1:4])))
    os.utime(again, (time.time() + 60,) * 2)
    (folder / "nobody.ipynb").write_text(json.dumps(notebook(*GOOD[1:])))
    (folder / "loop.ipynb").write_text(json.dumps(notebook("student_id = 'loop'", "while True:\n    pass", *GOOD[1:])))
    (folder / "=1+1.ipynb").write_text(json.dumps(notebook("student_id = '=1+1'", *GOOD[1:])))
    (folder / "empty.ipynb").write_bytes(b"")
    (folder / ".DS_Store").write_bytes(b"\0")
    return folder


@needs_walls
def test_a_folder_is_graded_killed_and_resumed(folder, tmp_path):
    out = tmp_path / "results"
    first = subprocess.Popen(command(folder, out, "--cell-seconds", "4", "--jobs", "1"), start_new_session=True)
    kept = out / "submissions"
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline and not (kept.is_dir() and len(list(kept.glob("*.json"))) >= 2):
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    before = {path: path.stat().st_mtime_ns for path in kept.glob("*.json")}
    assert len(before) >= 2 and not (out / "marks.csv").exists()

    subprocess.run(command(folder, out, "--cell-seconds", "4", "--jobs", "2"), check=True, timeout=900)
    assert {path: path.stat().st_mtime_ns for path in before} == before  # not graded again
    rows = table(out)
    assert len(rows) == 8
    for i in range(3):
        assert (rows[f"student {i}.ipynb"]["total"], rows[f"student {i}.ipynb"]["2.1"]) == ("4", "3")
    assert [rows[name]["counts"] for name in ("student 0.ipynb", f"late{os.sep}ada again.ipynb")] == ["no", "yes"]
    assert "2 files carry this id" in rows["student 0.ipynb"]["note"]
    assert (rows["loop.ipynb"]["total"], rows["loop.ipynb"]["note"]) == ("4", "1 cell fails")
    assert (rows["empty.ipynb"]["status"], rows["empty.ipynb"]["note"]) == ("not graded", "the file is empty")
    assert "no student_id" in rows["nobody.ipynb"]["note"]
    assert (rows["'=1+1.ipynb"]["student_id"], rows["'=1+1.ipynb"]["total"]) == ("'=1+1", "4")
    texts = (path for path in (out / "feedback").rglob("*") if path.is_file())
    feedback = {str(path.relative_to(out / "feedback")): path.read_text("utf-8") for path in texts}
    assert len(feedback) == 8
    assert "words: `words` is not defined" in feedback["late/ada again.ipynb.txt"]
    # On a busy machine the process may answer too late that it has stopped, and is ended.
    assert any(words in feedback["loop.ipynb.txt"] for words in ("it took too long", "it did not stop after"))
    assert "def test_" not in "".join(feedback.values())
    assert "8 files" in (out / "log.txt").read_text("utf-8")


def test_the_command_says_what_it_cannot_do(folder, tmp_path, capsys):
    arguments = [str(folder), "--out", str(tmp_path / "results"), "--assignment"]
    for more, reason in ((["9"], "must be one of 1, 2, 3, 4, 5; got 9"), (["2", "--chapters", "."], "--chapters")):
        with pytest.raises(SystemExit):
            grade.main([*arguments, *more])
        assert reason in capsys.readouterr().err
    program = "import sys; sys.modules['otter'] = None; from fpcourse.grading import __main__"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100)
    assert done.returncode == 1 and "needs otter" in done.stderr and "fpcourse[grading]" in done.stderr


def test_a_missing_protection_is_named_and_has_to_be_accepted(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sandbox, "available", lambda: frozenset({"files", "processes"}))
    arguments = [str(folder), "--assignment", "2", "--out", str(tmp_path / "results")]
    assert grade.main(arguments) == 2
    assert "No protection of network here" in (error := capsys.readouterr().err)
    assert "--without network" in error and not (tmp_path / "results").exists()


def test_root_never_runs_submissions_that_see_its_files(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sandbox, "available", lambda: frozenset())
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    arguments = [str(folder), "--assignment", "2", "--out", str(tmp_path / "results")]
    assert grade.main([*arguments, "--without", *sandbox.PROTECTIONS]) == 2
    assert "Not as root" in capsys.readouterr().err


def test_a_control_group_of_version_2_is_limited_entered_and_removed(tmp_path, monkeypatch):
    """On a copy of the files that the kernel would offer; the kernel itself: the tests above."""
    monkeypatch.setattr(
        Path, "read_text", lambda path, *_: "0::/teacher\n" if path.name == "cgroup" else path.open().read()
    )
    own = tmp_path / "teacher"
    own.mkdir()
    (own / "cgroup.subtree_control").write_text("cpu memory pids\n")
    group = ControlGroup.make(10**9, 50, root=tmp_path)
    made = group.folder
    assert made.parent == own
    assert str(made / "cgroup.procs") in " ".join(group.enter())
    group.remove()
    assert not made.exists()
    (own / "cgroup.subtree_control").write_text("cpu\n")
    assert ControlGroup.make(10**9, 50, root=tmp_path).enter() == []


HIDDEN_MEMORY = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
assert libc.shmget(0, 10**8, 0o1600) >= 0 or os.memfd_create("x") >= 0
"""


@needs_walls
def test_memory_that_no_process_shows_is_refused(graded):
    result = graded([*GOOD[:2], HIDDEN_MEMORY, *GOOD[2:]])
    assert (points(result), list(result["errors"])) == ([3, 1], [3])


@needs_walls
@pytest.mark.parametrize("answer", ["'{},' * 2**25", "[[]] * 10**6"])
def test_a_huge_answer_is_no_answer_and_takes_no_memory_here(answer, graded):
    before = psutil.Process().memory_info().rss
    result = graded([*GOOD[:2], *GOOD[3:], f"words = {answer}"], sandbox.Limits(call_seconds=10.0, memory=4 * 10**9))
    assert points(result) == [3, 0]
    assert psutil.Process().memory_info().rss - before < 100e6


@needs_walls
def test_cells_that_end_the_process_cost_their_own_answers_only(graded):
    ends = "import os\nos._exit(0)"
    result = graded([GOOD[0], ends, GOOD[1], ends, ends, *GOOD[2:4], ends, ends, GOOD[4]])
    assert (points(result), result["student_id"]) == ([3, 1], "ada")
    assert list(result["errors"]) == [2, 4, 5, 8, 9]


@needs_walls
def test_the_answers_of_a_neighbour_fail(graded):
    """Under another id at the end, and with a function that changes the id when it is called."""
    copied = [*GOOD[:3], "def square(x):\n    global student_id\n    student_id = 'ada'\n    return x**2", GOOD[4]]
    result = graded([*copied, "student_id = 'ben'"])
    assert (points(result), result["student_id"], result["id_changed"]) == ([1, 1], "ben", True)


@needs_walls
def test_what_the_check_in_the_notebook_takes_grading_takes():
    cells = [
        "student_id = 'ada'\nimport numpy as np, torch\nfrom fpcourse import homework",
        "class Series(list):\n    def __array__(self, *_, **__):\n        return np.array(list(self))",
        "answers = np.array([3]), [3], torch.tensor([3.0]), Series([3]), range(3, 4), np.float32(3)",
        "for answer in answers:\n    homework.number('answer', np.asarray(answer))",
    ]
    tests = f"from otter.test_files import test_case\nname, points = '2.1', {[1] * 6}\n"
    for i in range(6):
        tests += f"@test_case(hidden=True)\ndef test_{i}(env):\n    homework.compare('it', env['answers'][{i}], 3)\n"
    content = json.dumps(notebook(*cells)).encode()
    result = submission.grade(content, "2", {"2.1": tests}, WALLS, sandbox.Limits())
    assert (result["questions"]["2.1"]["points"], result["errors"]) == (6, {})


@needs_walls
def test_a_notebook_from_colab_runs_here(graded):
    colab = "from google.colab import drive, files\ndrive.mount('/content/drive')\n"
    assert graded([GOOD[0], colab + GOOD[1], *GOOD[2:]])["errors"] == {}


@needs_walls
def test_no_file_takes_anything_from_another(tmp_path):
    """Names, bytes, kinds and outputs that no table and no file system likes, beside one good submission."""
    folder, out = tmp_path / "collected", tmp_path / "results"
    folder.mkdir()
    good = json.dumps(notebook(*GOOD)).encode()
    (folder / "good.ipynb").write_bytes(good)
    odd = {
        os.fsencode(folder / name): content
        for name, content in {
            "sub__a.ipynb": good,
            ".hidden.ipynb": good,
            "long" * 60 + ".ipynb": b"1",
            "escape\x1b[2J\nnew line.ipynb": b"2",
            "＝1+1.ipynb": b"3",
            "surrogate.ipynb": json.dumps(
                notebook(*GOOD, r"raise ValueError('\ud800 \x1b[2J' + chr(10) + 'all right')")
            ).encode(),
            "forged id.ipynb": json.dumps(notebook(r"student_id = 'x' + chr(10) + '20 of 20 points'")).encode(),
            "zip.ipynb": b"PK\x03\x04",
            "utf-16.ipynb": "{}".encode("utf-16"),
        }.items()
    }
    odd[os.fsencode(folder) + b"/M\xfcller.ipynb"] = good
    (folder / "sub").mkdir()
    odd[os.fsencode(folder / "sub" / "a.ipynb")] = good
    for path, content in odd.items():
        Path(os.fsdecode(path)).write_bytes(content)
    os.mkfifo(folder / "pipe.ipynb")
    (folder / "dangling.ipynb").symlink_to("nowhere")
    (folder / "passwd.ipynb").symlink_to("/etc/passwd")
    with open(folder / "large.ipynb", "wb") as file:
        file.truncate(10**9)
    (folder / "submission_metadata.yml").write_text("[" * 10_000)  # a student's, not Gradescope's
    deep = folder.joinpath(*"d" * 100)
    deep.mkdir(parents=True)
    (deep / "deep.ipynb").write_bytes(good)
    for _ in range(2):  # the second run finds the results of the first, also where they lie among the submissions
        subprocess.run(command(folder, folder / "out", "--jobs", "2", "--cell-seconds", "5"), check=True, timeout=900)
    out = folder / "out"
    rows = table(out)
    assert len(rows) == len(odd) + 6
    assert (out / "log.txt").read_text("utf-8").count("not read: folders inside") == 2
    assert [row["total"] for row in rows.values() if row["status"] == "graded"].count("4") == 6
    assert sum(row["counts"] == "yes" for row in rows.values() if row["student_id"] == "ada") == 1
    texts = [path.read_text("utf-8") for path in (out / "feedback").rglob("*") if path.is_file()]
    assert len(texts) == len(rows)
    assert not any("\x1b" in text or "\n20 of 20" in text or "\nall right" in text for text in texts)
    assert {rows[name]["note"].partition(":")[0] for name in ("pipe.ipynb", "dangling.ipynb", "passwd.ipynb")} == {
        "it is a link or a device, not a file"
    }
    assert "954 MiB" in rows["large.ipynb"]["note"] and "zip archive" in rows["zip.ipynb"]["note"]


@needs_walls
def test_a_roster_marks_by_hand_and_grading_again(folder, tmp_path, capfd):
    out, roster = tmp_path / "results", tmp_path / "class.csv"
    roster.write_text(
        'Student,ID,SIS User ID,Section\n"Zero, S.",1,STUDENT 0,A\n"One, S.",2,student 1,A\nAbsent,3,s9,A\n'
    )
    run = [*command(folder, out, "--cell-seconds", "4", "--jobs", "2"), "--roster", str(roster)]
    subprocess.run(run, check=True, timeout=900)
    (out / "overrides.csv").open("a").write("Student 1,2.2,0.5,too short\nnobody,2.2,1,\nstudent 1,2.9,1,\n")
    capfd.readouterr()
    subprocess.run([*run, "--again", "student 1.ipynb"], check=True, timeout=900)
    said = capfd.readouterr().err
    assert "8 files, 1 of them to grade" in said
    assert "line 3: there is no student 'nobody'" in said and "line 4: there is no question '2.9'" in said
    with open(out / "students.csv", encoding="utf-8-sig", newline="") as file:
        students = list(csv.DictReader(file))
    assert list(students[0])[:5] == ["Student", "ID", "SIS User ID", "Section", "Homework 2"]
    by_id = {row["SIS User ID"]: row for row in students}
    assert by_id["STUDENT 0"]["Homework 2"] == "3" and by_id["STUDENT 0"]["file"].startswith("late")
    assert (by_id["student 1"]["Homework 2"], by_id["student 1"]["2.2"]) == ("3.5", "0.5")
    assert (by_id["s9"]["Homework 2"], by_id["s9"]["note"]) == ("", "nothing handed in under this id")
    assert by_id["student 2"]["note"].startswith("not in the roster")
    assert "Your teacher: too short" in (out / "feedback" / "student 1.ipynb.txt").read_text("utf-8")
    with open(out / "upload.csv", encoding="utf-8", newline="") as file:
        assert list(csv.reader(file))[:2] == [
            ["Student", "ID", "SIS User ID", "Section", "Homework 2"],
            ["Zero, S.", "1", "STUDENT 0", "A", "3"],
        ]
    with open(out / "statistics.csv", encoding="utf-8-sig", newline="") as file:
        statistics = {row["test"]: row for row in csv.DictReader(file)}
    assert statistics["words"]["most frequent message"] == "`words` is not defined: no cell that ran assigns it."
    page = (out / "explanations.md").read_text("utf-8")
    assert page.count("> two words") == 5 and "student" not in page.replace("students", "")
    other = [part if part != "2" else "3" for part in run]
    done = subprocess.run(other, capture_output=True, text=True, timeout=100)
    assert done.returncode == 2 and "holds the results of homework 2" in done.stderr


@needs_walls
def test_a_fault_of_the_machine_is_no_mark(folder, tmp_path, monkeypatch):
    """It says so, ends with status 1, and the next run grades the file; other limits grade anew as well."""
    arguments = [str(folder), "--assignment", "2", "--out", str(tmp_path / "results"), "--jobs", "1"]
    monkeypatch.setattr(grade, "convert", lambda master, folder: (new_notebook(), TESTS))
    for path in (*folder.glob("*.ipynb"), *folder.glob("late/*")):
        if path.name != "student 0.ipynb":
            path.unlink()
    with monkeypatch.context() as broken:
        broken.setattr(sandbox, "available", lambda: frozenset(sandbox.PROTECTIONS))
        (tmp_path / "bwrap").write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "bwrap").chmod(0o755)
        broken.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        assert grade.main(arguments) == 1
    assert "failed, grade it again" in table(tmp_path / "results")["student 0.ipynb"]["note"]
    assert grade.main(arguments) == 0
    assert table(tmp_path / "results")["student 0.ipynb"]["total"] == "4"
    results = tmp_path / "results" / "submissions"
    assert len(list(results.glob("*.json"))) == 1
    assert grade.main([*arguments, "--cell-seconds", "4"]) == 0
    assert len(list(results.glob("*.json"))) == 2


def test_limits_are_stretched_while_the_machine_is_busy(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    for load, times in ((0.3, 1.0), (2.0, 1.0), (5.0, 2.5), (40.0, 5.0)):
        monkeypatch.setattr(os, "getloadavg", lambda load=load: (load, 0.0, 0.0))
        assert submission.busy() == times


def test_a_machine_without_bubblewrap_says_what_it_lacks(monkeypatch):
    monkeypatch.setattr(sandbox.shutil, "which", lambda _: None)
    assert sandbox.complaint() == "bubblewrap is not installed"
    assert sandbox.available() == frozenset()
