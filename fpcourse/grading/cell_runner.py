"""Runs a student's cells, one process for one notebook, and answers questions about the names they define.

The only file of this folder that exists inside the sandbox. Requests and replies are JSON, one per line, over an
inherited socket; what a student's code prints goes nowhere. Nothing that comes out of here is trusted.
"""

import base64
import contextlib
import dataclasses
import json
import os
import resource
import signal
import socket
import sys
import types

import numpy as np

MOST_BYTES = 2**22  # of one array
MOST_PARTS = 250_000  # of one list, dictionary or tuple


class OutOfTime(BaseException):  # not an Exception: a student's `except Exception` in a loop must not catch it
    """The time allowed for a cell or a call is over."""


def encode(value: object, depth: int = 0) -> object:
    """Turn numbers, texts, containers, arrays, tensors and dataclasses into JSON; raise TypeError for anything else."""
    if depth > 8:
        raise TypeError("it is nested too deeply")
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, np.generic):
        return int(value) if isinstance(value, int) else float(value)
    if value is ...:
        return {"kind": "ellipsis"}
    if hasattr(value, "detach"):
        value = value.numpy(force=True)
    if isinstance(value, (np.ndarray, np.generic, complex)):
        array = np.asarray(value)
        if array.dtype.kind in "biu":
            array = array.astype(np.int64)
        elif array.dtype.kind in "fc":
            array = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
        else:
            return encode(array.tolist(), depth + 1)
        if array.nbytes > MOST_BYTES:
            raise TypeError(f"it holds {array.size} numbers, more than can be graded")
        data = base64.b64encode(array.tobytes()).decode()
        return {"kind": "array", "dtype": array.dtype.str, "shape": array.shape, "data": data}
    if isinstance(value, (dict, list, tuple)) and len(value) > MOST_PARTS:
        raise TypeError(f"it holds {len(value)} parts, more than can be graded")
    if isinstance(value, dict):
        return {"kind": "dict", "items": [[str(k), encode(v, depth + 1)] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        return {"kind": type(value).__name__, "items": [encode(item, depth + 1) for item in value]}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return encode({field.name: getattr(value, field.name) for field in dataclasses.fields(value)}, depth)
    if callable(value):
        return {"kind": "function"}
    if isinstance(value, range) or hasattr(value, "__array__"):  # a pandas Series, say
        return encode(np.asarray(value), depth + 1)
    raise TypeError(f"it is of type {type(value).__name__}")


def decode(code: object) -> object:
    """Turn what ``encode`` made into values again (a function becomes None); raise ValueError for anything else."""
    if not isinstance(code, dict):
        return code
    kind = code.get("kind")
    if kind == "ellipsis":
        return ...
    if kind == "array" and code["dtype"] in ("<i8", "<f8", "<c16"):
        return np.frombuffer(base64.b64decode(code["data"]), code["dtype"]).reshape(code["shape"]).copy()
    if kind == "dict":
        return {key: decode(item) for key, item in code["items"]}
    if kind == "function":
        return None
    items = [decode(item) for item in code["items"]]
    return tuple(items) if kind == "tuple" else items


def confine(uid: int | None, processes: int, memory: int) -> None:
    """Give up root for the user ``uid``, then limit processes, memory of one process, and files to ``memory`` bytes."""
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    limits = {
        resource.RLIMIT_NPROC: processes,
        resource.RLIMIT_DATA: memory,
        resource.RLIMIT_FSIZE: memory,
        resource.RLIMIT_NOFILE: 1024,  # pipes and sockets hold memory that no process shows
        resource.RLIMIT_CORE: 0,
    }
    for limit, value in limits.items():
        hard = resource.getrlimit(limit)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (value, value))


class Stub(types.ModuleType):
    """A module in which every name is a function that does nothing."""

    __path__ = ()

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return sys.modules.get(f"{self.__name__}.{name}", lambda *_, **__: None)


class Runner:
    """An IPython shell without a terminal, and the requests it serves."""

    def __init__(self) -> None:
        from IPython.core.interactiveshell import InteractiveShell
        from traitlets.config import Config

        class Shell(InteractiveShell):
            def enable_gui(self, gui: str | None = None) -> None:  # asked for by %matplotlib
                pass

            def _tee(self, channel: str) -> contextlib.AbstractContextManager:  # would keep all that is printed
                return contextlib.nullcontext()

        self.shell = Shell.instance(config=Config({"HistoryManager": {"enabled": False}}))
        for name in ("google", "google.colab", "google.colab.drive", "google.colab.files", "google.colab.userdata"):
            sys.modules.setdefault(name, Stub(name))  # a notebook that comes from Colab mounts its drive here too

    def start(self) -> dict:
        """Do nothing: the first request waits for Python and IPython to start, at no cost to the student's cells."""
        return {}

    def run(self, source: str) -> dict:
        """Run one cell."""
        result = self.shell.run_cell(source)
        error = result.error_before_exec or result.error_in_exec
        return {} if error is None else {"error": told(error)}

    def get(self, name: str) -> dict:
        """Return the value of a name."""
        if name not in self.shell.user_ns:
            return {"missing": True}
        return {"value": encode(self.shell.user_ns[name])}

    def call(self, name: str, arguments: list) -> dict:
        """Call a function, or a torch module with tensors of its own type, on decoded arguments."""
        function, arguments = self.shell.user_ns[name], [decode(argument) for argument in arguments]
        if hasattr(function, "parameters") and "torch" in sys.modules:
            torch = sys.modules["torch"]
            dtype = next(function.parameters()).dtype
            arguments = [torch.as_tensor(a, dtype=dtype) if isinstance(a, np.ndarray) else a for a in arguments]
        return {"value": encode(function(*arguments))}


def told(error: BaseException) -> str:
    """Return an error as a student reads it, in one short text."""
    return f"{type(error).__name__}: {error}"[:1000]


def ring(number: int, frame: object) -> None:
    """Interrupt whatever runs: the handler of the alarm."""
    raise OutOfTime("it took too long")


def answer(runner: Runner, request: dict) -> dict:
    """Serve one request within its time."""
    try:
        signal.setitimer(signal.ITIMER_REAL, request["seconds"], 1.0)  # again every second, where code goes on
        try:
            return getattr(runner, request["do"])(*request["arguments"])
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except BaseException as error:
        return {"error": told(error)}


def main(settings: dict) -> None:
    """Serve requests until the other side closes the socket."""
    channel, process = socket.socket(fileno=settings["socket"]), os.getpid()
    confine(settings["uid"], settings["processes"], settings["memory"])
    signal.signal(signal.SIGALRM, ring)
    runner = Runner()
    with channel, channel.makefile("rwb") as file:
        for line in file:
            request = json.loads(line)
            reply = answer(runner, request)
            if os.getpid() != process:  # a child that a student's code forked, and that came back from it
                os._exit(0)
            # a line of its own, whatever a student's code has left in the channel
            file.write(b"\n" + json.dumps(reply | {"number": request["number"]}).encode() + b"\n")
            file.flush()
    os._exit(0)  # whatever threads and exit handlers a student left


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
