"""Sweeps: the same numbers serially, on processes and on a Dask cluster; resumed after a kill; bad input refused."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch

from fpcourse import models, sweep, training

ROOT = Path(__file__).resolve().parents[1]
POINTS = sweep.grid(width=[3, 20], seed=[0, 1, 2])


def small_training(width, seed):
    """A real training, and how many threads it was given."""
    torch.manual_seed(seed)
    model = models.MLP([1, width, 1])
    x = np.linspace(-1, 1, 16)
    run = training.train(model, x, np.sin(3 * x), steps=40, learning_rate=0.01, device="cpu", progress=False)
    return {"outputs": run.outputs, "loss": run.losses[-1], "threads": torch.get_num_threads()}


def noted(value, note):
    """Leaves a line in ``note`` for every time it is computed."""
    with open(note, "a") as file:
        file.write(f"{value}\n")
    return {"square": value**2}


def process(point):
    return {"id": os.getpid()}


def same(these, those):
    assert len(these) == len(those) > 0
    for one, other in zip(these, those, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            assert one[name].dtype == other[name].dtype
            if one[name].dtype.kind == "U":
                assert one[name] == other[name]
            else:
                np.testing.assert_allclose(one[name], other[name], rtol=1e-12)


@pytest.fixture(scope="module")
def serial():
    return sweep.run(small_training, POINTS, folder=None)


def test_a_grid_holds_every_combination_once():
    assert sweep.grid(a=[1, 2], b=["xy", "z"]) == [
        {"a": 1, "b": "xy"}, {"a": 1, "b": "z"}, {"a": 2, "b": "xy"}, {"a": 2, "b": "z"},
    ]  # fmt: skip
    assert len(sweep.grid(a=np.arange(3), b=range(4))) == 12


def test_results_are_those_of_plain_calls_in_the_order_of_the_points(serial):
    np.random.seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        plain = [small_training(**point) for point in POINTS]
    finally:
        torch.set_num_threads(threads)
    same(serial, [{name: np.asarray(value) for name, value in result.items()} for result in plain])


@pytest.mark.slow
def test_processes_give_the_same_numbers(serial, tmp_path):
    with joblib.parallel_config(backend="loky", n_jobs=2):
        same(sweep.run(small_training, POINTS, folder=tmp_path), serial)
    assert len(list(tmp_path.iterdir())) == len(POINTS)


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_numbers(serial, tmp_path):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        same(sweep.run(small_training, POINTS, folder=tmp_path), serial)
        workers = {int(result["id"]) for result in sweep.run(process, sweep.grid(point=range(4)), folder=None)}
    assert os.getpid() not in workers  # the cluster computed, not we
    same(sweep.run(small_training, POINTS, folder=tmp_path), serial)  # and now from the files


def test_every_point_has_one_thread_and_the_caller_keeps_its_own(serial):
    assert {int(result["threads"]) for result in serial} == {1}
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert sweep.run(small_training, POINTS[:1], folder=None)[0]["threads"] == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_what_is_there_is_not_computed_again(tmp_path):
    note = str(tmp_path / "note")
    first = sweep.run(noted, sweep.grid(value=[1, 2], note=[note]), folder=tmp_path / "results")
    second = sweep.run(noted, sweep.grid(value=[3, 2, 1], note=[note]), folder=tmp_path / "results")
    assert Path(note).read_text().split() == ["1", "2", "3"]
    same(second[:0:-1], first)
    assert second[0]["square"] == 9


def test_without_a_folder_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sweep.run(noted, [{"value": 2, "note": os.devnull}], folder=None)
    assert list(tmp_path.iterdir()) == []


def test_arguments_that_differ_in_value_type_or_shape_are_different_points():
    values = [1, 2, 1.0, "1", True, None, [1], [[1]], {"a": 1}, {"b": 1}]
    values += [float("nan"), np.array([1]), np.array([2]), np.array([1.0]), np.array([[1]]), np.array(1)]
    assert len({sweep._key(noted, {"value": value}) for value in values}) == len(values)


@pytest.mark.slow
def test_the_same_arguments_are_the_same_point_in_another_process():
    points = sweep.grid(a=list(np.linspace(0, 1, 3)), b=[np.arange(4), [1, "text"]])
    again = sweep.grid(b=[np.arange(4), [1, "text"]], a=list(np.linspace(0, 1, 3)))
    with joblib.parallel_config(backend="loky", n_jobs=2):
        keys = joblib.Parallel()(joblib.delayed(sweep._key)(noted, point) for point in again)
    assert {sweep._key(noted, point) for point in points} == set(keys)


def test_a_changed_function_is_computed_anew(tmp_path):
    def write(body):
        namespace = {}
        file = tmp_path / f"module{abs(hash(body))}.py"
        file.write_text(f"def f(x):\n    return {{'y': {body}}}\n")
        exec(compile(file.read_text(), str(file), "exec"), namespace)
        return namespace["f"]

    results = tmp_path / "results"
    assert sweep.run(write("x + 1"), [{"x": 1}], folder=results)[0]["y"] == 2
    assert sweep.run(write("x + 2"), [{"x": 1}], folder=results)[0]["y"] == 3


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped"])
def test_a_damaged_file_is_computed_again(tmp_path, damage):
    points = [{"value": 3.0, "note": str(tmp_path / "note")}]
    whole = sweep.run(noted, points, folder=tmp_path / "results")
    (file,) = (tmp_path / "results").iterdir()
    content = bytearray(file.read_bytes())
    if damage == "flipped":
        content[content.index(np.float64(9.0).tobytes())] ^= 1
    file.write_bytes({"empty": b"", "cut": bytes(content[: len(content) // 2]), "flipped": bytes(content)}[damage])
    same(sweep.run(noted, points, folder=tmp_path / "results"), whole)
    assert (tmp_path / "note").read_text().split() == ["3.0", "3.0"]
    same(sweep.run(noted, points, folder=tmp_path / "results"), whole)
    assert (tmp_path / "note").read_text().split() == ["3.0", "3.0"]  # the new file is whole


PROGRAM = """
import sys, time
from fpcourse import sweep

def slow(value, note):
    time.sleep(0.1)
    with open(note, "a") as file:
        file.write(f"{value}\\n")
    return {"root": value**0.5}

results = sweep.run(slow, sweep.grid(value=list(range(12)), note=[sys.argv[2]]), folder=sys.argv[1])
print(",".join(repr(float(result["root"])) for result in results))
"""


@pytest.mark.slow
def test_a_killed_sweep_is_taken_up_where_it_was(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    folder, note = tmp_path / "results", tmp_path / "note"
    command = [sys.executable, str(tmp_path / "program.py"), str(folder), str(note)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TQDM_DISABLE": "1"}
    running = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while len(list(folder.glob("*.npz"))) < 3 and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    assert running.communicate()[0] == b"" and running.returncode == -signal.SIGKILL
    kept, computed = len(list(folder.glob("*.npz"))), note.read_text().split()
    assert 3 <= kept < 12 and len(computed) - kept in (0, 1)  # one point was in flight

    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    assert again.stdout.strip() == ",".join(repr(value**0.5) for value in range(12))
    assert len(note.read_text().split()) - len(computed) == 12 - kept


def test_an_error_keeps_the_points_before_it(tmp_path):
    def fails_at_two(value):
        if value == 2:
            raise ArithmeticError("two")
        return {"value": value}

    with pytest.raises(ArithmeticError):
        sweep.run(fails_at_two, sweep.grid(value=[0, 1, 2, 3]), folder=tmp_path)
    assert len(list(tmp_path.glob("*.npz"))) == 2 and len(list(tmp_path.iterdir())) == 2


def test_names_and_texts_come_back_as_they_were(tmp_path):
    def named():
        return {"file": [1, 2], "allow_pickle": 3 + 4j, "a/b": "text", "": True}

    first = sweep.run(named, [{}], folder=tmp_path)
    same(sweep.run(named, [{}], folder=tmp_path), first)
    assert set(first[0]) == {"file", "allow_pickle", "a/b", ""} and first[0]["a/b"] == "text"


@pytest.mark.parametrize(
    ("function", "points", "message"),
    [
        (noted, [], "at least one"),
        (noted, [{"value": 1}, {"value": 1}], "each once"),
        (lambda: 3, [{}], "return a mapping"),
        (lambda: {"a": None}, [{}], "numbers or text"),
    ],
)
def test_bad_input_is_refused(function, points, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        sweep.run(function, points, folder=tmp_path)


@pytest.mark.parametrize("values", [3, "text", [], {"a": 1}])
def test_an_axis_must_be_a_sequence_of_values(values):
    with pytest.raises(ValueError, match="axis 'seed'"):
        sweep.grid(width=[1], seed=values)
