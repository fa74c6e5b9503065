"""Snapshots of models that somebody else trains: every kind of model and data, and no trace left in the training."""

import copy
import json
import math
import re
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from fpcourse import recording
from fpcourse.fourier import diagnose
from fpcourse.recording import Recorder, TrainingDiverged, evaluate, evaluating, log_spaced

RNG = np.random.default_rng(0)
X, CLASSES = RNG.normal(size=(12, 3)).astype(np.float32), np.arange(12) % 3
T = torch.as_tensor(X)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


class Delicate(nn.Sequential):
    """Whatever a careless snapshot would disturb: dropout draws random numbers, batch norm keeps running means."""

    def __init__(self):
        super().__init__(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 3))


class Returning(nn.Module):
    """A linear model that returns its outputs inside of something else."""

    def __init__(self, wrap):
        super().__init__()
        self.inner, self.wrap = nn.Linear(3, 2), wrap

    def forward(self, x):
        return self.wrap(self.inner(x))


class Seeing(nn.Module):
    """A linear model that notes type and device of its inputs."""

    def __init__(self):
        super().__init__()
        self.inner, self.seen = nn.Linear(3, 2), []

    def forward(self, x):
        self.seen.append((x.dtype, x.device.type))
        return self.inner(x)


def loader(size=5, **options):
    return DataLoader(TensorDataset(T, torch.as_tensor(CLASSES)), batch_size=size, **options)


def recorded(model, x=X, y=None, **options):
    recorder = Recorder(x, y, steps=[0], **options)
    recorder(model, 0)
    return recorder.trajectory().outputs[0]


# Evaluation


def test_evaluate_leaves_model_and_generator_alone():
    model = Delicate()
    model[3].eval()
    modes = [module.training for module in model.modules()]
    before, generator = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    x = torch.randn(recording.EVALUATION_BLOCK + 88, 3, generator=torch.Generator().manual_seed(0))
    result = evaluate(model, x)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), generator)
    assert not result.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(result, copy.deepcopy(model).eval()(x))


def test_evaluate_takes_rows_in_blocks():
    sizes = []
    model = nn.Linear(3, 2)
    model.register_forward_hook(lambda module, inputs, output: sizes.append(len(inputs[0])))
    x = torch.arange(3.0 * 1200).reshape(1200, 3)
    result = evaluate(model, x)
    assert sizes == [512, 512, 176]
    torch.testing.assert_close(result, model(x))


def test_modes_come_back_even_after_an_error():
    model = Delicate()
    model[1].eval()
    modes = [module.training for module in model.modules()]
    with pytest.raises(KeyboardInterrupt), evaluating(model) as same:
        assert same is model and not any(module.training for module in model.modules())
        assert not torch.is_grad_enabled()
        raise KeyboardInterrupt
    assert [module.training for module in model.modules()] == modes
    assert torch.is_grad_enabled()


@given(st.integers(1, 10**6), st.integers(2, 200))
def test_log_spaced(steps, count):
    due = log_spaced(steps, count)
    assert due[0] == 0 and due[-1] == steps and len(due) <= count
    assert due == sorted(set(due)) and all(type(step) is int for step in due)
    if steps < count:
        assert due[1] == 1
    if count >= 3:
        ratios = np.diff(np.log([step for step in due if step > 2 * count]))
        assert np.all(ratios <= 2 * math.log(steps) / (count - 2) + 1e-9)  # evenly on a logarithmic axis


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_a_precision_is_kept_as_float32(dtype):
    recorder = Recorder(T, steps=1)
    recorder.keep(0, torch.full((len(T), 1), 0.5, dtype=dtype), parameters=torch.ones(3, dtype=dtype))
    found = recorder.trajectory()
    assert found.outputs.dtype == found.parameters.dtype == np.float32
    assert (found.outputs == 0.5).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_inputs_take_the_precision_of_the_model(dtype):
    model = Seeing().to(dtype)
    result = evaluate(model, T.double())
    assert model.seen == [(dtype, "cpu")]
    assert result.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    expected = copy.deepcopy(model).double()(T.double())
    torch.testing.assert_close(result.double(), expected, rtol=0, atol=8 * torch.finfo(dtype).eps)


def test_whole_numbers_stay_what_they_are():
    """Tokens: an embedding takes no floats."""
    model = nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), nn.Linear(8, 2))
    tokens = np.array([[0, 1], [4, 2], [3, 3]])
    expected = model(torch.as_tensor(tokens)).detach()
    torch.testing.assert_close(evaluate(model, torch.as_tensor(tokens)), expected)
    np.testing.assert_allclose(recorded(model, tokens), expected, rtol=1e-6)
    np.testing.assert_allclose(recorded(model, [torch.as_tensor(tokens)]), expected, rtol=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("make", [lambda: X, lambda: T.cuda(), loader, lambda: loader(pin_memory=True)])
def test_a_model_on_a_gpu_is_recorded_on_the_cpu(make):
    model = Delicate()
    expected = recorded(model, y=CLASSES)
    model.cuda()
    state = torch.cuda.get_rng_state()
    np.testing.assert_allclose(recorded(model, make(), CLASSES), expected, rtol=1e-4, atol=1e-6)
    assert torch.equal(torch.cuda.get_rng_state(), state)
    assert next(model.parameters()).is_cuda


def test_a_model_without_parameters():
    torch.testing.assert_close(evaluate(nn.Tanh(), T), T.tanh())


# What models return


@pytest.mark.parametrize(
    ("wrap", "pick"),
    [
        (lambda h: (h, h[:, :1]), lambda result: result[0]),
        (lambda h: [h[:, :1], h], lambda result: result[-1]),
        (lambda h: {"logits": h, "loss": h.sum()}, lambda result: result["logits"]),
        (lambda h: SimpleNamespace(logits=h), lambda result: result.logits),
    ],
    ids=["tuple", "list", "dict", "object"],
)
def test_output_picks_the_tensor(wrap, pick):
    model = Returning(wrap)
    np.testing.assert_allclose(recorded(model, output=pick), model.inner(T).detach(), rtol=1e-5)


@pytest.mark.parametrize("shape", [(), (2,), (2, 1), (2, 2, 2)])
def test_outputs_of_any_shape_become_columns(shape):
    model = nn.Sequential(nn.Linear(3, math.prod(shape)), nn.Unflatten(1, shape) if shape else nn.Flatten(0))
    expected = model(T).detach().reshape(12, -1)
    np.testing.assert_allclose(recorded(model), expected, rtol=1e-5)
    targets = np.arange(12.0 * math.prod(shape)).reshape(12, *shape)
    recorder = Recorder(X, targets, steps=[0])
    recorder(model, 0)
    np.testing.assert_array_equal(recorder.targets, targets.reshape(12, -1))


def test_outputs_that_are_not_finite_end_the_recording():
    model, recorder = nn.Linear(3, 2), Recorder(X, steps=[0, 1, 2])
    recorder(model, 0)
    model.bias.data[1] = math.nan
    with pytest.raises(TrainingDiverged, match="12 of 24 outputs are NaN or infinite at step 1 ") as caught:
        recorder(model, 1)
    assert caught.value.trajectory.times.tolist() == recorder.trajectory().times.tolist() == [0]
    with pytest.raises(TrainingDiverged) as caught:
        recorded(model)
    assert caught.value.trajectory is None


# Recording a training


def trained(recorder, steps=30, **options):
    """A loop as a reader writes it; returns all that a snapshot could disturb."""
    torch.manual_seed(1)
    model = Delicate()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    feed = loader(shuffle=True, **options)
    recorder(model, 0)
    step = 0
    while step < steps:
        for inputs, labels in feed:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs), labels).backward()
            optimizer.step()
            step += 1
            recorder(model, step)
    return model, torch.get_rng_state()


@pytest.mark.parametrize("make", [lambda: X, loader, lambda: [T]])
def test_snapshots_leave_no_trace_in_the_training(make):
    model, generator = trained(lambda model, step: None)
    recorder = Recorder(make(), CLASSES, steps=range(31))
    watched, other_generator = trained(recorder)
    assert len(recorder) == 31
    assert all(torch.equal(value, watched.state_dict()[name]) for name, value in model.state_dict().items())
    assert torch.equal(generator, other_generator)
    assert watched[1].num_batches_tracked == 30 and all(module.training for module in watched.modules())
    expected = model.eval()(T).softmax(1).detach()
    np.testing.assert_allclose(recorder.trajectory().outputs[-1], expected, rtol=1e-5)


def test_only_due_steps_are_evaluated():
    model, calls = nn.Linear(3, 2), []
    model.register_forward_hook(lambda *_: calls.append(1))
    recorder = Recorder(X, steps=100)
    for step in range(101):
        recorder(model, step)
    assert recorder.trajectory().times.tolist() == log_spaced(100)
    assert len(calls) == len(recorder) == len(log_spaced(100))


def test_a_snapshot_is_taken_at_the_first_call_when_one_is_due():
    recorder, model = Recorder(X, steps=[7, 2, 3, 3, 9]), nn.Linear(3, 2)
    for step in (0, 1, 4, 4, 6, 8, 8, 20, 21):  # a loop that counts in twos and threes
        recorder(model, step)
    assert recorder.trajectory().times.tolist() == [4, 8, 20]
    with pytest.raises(ValueError, match="step must not fall; got 0 after 20: a new training takes a new Recorder"):
        recorder(model, 0)


def test_snapshots_are_of_their_step():
    model, recorder = nn.Linear(3, 1, bias=False), Recorder(X, X[:, 0], steps=range(3))
    for step in range(3):
        model.weight.data[:] = step
        recorder(model, step)
    expected = [step * X.sum(axis=1) for step in range(3)]
    np.testing.assert_allclose(recorder.trajectory().outputs[:, :, 0], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(recorder.trajectory().inputs, X)
    np.testing.assert_array_equal(recorder.targets, X[:, :1])


def test_what_is_kept_does_not_change_with_what_was_given():
    x, outputs, parameters = X.copy(), torch.ones(12, 2), torch.ones(4)
    recorder = Recorder(x, steps=[0])
    recorder.keep(0, outputs, loss=3.0, parameters=parameters)
    for changed in (x, outputs, parameters):
        changed[:] = 0
    trajectory = recorder.trajectory()
    np.testing.assert_array_equal(trajectory.inputs, X)
    assert (trajectory.outputs == 1).all() and (trajectory.parameters == 1).all() and trajectory.losses == [3]


# Data that do not fit in memory


@pytest.mark.parametrize(
    "make",
    [
        lambda: loader(),
        lambda: DataLoader(TensorDataset(T), batch_size=7),
        lambda: DataLoader(T, batch_size=4),
        lambda: [(T[:3], None), (T[3:],)],
        lambda: (X[:6], X[6:]),
    ],
)
def test_batches_are_evaluated_in_their_order(make):
    model = Delicate()
    model[1].running_mean += 1.0
    expected = model.eval()(T).detach()
    np.testing.assert_allclose(recorded(model.train(), make(), probabilities=False), expected, rtol=1e-5, atol=1e-6)


def test_a_loader_is_read_batch_by_batch_and_its_inputs_are_not_kept():
    class Counting(Dataset):
        reads = 0

        def __len__(self):
            return 12

        def __getitem__(self, row):
            self.reads += 1
            return T[row], CLASSES[row]

    rows, counting = [], Counting()
    recorder = Recorder(DataLoader(counting, batch_size=5), steps=[0, 1])
    model = Delicate()
    model.register_forward_hook(lambda module, inputs, result: rows.append((len(inputs[0]), counting.reads)))
    recorder(model, 0)
    assert rows == [(5, 5), (5, 10), (2, 12)]
    recorder(model, 1)
    assert recorder.trajectory().inputs is None
    np.testing.assert_array_equal(recorder.targets, np.eye(3)[CLASSES])


def test_another_order_is_found_out_where_it_cannot_be_seen_beforehand():
    class Restless(list):
        def __iter__(self):
            yield from np.roll(X, turns.pop(), axis=0).reshape(4, 3, 3)

    for turns in ([0, 0], [1, 0], [3, 0]):
        recorder, same = Recorder(Restless(), steps=[0, 1]), turns[0] == 0
        recorder(Delicate(), 0)
        if same:
            recorder(Delicate(), 1)
        else:
            with pytest.raises(ValueError, match="must bring the same inputs in the same order each time"):
                recorder(Delicate(), 1)
        assert len(recorder) == 1 + same


# Labels


@pytest.mark.parametrize(
    "labels",
    [CLASSES, CLASSES.tolist(), CLASSES.astype(np.uint8), torch.as_tensor(CLASSES)],
)
def test_classes_become_one_hot_and_outputs_probabilities(labels):
    model = Delicate()
    recorder = Recorder(X, labels, steps=[0])
    recorder(model, 0)
    np.testing.assert_array_equal(recorder.targets, np.eye(3)[CLASSES])
    logits = model.eval()(T).detach().double().numpy()
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(recorder.trajectory().outputs[0], expected, rtol=1e-5)


def test_the_number_of_classes_comes_from_the_outputs():
    """The last class may be missing in a small sample."""
    recorder = Recorder(X, CLASSES % 2, steps=[0])
    recorder(Delicate(), 0)
    np.testing.assert_array_equal(recorder.targets, np.eye(3)[CLASSES % 2])


@pytest.mark.parametrize("labels", [CLASSES % 2, CLASSES % 2 == 1])
def test_a_single_output_is_the_probability_of_the_second_class(labels):
    model, recorder = nn.Linear(3, 1), Recorder(X, labels, steps=[0])
    recorder(model, 0)
    np.testing.assert_array_equal(recorder.targets[:, 0], CLASSES % 2)
    expected = 1 / (1 + np.exp(-model(T).detach().numpy()))
    np.testing.assert_allclose(recorder.trajectory().outputs[0], expected, rtol=1e-5)


def test_probabilities_on_request_only_for_values_and_not_for_models_that_return_them():
    model, values = Delicate(), RNG.normal(size=(12, 3))
    logits = model.eval()(T).detach()
    np.testing.assert_allclose(recorded(model, y=values), logits, rtol=1e-5)
    np.testing.assert_allclose(recorded(model, y=values, probabilities=True), logits.softmax(1), rtol=1e-5)
    np.testing.assert_allclose(recorded(model, y=CLASSES, probabilities=False), logits, rtol=1e-5)
    logs = nn.Sequential(model, nn.LogSoftmax(1))
    np.testing.assert_allclose(recorded(logs, y=CLASSES), logits.softmax(1), rtol=1e-5)


def test_labels_of_a_loader_and_labels_given_beside_it():
    of_loader, given_beside = Recorder(loader(), steps=[0]), Recorder(loader(), (CLASSES + 1) % 3, steps=[0])
    for recorder in (of_loader, given_beside):
        with pytest.raises(ValueError, match="targets are known after the first snapshot"):
            recorder.targets  # noqa: B018
        recorder(Delicate(), 0)
    np.testing.assert_array_equal(of_loader.targets, np.eye(3)[CLASSES])
    np.testing.assert_array_equal(given_beside.targets, np.eye(3)[(CLASSES + 1) % 3])
    values = Recorder([(T[:5], T[:5, 0]), (T[5:], T[5:, 0])], steps=[0])
    values(nn.Linear(3, 1), 0)
    np.testing.assert_array_equal(values.targets, X[:, :1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Recorder(iter([T]), steps=3), "can be read again and again; got list_iterator"),
        (lambda: Recorder(None, steps=3), "got NoneType"),
        (lambda: Recorder(np.float32(3), steps=3), "x must hold inputs"),
        (lambda: Recorder(np.full((2, 3), np.inf), steps=3), "x must be finite"),
        (lambda: Recorder(np.empty((0, 3)), steps=3), "x must not be empty"),
        (
            lambda: Recorder(loader(shuffle=True), steps=3),
            r"must keep its order: give a .* DataLoader\(..., shuffle=False",
        ),
        (lambda: recorded(Delicate(), [{"pixels": T}]), r"a batch must be an array x or \(x, y, ...\); got a dict"),
        (lambda: recorded(Delicate(), []), "x must not be empty"),
        (lambda: evaluate(Delicate(), T[:0]), "x must not be empty"),
        (lambda: evaluate(Delicate(), T[:, :2]), r"the model does not take x of shape \(12, 2\)"),
        (lambda: evaluate(None, T), "model must be a torch module"),
        (
            lambda: recorded(Returning(lambda h: (h, h))),
            "a tensor; got a tuple. Say which part of it is meant: output=",
        ),
        (lambda: recorded(Returning(lambda h: {"logits": h, "loss": 1})), "got a dict with 'logits', 'loss'"),
        (lambda: recorded(Returning(lambda h: h.sum())), r"a row for each of 12; got \(\)"),
        (
            lambda: recorded(Delicate(), X, CLASSES[:11]),
            "x and y must hold the same number of samples; got 12 .* and 11",
        ),
        (lambda: recorded(Delicate(), loader(), CLASSES[:11]), r"y must have the shape of the outputs, \(12, 3\); got"),
        (lambda: recorded(Delicate(), X, CLASSES + 1), r"y must hold classes 0..2 for 3 output\(s\); got 1 to 3"),
        (
            lambda: recorded(Delicate(), X, CLASSES[:, None]),
            r"shape of the outputs, \(12, 3\); got \(12, 1\) \(classes",
        ),
        (lambda: recorded(Delicate(), X, np.full((12, 3), np.nan)), "y must be finite"),
        (lambda: recorded(Delicate(), X, ["a"] * 12), "y must be an array of numbers"),
        (lambda: Recorder(X, steps=0), "steps must be a whole number >= 1"),
        (lambda: Recorder(X, steps=[-1, 3]), "steps must be whole numbers >= 0"),
        (lambda: Recorder(X, steps=10).trajectory(), r"call recorder\(model, 0\) before the first step"),
        (lambda: log_spaced(10, 1), "count must be a whole number >= 2"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Lightning


class Hooks:
    """Stands in for lightning.Callback: a Trainer calls many hooks, of which a callback overrides some."""

    def setup(self, trainer, pl_module, stage): ...
    def on_train_start(self, trainer, pl_module): ...
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx): ...


def test_a_callback_records_what_a_bare_loop_records():
    recorder = Recorder(X, CLASSES, steps=[0, 2, 3])
    callback, trainer, model = recorder.callback(Hooks), SimpleNamespace(global_step=0), Delicate()
    assert isinstance(callback, Hooks)
    callback.setup(trainer, model, stage="fit")
    callback.on_train_start(trainer, model)
    expected = [recorded(model, y=CLASSES)]
    for batch_idx in range(8):
        trainer.global_step = (batch_idx + 1) // 2  # gradients of two batches are accumulated
        model[-1].weight.data += 0.1 * (batch_idx % 2)
        callback.on_train_batch_end(trainer, model, None, (T, CLASSES), batch_idx)
        if batch_idx in (3, 5):
            expected.append(recorded(model, y=CLASSES))
    assert recorder.trajectory().times.tolist() == [0, 2, 3]
    np.testing.assert_array_equal(recorder.trajectory().outputs, expected)


@pytest.mark.slow
def test_a_real_trainer_takes_the_callback(tmp_path):
    lightning = pytest.importorskip("lightning", reason="the course does not need Lightning; its users may")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = Delicate()

        def forward(self, x):
            return self.model(x)

        def training_step(self, batch, _):
            return nn.functional.cross_entropy(self(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=0.01)

    def fitted(callbacks):
        torch.manual_seed(1)
        module = Module()
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
        trainer = lightning.Trainer(
            max_epochs=4, callbacks=callbacks, default_root_dir=tmp_path, enable_checkpointing=False, **quiet
        )
        trainer.fit(module, loader(shuffle=True))
        return module.state_dict()

    recorder = Recorder(X, CLASSES, steps=12)
    alone, watched = fitted([]), fitted([recorder.callback(lightning.Callback)])
    assert recorder.trajectory().times.tolist() == list(range(13))
    assert all(torch.equal(value, watched[name]) for name, value in alone.items())


def test_the_snippet_of_the_lesson_runs(monkeypatch):
    """The page shows Lightning's loop and does not run it; here it runs on a Trainer that only calls the hooks."""
    lesson = Path(__file__).parents[1] / "chapters/2_frequency_principle/your_own_network.ipynb"
    text = "\n".join("".join(cell["source"]) for cell in json.loads(lesson.read_text("utf-8"))["cells"])
    snippet = re.search(r"```python\n(import lightning as L\n.*?)```", text, re.DOTALL)[1]

    class Trainer:
        def __init__(self, max_steps, callbacks):
            self.max_steps, self.callbacks, self.global_step = max_steps, callbacks, 0

        def fit(self, module, train_loader):
            for callback in self.callbacks:
                callback.on_train_start(self, module)
            for _ in range(self.max_steps):
                self.global_step += 1
                for callback in self.callbacks:
                    callback.on_train_batch_end(self, module, None, next(iter(train_loader)), 0)

    monkeypatch.setitem(sys.modules, "lightning", SimpleNamespace(Trainer=Trainer, Callback=Hooks))
    drawn = []
    names = {"Recorder": Recorder, "diagnose": diagnose, "plotting": SimpleNamespace(diagnosis=drawn.append)}
    exec(snippet, {**names, "x": X, "y": CLASSES, "module": Delicate(), "train_loader": [None]})
    assert drawn[0].times.tolist() == log_spaced(2000)


# The Trainer of transformers


class TrainerCallback:
    """Stands in for transformers.TrainerCallback: hooks that do nothing."""

    def on_train_begin(self, args, state, control, **kwargs): ...
    def on_step_end(self, args, state, control, **kwargs): ...


class Logits(nn.Module):
    """A model as transformers has them: its arguments have names, and its logits come with other things."""

    def __init__(self):
        super().__init__()
        self.embedding, self.model = nn.Embedding(7, 3), Delicate()

    def forward(self, input_ids, labels=None):
        logits = self.model(self.embedding(input_ids).mean(1))
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return SimpleNamespace(loss=loss, logits=logits)


def recipe(base) -> tuple[Recorder, type]:
    """What the reference of Recorder.callback says to write, with this class in place of transformers'."""
    snippet = textwrap.dedent(Recorder.callback.__doc__.partition("::\n")[2])
    names = {"Recorder": Recorder, "tokens": TOKENS, "labels": CLASSES}
    names["transformers"] = SimpleNamespace(TrainerCallback=base)
    exec(snippet, names)
    return names["recorder"], names["Record"]


TOKENS = RNG.integers(7, size=(12, 4))


def test_the_recipe_for_transformers_records_what_a_bare_loop_records():
    recorder, record = recipe(TrainerCallback)
    callback, model, state = record(), Logits(), SimpleNamespace(global_step=0)
    handed = {"model": model, "processing_class": None, "optimizer": None, "train_dataloader": None}
    callback.on_train_begin(None, state, None, **handed)
    expected = []
    for step in range(4):
        expected.append(recorded(model, TOKENS, CLASSES, output=lambda result: result.logits))
        model.model[-1].weight.data += 0.1
        state.global_step = step + 1
        callback.on_step_end(None, state, None, **handed)
    assert recorder.trajectory().times.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(recorder.trajectory().outputs[:4], expected)


@pytest.mark.slow
def test_the_real_trainer_of_transformers_takes_the_recipe(tmp_path):
    transformers = pytest.importorskip("transformers", reason="the course does not need transformers; its users may")

    class Model(Logits):
        def forward(self, input_ids, labels=None):
            parts = vars(super().forward(input_ids, labels))
            return transformers.modeling_outputs.SequenceClassifierOutput(**parts)

    rows = [{"input_ids": T, "labels": int(label)} for T, label in zip(TOKENS, CLASSES, strict=True)]

    def fitted(callbacks):
        torch.manual_seed(1)
        quiet = {"report_to": "none", "disable_tqdm": True, "save_strategy": "no", "logging_strategy": "no"}
        arguments = transformers.TrainingArguments(
            tmp_path, num_train_epochs=2, per_device_train_batch_size=4, use_cpu=True, **quiet
        )
        trainer = transformers.Trainer(Model(), arguments, train_dataset=rows, callbacks=callbacks)
        trainer.train()
        return trainer.model.state_dict()

    recorder, record = recipe(transformers.TrainerCallback)
    alone, watched = fitted([]), fitted([record()])
    assert recorder.trajectory().times.tolist() == list(range(7))
    assert all(torch.equal(value, watched[name]) for name, value in alone.items())
