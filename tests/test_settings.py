"""Seed, scale and device follow the environment, and what does not fit is refused."""

import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from fpcourse import settings


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    monkeypatch.delenv("FPCOURSE_SEED", raising=False)
    monkeypatch.delenv("FPCOURSE_SCALE", raising=False)
    monkeypatch.delenv("FPCOURSE_DEVICE", raising=False)


@pytest.mark.parametrize("value", [0, 19, 2**32 - 1])
def test_seed_seeds_all_three_generators(value):
    assert settings.seed(value) == value
    assert random.random() == random.Random(value).random()
    assert np.random.rand() == np.random.RandomState(value).rand()
    assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(value)))


def test_default_seed_is_zero():
    assert settings.seed() == 0
    assert torch.initial_seed() == 0


def test_environment_wins_over_default(monkeypatch):
    monkeypatch.setenv("FPCOURSE_SEED", "7")
    result = settings.seed(3)
    assert result == 7 and type(result) is int
    assert torch.initial_seed() == 7
    assert np.random.rand() == np.random.RandomState(7).rand()


@pytest.mark.parametrize("text", ["", "abc", "1.5"])
def test_seed_must_be_a_whole_number(monkeypatch, text):
    monkeypatch.setenv("FPCOURSE_SEED", text)
    with pytest.raises(ValueError, match=f"FPCOURSE_SEED must be a whole number; got {text!r}"):
        settings.seed()


@pytest.mark.parametrize("text", ["-1", str(2**32)])
def test_seed_must_fit_numpy(monkeypatch, text):
    monkeypatch.setenv("FPCOURSE_SEED", text)
    with pytest.raises(ValueError, match=rf"the seed must lie in 0\.\.2\*\*32-1; got {text}"):
        settings.seed()


def test_choose(monkeypatch):
    laptop, paper = object(), object()
    assert settings.choose(laptop, paper) is laptop
    assert settings.choose(laptop=laptop, paper=paper) is laptop
    monkeypatch.setenv("FPCOURSE_SCALE", "paper")
    assert settings.choose(laptop, paper) is paper
    monkeypatch.setenv("FPCOURSE_SCALE", "laptop")
    assert settings.choose(laptop, paper) is laptop


@pytest.mark.parametrize("scale", ["", "Paper"])
def test_unknown_scale(monkeypatch, scale):
    monkeypatch.setenv("FPCOURSE_SCALE", scale)
    with pytest.raises(ValueError, match=f"FPCOURSE_SCALE must be one of 'laptop', 'paper'; got {scale!r}"):
        settings.choose(1, 2)


def test_the_cpu_is_the_device_where_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert settings.device() == torch.device("cpu")


@pytest.mark.parametrize("failure", ["CUDA out of memory. Tried 256 MiB", "CUDA error: no kernel image\nCompile with"])
def test_a_gpu_that_fails_gives_way_to_the_cpu(monkeypatch, failure):
    """tests/pretend_gpu has one that works, one that is full and one that is too old."""

    def fail(*_, device, **__):
        assert device == torch.device("cuda")
        raise RuntimeError(failure)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "empty", fail)
    said = f"^cuda cannot be used, so the CPU takes its place: {failure.splitlines()[0]}$"
    with pytest.warns(UserWarning, match=said):
        assert settings.device() == torch.device("cpu")


def test_the_environment_chooses_the_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("FPCOURSE_DEVICE", "cpu")
    assert settings.device() == settings.device("auto") == settings.device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpu", "the device must be 'auto', 'cpu', 'cuda' or 'cuda:1'; got 'gpu'"),
        ("", "the device must be .* got ''"),
        ("mps", "the device must not be 'mps': Apple's GPUs have no float64, use 'cpu'"),
    ],
)
def test_a_device_that_is_none(monkeypatch, name, message):
    with pytest.raises(ValueError, match=message):
        settings.device(name)
    monkeypatch.setenv("FPCOURSE_DEVICE", name)
    with pytest.raises(ValueError, match=message):
        settings.device()


def test_progress_bar_counts_and_cleans_up(monkeypatch, capsys):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    with settings.progress_bar(3, "points") as bar:
        bar.update(3)
        assert (bar.n, bar.total, bar.disable) == (3, 3, False)
    assert "points" in capsys.readouterr().err


@pytest.mark.parametrize(("value", "silent"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_progress_bars_can_be_silenced(monkeypatch, capsys, value, silent):
    monkeypatch.setenv("TQDM_DISABLE", value)
    with settings.progress_bar(3, "points") as bar:
        assert bar.disable == silent
    assert (capsys.readouterr().err == "") == silent
    with settings.progress_bar(3, "points", show=False) as bar:
        assert bar.disable


NOTEBOOK = """
import sys
from ipykernel.inprocess import InProcessKernelManager  # tqdm draws a widget only inside a notebook's kernel
manager = InProcessKernelManager()
manager.start_kernel()
from fpcourse import settings
bar = settings.progress_bar(3, "points")
print(type(bar).__mro__[1].__name__, bar.disable)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("value", "disabled"), [("1", "True"), ("0", "False")])
def test_the_widget_of_a_notebook_is_silenced_as_well(tmp_path, value, disabled):
    pytest.importorskip("ipykernel")
    environment = {"TQDM_DISABLE": value, "IPYTHONDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", NOTEBOOK], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-2:] == ["tqdm_notebook", disabled]
