"""The course on a GPU, which a machine without one pretends to have (pretend.cpp)."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pretend
import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
NOTEBOOKS = sorted(path for path in (ROOT / "chapters").rglob("*.ipynb") if path.name != "homework.ipynb")
FULL = os.environ.get("PRETEND_GPU") == "full"  # `make pretend-gpu`
STEPS = [] if FULL else ["20"]  # of a training
SUITES = ["pretend_gpu/on_the_device.py"]
if FULL:
    SUITES += [f"test_{name}.py" for name in ("recording", "neurons", "flow", "kernels", "landscape", "models")]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def machine():
    """The environment of a process that has the pretend GPU."""
    if shutil.which("g++") is None or sys.platform != "linux":
        pytest.skip("NOTHING HERE HAS SEEN A GPU: the pretend one takes Linux and g++ (Debian's package g++)")
    pretend.build()
    path = os.pathsep.join([str(HERE), str(ROOT), *sys.path])
    return os.environ | {"FPCOURSE_DEVICE": "pretend", "PYTHONPATH": path, "TQDM_DISABLE": "1", "MPLBACKEND": "agg"}


@pytest.fixture(scope="session")
def run_notebook(machine):
    with subprocess.Popen(
        [sys.executable, HERE / "lessons.py", *STEPS],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=machine,
    ) as runner:  # fmt: skip

        def run(path: Path) -> list[dict]:
            runner.stdin.write(f"{path}\n")
            runner.stdin.flush()
            return json.loads(runner.stdout.readline())

        yield run
        runner.stdin.close()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.relative_to(ROOT / "chapters")))
def test_a_notebook_runs_on_a_gpu(run_notebook, path):
    errors = run_notebook(path)
    assert [error["error"] for error in errors if FULL or error["of the device"]] == []


@pytest.mark.parametrize("suite", SUITES)
def test_the_package_works_on_a_gpu(machine, suite):
    command = [sys.executable, "-m", "pytest", "-p", "pretend", "-p", "no:cacheprovider", "-q", f"tests/{suite}"]
    done = subprocess.run(command, capture_output=True, text=True, env=machine, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-6000:]
