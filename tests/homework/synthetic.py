"""A folder of made-up submissions, good, broken and hostile: to see that the grader survives, and how fast it is.

``python tests/homework/synthetic.py FOLDER --assignment 2 --count 200`` writes it, and then
``python -m fpcourse.grading FOLDER --assignment 2 --out RESULTS`` grades it. Never open these files elsewhere:
the hostile ones do what they say.
"""

import argparse
import copy
import json
from pathlib import Path

import nbformat

from fpcourse.grading.assign import copy_of, masters, number

# Cells that a student might hand in between right answers. Marks must be as if the cell were not there.
HOSTILE = {
    "infinite loop": "while True:\n    pass",
    "loop that catches everything": "while True:\n    try:\n        while True:\n            1 + 1\n"
    "    except BaseException:\n        continue",
    "10 GB": "huge = bytearray(10 * 10**9)",
    "10 GB in pieces": "pieces = []\nwhile True:\n    pieces.append(bytearray(b'1' * 10**7))",
    "10 GB in children": "import os, time\nfor _ in range(8):\n    if os.fork() == 0:\n"
    "        piece = bytearray(b'1' * (3 * 10**9 // 2))\n        time.sleep(100)\ntime.sleep(100)",
    "1 GB of output": "for _ in range(1000):\n    print('x' * 10**6)",
    "1 GB of output by a child": "import subprocess\n"
    "subprocess.run('yes | head -c 1000000000', shell=True, check=True)",
    "sys.exit": "import sys\nsys.exit(1)",
    "exit": "exit()",
    "end of the process": "import os\nos._exit(0)",
    "crash": "import ctypes\nctypes.string_at(0)",
    "500 children": "import subprocess\nchildren = [subprocess.Popen(['sleep', '1000']) for _ in range(500)]",
    "fork bomb": "import os\nwhile True:\n    os.fork()",
    "kills all it can": "import os, signal\nos.kill(-1, signal.SIGKILL)",
    "deletes its directory": "import os, shutil\nshutil.rmtree(os.getcwd(), ignore_errors=True)",
    "fills the disk": "with open('big', 'wb') as file:\n    while True:\n        file.write(b'1' * 10**7)",
    "overwrites the checker": "import fpcourse.homework\nfpcourse.homework.compare = lambda *_, **__: None\n"
    "open(fpcourse.homework.__file__, 'w').write('raise SystemExit')",
    "reads hidden tests": "import glob\n"
    "assert glob.glob('/*/*/grading/*') + glob.glob('/**/homework_master.ipynb', recursive=True), 'nothing found'",
    "opens a socket": "import socket\nsocket.create_connection(('192.0.2.1', 80), timeout=5)",
    "talks to the grader": "import os\nfor number in range(3, 20):\n    try:\n"
    "        os.write(number, b'{\"value\": 1}\\n' * 3)\n    except OSError:\n        pass",
    "syntax error": "this is no (Python",
    "deep recursion": "import sys\nsys.setrecursionlimit(10**9)\ndef deep():\n    return deep()\ndeep()",
    "never returns from C": "import re\nre.match(r'(a+)+$', 'a' * 60 + 'b')",
    "asks the reader": "input('your name? ')",
    "floods the channel": """import json, os, sys, threading, time
channel = json.loads(sys.argv[1])["socket"]
def flood():
    while True:
        os.write(channel, b"\\n" * 65536)
threading.Thread(target=flood, daemon=True).start()
while True:
    try:
        time.sleep(1000)
    except BaseException:
        pass""",
}


def solved(notebook: dict, student_id: str) -> dict:
    """The notebook of a student who knows everything: a master with this id."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook["cells"]:
        lines = "".join(cell["source"]).split("\n")
        own = (f"student_id = {student_id!r}" if line.startswith("student_id =") else line for line in lines)
        cell["source"] = "\n".join(own)
    notebook["cells"] = [
        cell for cell in notebook["cells"] if cell["cell_type"] != "raw" and "BEGIN TEST CONFIG" not in cell["source"]
    ]  # fmt: skip
    return notebook


def with_cell(notebook: dict, source: str, place: int = 4) -> dict:
    """The notebook with one more code cell; by default behind title, first cell, id and imports."""
    cell = {"cell_type": "code", "metadata": {}, "source": source, "outputs": [], "execution_count": None}
    return notebook | {"cells": [*notebook["cells"][:place], cell, *notebook["cells"][place:]]}


def stripped(notebook: dict) -> dict:
    """As some download it: no metadata, no ids, sources as lists of lines, an empty cell more, the texts lost."""
    cells = [{"cell_type": cell["cell_type"], "metadata": {}, "source": cell["source"].splitlines(keepends=True)}
             for cell in notebook["cells"] if cell["cell_type"] == "code"]  # fmt: skip
    return {"cells": [*cells, {"cell_type": "code", "source": []}], "nbformat": 4, "nbformat_minor": 0}


def broken(notebook: dict, other: dict) -> dict[str, bytes]:
    """Files that are no submission at all, or hardly, by name; ``other`` is a notebook of another assignment."""
    text = json.dumps(notebook)
    return {
        "empty.ipynb": b"",
        "not json.ipynb": b"<html>please log in</html>",
        "half.ipynb": text[: len(text) // 2].encode(),
        "a list.ipynb": b"[1, 2, 3]",
        "deep.ipynb": b"[" * 100_000,
        "binary.ipynb": bytes(range(256)) * 10,
        "report.pdf": b"%PDF-1.7",
        "wrong assignment.ipynb": json.dumps(other).encode(),
    }


def plumbing(notebook: dict) -> dict[str, bytes]:
    """Good submissions that came through careless hands, by name."""
    text = json.dumps(notebook, indent=1, ensure_ascii=False)
    windows = notebook | {
        "cells": [cell | {"source": cell["source"].replace("\n", "\r\n")} for cell in notebook["cells"]]
    }
    return {
        "stripped.ipynb": json.dumps(stripped(notebook)).encode(),
        "windows.ipynb": json.dumps(windows, indent=1).replace("\n", "\r\n").encode(),
        "byte order mark.ipynb": text.encode("utf-8-sig"),
        "Übung “zwei” 作业 ✓.ipynb": text.encode(),
        "=cmd|' !A0.ipynb": text.encode(),
    }


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--assignment", required=True)
    parser.add_argument("--count", type=int, default=200)
    options = parser.parse_args()
    options.folder.mkdir(parents=True)
    by_number = {number(master): master for master in masters()}
    master = by_number.pop(options.assignment)
    notebook = json.loads(master.read_text("utf-8"))
    other = json.loads(next(iter(by_number.values())).read_text("utf-8"))
    files = broken(notebook, other)
    files |= plumbing(solved(notebook, "careless"))
    for i, (name, source) in enumerate(HOSTILE.items()):
        files[f"{name}.ipynb"] = json.dumps(with_cell(solved(notebook, f"hostile {i}"), source)).encode()
    untouched = nbformat.writes(nbformat.read(copy_of(master), as_version=4))
    for i in range(options.count - len(files)):
        good = json.dumps(solved(notebook, f"student {i}"))
        text = untouched.replace("student_id = ...", f"student_id = 'student {i}'") if i % 10 == 9 else good
        files[f"student {i}.ipynb"] = text.encode()
    for name, content in files.items():
        (options.folder / name).write_bytes(content)
    print(f"{len(files)} files in {options.folder}")


if __name__ == "__main__":
    main()
