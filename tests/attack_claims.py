"""Attacks on `make claims`: ``python tests/attack_claims.py``, minutes long. What came of them: robustness.md.

A repository of two small notebooks is run at four seeds: killed 20 times with its whole process group at random moments
(seed 0) and started again, run twice at once in one folder, and run with full disks (small file systems in memory,
which only root on Linux can mount). In the end every table must be that of an undisturbed run, bit for bit.
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import nbformat
import psutil

REPOSITORY = Path(__file__).resolve().parents[1]
KILLS = 20
SEEDS = 4
CELLS = [
    "import os, time\nimport numpy as np\nfrom fpcourse.claims import check\nseed = int(os.environ['FPCOURSE_SEED'])",
    "values = np.random.default_rng([seed, {number}]).normal(size=10000)\ntime.sleep(0.3)",
    "check('the mean is small', abs(values.mean()), below=0.1)",
    "check('half of them are positive', (values > 0).mean(), above=0.4, below=0.6)\ntime.sleep(0.3)",
    "check('the largest is far out', values.max(), above={number})",
]


def small_repository(folder: Path) -> None:
    """Write a copy of the package and the runner with two notebooks of three claims; one fails at some seeds."""
    (folder / "tests").mkdir()
    (folder / "chapters/back_matter").mkdir(parents=True)
    (folder / "temporary").mkdir()
    for file in (REPOSITORY / "tests/every_seed.py", *REPOSITORY.glob("requirements*.txt")):
        shutil.copy(file, folder / file.relative_to(REPOSITORY))
    shutil.copytree(REPOSITORY / "fpcourse", folder / "fpcourse", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "data").mkdir()
    (folder / "_toc.yml").write_text("chapters: [{file: chapters/one}, {file: chapters/two}]")
    for number, name in ((3, "one"), (4, "two")):
        cells = [nbformat.v4.new_code_cell(cell.format(number=number)) for cell in CELLS]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / f"chapters/{name}.ipynb")


def start(folder: Path) -> subprocess.Popen:
    """``make claims`` in a process group of its own, its temporary files in the repository's ``temporary``."""
    environment = {"PYTHONPATH": str(folder), "TMPDIR": str(folder / "temporary"), "TQDM_DISABLE": "1",
                   "OMP_NUM_THREADS": "1"}  # fmt: skip
    command = [sys.executable, str(folder / "tests/every_seed.py"), "--seeds", str(SEEDS)]
    return subprocess.Popen(
        command, env=os.environ | environment, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def finish(process: subprocess.Popen, folder: Path) -> tuple[bytes, list[str]]:
    """Its table and its page, of which the last two columns are measured (seconds, memory)."""
    output = process.communicate(timeout=600)[0]
    assert process.returncode in (0, 1) and f"{2 * SEEDS} runs" in output, output
    page = (folder / "chapters/back_matter/every_seed.md").read_text("utf-8").splitlines()
    return (folder / "tests/claims.csv").read_bytes(), [line.rsplit("|", 3)[0] for line in page]


def undisturbed(folder: Path) -> tuple[bytes, list[str]]:
    shutil.rmtree(folder / "_build", ignore_errors=True)
    return finish(start(folder), folder)


def kernels(folder: Path) -> list[psutil.Process]:
    """The notebooks' kernels that run, whoever started them."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(str(folder / "temporary") in word for word in process.cmdline()):  # its connection file
                found.append(process)
    return found


def phase(process: subprocess.Popen, folder: Path) -> str:
    """What a run is doing."""
    kept = len(list((folder / "_build/claims").glob("*.npz")))
    if kept == 2 * SEEDS:
        return "all notebooks kept"
    if kernels(folder):
        return "notebooks running"
    children = psutil.Process(process.pid).children(recursive=True)
    return "between notebooks" if kept and children else "workers starting" if children else "before the workers"


def kill(folder: Path, expected) -> None:
    draw, phases, ended, started = random.Random(0), Counter(), 0, time.monotonic()
    shutil.rmtree(folder / "_build")
    (folder / "tests/claims.csv").unlink()
    while sum(phases.values()) < KILLS:
        process = start(folder)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(draw.uniform(0.5, 20))
        if process.poll() is not None:
            assert finish(process, folder) == expected
            shutil.rmtree(folder / "_build")
            ended += 1
            continue
        phases[phase(process, folder)] += 1
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert finish(start(folder), folder) == expected
    deadline = time.monotonic() + 30
    while kernels(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    print(f"{KILLS} kills in {time.monotonic() - started:.0f} s: {dict(phases)}; {ended + 1} tables, all the same")
    kept = sorted(file.suffix for file in (folder / "_build/claims").iterdir())
    assert kept == [".npz"] * 2 * SEEDS, kept
    temporary = [file for file in (folder / "temporary").rglob("*") if file.is_file()]
    print(
        f"left: {len(kernels(folder))} kernels; in the system's temporary folder {len(temporary)} files of "
        f"{sum(file.stat().st_size for file in temporary)} bytes"
    )


def twice_at_once(folder: Path, expected) -> None:
    shutil.rmtree(folder / "_build")
    for process in [start(folder), start(folder)]:
        assert finish(process, folder) == expected
    kept = sorted(file.suffix for file in (folder / "_build/claims").iterdir())
    assert kept == [".npz"] * 2 * SEEDS, kept
    print("two at once: both tables the same")


def full_disk(folder: Path, where: str, expected) -> None:
    """Run with a file system at ``where`` that fills up while notebooks run, then with the space free again."""
    shutil.rmtree(folder / "_build")
    (folder / where).mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder / where)], check=True)
    try:
        process = start(folder)
        while not kernels(folder):
            time.sleep(0.05)
        ballast = folder / where / "ballast"
        with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        output = process.communicate(timeout=600)[0]
        assert process.returncode and "No space left on device" in output and " runs, " not in output, output
        print(f"{where} full: {next(line for line in output.splitlines() if 'No space left' in line)}")
        ballast.unlink()
        assert finish(start(folder), folder) == expected
    finally:
        subprocess.run(["umount", str(folder / where)], check=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small_repository(folder)
        expected = undisturbed(folder)
        assert undisturbed(folder) == expected
        kill(folder, expected)
        twice_at_once(folder, expected)
        if sys.platform == "linux" and os.geteuid() == 0:
            for where in ("_build/claims", "temporary", "chapters/back_matter"):
                full_disk(folder, where, expected)


if __name__ == "__main__":
    main()
