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

from fpcourse._files import digest, written_whole
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
        ({"times": [0, 1, np.inf]}, "times must be finite"),
        ({"times": []}, "times must not be empty"),
        ({"times": [0, 1]}, r"times and outputs .* got 2 .* and 3 "),
        ({"outputs": None}, r"outputs must be .* got None"),
        ({"outputs": np.ones(3)}, r"outputs must have 2 or 3 dimension"),
        ({"outputs": np.full((3, 5, 2), np.nan)}, "outputs must be finite; 30 of 30"),
        ({"outputs": np.ones((3, 4, 2))}, r"inputs and outputs .* got 5 .* and 4 "),
        ({"inputs": 1.0}, "inputs must hold inputs"),
        ({"inputs": np.ones((3, 5))}, r"inputs and outputs .* got 3 .* and 5 "),
        ({"inputs": np.full((5, 1), np.inf)}, "inputs must be finite"),
        ({"losses": [1, 2]}, r"times and losses .* got 3 .* and 2 "),
        ({"losses": 1.0}, "losses must have 1 dimension"),
        ({"losses": [1, np.nan, 1]}, "losses must be finite"),
        ({"parameters": np.ones(3)}, "parameters must have 2 dimension"),
        ({"parameters": np.ones((7, 3))}, r"times and parameters .* got 3 .* and 7 "),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        sample(**changes)


def test_fields_cannot_be_replaced():
    with pytest.raises(dataclasses.FrozenInstanceError):
        sample().times = np.arange(3)


@given(npst.arrays(np.float64, st.integers(1, 6), elements=st.integers(1, 5)), st.integers(-3, 40))
def test_nearest_is_the_first_of_the_closest(gaps, time):
    trajectory = Trajectory(np.cumsum(gaps), np.ones((len(gaps), 1)))
    distances = [abs(t - time) for t in trajectory.times]
    assert trajectory.nearest(time) == distances.index(min(distances))


@pytest.mark.parametrize("time", [np.inf, np.nan, "soon", None])
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
@pytest.mark.parametrize("existing", [True, False])
def test_a_file_is_written_whole_or_not_at_all(tmp_path, error, existing):
    path = tmp_path / "run"
    if existing:
        path.write_bytes(b"the old file")
    with pytest.raises(type(error)), written_whole(path) as file:
        file.write(b"half of the da")
        raise error
    assert os.listdir(tmp_path) == (["run"] if existing else [])
    assert not existing or path.read_bytes() == b"the old file"
    with written_whole(path) as file:
        file.write(b"the new file")
        assert not existing or path.read_bytes() == b"the old file"
    assert path.read_bytes() == b"the new file" and os.listdir(tmp_path) == ["run"]


def test_a_digest_names_contents_in_their_order(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    same = {digest(part, "second") for part in (b"content", "content", tmp_path / "file")}
    assert len(same) == 1
    assert len({*same, digest("second", "content"), digest("content", "seconds"), digest("contents", "econd")}) == 4


def test_missing_files_and_folders(tmp_path):
    for path in (tmp_path / "none", tmp_path / "no" / "folder"):
        with pytest.raises(FileNotFoundError):
            Trajectory.load(path)
    with pytest.raises(FileNotFoundError):
        sample().save(tmp_path / "no" / "folder")
    with pytest.raises(IsADirectoryError):
        Trajectory.load(tmp_path)


def test_a_damaged_file_is_never_read_as_something_else(tmp_path):
    """A flipped byte either does not matter or is found out; so is any cut."""
    path = tmp_path / "run"
    trajectory = Trajectory([0.0, 1.0], np.arange(6.0).reshape(2, 3), losses=[2.0, 1.0])
    trajectory.save(path)
    good, found_out = path.read_bytes(), 0
    for position in range(0, len(good), 9):
        damaged = bytearray(good)
        damaged[position] ^= 0x55
        path.write_bytes(damaged)
        try:
            assert_same(Trajectory.load(path), vars(trajectory))
        except ValueError as error:
            assert "is not a saved trajectory" in str(error)
            found_out += 1
    assert found_out > len(good) / 18
    for length in range(0, len(good), 50):
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
        lambda path: write_array(path),
        write_zip,
        lambda path: write_arrays(path, without=["losses"]),
        lambda path: write_arrays(path, weights=[1.0]),
        lambda path: write_arrays(path, times=[0.0, 1.0]),
        lambda path: write_arrays(path, losses=np.array([Trap(path.parent / "sprung")], dtype=object)),
    ],
)
def test_other_files_are_no_trajectories(tmp_path, write):
    path = tmp_path / "other"
    write(path)
    with pytest.raises(ValueError, match=r"other is not a saved trajectory: ."):
        Trajectory.load(path)
    assert os.listdir(tmp_path) == ["other"]  # a file from elsewhere runs no code
