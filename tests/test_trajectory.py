"""A trajectory keeps what it is given, refuses what does not fit together, and survives the disk."""

import copy
import dataclasses
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from fpcourse.trajectory import Trajectory

FIELDS = ("times", "outputs", "inputs", "losses", "parameters")


def sample(**changes) -> Trajectory:
    rng = np.random.default_rng(0)
    arrays = {
        "times": np.array([0.0, 1.0, 4.0]),
        "outputs": rng.normal(size=(3, 5, 2)),
        "inputs": rng.normal(size=(5, 4)),
        "losses": np.array([3.0, 2.0, 1.0]),
        "parameters": rng.normal(size=(3, 7)).astype(np.float32),
    }
    return Trajectory(**{**arrays, **changes})


@st.composite
def trajectories(draw) -> dict:
    steps, n, c, p = (draw(st.integers(1, 4)) for _ in range(4))

    def array(*shape):
        dtype = draw(st.sampled_from([np.float32, np.float64]))
        width = 8 * np.dtype(dtype).itemsize
        return draw(npst.arrays(dtype, shape, elements=st.floats(width=width, allow_nan=False, allow_infinity=False)))

    def perhaps(*shape):
        return array(*shape) if draw(st.booleans()) else None

    times = np.cumsum(draw(npst.arrays(np.float64, steps, elements=st.floats(1e-3, 1e3))))
    image = draw(st.sampled_from([(1,), (3,), (2, 2), (3, 2, 2)]))
    outputs = array(steps, n, c)
    return {
        "times": times,
        "outputs": outputs,
        "inputs": perhaps(n, *image),
        "losses": perhaps(steps),
        "parameters": perhaps(steps, p),
    }


def assert_same(trajectory: Trajectory, arrays: dict) -> None:
    for name in FIELDS:
        kept, expected = getattr(trajectory, name), arrays[name]
        if expected is None:
            assert kept is None
        else:
            assert kept.dtype == expected.dtype
            np.testing.assert_array_equal(kept, expected, strict=True)


@given(trajectories())
def test_save_and_load_give_back_every_bit(tmp_path_factory, arrays):
    path = tmp_path_factory.mktemp("trajectory") / "run"
    trajectory = Trajectory(**arrays)
    assert_same(trajectory, arrays)
    trajectory.save(path)
    assert os.listdir(path.parent) == ["run"]
    assert_same(Trajectory.load(path), arrays)
    assert_same(pickle.loads(pickle.dumps(trajectory)), arrays)
    assert_same(copy.deepcopy(trajectory), arrays)
    assert len(trajectory) == len(arrays["times"])


def test_two_dimensions_are_one_channel_and_vectors_are_columns():
    trajectory = Trajectory([0, 1], [[1, 2, 3], [4, 5, 6]], inputs=[7, 8, 9])
    assert trajectory.times.dtype == trajectory.outputs.dtype == trajectory.inputs.dtype == np.float64
    np.testing.assert_array_equal(trajectory.outputs, [[[1], [2], [3]], [[4], [5], [6]]])
    np.testing.assert_array_equal(trajectory.inputs, [[7], [8], [9]])


def test_tensors_become_arrays_of_their_precision():
    trajectory = Trajectory(
        torch.arange(2),
        torch.ones(2, 3, 1, requires_grad=True),
        torch.full((3, 2), 2**24 + 1, dtype=torch.int32),  # a float32 would lose the 1
        losses=torch.ones(2).half(),
        parameters=torch.ones(2, 4).double(),
    )
    assert {name: getattr(trajectory, name).dtype for name in FIELDS} == {
        "times": np.float64,
        "outputs": np.float32,
        "inputs": np.float64,
        "losses": np.float64,
        "parameters": np.float64,
    }
    assert (trajectory.inputs == 2**24 + 1).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"times": [0, 1, 1]}, "times must increase strictly"),
        ({"times": [0, 2, 1]}, "times must increase strictly"),
        ({"times": [0, 1, np.inf]}, "times must be finite"),
        ({"times": [[0, 1, 2]]}, "times must have 1 dimension"),
        ({"times": []}, "times must not be empty"),
        ({"times": None}, "times must be an array"),
        ({"times": [0, 1]}, r"times and outputs .* got 2 .* and 3 "),
        ({"outputs": None}, r"outputs must be .* got None"),
        ({"outputs": np.ones(3)}, r"outputs must have shape \(T, n, c\) or \(T, n\); got \(3,\)"),
        ({"outputs": np.ones((3, 5, 2, 1))}, r"outputs must have shape"),
        ({"outputs": np.full((3, 5, 2), np.nan)}, "outputs must be finite; 30 of 30"),
        ({"outputs": np.ones((3, 0, 2))}, "outputs must not be empty"),
        ({"outputs": np.ones((3, 4, 2))}, r"inputs and outputs .* got 5 .* and 4 "),
        ({"outputs": 1j * np.ones((3, 5, 2))}, "outputs must be real"),
        ({"inputs": 1.0}, "inputs must have shape"),
        ({"inputs": np.ones((3, 5))}, r"inputs and outputs .* got 3 .* and 5 "),
        ({"inputs": np.full((5, 1), np.inf)}, "inputs must be finite"),
        ({"losses": [1, 2]}, r"times and losses .* got 3 .* and 2 "),
        ({"losses": np.ones((3, 1))}, "losses must have 1 dimension"),
        ({"losses": 1.0}, "losses must have 1 dimension"),
        ({"losses": [1, np.nan, 1]}, "losses must be finite"),
        ({"parameters": np.ones(3)}, "parameters must have 2 dimension"),
        ({"parameters": np.ones((7, 3))}, r"times and parameters .* got 3 .* and 7 "),
        ({"parameters": np.full((3, 7), -np.inf)}, "parameters must be finite"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        sample(**changes)


def test_fields_cannot_be_replaced():
    with pytest.raises(dataclasses.FrozenInstanceError):
        sample().times = np.arange(3)


def test_trajectories_compare_as_objects():
    """Comparing arrays field by field would raise; equality means the same object, so they go into sets and dicts."""
    one, two = sample(), sample()
    assert one == one and one != two
    assert len({one, two, one}) == 2


@given(npst.arrays(np.float64, st.integers(1, 6), elements=st.integers(1, 5)), st.integers(-3, 40))
def test_nearest_is_the_first_of_the_closest(gaps, time):
    trajectory = Trajectory(np.cumsum(gaps), np.ones((len(gaps), 1)))
    distances = [abs(t - time) for t in trajectory.times]
    assert trajectory.nearest(time) == distances.index(min(distances))


@pytest.mark.parametrize("time", [np.inf, -np.inf, np.nan, "1", None, [0.0, 1.0]])
def test_nearest_wants_a_finite_time(time):
    with pytest.raises(ValueError, match="time must be"):
        sample().nearest(time)


def test_save_replaces_and_keeps_the_name_as_given(tmp_path):
    for name in ("run", "run.npz", "run.dat", ".hidden", "a.b.c"):
        path = tmp_path / name
        sample(losses=None).save(path)
        sample(times=[0.0, 2.0, 3.0]).save(str(path))
        np.testing.assert_array_equal(Trajectory.load(path).times, [0.0, 2.0, 3.0])
        assert Trajectory.load(str(path)).losses is not None
    assert sorted(os.listdir(tmp_path)) == sorted(["run", "run.npz", "run.dat", ".hidden", "a.b.c"])


@pytest.mark.skipif(os.name != "posix", reason="permissions of a POSIX file system")
def test_a_saved_file_is_as_readable_as_any_other(tmp_path):
    """A temporary file's private mode must not stick: others in a group read the same sweep."""
    sample().save(tmp_path / "run")
    (tmp_path / "other").touch()
    assert (tmp_path / "run").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
@pytest.mark.parametrize("where", ["numpy.savez_compressed", "os.replace"])
@pytest.mark.parametrize("existing", [True, False])
def test_a_failing_save_leaves_everything_as_it_was(tmp_path, monkeypatch, error, where, existing):
    path = tmp_path / "run"
    if existing:
        sample(times=[0.0, 2.0, 3.0]).save(path)
    before = path.read_bytes() if existing else None

    def fail(file, *args, **kwargs):
        if where == "numpy.savez_compressed":
            file.write(b"half of the da")
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(where, fail)
        with pytest.raises(type(error)):
            sample().save(path)
    assert os.listdir(tmp_path) == (["run"] if existing else [])
    assert (path.read_bytes() if existing else None) == before
    sample().save(path)
    assert_same(Trajectory.load(path), vars(sample()))


def test_missing_files_and_folders(tmp_path):
    for path in (tmp_path / "none", tmp_path / "no" / "folder"):
        with pytest.raises(FileNotFoundError):
            Trajectory.load(path)
    with pytest.raises(FileNotFoundError):
        sample().save(tmp_path / "no" / "folder")
    with pytest.raises(IsADirectoryError):
        Trajectory.load(tmp_path)


def test_a_damaged_file_is_never_read_as_something_else(tmp_path):
    """Any single flipped byte either does not matter or is found out; so is any cut."""
    path = tmp_path / "run"
    trajectory = Trajectory([0.0, 1.0], np.arange(6.0).reshape(2, 3), losses=[2.0, 1.0])
    trajectory.save(path)
    good, found_out = path.read_bytes(), 0
    for position in range(len(good)):
        damaged = bytearray(good)
        damaged[position] ^= 0x55
        path.write_bytes(damaged)
        try:
            assert_same(Trajectory.load(path), vars(trajectory))
        except ValueError as error:
            assert "is not a saved trajectory" in str(error)
            found_out += 1
    assert found_out > len(good) / 2
    for length in range(0, len(good), 7):
        path.write_bytes(good[:length])
        with pytest.raises(ValueError, match=f"{path.name} is not a saved trajectory"):
            Trajectory.load(path)


class Trap:
    """Unpickling it makes a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def write_array(path):
    with open(path, "wb") as file:
        np.save(file, np.ones((2, 2)))


def write_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no arrays here")


def write_arrays(path, without=(), **changes):
    arrays = {"times": [0.0], "outputs": [[1.0]], "inputs": [], "losses": [], "parameters": []}
    kept = {name: value for name, value in {**arrays, **changes}.items() if name not in without}
    with open(path, "wb") as file:
        np.savez(file, **kept)


def test_the_files_below_are_wrong_in_one_thing_only(tmp_path):
    write_arrays(tmp_path / "good")
    assert_same(Trajectory.load(tmp_path / "good"), vars(Trajectory([0.0], [[1.0]])))


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_text("times,outputs"),
        lambda path: path.write_bytes(pickle.dumps({"times": [0], "outputs": [[1]]})),
        lambda path: path.write_bytes(pickle.dumps(np.ones((2, 2)))),
        lambda path: write_array(path),
        write_zip,
        *(lambda path, name=name: write_arrays(path, without=[name]) for name in FIELDS),
        lambda path: write_arrays(path, weights=[1.0]),
        lambda path: write_arrays(path, times=["a"]),
        lambda path: write_arrays(path, times=[0.0, 1.0]),
        lambda path: write_arrays(path, outputs=[]),
        lambda path: write_arrays(path, times=np.array([{}], dtype=object)),
        lambda path: write_arrays(path, losses=np.array([Trap(path.parent / "sprung")], dtype=object)),
    ],
)
def test_other_files_are_no_trajectories(tmp_path, write):
    path = tmp_path / "other"
    write(path)
    with pytest.raises(ValueError, match=r"other is not a saved trajectory: ."):
        Trajectory.load(path)
    assert os.listdir(tmp_path) == ["other"]  # a file from elsewhere runs no code
