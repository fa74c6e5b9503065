"""Peers of fpcourse that are optional: a benchmark beside one that is missing is skipped and says what to install."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest


class NeuralTangents:
    """The other end of ``neural_tangents_peer.py``: ``run`` returns when the result is computed."""

    def __init__(self, python: str, folder: Path) -> None:
        program = [python, str(Path(__file__).with_name("neural_tangents_peer.py"))]
        self.process = subprocess.Popen(
            program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.python, self.folder = python, folder
        assert self.process.stdout.readline() == "ready\n", f"{python} has no neural-tangents that works"

    def store(self, name: str, *arrays: np.ndarray) -> str:
        path = self.folder / f"{name}.npz"
        np.savez(path, *arrays)
        return str(path)

    def run(self, task: str, arrays: str, result: str = "") -> None:
        self.process.stdin.write(json.dumps([task, arrays, result]) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if answer != "done":
            raise RuntimeError(answer)

    def result(self, task: str, arrays: str) -> np.ndarray:
        path = str(self.folder / "result.npy")
        self.run(task, arrays, path)
        return np.load(path)

    def _memory_mb(self, key: str) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{key}:\s*(\d+) kB", status)[1]) / 1024

    def peak_mb(self, task: str, arrays: str) -> int:
        """By how much the call raises the memory of a fresh process above that of its imports, compilation included."""
        fresh = NeuralTangents(self.python, self.folder)
        before = fresh._memory_mb("VmRSS")
        fresh.run(task, arrays)
        peak = fresh._memory_mb("VmHWM")
        fresh.close()
        return round(peak - before)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(30)


@pytest.fixture(scope="session")
def neural_tangents(tmp_path_factory) -> Iterator[NeuralTangents]:
    python = os.environ.get("NEURAL_TANGENTS_PYTHON")
    if not python:
        pytest.skip("NEURAL_TANGENTS_PYTHON names no Python with neural-tangents: see neural_tangents_peer.py")
    peer = NeuralTangents(python, tmp_path_factory.mktemp("peer"))
    yield peer
    peer.close()
