"""Binder and Codespaces install what the book is built with; what a browser without torch would lack."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
BINDER = REPOSITORY / "binder"


def test_binder_installs_the_pins_and_their_hashes():
    lines = [line for line in (BINDER / "requirements.txt").read_text("utf-8").splitlines() if not line.startswith("#")]
    assert lines == ["--only-binary :all:", "--requirement ../requirements-hashed.txt"]
    assert (BINDER / "../requirements-hashed.txt").exists()  # pip looks from where the file is that names it
    assert (BINDER / "runtime.txt").read_text("utf-8") == "python-3.11\n"  # the oldest that the pins are made for


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps no mode")
def test_binder_adds_torch_alone():
    script = BINDER / "postBuild"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)
    command = script.read_text("utf-8").splitlines()[-1].split()
    assert command[:3] == ["uv", "pip", "install"] and command[-2:] == ["--requirements", "requirements.txt"]
    uv = Path(sys.executable).with_name("uv")
    help_text = subprocess.run([uv, "pip", "install", "--help"], capture_output=True, text=True, check=True).stdout
    assert {word for word in command if word.startswith("--")} <= set(help_text.replace("=", " ").split())


def test_the_container_installs_as_make_does():
    settings = json.loads((REPOSITORY / ".devcontainer" / "devcontainer.json").read_text("utf-8"))
    target = settings["postCreateCommand"].removeprefix("make ")
    assert f"$(VENV){target.removeprefix('.venv')}:" in (REPOSITORY / "Makefile").read_text("utf-8")
    assert ":3.11-" in settings["image"]
    python = settings["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert python == "${containerWorkspaceFolder}/.venv/bin/python"


WITHOUT_TORCH = """
import importlib, sys
sys.modules["torch"] = None
for name in sys.argv[1:]:
    try:
        importlib.import_module(f"fpcourse.{name}")
    except ModuleNotFoundError:
        print(name)
try:
    importlib.import_module("fpcourse.settings").seed()
except ModuleNotFoundError:
    print("seed")
"""


@pytest.mark.slow
def test_what_a_browser_without_torch_would_lack():
    """The page *Where it runs* says so: no JupyterLite, because of `kernels` and of `settings.seed`."""
    modules = ["fourier", "flow", "sphere", "data", "plotting", "interactive", "kernels"]
    command = [sys.executable, "-c", WITHOUT_TORCH, *modules]
    missing = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY).stdout.split()
    assert missing == ["kernels", "seed"]
    page = (REPOSITORY / "chapters/back_matter/where_it_runs.md").read_text("utf-8")
    assert "`kernels`" in page and "`settings.seed`" in page
