"""neural-tangents behind a pipe: it needs an environment of its own, and the benchmarks need it in the same run.

The environment (Python 3.11, about 2 GB; newer jax breaks the structured derivatives)::

    pip install neural-tangents==0.6.5 jax==0.4.25 jaxlib==0.4.25 tf2jax==0.3.6 tensorflow==2.15.1 \
        numpy==1.26.4 scipy==1.12.0

``NEURAL_TANGENTS_PYTHON`` names its Python. The program reads one JSON line after the other: a task, the file with its
arrays, and where to write the result; it answers each with a line once the result is there. The first call of a task
compiles, so a benchmark warms up. See Novak et al., ICLR 2020 and ICML 2022.
"""

import json
import sys

import jax
import jax.numpy as jnp
import neural_tangents as nt
import numpy as np
from neural_tangents import stax

COMPILED = {}


def empirical(apply, implementation):
    """Over the single output it takes the trace, which is the fastest; so is a weight as (inputs, outputs)."""
    kernel = nt.empirical_ntk_fn(
        apply, trace_axes=(-1,), vmap_axes=0, implementation=nt.NtkImplementation[implementation.upper()]
    )
    return jax.jit(lambda x, parameters: kernel(x, None, parameters))


def two_layer(parameters, x):
    w, b, a = parameters
    return jax.nn.relu(x @ w + b) @ a


def mlp(parameters, x):
    for weight, bias in parameters[:-1]:
        x = jnp.tanh(x @ weight + bias)
    weight, bias = parameters[-1]
    return x @ weight + bias


def infinite():
    """Both layers trained, no bias; the inputs on the sphere times the root of their dimension."""
    _, _, kernel = stax.serial(stax.Dense(1, W_std=2**0.5), stax.Relu(), stax.Dense(1))
    return jax.jit(lambda x: kernel(x * x.shape[1] ** 0.5, None, "ntk"))


def flow(kernel, y, times, kernel_test):
    """Not compiled as a whole: the library's own functions are. Its loss is ours for one output, and so is its time."""
    zero = jnp.zeros((len(y), 1)), jnp.zeros((len(kernel_test), 1))
    return nt.predict.gradient_descent_mse(kernel, y[:, None])(times, *zero, kernel_test)[1][..., 0]


def run(task, arrays):
    name, _, implementation = task.partition(" ")
    if name == "flow":
        return flow(*arrays)
    if task not in COMPILED:
        COMPILED[task] = infinite() if name == "infinite" else empirical({"two-layer": two_layer, "mlp": mlp}[name],
                                                                         implementation)  # fmt: skip
    x, *rest = arrays
    if name == "infinite":
        return COMPILED[task](x)
    parameters = tuple(rest) if name == "two-layer" else tuple(zip(rest[::2], rest[1::2], strict=True))
    return COMPILED[task](x, parameters)


def main():
    jax.config.update("jax_enable_x64", True)
    print("ready", flush=True)
    loaded = {}
    for line in sys.stdin:
        task, source, target = json.loads(line)
        if source not in loaded:
            loaded[source] = [jnp.asarray(a) for a in np.load(source).values()]
        try:
            result = run(task, loaded[source]).block_until_ready()
        except Exception as error:  # the message goes to the benchmark, which fails with it
            print(json.dumps(f"{type(error).__name__}: {error}"), flush=True)
            continue
        if target:
            np.save(target, np.asarray(result))
        print(json.dumps("done"), flush=True)


if __name__ == "__main__":
    main()
