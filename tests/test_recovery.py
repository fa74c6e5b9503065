"""Ranks against numpy and closed forms, recovery against least squares and exact matrix completion."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from fpcourse import kernels, models, recovery, sweep

ENTRIES = np.array(list(itertools.product(range(4), range(4))), float)
CASES = [
    *(("tanh", (d,), k, 8, None) for d in (2, 3, 5) for k in (1, 2, 3)),
    *(("tanh with bias", (d,), k, 8, None) for d in (2, 3, 5) for k in (1, 2, 3)),
    *(("matrix", (4, 4), k, 4, None) for k in (1, 2, 3)),
    *((name, (6,), k, 4, 3) for name in ("shared", "unshared") for k in (1, 2)),
    ("shared", (5, 4), 2, 3, 2),
    ("unshared", (4, 3), 1, 2, 2),
]


def cross_first(rank):
    """All entries of a 4x4 matrix, first those of its first ``rank`` rows and columns, which determine the others."""
    return ENTRIES[np.argsort(ENTRIES.min(axis=1) >= rank, kind="stable")]


def embedded(name, shape, k, width, kernel_size, *, null_std=0.0, seed=0):
    torch.manual_seed(seed)
    narrow = models.network(name, shape, k, std=1.0, kernel_size=kernel_size)
    return recovery.embed(narrow, models.network(name, shape, width, std=null_std, kernel_size=kernel_size)), narrow


def samples(name, shape, count, seed=0):
    """Generic points; for a matrix all its entries."""
    return ENTRIES if name == "matrix" else np.random.default_rng(seed).standard_normal((count, *shape))


# -- models -----------------------------------------------------------------------------------------------------------


def test_matrix_factorization_reads_the_entries_of_a_product():
    torch.manual_seed(0)
    model = models.network("matrix", (3, 5), 2, std=1.0)
    x = torch.tensor(list(itertools.product(range(3), range(5))))
    product = (model.a @ model.w).detach().numpy()
    np.testing.assert_allclose(model(x).detach().numpy().reshape(3, 5), product, rtol=1e-14)


@pytest.mark.parametrize("shared", [True, False])
def test_one_dimensional_cnn_is_its_own_loop(shared):
    torch.manual_seed(1)
    model = models.TwoLayerCNN((6,), 2, 3, shared=shared).double()
    w, a = model.w.detach().numpy(), model.a.detach().numpy()
    x = np.random.default_rng(0).standard_normal((4, 6))
    expected = [
        sum(
            a[j, p] * np.tanh(sum((w[j] if shared else w[j, p])[q] * point[p + q] for q in range(3)))
            for j in range(2)
            for p in range(4)
        )
        for point in x
    ]
    np.testing.assert_allclose(model(torch.tensor(x)).detach().numpy()[:, 0], expected, rtol=1e-13)


@pytest.mark.parametrize("flat", [True, False])
def test_two_dimensional_cnn_is_a_convolution_and_a_dense_layer(flat):
    torch.manual_seed(2)
    model = models.network("shared", (5, 4), 3, std=0.7, kernel_size=2)
    x = torch.randn(6, 5, 4, dtype=torch.float64)
    maps = nn.functional.conv2d(x[:, None], model.w.view(3, 1, 2, 2)).flatten(2)  # (n, 3, 12)
    expected = (maps.tanh() * model.a).sum((1, 2))
    torch.testing.assert_close(model(x.flatten(1) if flat else x)[:, 0], expected)


def test_an_unshared_cnn_with_equal_kernels_is_the_shared_one():
    torch.manual_seed(3)
    shared, unshared = (models.network(n, (4, 4), 2, std=1.0, kernel_size=3) for n in ("shared", "unshared"))
    with torch.no_grad():
        unshared.w.copy_(shared.w[:, None].expand_as(unshared.w))
        unshared.a.copy_(shared.a)
    x = torch.randn(5, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(unshared(x), shared(x))


@pytest.mark.parametrize("name", models.NETWORKS)
def test_every_parameter_starts_with_the_stated_deviation(name):
    torch.manual_seed(0)
    shape = (400,) if name.startswith("tanh") else (20, 20)
    model = models.network(name, shape, 200, std=0.03, kernel_size=5)
    assert {p.dtype for p in model.parameters()} == {torch.float64}
    for parameter in model.parameters():
        assert float(parameter.detach().std()) == pytest.approx(0.03, rel=0.08)


def test_models_by_themselves_start_from_the_standard_normal_distribution_and_share_their_kernels():
    torch.manual_seed(0)
    matrix, convolution = models.MatrixFactorization(40, 40, 50), models.TwoLayerCNN((40,), 200, 5)
    for parameter in (*matrix.parameters(), *convolution.parameters()):
        assert float(parameter.detach().std()) == pytest.approx(1, rel=0.1)
    assert convolution.w.shape == (200, 5)


def test_embedding_leaves_both_models_as_they_were_and_one_of_the_same_width_is_the_model():
    torch.manual_seed(0)
    narrow, wide = (models.network("tanh", (3,), width, std=1.0) for width in (2, 4))
    before = [parameter.clone() for model in (narrow, wide) for parameter in model.parameters()]
    same = recovery.embed(narrow, models.network("tanh", (3,), 2, std=1.0))
    torch.testing.assert_close(list(same.parameters()), list(narrow.parameters()), rtol=0, atol=0)
    recovery.embed(narrow, wide)
    after = [parameter for model in (narrow, wide) for parameter in model.parameters()]
    torch.testing.assert_close([p.detach() for p in after], [p.detach() for p in before], rtol=0, atol=0)


# -- ranks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "arguments"),
    [
        (9, ("tanh", (2,), 3)), (12, ("tanh with bias", (2,), 3)), (3, ("tanh with bias", (1,), 1)),
        (7, ("matrix", (4, 4), 1)), (12, ("matrix", (4, 4), 2)), (15, ("matrix", (4, 4), 3)),
        (16, ("matrix", (4, 4), 4)), (16, ("matrix", (3, 7), 2)),
    ],
)  # fmt: skip
def test_sample_sizes_of_dense_networks_and_matrices(expected, arguments):
    assert recovery.optimistic_sample_size(*arguments) == expected


def test_sample_sizes_of_convolutional_networks():
    def size(*arguments, s):
        return recovery.optimistic_sample_size(*arguments, kernel_size=s)

    # Zhang et al. (JML 2025): images of 28 x 28 pixels, kernels of 3 x 3
    assert [size("shared", (28, 28), k, s=3) for k in (1, 4)] == [685, 4 * 685]
    assert [size("unshared", (28, 28), k, s=3) for k in (1, 4)] == [6760, 4 * 6760]
    for d, s, k in itertools.product((5, 9), (1, 3, 5), (1, 2)):
        assert size("shared", (d,), k, s=s) == k * (d + 1)
        assert size("unshared", (d,), k, s=s) == k * (s + 1) * (d + 1 - s)
    assert size("unshared", (7, 4), 2, s=3) == 2 * 10 * 5 * 2


@pytest.mark.parametrize(("name", "shape", "k", "width", "kernel_size"), CASES)
def test_model_rank_is_the_optimistic_sample_size(name, shape, k, width, kernel_size):
    expected = recovery.optimistic_sample_size(name, shape, k, kernel_size=kernel_size)
    model, narrow = embedded(name, shape, k, width, kernel_size)
    x = samples(name, shape, 2 * expected + 5)
    assert recovery.model_rank(model, x) == expected
    jacobian = kernels.jacobian(model, x)
    assert jacobian.shape == (len(x), sum(p.numel() for p in model.parameters()))
    values = np.linalg.svd(jacobian, compute_uv=False)
    for tolerance in (1e-9, 1e-11, 1e-13):
        assert np.linalg.matrix_rank(jacobian, tol=tolerance * values[0]) == expected
    points = torch.tensor(x)
    torch.testing.assert_close(model(points), narrow(points), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["tanh", "shared"])
def test_null_neurons_in_general_position_add_one_for_each_output_weight(name):
    model, narrow = embedded(name, (5,), 2, 5, 3, null_std=1.0)
    x = samples(name, (5,), 60)
    outputs_each = 1 if name == "tanh" else 3
    assert recovery.model_rank(model, x) == 2 * 6 + 3 * outputs_each
    points = torch.tensor(x)
    torch.testing.assert_close(model(points), narrow(points))


def test_split_neurons_add_nothing():
    torch.manual_seed(0)
    model = models.TwoLayer(3, 4, activation="tanh", bias=None).double()
    with torch.no_grad():
        model.w[2], model.w[3] = model.w[0], -model.w[1]  # tanh is odd
    assert recovery.model_rank(model, samples("tanh", (3,), 40)) == 2 * (3 + 1)


def test_fewer_samples_than_the_rank_bound_it():
    model, _ = embedded("tanh", (3,), 2, 8, None)
    assert [recovery.model_rank(model, samples("tanh", (3,), n)) for n in (1, 5, 7, 8, 9)] == [1, 5, 7, 8, 8]


class Product(nn.Module):
    """t0 + t1 x1 + t2 t3 x2, the smallest model that recovers a target from fewer samples than a linear one."""

    def __init__(self, t):
        super().__init__()
        self.t = nn.Parameter(torch.tensor(t, dtype=torch.float32))

    def forward(self, x):
        return self.t[0] + self.t[1] * x[:, 0] + self.t[2] * self.t[3] * x[:, 1]


@pytest.mark.parametrize(("t", "rank"), [((1, 1, 0, 0), 2), ((1, 1, 0, 1), 3), ((1, 1, 2, 1), 3)])
def test_the_rank_depends_on_the_parameters_that_represent_the_target(t, rank):
    x = samples("tanh", (2,), 9)
    model = Product(t)
    assert recovery.model_rank(model, x) == rank
    assert model.t.dtype == torch.float32
    expected = np.stack([np.ones(9), x[:, 0], t[3] * x[:, 1], t[2] * x[:, 1]], axis=1)
    np.testing.assert_allclose(kernels.jacobian(model, x), expected, rtol=1e-14)


def test_the_jacobian_is_that_of_evaluation_mode():
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(2, 1, bias=False)).train()
    x = samples("tanh", (2,), 5)
    np.testing.assert_allclose(kernels.jacobian(model, x), x, rtol=1e-15)
    assert model.training


def test_a_rank_without_a_gap_is_refused():
    class Diagonal(nn.Module):
        def __init__(self):
            super().__init__()
            self.t = nn.Parameter(torch.zeros(5, dtype=torch.float64))

        def forward(self, x):
            return x @ self.t

    x = np.diag([1.0, 1e-3, 1e-4, 1e-8, 0.0])
    assert recovery.model_rank(Diagonal(), x, tolerance=1e-6) == 3
    assert [recovery.model_rank(Diagonal(), scale * x) for scale in (1e-6, 1.0, 1e6)] == [4, 4, 4]
    with pytest.raises(ValueError, match=r"singular values 2 and 3 are 1.0e-03 and 1.0e-04"):
        recovery.model_rank(Diagonal(), x, tolerance=5e-4)
    with pytest.raises(ValueError, match=r"singular values 1 and 2 are 1.0e\+00 and 1.0e-01"):
        recovery.model_rank(Diagonal(), np.diag([1.0, 0.1, 0.0, 0.0, 0.0]), tolerance=0.5)
    assert recovery.model_rank(Diagonal(), 0 * x) == 0


# -- tangent recovery -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "shape", "k", "width", "kernel_size"), CASES)
def test_the_tangent_model_recovers_from_as_many_samples_as_the_rank(name, shape, k, width, kernel_size):
    model, _ = embedded(name, shape, k, width, kernel_size)
    size = recovery.optimistic_sample_size(name, shape, k, kernel_size=kernel_size)
    x = cross_first(k) if name == "matrix" else samples(name, shape, size + 200)
    fewer, enough = (recovery.tangent_recovery(model, x[:n], x, seed=0) for n in (size - 1, size))
    assert fewer > 1e-4
    assert enough < 1e-12


def test_tangent_recovery_is_the_nearest_least_squares_solution():
    model, _ = embedded("tanh", (2,), 2, 4, None, null_std=1.0)
    x = samples("tanh", (2,), 50)
    rows, test = kernels.jacobian(model, x[:4]), kernels.jacobian(model, x)
    starts = np.random.default_rng(7).standard_normal((rows.shape[1], 3))
    nearest = starts - np.linalg.lstsq(rows, rows @ starts, rcond=1e-12)[0]
    expected = np.sqrt(((test @ nearest) ** 2).mean() / ((test @ starts) ** 2).mean())
    assert recovery.tangent_recovery(model, x[:4], x, seed=7, repeats=3) == pytest.approx(expected, rel=1e-8)
    with_origin = np.vstack([x, np.zeros((1, 2))])  # where the Jacobian vanishes: no error, and none to recover from
    assert recovery.tangent_recovery(model, x[:4], with_origin, seed=7, repeats=3) == pytest.approx(expected, rel=1e-8)


def test_for_a_linear_model_tangent_recovery_counts_parameters():
    torch.manual_seed(0)
    x = samples("tanh", (4,), 300)
    errors = [recovery.tangent_recovery(nn.Linear(4, 1), x[:n], x, seed=1) for n in range(1, 7)]
    assert min(errors[:4]) > 0.05
    assert max(errors[4:]) < 1e-13


# -- trained from a small start ---------------------------------------------------------------------------------------


def completion(rank, sizes, *, draw=3, **changes):
    """Complete a random 4x4 matrix from entries in a random order, the first of which determine the others."""
    generator = np.random.default_rng(draw)
    target = models.network("matrix", (4, 4), rank, std=1.0)
    with torch.no_grad():
        for parameter in target.parameters():
            parameter.copy_(torch.tensor(generator.standard_normal(parameter.shape)))
    size = recovery.optimistic_sample_size("matrix", (4, 4), rank)
    while True:
        x = generator.permutation(ENTRIES)
        values = np.linalg.svd(kernels.jacobian(target, x[:size]), compute_uv=False)
        if values[-1] > 0.05 * values[0]:
            break
    arguments = {
        "name": "matrix", "shape": (4, 4), "width": 4, "x": x, "y": target(torch.tensor(x))[:, 0], "sizes": sizes,
        "seeds": [0, 1], "std": 1e-8, "steps": 2500, "learning_rate": 0.4, "shuffle": False,
    }  # fmt: skip
    return recovery.recovery_errors(**arguments | changes)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [1, 2])
def test_small_starts_complete_a_matrix_at_the_optimistic_sample_size(rank):
    size = recovery.optimistic_sample_size("matrix", (4, 4), rank)
    errors = completion(rank, [size - 1, size])
    assert errors["train_error"].max() < 1e-3
    assert errors["test_error"][:, 0].min() > 0.05
    assert errors["test_error"][:, 1].max() < 0.01


@pytest.mark.slow
def test_large_starts_do_not():
    errors = completion(1, [7], std=0.5, steps=800)
    assert errors["train_error"].max() < 1e-3
    assert errors["test_error"].min() > 0.05


@pytest.mark.parametrize(("name", "method"), [("gd", torch.optim.SGD), ("adam", torch.optim.Adam)])
def test_networks_trained_side_by_side_are_those_trained_alone(name, method):
    x = np.random.default_rng(0).standard_normal((12, 5))
    common = {
        "name": "shared", "shape": (5,), "width": 2, "kernel_size": 3, "x": x, "y": np.tanh(x[:, 0]), "std": 0.1,
        "steps": 25, "learning_rate": 0.01, "optimizer": name,
    }  # fmt: skip
    together = recovery.recovery_errors(**common, sizes=[3, 8], seeds=[4, 9])
    for (i, seed), (j, size) in itertools.product(enumerate([4, 9]), enumerate([3, 8])):
        torch.manual_seed(seed)
        model = models.network("shared", (5,), 2, std=0.1, kernel_size=3)
        rows = np.random.default_rng(seed).permutation(12)[:size]
        descent = method(model.parameters(), lr=0.01)
        for _ in range(25):
            descent.zero_grad()
            loss = ((model(torch.tensor(x[rows]))[:, 0] - torch.tensor(common["y"][rows])) ** 2).mean() / 2
            loss.backward()
            descent.step()
        fitted = model(torch.tensor(x)).detach().numpy()[:, 0]
        squares = (fitted - common["y"]) ** 2 / (common["y"] ** 2).mean()
        test, train = np.sqrt(squares.mean()), np.sqrt(squares[rows].mean())
        assert together["test_error"][i, j] == pytest.approx(test, rel=1e-8)
        assert together["train_error"][i, j] == pytest.approx(train, rel=1e-8)
        np.testing.assert_allclose(together["outputs"][i, j], fitted, rtol=1e-7)


def test_one_network_on_all_its_points_some_of_value_zero():
    """The row a w of two entries, one of them to become 0: descent on half their mean square error by hand."""
    torch.manual_seed(3)
    model = models.network("matrix", (1, 2), 1, std=0.5)
    a, w = model.a.detach().numpy()[0, 0], model.w.detach().numpy()[0].copy()
    y = np.array([1.0, 0.0])
    for _ in range(40):
        gap = a * w - y
        a, w = a - 0.1 * (gap * w).sum() / 2, w - 0.1 * gap * a / 2
    found = recovery.recovery_errors(
        name="matrix", shape=(1, 2), width=1, x=np.array([[0, 0], [0, 1.0]]), y=y, sizes=[2], seeds=[3], std=0.5,
        steps=40, learning_rate=0.1, shuffle=False,
    )  # fmt: skip
    np.testing.assert_allclose(found["outputs"][0, 0], a * w, rtol=1e-12)
    for error in ("test_error", "train_error"):
        assert found[error][0, 0] == pytest.approx(np.linalg.norm(a * w - y), rel=1e-10)


def test_a_sweep_takes_it_and_leaves_the_random_state_alone(tmp_path):
    x = np.linspace(-2, 2, 11)
    fixed = {
        "name": ["tanh with bias"], "shape": [(1,)], "x": [x], "y": [np.tanh(x + 1)], "sizes": [[2, 4]], "seeds": [[0]],
        "std": [0.1], "steps": [5], "learning_rate": [0.01],
    }  # fmt: skip
    points = sweep.grid(width=[1, 3], **fixed)
    state = torch.get_rng_state()
    first = sweep.run(recovery.recovery_errors, points, folder=tmp_path, progress=False)
    assert torch.equal(state, torch.get_rng_state())
    assert len(list(tmp_path.glob("recovery_errors-*.npz"))) == 2
    again = sweep.run(recovery.recovery_errors, points, folder=tmp_path, progress=False)
    for a, b in zip(first, again, strict=True):
        assert a["test_error"].shape == (1, 2)
        np.testing.assert_allclose(a["test_error"], b["test_error"])
    assert (first[0]["test_error"] != first[1]["test_error"]).all()


# -- bad input --------------------------------------------------------------------------------------------------------

TANH = models.TwoLayer(2, 3, activation="tanh", bias=None)


@pytest.mark.parametrize(
    ("match", "call"),
    [
        ("shape must have 1 ", lambda: models.network("tanh", (2, 2), 3, std=1.0)),
        ("shape must have 2 ", lambda: models.network("matrix", (2,), 3, std=1.0)),
        ("shape must have 1 or 2", lambda: models.network("shared", (4, 4, 4), 3, std=1.0, kernel_size=2)),
        ("kernel_size must be at most 3", lambda: models.network("unshared", (4, 3), 3, std=1.0, kernel_size=4)),
        ("name must be one of", lambda: recovery.optimistic_sample_size("relu", (2,), 3)),
        ("k must be", lambda: recovery.optimistic_sample_size("tanh", (2,), 0)),
        ("no rank k = 4", lambda: recovery.optimistic_sample_size("matrix", (3, 5), 4)),
        ("kernel_size", lambda: recovery.optimistic_sample_size("shared", (3,), 1, kernel_size=4)),
        ("model must be a torch module", lambda: recovery.model_rank(np.tanh, [[1.0, 2.0]])),
        ("x must be finite", lambda: recovery.model_rank(TANH, [[np.nan, 1.0]])),
        ("tolerance", lambda: recovery.model_rank(TANH, np.ones((4, 2)), tolerance=1.0)),
        ("tolerance", lambda: recovery.tangent_recovery(TANH, np.ones((4, 2)), np.ones((4, 2)), seed=0, tolerance=0)),
        ("repeats", lambda: recovery.tangent_recovery(TANH, np.ones((4, 2)), np.ones((4, 2)), seed=0, repeats=0)),
        ("vanishes at x_test", lambda: recovery.tangent_recovery(TANH, np.ones((1, 2)), np.zeros((4, 2)), seed=0)),
        ("narrower", lambda: recovery.embed(TANH, models.TwoLayer(2, 2, bias=None))),
        ("narrower", lambda: recovery.embed(TANH, models.TwoLayer(3, 3, bias=None))),
        ("narrower", lambda: recovery.embed(TANH, models.MLP([2, 4, 1]))),
        ("narrower", lambda: recovery.embed(TANH, models.MatrixFactorization(1, 2, 4))),  # of fitting shapes
        ("sizes must be at most 16", lambda: completion(1, [17])),
        ("each of sizes", lambda: completion(1, [0])),
        ("each of seeds", lambda: completion(1, [7], seeds=[-1])),
        ("same number of samples", lambda: completion(1, [7], y=np.ones(15))),
        ("not all zero", lambda: completion(1, [7], y=np.zeros(16))),
        ("optimizer must be", lambda: completion(1, [7], optimizer="sgd")),
        ("does not take x", lambda: completion(1, [7], x=9 * ENTRIES)),
        ("steps", lambda: completion(1, [7], steps=0)),
        ("learning_rate", lambda: completion(1, [7], learning_rate=-1.0)),
        ("outputs must be finite", lambda: completion(1, [7], learning_rate=1e200, std=1.0, steps=3)),
    ],
)  # fmt: skip
def test_bad_input(match, call):
    with pytest.raises(ValueError, match=match):
        call()
