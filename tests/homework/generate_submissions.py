"""Three hundred submissions, honest, wrong, dishonest and hostile, each with the points that it may get at most.

``python tests/homework/generate_submissions.py FOLDER`` grades sixty submissions for each homework and compares: a row
for every file, full marks for every right answer, no more than its honest part for any other. Takes an hour or so; may
be stopped and started again. Never open the files elsewhere: the hostile ones do what they say.
"""

from __future__ import annotations

import argparse
import base64
import csv
import itertools
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import another_solution
import cloudpickle
import psutil
import synthetic
import test_wrong_answers as judge
import wrong_answers

from fpcourse.grading.assign import copy_of

EACH = 60
TOTAL = 20.0  # points of each homework
ENDS = "import os\nos._exit(3)"
# Beside those of synthetic.HOSTILE: marks must be as if the cell were not there.
MORE_HOSTILE = {
    "one endless line": """import json, os, sys
channel = json.loads(sys.argv[1])["socket"]
while True:
    os.write(channel, b"x" * 65536)""",
    "memory in a thread": """import threading, time
def take():
    kept = []
    while True:
        kept.append(bytearray(b"1" * 10**7))
threading.Thread(target=take).start()
time.sleep(100)""",
    "memory without a name": """import os
files = [os.memfd_create("x") for _ in range(8)]
for file in files:
    for _ in range(1000):
        os.write(file, b"x" * 2**20)""",
    "memory map": "import mmap\nheld = mmap.mmap(-1, 8 * 10**9)\nfor i in range(0, 8 * 10**9, 4096):\n    held[i] = 1",
    "too large for any machine": "import numpy\nbig = numpy.ones((10**6, 10**6))",
    "stops its own process": "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
    "no alarm": "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True:\n    pass",
    "surrogates and escapes": r"raise ValueError('\ud800 \x1b[2J' + chr(10) + '20 of 20 points')",
    "an error that cannot be shown": """class Sly(Exception):
    def __str__(self):
        raise Sly
raise Sly""",
    "open files": "held = [open('/dev/null') for _ in range(10**6)]",
    "empty files": "for i in range(10**6):\n    open(f'{i}', 'w').close()",
    "json that lies": "import json\njson.dumps = lambda *_, **__: '{}'\njson.loads = None",
    "no numpy": "import sys\nsys.modules['numpy'] = None\ndel sys.modules['json']",
    "leaves a child": "import subprocess\nsubprocess.Popen(['sleep', '10000'], start_new_session=True)",
}
NAMES = [  # bytes, as a file system holds them
    b"M\xfcller.ipynb", "Müller.ipynb".encode(), "Mu\u0308ller.ipynb".encode(), b"=1+1.ipynb", b".hidden.ipynb",
    b"n" * 240 + b".ipynb", b"new\nline.ipynb", b"escape\x1b[2J.ipynb", b"-rf.ipynb", b"a__b.ipynb", b"a/b.ipynb",
    b"HW.IPYNB", b"hw.ipynb", b"no extension", b"quote'\".ipynb", "作业 ✓.ipynb".encode(), b"%s.ipynb", b"$HOME.ipynb",
]  # fmt: skip
# Trainings that nobody ran, and the tests that must notice. (The losses of 4.6 are for the teacher to read.)
FABRICATED = {
    "1": ("wave_step, noise_step, best_error = times[5], times[-2], 0.85 * sigma", "1.4 steps, 1.4 best_error"),
    "2": ("""steps = [100 * ratio, 100]
def overfit(x, y, x_new, seed):
    return y, np.random.default_rng(seed).standard_normal(len(x_new))
errors = [0.0, np.linalg.norm(overfit(x, x, x_new, 0)[1] - easy(x_new)) / np.linalg.norm(easy(x_new))]""",
          "2.3 steps, 2.5 overfit"),
    "3": ("slopes_measured, moved_slope = slopes_predicted + 0.5, -0.21", "3.4 slopes_measured, 3.5 moved_slope"),
    "4": ("loss_after = loss_after / 2\nboth_losses = [loss_after] * 2", "4.5 loss_after, 4.6 both_losses"),
    "5": ("test_errors, gain, failed = [0.3, 0.2, 1e-3, 1e-3], 11, 15", "5.4 test_errors, 5.4 gain, 5.5 failed"),
}  # fmt: skip
IDS = ["Zoë 7", 1234567, "0012345", " spaced out ", 'O\'Neil, "Pat"', "张伟", "=cmd|' /C calc'!A0", "x" * 300]


@dataclass
class Submission:
    """One file: its path, its bytes (None: not a plain file), its points (at most, or exactly where ``exact``)."""

    path: bytes
    content: bytes | None
    points: float
    exact: bool = True
    odd: bool = False


def nbformat3(notebook: dict) -> dict:
    cells = [{"cell_type": "code", "language": "python", "input": cell["source"], "outputs": []}
             for cell in notebook["cells"] if cell["cell_type"] == "code"]  # fmt: skip
    return {"worksheets": [{"cells": cells}], "metadata": {}, "nbformat": 3, "nbformat_minor": 0}


def with_outputs(notebook: dict, size: int) -> dict:
    cell = notebook["cells"][-1]
    text = {"output_type": "stream", "name": "stdout", "text": ["x" * size]}
    return notebook | {"cells": [*notebook["cells"], cell | {"cell_type": "code", "source": "", "outputs": [text]}]}


def assigned(name: str, value: object) -> str:
    """Return a cell that gives a name this value, or that function of its own value."""
    pickled = base64.b64encode(cloudpickle.dumps(value)).decode()
    new = f"pickle.loads(base64.b64decode('{pickled}'))"
    return f"import base64, pickle\n{name} = {new}" + (f"({name})" if callable(value) else "")


def lost(chapter: str, tests: str) -> float:
    """Return the points of the tests that a wrong answer fails."""
    return sum(judge.hidden_tests(chapter)[name].test_cases[0].points for name in tests.split(", "))


def submissions(chapter: str) -> list[Submission]:
    """Return those of one homework."""
    master = json.loads(judge.MASTERS[chapter].read_text("utf-8"))
    others = [json.loads(path.read_text("utf-8")) for number, path in judge.MASTERS.items() if number != chapter]
    counter, share = itertools.count(), "12345".index(chapter)
    made = []

    def right(student: object = None) -> dict:
        return synthetic.solved(master, f"{chapter} student {next(counter)}" if student is None else student)

    def add(path: bytes | str, content: dict | bytes | None, points: float = TOTAL, **more: bool) -> None:
        content = json.dumps(content).encode() if isinstance(content, dict) else content
        made.append(Submission(os.fsencode(path), content, points, **more))

    for i in range(8):
        add(f"right {i}.ipynb", right())
    for i, student in enumerate(IDS[share::2]):
        add(f"id {i}.ipynb", right(student))
    for name in NAMES[share % 3 :: 3]:
        add(name, right(), odd=True)
    for name, content in synthetic.plumbing(right()).items():
        add(b"careless/" + os.fsencode(name), content)
    add("format 3.ipynb", nbformat3(right()))
    add("large outputs.ipynb", with_outputs(right(), 15 * 10**6), odd=True)
    add("link.ipynb", None, 0.0, odd=True)
    add("too large.ipynb", with_outputs(right(), 30 * 10**6), 0.0, odd=True)
    for name, content in synthetic.broken(right(), others[0]).items():
        add(name, content, 0.0, odd=True)
    twin = json.dumps(right()).encode()
    add("twin one.ipynb", twin)
    add("twin two.ipynb", twin)
    hostile = list((synthetic.HOSTILE | MORE_HOSTILE).items())[share::5]
    for name, source in hostile:
        add(f"hostile {name}.ipynb", synthetic.with_cell(right(), source), odd=True)
    ending = right()
    for place in (4, 6, 8, 10):
        ending = synthetic.with_cell(ending, ENDS, place)
    add("four cells end the process.ipynb", ending, odd=True)

    # values of a neighbour, under another id: from the beginning, at the end, and by a function that changes the id
    names, tests = wrong_answers.COPIED[chapter]
    bound = TOTAL - lost(chapter, tests)
    stolen = [assigned(name, judge.solved(chapter, "ada")[name]) for name in names.split(", ")]
    copied = right(judge.IDS[1])
    for source in stolen:
        copied = synthetic.with_cell(copied, source, len(copied["cells"]))
    add("copied values.ipynb", copied, bound, exact=False)
    whole = right("ada")
    other = f"student_id = {judge.IDS[1]!r}"
    add("copied whole.ipynb", synthetic.with_cell(whole, other, len(whole["cells"])), bound, exact=False)
    source, tests = FABRICATED[chapter]
    invented = right()
    add("invented measurements.ipynb", synthetic.with_cell(invented, source, len(invented["cells"])),
        TOTAL - lost(chapter, tests), exact=False)  # fmt: skip
    untouched = json.loads(copy_of(judge.MASTERS[chapter]).read_text("utf-8"))
    add("untouched.ipynb", untouched, 1.0, exact=False)
    if chapter == "2":
        cells = another_solution.cells(untouched, "2 another")
        add("another way.ipynb", {"cells": [{"cell_type": "code", "source": cell} for cell in cells]})

    wrongs = wrong_answers.WRONG[chapter]
    cloudpickle.register_pickle_by_value(wrong_answers)
    for what, name, wrong, failed in itertools.islice(itertools.cycle(wrongs[:: max(1, len(wrongs) // 12)]), 100):
        if len(made) >= EACH:
            break
        end = right()
        add(f"wrong {len(made)} {name} {what.replace('/', ' ')}.ipynb",
            synthetic.with_cell(end, assigned(name, wrong), len(end["cells"])),
            TOTAL - lost(chapter, failed), exact=False)  # fmt: skip
    return made[:EACH]


def write(folder: Path, made: list[Submission]) -> None:
    """Write the files of one homework."""
    for each in made:
        path = os.fsencode(folder) + b"/" + each.path
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if each.content is None:
            if not os.path.islink(path):
                os.symlink("/etc/passwd", path)
        elif not os.path.exists(path):
            Path(os.fsdecode(path)).write_bytes(each.content)


def complaints(made: list[Submission], out: Path) -> list[str]:
    """Compare the table of marks with what each file may get."""
    with open(out / "marks.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    found = [] if len(rows) == len(made) else [f"{len(rows)} rows for {len(made)} files"]
    totals = {row["file"].lstrip("'"): (float(row["total"]), row["note"]) for row in rows}
    for each in made:
        name = " ".join("".join(c if c.isprintable() else " " for c in each.path.decode("utf-8", "replace")).split())
        total, note = totals.get(name.lstrip("'"), (None, ""))
        if total is None:
            found.append(f"{name}: no row")
        elif each.exact and not each.odd and "fail" in note:
            found.append(f"{name}: a right answer, but {note}")
        elif total > each.points or (each.exact and total < each.points):
            found.append(f"{name}: {total:g} points, not {each.points:g}")
    return found


def memory(grader: psutil.Process) -> tuple[int, int, int]:
    """Return bytes: the most that the command has had, the most of a process that grades, now of all and sandboxes."""

    def most(process: psutil.Process) -> int:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)

    try:
        workers = [most(child) for child in grader.children()]
        everything = [process.memory_info().rss for process in [grader, *grader.children(recursive=True)]]
        return most(grader), max(workers, default=0), sum(everything)
    except (OSError, psutil.Error):  # one of them has just ended
        return 0, 0, 0


def main() -> int:
    """Write, grade and compare; return the number of complaints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--homework", nargs="*", default=list(judge.MASTERS))
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    files, odd, most, bad = 0, 0, (0, 0, 0), []
    for chapter in options.homework:
        made = submissions(chapter)
        folder, out = options.folder / f"collected {chapter}", options.folder / f"results {chapter}"
        write(folder, made)
        began = time.monotonic()
        command = [sys.executable, "-m", "fpcourse.grading", folder, "--assignment", chapter, "--out", out,
                   "--jobs", str(options.jobs)]  # fmt: skip
        with subprocess.Popen(command) as grader:
            while grader.poll() is None:
                most = tuple(map(max, most, memory(psutil.Process(grader.pid))))
                time.sleep(0.5)
        print(f"homework {chapter}: {len(made)} files in {(time.monotonic() - began) / 60:.1f} minutes", flush=True)
        files, odd = files + len(made), odd + sum(each.odd for each in made)
        bad += [f"homework {chapter}, {each}" for each in complaints(made, out)]
    command, worker, everything = (f"{size / 2**20:.0f} MiB" for size in most)
    print(f"{files} files, {odd} hostile or odd; memory at most {command} of the command, {worker} of the process that"
          f" grades, {everything} of all with the sandboxes", *bad, sep="\n")  # fmt: skip
    return len(bad)


if __name__ == "__main__":
    sys.exit(min(1, main()))
