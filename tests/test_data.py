"""Targets against naive loops and the FFT, data sets against their table, downloads against a local server."""

import gzip
import hashlib
import io
import itertools
import math
import os
import re
import tarfile
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import mirrors
import numpy as np
import pooch
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fpcourse import data

FILES = list(data.SHA256)


def load(file):
    return dict(zip(FILES, (data.mnist, data.cifar10, data.boston, data.camera), strict=True))[file]()


def pairs(images, labels):
    """The set's images with their labels, whatever the order."""
    pixels = np.rint(images).astype(np.uint8)
    np.testing.assert_allclose(pixels, images, atol=1e-4)
    return Counter((hashlib.md5(a.tobytes()).digest(), int(b)) for a, b in zip(pixels, labels, strict=True))


@pytest.fixture
def copy_of_data(tmp_path, monkeypatch):
    """A folder with the data that a test may damage."""
    for file in FILES:
        (tmp_path / file).write_bytes((data.DATA / file).read_bytes())
    monkeypatch.setattr(data, "DATA", tmp_path)
    return tmp_path


# The vendored sets


def test_digests_in_the_code_are_those_of_the_table():
    table = (data.DATA / "PROVENANCE.md").read_text(encoding="utf-8")
    for file, expected in data.SHA256.items():
        (row,) = [line for line in table.splitlines() if line.startswith(f"| `{file}`")]
        assert row.endswith(f"| {expected} |")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("load_set", "file", "train", "test"),
    [(data.mnist, "mnist_10k_2k.npz", 10000, 2000), (data.cifar10, "cifar10_2000_500.npz", 2000, 500)],
)
def test_image_sets_hold_every_vendored_image_with_its_label(load_set, file, train, test):
    loaded, original = load_set(), np.load(data.DATA / file)
    for part, n in (("train", train), ("test", test)):
        x, y = getattr(loaded, f"x_{part}"), getattr(loaded, f"y_{part}")
        raw = original[f"x_{part}"]
        raw = raw.reshape(n, 784) if raw.ndim == 3 else np.moveaxis(raw, -1, 1)
        assert x.shape == raw.shape and x.dtype == np.float32 and x.flags.c_contiguous
        assert y.shape == (n,) and y.dtype == np.int64
        assert pairs(x * 255, y) == pairs(raw, original[f"y_{part}"])


def test_digits_stand_upright_and_colours_are_in_their_channels():
    digits = data.mnist(10000, 1)
    one = digits.x_train[digits.y_train == 1].mean(axis=0).reshape(28, 28)
    # A digit 1 is a vertical stroke: its rows hold ink in few columns, its columns in many rows.
    assert (one > 0.2).any(axis=1).sum() > 1.5 * (one > 0.2).any(axis=0).sum()
    pictures = data.cifar10()
    ships = pictures.x_train[pictures.y_train == data.CIFAR10_CLASSES.index("ship")].mean(axis=(0, 2, 3))
    assert ships[2] > ships[0] + 0.02  # water and sky: more blue than red


@pytest.mark.parametrize("n", [7, 1000])
def test_smaller_sets_are_balanced_beginnings_of_the_whole(n):
    for load_set in (data.mnist, data.cifar10):
        part, whole = load_set(n, 1), load_set()
        assert np.ptp(np.bincount(part.y_train, minlength=10)) == (n % 10 > 0)
        np.testing.assert_array_equal(part.x_train, whole.x_train[:n])
        np.testing.assert_array_equal(part.y_train, whole.y_train[:n])
        assert len(part.x_test) == len(part.y_test) == 1


def test_boston_is_scaled_and_split():
    rows = (data.DATA / "boston_house_prices.csv").read_text().splitlines()
    assert tuple(name.strip('"') for name in rows[0].split(",")) == (*data.BOSTON_FEATURES, "MEDV")
    table = np.array([[float(number) for number in row.split(",")] for row in rows[1:]])
    split = data.boston()
    assert split.x_train.shape == (400, 13) and split.y_train.shape == (400,)
    assert split.x_test.shape == (106, 13) and split.y_test.shape == (106,)
    x, y = np.concatenate([split.x_train, split.x_test]), np.concatenate([split.y_train, split.y_test])
    np.testing.assert_array_equal(x.min(axis=0), -0.5)
    np.testing.assert_array_equal(x.max(axis=0), 0.5)
    assert (27.5 + 45 * y).mean() == pytest.approx(22.533, abs=5e-4)  # the mean that PROVENANCE.md states
    back = np.column_stack([(x + 0.5) * np.ptp(table[:, :-1], axis=0) + table[:, :-1].min(axis=0), 27.5 + 45 * y])
    # The same rows in another order: features have stayed with their price.
    np.testing.assert_allclose(back[np.lexsort(back.round(6).T)], table[np.lexsort(table.round(6).T)], atol=1e-9)


def test_boston_split_is_random_and_follows_the_seed():
    zero, again, other = data.boston(seed=0), data.boston(), data.boston(seed=1)
    np.testing.assert_array_equal(zero.x_test, again.x_test)
    assert not np.array_equal(zero.x_test, other.x_test)
    # The file is sorted by town: its last 106 tracts are far poorer than the first 400. A random split is not.
    assert abs(zero.y_train.mean() - zero.y_test.mean()) < 0.06


@pytest.mark.parametrize("size", [512, 64, 2, 1])
def test_camera_is_the_block_mean_of_the_photograph(size):
    pixels = np.asarray(Image.open(data.DATA / "camera.png")).astype(float)
    block = 512 // size
    image = data.camera(size)
    assert image.shape == (size, size) and image.dtype == np.float64
    for row, column in itertools.islice(itertools.product(range(size), repeat=2), 0, None, max(1, size**2 // 50)):
        part = pixels[row * block : (row + 1) * block, column * block : (column + 1) * block]
        assert image[row, column] == pytest.approx(part.mean() / 255, abs=1e-7)


@pytest.mark.parametrize("file", FILES)
def test_missing_file_says_what_to_do(file, copy_of_data):
    (copy_of_data / file).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{re.escape(file)} is missing: .* clone .*git checkout"):
        load(file)


@pytest.mark.parametrize("file", FILES)
def test_damaged_file_is_refused_with_both_digests(file, copy_of_data):
    whole = (copy_of_data / file).read_bytes()
    middle = len(whole) // 2
    for bad in (whole[:-1000], whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :], b"<html>404</html>"):
        (copy_of_data / file).write_bytes(bad)
        found, expected = hashlib.sha256(bad).hexdigest(), data.SHA256[file]
        message = f"{file} is damaged: its sha256 is {found}, expected {expected}; .*git checkout -- data/{file}"
        with pytest.raises(ValueError, match=message):
            load(file)


# The full sets, from a server on this machine


def idx(array, magic=None):
    header = (magic or 0x0800 + array.ndim).to_bytes(4, "big") + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return gzip.compress(header + array.tobytes())


def archive_of(records):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in records.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A server with tiny sets in the published formats, whose digests and cache stand in for the real ones."""
    rng = np.random.default_rng(0)
    sets = {}
    for prefix, n in (("train", 13), ("t10k", 5)):
        sets[f"{prefix}-images-idx3-ubyte.gz"] = rng.integers(256, size=(n, 28, 28), dtype=np.uint8)
        sets[f"{prefix}-labels-idx1-ubyte.gz"] = rng.integers(10, size=n, dtype=np.uint8)
    files = {name: idx(array) for name, array in sets.items()}
    images, labels = rng.integers(256, size=(18, 3, 32, 32), dtype=np.uint8), np.arange(18, dtype=np.uint8) % 10
    sets |= {"cifar images": images, "cifar labels": labels}
    records = np.concatenate([labels[:, None], images.reshape(18, 3072)], axis=1)
    batches = {f"data_batch_{i + 1}": records[3 * i : 3 * i + 3].tobytes() for i in range(5)}
    # In the published archive, too, the test batch does not stand last and a text file lies beside the batches.
    files["cifar-10-binary.tar.gz"] = archive_of({"test_batch": records[15:].tobytes(), "readme": b"text"} | batches)
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            name = self.path.rsplit("/", 1)[-1]
            body = server.at.get(self.path, files.get(name))
            if body is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body) + server.cut))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.cut = 0  # bytes promised and not sent
    server.at = {}  # what an address has in place of the file, None for nothing
    server.files, server.sets, server.requests, server.cache = files, sets, requests, tmp_path / "cache" / "fpcourse"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    def stop():
        server.shutdown()
        server.server_close()

    server.stop = stop
    server.url = url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(data, "MNIST_URLS", (f"{url}/mnist", f"{url}/cvdf"))
    monkeypatch.setattr(data, "CIFAR10_URLS", (f"{url}/kriz", f"{url}/mirror"))
    monkeypatch.setenv("FPCOURSE_DATA", "")
    monkeypatch.setattr(data, "MD5", {name: hashlib.md5(body).hexdigest() for name, body in files.items()})
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / "cache" / project)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield server
    stop()


def test_full_mnist(published):
    full = data.mnist(full=True)
    for part, prefix in (("train", "train"), ("test", "t10k")):
        x, y = getattr(full, f"x_{part}"), getattr(full, f"y_{part}")
        images, labels = (published.sets[f"{prefix}-{kind}-ubyte.gz"] for kind in ("images-idx3", "labels-idx1"))
        assert x.shape == (len(images), 784) and x.dtype == np.float32 and y.dtype == np.int64
        assert pairs(x * 255, y) == pairs(images, labels)
    part = data.mnist(6, 2, full=True)
    np.testing.assert_array_equal(part.x_train, full.x_train[:6])
    with pytest.raises(ValueError, match="n_train must be at most 13; got 14 "):
        data.mnist(14, full=True)


def test_full_cifar10(published):
    full = data.cifar10(full=True)
    assert full.x_train.shape == (15, 3, 32, 32) and full.x_test.shape == (3, 3, 32, 32)
    images, labels = published.sets["cifar images"], published.sets["cifar labels"]
    assert pairs(full.x_train * 255, full.y_train) == pairs(images[:15], labels[:15])
    assert pairs(full.x_test * 255, full.y_test) == pairs(images[15:], labels[15:])
    assert os.listdir(published.cache) == ["cifar-10-binary.tar.gz"]  # nothing unpacked


def test_full_sets_come_from_the_cache_the_second_time(published):
    first, first_pictures = data.mnist(full=True), data.cifar10(full=True)
    assert len(published.requests) == 5
    published.stop()
    np.testing.assert_array_equal(data.mnist(full=True).x_train, first.x_train)
    np.testing.assert_array_equal(data.cifar10(full=True).x_test, first_pictures.x_test)


def test_damaged_cache_is_fetched_again(published):
    first = data.cifar10(full=True)
    cached = published.cache / "cifar-10-binary.tar.gz"
    cached.write_bytes(cached.read_bytes()[:-50])
    np.testing.assert_array_equal(data.cifar10(full=True).x_train, first.x_train)
    assert cached.read_bytes() == published.files["cifar-10-binary.tar.gz"]


@pytest.mark.parametrize("broken", [None, b"<html>moved</html>"])
def test_the_next_address_is_tried(published, broken):
    published.at["/kriz/cifar-10-binary.tar.gz"] = broken
    published.at["/mnist/t10k-images-idx3-ubyte.gz"] = broken
    assert len(data.cifar10(full=True).y_train) == 15 and len(data.mnist(full=True).y_test) == 5
    assert published.requests[:2] == ["/kriz/cifar-10-binary.tar.gz", "/mirror/cifar-10-binary.tar.gz"]
    again = ["/mnist/t10k-images-idx3-ubyte.gz", "/cvdf/t10k-images-idx3-ubyte.gz"]
    assert [path for path in published.requests if "t10k-images" in path] == again
    assert sorted(os.listdir(published.cache)) == sorted(data.MD5)


@pytest.mark.parametrize("slash", ["", "/"])
def test_an_address_of_the_readers_own_is_tried_first(published, monkeypatch, slash):
    monkeypatch.setenv("FPCOURSE_DATA", f"{published.url}/school{slash}")
    data.cifar10(full=True)
    assert published.requests == ["/school/cifar-10-binary.tar.gz"]
    published.at = {f"/school/{name}": None for name in data.MD5}
    data.mnist(full=True)
    assert published.requests[1:3] == ["/school/train-images-idx3-ubyte.gz", "/mnist/train-images-idx3-ubyte.gz"]


def test_a_folder_of_the_readers_own_needs_no_network(published, monkeypatch, tmp_path):
    for name, body in published.files.items():
        (tmp_path / name).write_bytes(body)
    monkeypatch.setenv("FPCOURSE_DATA", str(tmp_path))
    assert len(data.cifar10(full=True).y_train) == 15 and len(data.mnist(full=True).y_test) == 5
    assert published.requests == [] and not published.cache.exists()
    (tmp_path / "cifar-10-binary.tar.gz").unlink()
    data.cifar10(full=True)  # what the folder lacks is fetched into it
    assert (tmp_path / "cifar-10-binary.tar.gz").exists() and not published.cache.exists()


def test_the_weekly_run_asks_every_address_for_every_file(published, capsys):
    assert mirrors.main() == 0
    assert sorted(published.requests) == sorted(
        f"/{place}/{name}"
        for name in published.files
        for place in (("kriz", "mirror") if name.startswith("cifar") else ("mnist", "cvdf"))
    )
    published.at["/mirror/cifar-10-binary.tar.gz"] = b"<html>moved</html>"
    assert mirrors.main() == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if "as published" not in line]
    assert len(lines) == 1 and "/mirror/cifar-10-binary.tar.gz: MD5 hash of downloaded file" in lines[0]


def test_wrong_download_leaves_nothing(published):
    published.files["cifar-10-binary.tar.gz"] += b"x"
    hashes = r"(?s)/kriz/.*hash of downloaded file .*/mirror/.*hash of downloaded file "
    with pytest.raises(ConnectionError, match=hashes):
        data.cifar10(full=True)
    assert os.listdir(published.cache) == []


@pytest.mark.parametrize("load_set", [data.mnist, data.cifar10])
def test_interrupted_download_leaves_nothing(published, load_set):
    published.cut = 1000
    # urllib3 2 notices the missing bytes, urllib3 1 leaves them to the MD5.
    with pytest.raises(ConnectionError):
        load_set(full=True)
    assert os.listdir(published.cache) == []
    published.cut = 0
    load_set(full=True)


@pytest.mark.parametrize("load_set", [data.mnist, data.cifar10])
def test_without_network_the_error_names_the_cache_and_the_way_out(published, load_set):
    published.stop()
    cache = re.escape(str(published.cache))
    with pytest.raises(ConnectionError, match=rf"(?s)needs the network once.*kept in {cache}.*FPCOURSE_DATA.*offline"):
        load_set(full=True)
    assert len(load_set(10, 10).y_train) == 10


def test_file_gone_from_the_server_is_a_connection_error(published):
    del published.files["cifar-10-binary.tar.gz"]
    addresses = r"(?s)^cifar-10-binary.tar.gz could not be fetched.*/kriz/.*404.*/mirror/.*404"
    with pytest.raises(ConnectionError, match=addresses):
        data.cifar10(full=True)
    assert os.listdir(published.cache) == []


@pytest.mark.parametrize(
    ("load_set", "archive"), [(data.mnist, "t10k-images-idx3-ubyte.gz"), (data.cifar10, "cifar-10-binary.tar.gz")]
)
def test_real_full_set_holds_the_vendored_one(load_set, archive):
    """Says that the real files are read as they should be; only where somebody has fetched them."""
    if not (pooch.os_cache("fpcourse") / archive).exists():
        pytest.skip("the full set is not in this machine's cache")
    full, small = load_set(full=True), load_set()
    assert pairs(small.x_train * 255, small.y_train) <= pairs(full.x_train * 255, full.y_train)
    assert pairs(small.x_test * 255, small.y_test) <= pairs(full.x_test * 255, full.y_test)


# Labels


def test_one_hot():
    rows = data.one_hot([2, 0, 1, 2], 4)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, [[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])
    np.testing.assert_array_equal(data.one_hot(torch.tensor([2, 0, 1, 2]), 4), rows)


def test_random_labels_redraw_the_fraction_uniformly():
    y = np.random.default_rng(3).integers(10, size=20000)
    for fraction in (0, 0.2, 0.5, 1):
        new, redrawn = data.random_labels(y, fraction, 10, seed=4)
        assert new.dtype == np.int64 and redrawn.sum() == round(fraction * 20000)
        np.testing.assert_array_equal(new[~redrawn], y[~redrawn])
        if fraction:
            n = redrawn.sum()
            bound = 5 * math.sqrt(0.09 * n)  # five standard deviations of a binomial with p = 0.1
            assert np.abs(np.bincount(new[redrawn], minlength=10) - n / 10).max() < bound
            assert abs((new == y)[redrawn].sum() - n / 10) < bound  # right by chance: independent of the old label
            middle = redrawn[:10000].sum() - n / 2
            assert abs(middle) < 5 * math.sqrt(n / 4)  # spread over the whole set
    assert redrawn.all()


def test_random_labels_follow_the_seed_and_leave_the_input():
    y = np.arange(100) % 10
    first = data.random_labels(y, 0.5, 10, seed=0)
    again = data.random_labels(torch.tensor(y), 0.5, 10, seed=0)
    other = data.random_labels(y, 0.5, 10, seed=1)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], other[0]) and not np.array_equal(first[1], other[1])
    np.testing.assert_array_equal(y, np.arange(100) % 10)


# Targets

numbers = st.floats(-20, 20)


@settings(deadline=None)
@given(st.lists(numbers, min_size=1, max_size=5), st.lists(st.tuples(*[numbers] * 3), min_size=1, max_size=4))
def test_sine_sum_is_the_sum(x, terms):
    frequencies, amplitudes, phases = zip(*terms, strict=True)
    y = data.sine_sum(x, frequencies, amplitudes, phases)
    for i, point in enumerate(x):
        assert y[i] == pytest.approx(sum(a * math.sin(k * point + p) for k, a, p in terms), abs=1e-11)


def test_sine_sum_defaults_and_shapes():
    x = np.linspace(-3.14, 3.14, 201)
    y = data.sine_sum(x, [1, 3, 5])  # the slides' target
    np.testing.assert_allclose(y, np.sin(x) + np.sin(3 * x) + np.sin(5 * x), atol=1e-14)
    column = data.sine_sum(torch.tensor(x[:, None], dtype=torch.float32), [1, 3, 5])
    assert column.shape == (201, 1) and column.dtype == np.float64
    np.testing.assert_allclose(column[:, 0], y, atol=1e-5)
    np.testing.assert_allclose(data.sine_sum(x, [2], phases=[np.pi / 2]), np.cos(2 * x), atol=1e-14)


def test_all_bit_strings_are_all():
    strings = data.all_bit_strings(10)
    assert strings.shape == (1024, 10) and strings.dtype == np.float64
    assert set(map(tuple, strings)) == set(itertools.product((-1, 1), repeat=10))
    np.testing.assert_array_equal(data.all_bit_strings(2), [[-1, -1], [-1, 1], [1, -1], [1, 1]])


@given(st.lists(st.sampled_from((-1, 1)), min_size=1, max_size=12), st.data())
def test_parity_counts_the_minus_ones(bits, draw):
    degree = draw.draw(st.integers(1, len(bits)))
    assert data.parity([bits])[0] == (1 if bits.count(-1) % 2 == 0 else -1)
    assert data.parity(torch.tensor([bits]), degree)[0] == (1 if bits[:degree].count(-1) % 2 == 0 else -1)


def test_parities_are_orthogonal():
    strings = data.all_bit_strings(6)
    parities = np.array([data.parity(strings, degree) for degree in range(1, 7)])
    np.testing.assert_array_equal(parities @ parities.T, 64 * np.eye(6))


# What does not fit


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: data.mnist(10001), "n_train must be at most 10000; got 10001 .full=True fetches the full set"),
        (lambda: data.cifar10(10, 501), "n_test must be at most 500; got 501"),
        (lambda: data.mnist(0), "n_train must be a whole number >= 1; got 0"),
        (lambda: data.camera(100), "size must divide 512; got 100"),
        (lambda: data.one_hot([0, 3], 3), "labels must be whole numbers in 0..2; got 3"),
        (lambda: data.one_hot([0.5], 3), "labels must be whole numbers in 0..2; got 0.5"),
        (lambda: data.one_hot([[0, 1]], 3), r"labels must have 1 dimension.*\(1, 2\)"),
        (lambda: data.random_labels([0, 1], 1.01, 2, 0), r"fraction must lie in \[0, 1\]; got 1.01"),
        (lambda: data.random_labels([0, 2], 0.5, 2, 0), "y must be whole numbers in 0..1; got 2"),
        (lambda: data.sine_sum([[1, 2], [3, 4]], [1]), r"x must have shape \(n,\) or \(n, 1\); got \(2, 2\)"),
        (lambda: data.sine_sum([1, 2], [1, 3], [1]), "must be equally many; got 2, 1, 2"),
        (lambda: data.parity([[1, 0]]), "x must hold only -1 and 1; got 0"),
        (lambda: data.parity([[1, -1]], 3), "degree must be at most the number of bits, 2; got 3"),
        (lambda: data.all_bit_strings(0), "bits must be a whole number >= 1; got 0"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
