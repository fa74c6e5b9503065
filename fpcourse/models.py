"""The networks of the course, with every scale of the initialization in sight."""

from __future__ import annotations

import copy
import functools
import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from fpcourse._arguments import as_array, as_choice, as_count, as_counts, copied, require_module

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
    return activation if callable(activation) else ACTIVATIONS[as_choice("activation", activation, ACTIVATIONS)]


class MLP(nn.Module):
    """Fully connected network, x (n, d) -> (n, c), linear in its last layer.

    Parameters
    ----------
    widths : sequence of int
        d, the widths of the hidden layers, c.
    activation : str or callable
        A name from ``ACTIVATIONS``, or any elementwise function of a tensor.
    std : float or sequence of float, optional
        Weights and biases are drawn from N(0, std^2); one number, or one per layer (Zhang et al., MSML 2020).
        Default: PyTorch's initialization, uniform in +-1/sqrt(fan_in).

    Examples
    --------
    >>> network = MLP([1, 50, 1], activation="tanh")
    >>> network(torch.zeros(4, 1)).shape
    torch.Size([4, 1])
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
            stds = as_array("std", std, ndim=(0, 1))
            if stds.ndim and len(stds) != len(self.layers):
                raise ValueError(f"std must hold one number per layer ({len(self.layers)}); got {len(stds)}")
            for layer, layer_std in zip(self.layers, np.broadcast_to(stds, len(self.layers)), strict=True):
                nn.init.normal_(layer.weight, 0.0, layer_std)
                nn.init.normal_(layer.bias, 0.0, layer_std)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (n, ...) to (n, c)."""
        x = x.flatten(1)
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


class ResidualMLP(nn.Module):
    """Residual network x (n, d) -> (n, c): dense layers in which each block adds a correction to h (n, width).

    A block computes h <- sigma(h + V sigma(U h + b) + b'), two hidden layers; five make a "ResNet-10" (He et al., CVPR
    2016) without convolutions. PyTorch's default initialization throughout.

    Parameters
    ----------
    inputs, width, blocks, outputs : int
        d, the width of h, the number of blocks, c.
    activation : str or callable
        As in :class:`MLP`.

    Examples
    --------
    >>> ResidualMLP(2, 16, blocks=5)(torch.zeros(4, 2)).shape
    torch.Size([4, 1])
    """

    def __init__(
        self, inputs: int, width: int, blocks: int, outputs: int = 1, *, activation: Activation = "relu"
    ) -> None:
        super().__init__()
        self.activation = _activation(activation)
        self.first = nn.Linear(inputs, width)
        self.inner = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.outer = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.last = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (n, ...) to (n, c)."""
        h = self.first(x.flatten(1))
        for inner, outer in zip(self.inner, self.outer, strict=True):
            h = self.activation(h + outer(self.activation(inner(h))))
        return self.last(h)


class TwoLayer(nn.Module):
    """Two-layer network f(x) = scale * sum_j a_j sigma(w_j.x + b_j), x (n, d) -> (n, c).

    Its parameters are ``w`` (m, d), ``b`` (m,) or None, and ``a`` (c, m).

    Parameters
    ----------
    inputs, width, outputs : int
        d, m, c.
    activation : str or callable
        As in :class:`MLP`.
    bias : {"additive", "shift", None}
        "additive": b_j. "shift": b_j = |w_j| l_j, so that for d = 1 and w > 0 the kink of ReLU(w (x + l)) sits at -l
        whatever w does (Luo et al., SIMODS 2022). None: no bias.
    scale : float
        The factor in front; width**-0.5 is the tangent-kernel scaling (Jacot et al., NeurIPS 2018).
    w_std, b_std, a_std : float
        w ~ N(0, w_std^2), b (or l) ~ N(0, b_std^2), a ~ N(0, a_std^2).
    signs : bool
        Draw a_j = +-a_std with random signs instead (Du et al., ICLR 2019; Basri et al., NeurIPS 2019).

    Examples
    --------
    >>> network = TwoLayer(2, 100, scale=100**-0.5)
    >>> network(torch.zeros(4, 2)).shape
    torch.Size([4, 1])
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
        self.activation = _activation(activation)
        self.bias = as_choice("bias", bias, ("additive", "shift", None))
        self.scale = float(scale)
        self.w = nn.Parameter(w_std * torch.randn(width, inputs))
        self.b = None if bias is None else nn.Parameter(b_std * torch.randn(width))
        draw = torch.randn(outputs, width)
        self.a = nn.Parameter(a_std * (draw.sign() if signs else draw))

    def preactivation(self, x: Tensor) -> Tensor:
        """Return w_j.x + b_j (or + |w_j| l_j) for every neuron, (n, m)."""
        if self.bias is None:
            return x @ self.w.T
        offset = self.b if self.bias == "additive" else self.w.norm(dim=1) * self.b
        return torch.addmm(offset, x, self.w.T)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (n, d) to (n, c)."""
        return self.scale * self.activation(self.preactivation(x)) @ self.a.T


class Ensemble(nn.Module):
    """Independent MLPs trained side by side: x (n, d) -> (n, members * c), members as channels.

    One batched matrix product per layer: ten small networks cost about two. Each member is initialized as an ``MLP``,
    and :func:`fpcourse.training.train` gives each the gradient it would get alone.

    Parameters
    ----------
    widths, activation
        Of each member, as in :class:`MLP`.
    members : int
        Number of networks.

    Examples
    --------
    >>> Ensemble([1, 20, 1], members=10)(torch.zeros(4, 1)).shape
    torch.Size([4, 10])
    """

    def __init__(self, widths: Sequence[int], members: int, *, activation: Activation = "tanh") -> None:
        super().__init__()
        self.members = as_count("members", members)
        nets = [MLP(widths, activation=activation) for _ in range(members)]
        self.activation = nets[0].activation
        layers = list(zip(*(net.layers for net in nets), strict=True))
        self.weights = nn.ParameterList(torch.stack([layer.weight.detach().T for layer in same]) for same in layers)
        self.biases = nn.ParameterList(torch.stack([layer.bias.detach()[None] for layer in same]) for same in layers)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (n, ...) to (n, members * c)."""
        h = x.flatten(1).expand(self.members, -1, -1)
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = torch.baddbmm(bias, h, weight)
            if i < len(self.weights) - 1:
                h = self.activation(h)
        return h.permute(1, 0, 2).flatten(1)


class CircularCNN(nn.Module):
    """Two-layer convolutional network on periodic signals, f(x) = sum_j a_j sigma(K_j * x + b_j): x (n, L) -> (n, L).

    (K * x)(s) = sum_r K(r) x(s - r) is the circular convolution, so shifting x shifts f(x). On one frequency,
    x(s) = cos s, K_j * x = |K_j^(1)| cos(s + phase_j): there the network is a two-layer network on the circle.
    Its parameters are ``kernels`` (m, kernel_size), ``b`` (m,) or None, and ``a`` (m,).

    Parameters
    ----------
    channels, kernel_size : int
        m, and the number of entries of a kernel, at most L.
    activation : str or callable
        As in :class:`MLP`.
    bias : bool
        Whether to have b_j.
    k_std, b_std, a_std : float
        K ~ N(0, k_std^2), b ~ N(0, b_std^2), a ~ N(0, a_std^2).

    Examples
    --------
    >>> network, x = CircularCNN(8, 5), torch.randn(3, 16)
    >>> torch.allclose(network(x.roll(1, dims=1)), network(x).roll(1, dims=1), atol=1e-5)
    True
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
        self.activation = _activation(activation)
        self.kernels = nn.Parameter(k_std * torch.randn(channels, kernel_size))
        self.b = nn.Parameter(b_std * torch.randn(channels)) if bias else None
        self.a = nn.Parameter(a_std * torch.randn(channels))

    def preactivation(self, x: Tensor) -> Tensor:
        """Return K_j * x + b_j for every channel, (n, m, L)."""
        size = self.kernels.shape[1]
        if x.ndim != 2 or x.shape[1] < size:
            raise ValueError(f"signals must have shape (n, L) with L >= kernel_size {size}; got {tuple(x.shape)}")
        wrapped = torch.cat([x[:, x.shape[1] - size + 1 :], x], dim=1)
        # torch's "convolution" is a correlation: the kernel runs backwards
        return nn.functional.conv1d(wrapped[:, None], self.kernels.flip(1)[:, None], self.b)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (n, L) to (n, L)."""
        return torch.einsum("j,njs->ns", self.a, self.activation(self.preactivation(x)))


def _stage(*channels: int) -> list[nn.Module]:
    """Return 3 x 3 convolutions with ReLU, each from one number of channels to the next, and then a pooling."""
    convolutions = [nn.Conv2d(m, n, 3, padding=1) for m, n in itertools.pairwise(channels)]
    return [*(layer for conv in convolutions for layer in (conv, nn.ReLU())), nn.MaxPool2d(2)]


class ConvNet(nn.Sequential):
    """Small convolutional network for images, (n, 3, 32, 32) -> (n, classes): two conv-pool stages, two dense layers.

    ``channels`` is the number of channels after the first convolution.

    Examples
    --------
    >>> ConvNet(channels=4)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """

    def __init__(self, classes: int = 10, *, channels: int = 16) -> None:
        stages = [*_stage(3, channels), *_stage(channels, 2 * channels), nn.Flatten()]
        super().__init__(*stages, nn.Linear(2 * channels * 64, 128), nn.ReLU(), nn.Linear(128, classes))


class SmallVGG(nn.Sequential):
    """VGG in miniature for images, (n, 3, 32, 32) -> (n, classes): three times two 3 x 3 convolutions and a pooling.

    A quarter as wide as the original (Simonyan and Zisserman, ICLR 2015). He initialization, without which the outputs
    of six ReLU layers are too small to train in a minute; the last layer is zero at first, so that training starts from
    the zero function and not from a random one (what that changes: lesson ``initialization``). ``channels`` is the
    number of channels in the first stage.

    Examples
    --------
    >>> SmallVGG(channels=4)(torch.ones(2, 3, 32, 32)).abs().max().item()
    0.0
    """

    def __init__(self, classes: int = 10, *, channels: int = 16) -> None:
        c = channels
        stages = [*_stage(3, c, c), *_stage(c, 2 * c, 2 * c), *_stage(2 * c, 4 * c, 4 * c)]
        super().__init__(*stages, nn.Flatten(), nn.Linear(4 * c * 16, 128), nn.ReLU(), nn.Linear(128, classes))
        for layer in self:
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
        nn.init.zeros_(self[-1].weight)


def siren(widths: Sequence[int], *, omega: float = 30.0) -> MLP:
    """Return an ``MLP`` with activation sin(omega z), initialized so that all layers keep their scale.

    For inputs in [-1, 1]: weights are uniform in +-1/d in the first layer and in +-sqrt(6 / fan_in) / omega above it,
    biases as in ``MLP`` (Sitzmann et al., NeurIPS 2020).

    Examples
    --------
    >>> network = siren([2, 64, 1])
    >>> round(network.layers[0].weight.abs().max().item(), 1)
    0.5
    """
    model = MLP(widths, activation=functools.partial(_sine, omega))
    for i, layer in enumerate(model.layers):
        bound = math.sqrt(6 / layer.in_features) / omega if i else 1 / layer.in_features
        nn.init.uniform_(layer.weight, -bound, bound)
    return model


def _sine(omega: float, z: Tensor) -> Tensor:
    return torch.sin(omega * z)


class AngularDerivative(nn.Module):
    """The derivative d^order f / d theta^order of f(theta) = model(cos theta, sin theta), (n, 1) -> (n, c).

    Trained on the derivatives of a target it is the model under a derivative (Sobolev) loss. Its tangent kernel is that
    of the model, differentiated in both angles: at frequency k the rates gain a factor k^(2 order) (Yu, Yang and
    Townsend, ICLR 2023).

    Parameters
    ----------
    model : nn.Module
        (n, 2) -> (n, c); shared, not copied. For order >= 1 it must be smooth, tanh and not ReLU: automatic
        differentiation takes a kink for flat.
    order : int
        0 is the model itself, read on the circle.

    Examples
    --------
    >>> model, angles = TwoLayer(2, 10, activation="tanh"), torch.zeros(3, 1)
    >>> torch.equal(AngularDerivative(model, order=0)(angles), model(torch.tensor([[1.0, 0.0]] * 3)))
    True
    """

    def __init__(self, model: nn.Module, order: int = 0) -> None:
        super().__init__()
        self.model, self.order = model, as_count("order", order, minimum=0)

    def forward(self, angle: Tensor) -> Tensor:
        """Map angles (n, 1) to (n, c)."""

        def function(theta: Tensor, order: int) -> Tensor:
            if order == 0:
                return self.model(torch.cat([theta.cos(), theta.sin()], dim=1))
            return torch.func.jvp(lambda t: function(t, order - 1), (theta,), (torch.ones_like(theta),))[1]

        return function(angle, self.order)


class _Antisymmetric(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.plus, self.minus = copy.deepcopy(model), copy.deepcopy(model)

    def forward(self, x: Tensor) -> Tensor:
        return (self.plus(x) - self.minus(x)) / math.sqrt(2.0)


def antisymmetric(model: nn.Module) -> nn.Module:
    """Return (f(x; theta) - f(x; theta')) / sqrt 2 with theta' = theta at initialization, both halves trained.

    It is zero at initialization and has the tangent kernel of ``model`` (Zhang et al., MSML 2020). The halves are
    copies of ``model``, named ``plus`` and ``minus``.

    Examples
    --------
    >>> pair = antisymmetric(TwoLayer(2, 10))
    >>> pair(torch.ones(3, 2)).abs().max().item()
    0.0
    """
    require_module("model", model)
    return _Antisymmetric(model)


def lazy_pair(
    inputs: int, width: int, outputs: int = 1, *, activation: Activation = "relu", bias: bool = False
) -> nn.Module:
    """Return an antisymmetric pair of two-layer networks in the tangent-kernel scaling, first layer trained.

    w ~ N(0, I), b = 0 and f = 0 at initialization; a = +-1 is drawn once and frozen. With ReLU the tangent kernel tends
    to ``two_layer_ntk(x, bias=bias, trained="first")`` as the width grows: the factor in front is width**-0.5, or
    (2 * width)**-0.5 with bias, where that kernel is the one of inputs (x, 1) / sqrt 2.

    Parameters
    ----------
    inputs, width, outputs, activation
        Of each half, as in :class:`TwoLayer`.
    bias : bool
        Whether each neuron has a bias, trained like w.

    Examples
    --------
    >>> pair = lazy_pair(2, 1000)
    >>> pair(torch.ones(3, 2)).abs().max().item(), pair.plus.a.requires_grad
    (0.0, False)
    """
    scale = (width * (1 + bias)) ** -0.5
    half = TwoLayer(
        inputs, width, outputs, activation=activation, bias="additive" if bias else None, scale=scale, signs=True
    )
    half.a.requires_grad_(False)
    return antisymmetric(half)


class MatrixFactorization(nn.Module):
    """The matrix a w, read entry by entry: x (n, 2) row and column numbers from 0 -> (n, 1), the entries there.

    The factors ``a`` (rows, width) and ``w`` (width, columns) are drawn from N(0, std^2).

    Examples
    --------
    >>> model = MatrixFactorization(3, 4, width=2)
    >>> entry, product = model(torch.tensor([[2, 1]])), model.a @ model.w
    >>> torch.allclose(entry[0, 0], product[2, 1])
    True
    """

    def __init__(self, rows: int, columns: int, width: int, *, std: float = 1.0) -> None:
        super().__init__()
        self.a = nn.Parameter(std * torch.randn(rows, width))
        self.w = nn.Parameter(std * torch.randn(width, columns))

    def forward(self, x: Tensor) -> Tensor:
        """Map x (n, 2) to (n, 1)."""
        row, column = x.long().unbind(dim=1)
        return (self.a[row] * self.w.T[column]).sum(dim=1, keepdim=True)


class TwoLayerCNN(nn.Module):
    """Two-layer tanh network with local kernels, f(x) = sum_j sum_p a_jp tanh(w_j.x[window p]): x (n, ...) -> (n, 1).

    The windows are all segments, or squares, of ``kernel_size`` in the input, without padding; each kernel has an
    output weight ``a`` (width, windows) for every window (Zhang et al., JML 2025).

    Parameters
    ----------
    shape : sequence of int
        Of one input, (d,) or (d1, d2); the input may come flattened.
    width : int
        Number of kernels.
    kernel_size : int
        Side of a window, at most that of the input.
    shared : bool
        True: w_j slides over the input, ``w`` is (width, q) for windows of q entries. False: each window has weights
        of its own, ``w`` is (width, windows, q).
    std : float
        All parameters are drawn from N(0, std^2).

    Examples
    --------
    >>> network = TwoLayerCNN((6,), 2, kernel_size=3)
    >>> network(torch.zeros(4, 6)).shape, tuple(network.w.shape), tuple(network.a.shape)
    (torch.Size([4, 1]), (2, 3), (2, 4))
    """

    def __init__(
        self, shape: Sequence[int], width: int, kernel_size: int, *, shared: bool = True, std: float = 1.0
    ) -> None:
        super().__init__()
        shape, (windows, weights) = _shape(shape, (1, 2)), _windows(shape, kernel_size)
        pixels = torch.arange(math.prod(shape)).reshape(shape)
        for axis in range(len(shape)):
            pixels = pixels.unfold(axis, kernel_size, 1)
        self.register_buffer("pixels", pixels.reshape(windows, weights))
        self.shared = shared
        self.w = nn.Parameter(std * torch.randn((width, weights) if shared else (width, windows, weights)))
        self.a = nn.Parameter(std * torch.randn(width, windows))

    def forward(self, x: Tensor) -> Tensor:
        """Map x (n, ...) to (n, 1)."""
        seen = x.flatten(1)[:, self.pixels]
        z = torch.einsum("npq,jq->njp" if self.shared else "npq,jpq->njp", seen, self.w)
        return torch.einsum("njp,jp->n", torch.tanh(z), self.a)[:, None]


def network(
    name: str, shape: Sequence[int], width: int, *, std: float, kernel_size: int | None = None
) -> TwoLayer | MatrixFactorization | TwoLayerCNN:
    """Return one of the models whose optimistic sample sizes are known, in float64.

    Parameters
    ----------
    name : {"tanh", "tanh with bias", "matrix", "shared", "unshared"}
        A two-layer tanh network without or with bias, a ``MatrixFactorization``, or a ``TwoLayerCNN``.
    shape : sequence of int
        (d,); for "matrix" (rows, columns), for the last two (d,) or (d1, d2).
    width : int
        Neurons, kernels, or columns of the first factor.
    std : float
        All parameters are drawn from N(0, std^2).
    kernel_size : int, optional
        Of the last two.

    Examples
    --------
    >>> network("tanh", (3,), 2, std=1.0).w.shape
    torch.Size([2, 3])
    """
    as_choice("name", name, NETWORKS)
    if name == "matrix":
        model = MatrixFactorization(*_shape(shape, (2,)), width, std=std)
    elif name in ("shared", "unshared"):
        model = TwoLayerCNN(_shape(shape, (1, 2)), width, kernel_size, shared=name == "shared", std=std)
    else:
        (d,) = _shape(shape, (1,))
        bias = "additive" if name == "tanh with bias" else None
        model = TwoLayer(d, width, activation="tanh", bias=bias, w_std=std, b_std=std, a_std=std)
    return model.double()


def _shape(shape: Sequence[int], dimensions: tuple[int, ...]) -> tuple[int, ...]:
    entries = tuple(as_counts("shape", shape))
    if len(entries) not in dimensions:
        raise ValueError(f"shape must have {' or '.join(map(str, dimensions))} entries here; got {entries}")
    return entries


def _windows(shape: Sequence[int], kernel_size: int | None) -> tuple[int, int]:
    """Return the number of windows and of pixels in each."""
    shape, size = _shape(shape, (1, 2)), as_count("kernel_size", kernel_size)
    if size > min(shape):
        raise ValueError(f"kernel_size must be at most {min(shape)} for inputs of shape {shape}; got {size}")
    return math.prod(d + 1 - size for d in shape), size ** len(shape)


def parameters_of(model: nn.Module) -> np.ndarray:
    """Return all parameters of ``model`` in one vector (P,) float64, a copy.

    Examples
    --------
    >>> parameters_of(TwoLayer(2, 10)).shape
    (40,)
    """
    require_module("model", model)
    return nn.utils.parameters_to_vector(model.parameters()).detach().cpu().double().numpy().copy()


def with_parameters(model: nn.Module, parameters: ArrayLike) -> nn.Module:
    """Return a float64 copy of ``model`` with the given parameters (P,), such as a row of ``Trajectory.parameters``.

    Examples
    --------
    >>> network = TwoLayer(2, 10)
    >>> doubled = with_parameters(network, 2 * parameters_of(network))
    >>> torch.allclose(doubled.w, 2 * network.w.double())
    True
    """
    require_module("model", model)
    result = copied(model, torch.float64)
    size = sum(parameter.numel() for parameter in result.parameters())
    parameters = as_array("parameters", parameters, ndim=1)
    if len(parameters) != size:
        raise ValueError(f"parameters must hold the {size} numbers of the model; got {len(parameters)}")
    device = next(result.parameters()).device
    nn.utils.vector_to_parameters(torch.tensor(parameters, device=device), result.parameters())
    return result
