"""The networks of the course, with every scale of the initialization in sight."""

from __future__ import annotations

import copy
import functools
import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from fpcourse._arguments import as_array, as_choice, as_count, as_counts, as_positive, require_module

NETWORKS = ("tanh", "tanh with bias", "matrix", "shared", "unshared")
Activation = str | Callable[[Tensor], Tensor]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "leaky_relu": nn.functional.leaky_relu,
    "tanh": torch.tanh,
    "sine": torch.sin,
    "linear": torch.positive,
}


def _activation(activation: Activation) -> Callable[[Tensor], Tensor]:
    """A name from ``ACTIVATIONS``, or any elementwise function of a tensor (chapter 3 uses ``x tanh x``)."""
    return activation if callable(activation) else ACTIVATIONS[as_choice("activation", activation, ACTIVATIONS)]


class MLP(nn.Module):
    """Fully connected network, x (n, d) -> (n, c), linear in its last layer.

    widths      [d, hidden..., c]
    activation  a name from ``ACTIVATIONS`` or an elementwise function
    std         None: PyTorch's default, uniform in +-1/sqrt(fan-in). A number, or one per layer: weights and biases
                are drawn from N(0, std^2), as in Zhang et al. (MSML 2020).
    """

    def __init__(
        self, widths: Sequence[int], *, activation: Activation = "tanh", std: float | Sequence[float] | None = None
    ) -> None:
        super().__init__()
        widths = as_counts("widths", widths)
        if len(widths) < 2:
            raise ValueError(f"widths must hold at least inputs and outputs; got {widths}")
        self.activation = _activation(activation)
        self.layers = nn.ModuleList(nn.Linear(m, n) for m, n in itertools.pairwise(widths))
        if std is not None:
            stds = as_array("std", std, ndim=(0, 1)).tolist()
            stds = stds if isinstance(stds, list) else [stds] * len(self.layers)
            if len(stds) != len(self.layers):
                raise ValueError(f"std must hold one number per layer ({len(self.layers)}); got {len(stds)}")
            for layer, layer_std in zip(self.layers, stds, strict=True):
                layer_std = as_positive("std", layer_std, zero_allowed=True)
                nn.init.normal_(layer.weight, 0.0, layer_std)
                nn.init.normal_(layer.bias, 0.0, layer_std)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


class ResidualMLP(nn.Module):
    """Residual network x (n, d) -> (n, c): a dense layer to h (n, width), then in each block a correction of h,
    h <- sigma(h + V sigma(U h + b) + b'), and a dense layer on top (He et al., CVPR 2016, without convolutions).

    A block holds two hidden layers; five blocks make a "ResNet-10". PyTorch's default initialization throughout.
    """

    def __init__(
        self, inputs: int, width: int, blocks: int, outputs: int = 1, *, activation: Activation = "relu"
    ) -> None:
        super().__init__()
        width, blocks = as_count("width", width), as_count("blocks", blocks)
        self.activation = _activation(activation)
        self.first = nn.Linear(as_count("inputs", inputs), width)
        self.inner = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.outer = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.last = nn.Linear(width, as_count("outputs", outputs))

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x.flatten(1))
        for inner, outer in zip(self.inner, self.outer, strict=True):
            h = self.activation(h + outer(self.activation(inner(h))))
        return self.last(h)


class TwoLayer(nn.Module):
    """Two-layer network h(x) = scale * sum_j a_j sigma(w_j.x + b_j), x (n, d) -> (n, c).

    bias        "additive": b_j;  "shift": b_j = |w_j| l_j, so that in one dimension, w > 0, the kink of
                ReLU(w (x + l)) sits at -l whatever w does (Luo et al. 2022);  None: no bias
    scale       the factor in front; 1/sqrt(width) gives the tangent-kernel scaling (Jacot et al. 2018)
    w_std, b_std, a_std   w ~ N(0, w_std^2), b (or l) ~ N(0, b_std^2), a ~ N(0, a_std^2)
    signs       a_j = +-a_std with random signs instead (Du et al. 2019; Basri et al. 2019)

    Parameters: ``w`` (m, d), ``b`` (m,) or None, ``a`` (c, m).
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        outputs: int = 1,
        *,
        activation: Activation = "relu",
        bias: str | None = "additive",
        scale: float = 1.0,
        w_std: float = 1.0,
        b_std: float = 0.0,
        a_std: float = 1.0,
        signs: bool = False,
    ) -> None:
        super().__init__()
        inputs, width, outputs = (
            as_count(name, value) for name, value in (("inputs", inputs), ("width", width), ("outputs", outputs))
        )
        self.activation = _activation(activation)
        self.bias = as_choice("bias", bias, ("additive", "shift", None))
        self.scale = as_positive("scale", scale)
        w_std, b_std, a_std = (
            as_positive(name, value, zero_allowed=True)
            for name, value in (("w_std", w_std), ("b_std", b_std), ("a_std", a_std))
        )
        self.w = nn.Parameter(w_std * torch.randn(width, inputs))
        self.b = None if bias is None else nn.Parameter(b_std * torch.randn(width))
        draw = torch.randn(outputs, width)
        signs = signs
        self.a = nn.Parameter(a_std * (draw.sign() if signs else draw))

    def preactivation(self, x: Tensor) -> Tensor:
        """w_j.x + b_j (or + |w_j| l_j) at every point: (n, m)."""
        if self.bias is None:
            return x @ self.w.T
        offset = self.b if self.bias == "additive" else self.w.norm(dim=1) * self.b
        return torch.addmm(offset, x, self.w.T)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.activation(self.preactivation(x)) @ self.a.T


class Ensemble(nn.Module):
    """``members`` independent MLPs trained side by side: x (n, d) -> (n, members * c), members as channels.

    One batched matrix product per layer (``baddbmm``): ten small networks cost about two. Each member is initialised
    as ``MLP(widths)`` is, and :func:`fpcourse.training.train` gives each the gradient it would get alone.
    """

    def __init__(self, widths: Sequence[int], members: int, *, activation: Activation = "tanh") -> None:
        super().__init__()
        self.members = as_count("members", members)
        nets = [MLP(widths, activation=activation) for _ in range(self.members)]
        self.activation = nets[0].activation
        layers = list(zip(*(net.layers for net in nets), strict=True))
        self.weights = nn.ParameterList(torch.stack([layer.weight.detach().T for layer in same]) for same in layers)
        self.biases = nn.ParameterList(torch.stack([layer.bias.detach()[None] for layer in same]) for same in layers)

    def forward(self, x: Tensor) -> Tensor:
        h = x.flatten(1).expand(self.members, -1, -1)
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = torch.baddbmm(bias, h, weight)
            if i < len(self.weights) - 1:
                h = self.activation(h)
        return h.permute(1, 0, 2).flatten(1)  # (n, members, c) -> (n, members * c)


class CircularCNN(nn.Module):
    """Two-layer convolutional network on periodic signals, f(x) = sum_j a_j sigma(K_j * x + b_j): x (n, L) -> (n, L).

    (K * x)(s) = sum_r K(r) x(s - r) is the circular convolution, so shifting x shifts f(x). On one frequency,
    x(s) = cos s, K_j * x = |K_j^(1)| cos(s + phase_j): there the network is a two-layer network on the circle.

    channels, kernel_size   m and r = 0..kernel_size-1; signals must have L >= kernel_size
    bias                    b_j, one number per channel, or none
    k_std, b_std, a_std     K ~ N(0, k_std^2), b ~ N(0, b_std^2), a ~ N(0, a_std^2)

    Parameters: ``kernels`` (m, kernel_size), ``b`` (m,) or None, ``a`` (m,).
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int,
        *,
        activation: Activation = "relu",
        bias: bool = False,
        k_std: float = 1.0,
        b_std: float = 0.0,
        a_std: float = 1.0,
    ) -> None:
        super().__init__()
        channels, kernel_size = as_count("channels", channels), as_count("kernel_size", kernel_size)
        k_std, b_std, a_std = (
            as_positive(name, value, zero_allowed=True)
            for name, value in (("k_std", k_std), ("b_std", b_std), ("a_std", a_std))
        )
        self.activation = _activation(activation)
        self.kernels = nn.Parameter(k_std * torch.randn(channels, kernel_size))
        bias = bias
        self.b = nn.Parameter(b_std * torch.randn(channels)) if bias else None
        self.a = nn.Parameter(a_std * torch.randn(channels))

    def preactivation(self, x: Tensor) -> Tensor:
        """K_j * x + b_j for every channel: (n, m, L)."""
        size = self.kernels.shape[1]
        if x.ndim != 2 or x.shape[1] < size:
            raise ValueError(f"signals must have shape (n, L) with L >= kernel_size {size}; got {tuple(x.shape)}")
        wrapped = torch.cat([x[:, x.shape[1] - size + 1 :], x], dim=1)
        # torch's "convolution" is a correlation: the kernel runs backwards
        return nn.functional.conv1d(wrapped[:, None], self.kernels.flip(1)[:, None], self.b)

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("j,njs->ns", self.a, self.activation(self.preactivation(x)))


def _conv(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, padding=1)


class ConvNet(nn.Sequential):
    """Small convolutional network for (n, 3, 32, 32) images -> (n, classes): two conv-pool stages, two dense layers."""

    def __init__(self, classes: int = 10, *, channels: int = 16) -> None:
        channels, classes = as_count("channels", channels), as_count("classes", classes)
        super().__init__(
            _conv(3, channels), nn.ReLU(), nn.MaxPool2d(2),
            _conv(channels, 2 * channels), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(2 * channels * 64, 128), nn.ReLU(), nn.Linear(128, classes),
        )  # fmt: skip


class SmallVGG(nn.Sequential):
    """VGG in miniature for (n, 3, 32, 32) -> (n, classes): pairs of 3x3 convolutions, then pooling, three times.

    The shape of Simonyan and Zisserman (2015) at a quarter of its width. He initialization, without which six
    ReLU layers start too close to zero to train in a minute; the last layer starts at zero, so that training starts
    from the zero function and not from a random one (what that does: lesson ``initialization``).
    """

    def __init__(self, classes: int = 10, *, channels: int = 16) -> None:
        c, classes = as_count("channels", channels), as_count("classes", classes)
        stages: list[nn.Module] = []
        for c_in, c_out in ((3, c), (c, 2 * c), (2 * c, 4 * c)):
            stages += [_conv(c_in, c_out), nn.ReLU(), _conv(c_out, c_out), nn.ReLU(), nn.MaxPool2d(2)]
        super().__init__(*stages, nn.Flatten(), nn.Linear(4 * c * 16, 128), nn.ReLU(), nn.Linear(128, classes))
        for layer in self:
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
        nn.init.zeros_(self[-1].weight)


def siren(widths: Sequence[int], *, omega: float = 30.0) -> MLP:
    """An ``MLP`` with activation sin(omega z), initialised so that all layers keep their scale (Sitzmann et al. 2020).

    Weights are uniform in +-1/d in the first layer and in +-sqrt(6/fan_in)/omega above it; biases as in ``MLP``.
    Made for inputs in [-1, 1].
    """
    omega = as_positive("omega", omega)
    model = MLP(widths, activation=functools.partial(_sine, omega))
    for i, layer in enumerate(model.layers):
        bound = math.sqrt(6 / layer.in_features) / omega if i else 1 / layer.in_features
        nn.init.uniform_(layer.weight, -bound, bound)
    return model


def _sine(omega: float, z: Tensor) -> Tensor:
    return torch.sin(omega * z)


class AngularDerivative(nn.Module):
    """d^order f / d theta^order of f(theta) = model(cos theta, sin theta): angles (n, 1) -> (n, c), sharing ``model``.

    Trained on the derivatives of a target it is the model under a derivative (Sobolev) loss, and its tangent kernel is
    that of the model, differentiated in both angles: on waves of frequency k the rates gain a factor k^(2 order) (Yu,
    Yang, Townsend, ICLR 2023). order 0 is the model itself, read on the circle. Derivatives are taken automatically,
    and a kink counts as flat: for order >= 1 the model must be smooth, tanh and not ReLU.
    """

    def __init__(self, model: nn.Module, order: int = 0) -> None:
        super().__init__()
        if not isinstance(model, nn.Module):
            raise ValueError(f"model must be a torch module; got {type(model).__name__}")
        self.model, self.order = model, as_count("order", order, minimum=0)

    def forward(self, angle: Tensor) -> Tensor:
        def function(theta: Tensor, order: int) -> Tensor:
            if order == 0:
                return self.model(torch.cat([theta.cos(), theta.sin()], dim=1))
            return torch.func.jvp(lambda t: function(t, order - 1), (theta,), (torch.ones_like(theta),))[1]

        return function(angle, self.order)


class _Antisymmetric(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        require_module("model", model)
        self.plus, self.minus = copy.deepcopy(model), copy.deepcopy(model)

    def forward(self, x: Tensor) -> Tensor:
        return (self.plus(x) - self.minus(x)) / math.sqrt(2.0)


def antisymmetric(model: nn.Module) -> nn.Module:
    """Return h_ASI = (h(theta) - h(theta')) / sqrt 2 with theta'(0) = theta(0), both halves trained.

    Zero at the start, and with the tangent kernel of ``model`` (Zhang et al., MSML 2020). ``model`` is copied, not
    changed; the halves are ``plus`` and ``minus``. Raises ValueError for anything but a torch module.
    """
    return _Antisymmetric(model)


def lazy_pair(
    inputs: int, width: int, outputs: int = 1, *, activation: Activation = "relu", bias: bool = False
) -> nn.Module:
    """Return an antisymmetric pair of two-layer networks in the tangent-kernel scaling, first layer trained.

    w ~ N(0, I), b = 0 at the start, a = +-1 drawn once and frozen, f = 0 at the start. As the width grows, the tangent
    kernel tends to ``two_layer_ntk(x, bias=bias, trained="first")`` (ReLU): the factor in front is width**-0.5, or
    (2 * width)**-0.5 with bias, where the kernel is that of inputs (x, 1) / sqrt 2.

    inputs, width, outputs   of each half, as in :class:`TwoLayer`
    """
    scale = (width * (1 + bias)) ** -0.5
    half = TwoLayer(
        inputs, width, outputs, activation=activation, bias="additive" if bias else None, scale=scale, signs=True
    )
    half.a.requires_grad_(False)
    return antisymmetric(half)


class MatrixFactorization(nn.Module):
    """The matrix a w, read entry by entry: x (n, 2) row and column numbers from 0 -> (n, 1), the entries there.

    Parameters: ``a`` (rows, width) and ``w`` (width, columns), all drawn from N(0, std^2).
    """

    def __init__(self, rows: int, columns: int, width: int, *, std: float = 1.0) -> None:
        super().__init__()
        rows, columns, width = (
            as_count(name, value) for name, value in (("rows", rows), ("columns", columns), ("width", width))
        )
        std = as_positive("std", std, zero_allowed=True)
        self.a = nn.Parameter(std * torch.randn(rows, width))
        self.w = nn.Parameter(std * torch.randn(width, columns))

    def forward(self, x: Tensor) -> Tensor:
        row, column = x.long().unbind(dim=1)
        return (self.a[row] * self.w.T[column]).sum(dim=1, keepdim=True)


class TwoLayerCNN(nn.Module):
    """Two-layer tanh network with local kernels, f(x) = sum_j sum_p a_jp tanh(w_j . x[window p]): x (n, ...) -> (n, 1).

    The windows are all segments of ``kernel_size`` (d,) or squares of ``kernel_size`` x ``kernel_size`` (d1, d2) of the
    input, without padding; each kernel has an output weight for every window (Zhang et al., JML 2025).

    shape     of one input, (d,) or (d1, d2); the input may come flattened
    width     number of kernels
    shared    True: w_j slides over the input. False: each window has weights of its own, w_jp in place of w_j
    std       all parameters are drawn from N(0, std^2)

    Parameters: ``w`` (width, q) or (width, windows, q) with q weights per kernel, ``a`` (width, windows).
    """

    def __init__(
        self, shape: Sequence[int], width: int, kernel_size: int, *, shared: bool = True, std: float = 1.0
    ) -> None:
        super().__init__()
        shape, (windows, weights) = _shape(shape, (1, 2)), _windows(shape, kernel_size)
        width, std = as_count("width", width), as_positive("std", std, zero_allowed=True)
        shared = shared
        pixels = torch.arange(math.prod(shape)).reshape(shape)
        for axis in range(len(shape)):
            pixels = pixels.unfold(axis, kernel_size, 1)
        self.register_buffer("pixels", pixels.reshape(windows, weights))
        self.shared = shared
        self.w = nn.Parameter(std * torch.randn((width, weights) if shared else (width, windows, weights)))
        self.a = nn.Parameter(std * torch.randn(width, windows))

    def forward(self, x: Tensor) -> Tensor:
        seen = x.flatten(1)[:, self.pixels]
        z = torch.einsum("npq,jq->njp" if self.shared else "npq,jpq->njp", seen, self.w)
        return torch.einsum("njp,jp->n", torch.tanh(z), self.a)[:, None]


def network(
    name: str, shape: Sequence[int], width: int, *, std: float, kernel_size: int | None = None
) -> TwoLayer | MatrixFactorization | TwoLayerCNN:
    """One of the models whose optimistic sample sizes are known, float64, its parameters drawn from N(0, std^2).

    name         "tanh": two-layer tanh network without bias;  "tanh with bias";  "matrix": ``MatrixFactorization``;
                 "shared" and "unshared": ``TwoLayerCNN``
    shape        (d,), for "matrix" (rows, columns), for the last two (d,) or (d1, d2)
    width        neurons, kernels, or columns of the first factor
    kernel_size  of the last two

    Raises ValueError for any other name, a shape that does not fit and a kernel that is larger than the input.
    """
    as_choice("name", name, NETWORKS)
    std = as_positive("std", std, zero_allowed=True)
    if name == "matrix":
        model = MatrixFactorization(*_shape(shape, (2,)), width, std=std)
    elif name in ("shared", "unshared"):
        model = TwoLayerCNN(_shape(shape, (1, 2)), width, kernel_size, shared=name == "shared", std=std)
    else:
        (d,) = _shape(shape, (1,))
        bias = "additive" if name == "tanh with bias" else None
        model = TwoLayer(d, width, activation="tanh", bias=bias, w_std=std, b_std=std, a_std=std)
    return model.double()


def _shape(shape, dimensions: tuple[int, ...]) -> tuple[int, ...]:
    entries = tuple(as_counts("shape", shape))
    if len(entries) not in dimensions:
        raise ValueError(f"shape must have {' or '.join(map(str, dimensions))} entries here; got {entries}")
    return entries


def _windows(shape, kernel_size: int | None) -> tuple[int, int]:
    """Number of windows and of pixels in each."""
    shape, size = _shape(shape, (1, 2)), as_count("kernel_size", kernel_size)
    if size > min(shape):
        raise ValueError(f"kernel_size must be at most {min(shape)} for inputs of shape {shape}; got {size}")
    return math.prod(d + 1 - size for d in shape), size ** len(shape)


def parameters_of(model: nn.Module) -> np.ndarray:
    """All parameters in one vector (P,), float64: a copy. Raises ValueError for a model without any."""
    require_module("model", model)
    return nn.utils.parameters_to_vector(model.parameters()).detach().double().cpu().numpy().copy()


def with_parameters(model: nn.Module, parameters) -> nn.Module:
    """A float64 copy of ``model`` with the given ``parameters`` (P,), such as a row of ``Trajectory.parameters``."""
    require_module("model", model)
    result = copy.deepcopy(model).double()
    size = sum(parameter.numel() for parameter in result.parameters())
    parameters = as_array("parameters", parameters, ndim=1)
    if len(parameters) != size:
        raise ValueError(f"parameters must hold the {size} numbers of the model; got {len(parameters)}")
    device = next(result.parameters()).device
    nn.utils.vector_to_parameters(torch.tensor(parameters, device=device), result.parameters())
    return result
