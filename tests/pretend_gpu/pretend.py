"""A pretend GPU for torch (pretend.cpp): built, installed, and as a plugin of pytest.

After :func:`install`, ``torch.device("pretend")`` computes with the CPU and refuses what CUDA refuses; with
``FPCOURSE_DEVICE=pretend`` the course trains on it. ``pytest -p pretend`` runs a suite on such a machine.
"""

import ctypes
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import types
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
BUILT = HERE.parents[1] / "_build" / "pretend_gpu"

switches: ctypes.CDLL  # of pretend.cpp, after install()


def build() -> Path:
    """Compile pretend.cpp, once for each version of it and of torch, and return the library."""
    source, package = HERE / "pretend.cpp", Path(torch.__file__).parent
    version = hashlib.sha256(source.read_bytes() + torch.__version__.encode()).hexdigest()[:16]
    library = BUILT / f"{version}.so"
    BUILT.mkdir(parents=True, exist_ok=True)
    with open(BUILT / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one process compiles, the others wait
        if library.exists():
            return library
        with tempfile.TemporaryDirectory(dir=BUILT) as folder:
            include = package / "include"
            command = [shutil.which("g++"), "-O1", "-w", "-std=c++20", "-fPIC", "-shared", source]
            command += [f"-I{include}", f"-I{include / 'torch/csrc/api/include'}", f"-L{package / 'lib'}"]
            subprocess.run([*command, "-ltorch_cpu", "-lc10", "-o", f"{folder}/library.so"], check=True)
            os.replace(f"{folder}/library.so", library)
    return library


def install() -> ctypes.CDLL:
    """Give torch the device "pretend", and return the switches of pretend.cpp."""
    torch.utils.rename_privateuse1_backend("pretend")
    library = str(build())
    torch.ops.load_library(library)
    module = types.ModuleType("torch.pretend")
    module.is_available = module.is_initialized = lambda: True
    module.device_count = lambda: 1
    module.current_device = lambda: 0
    module.manual_seed_all = lambda _: None
    module._is_in_bad_fork = lambda: False
    torch._register_device_module("pretend", module)
    torch.utils.generate_methods_for_privateuse1_backend()
    # A parameter keeps its identity when it moves between CPU and CUDA; between CPU and this device only so:
    torch.__future__.set_swap_module_params_on_conversion(True)
    global switches
    switches = ctypes.CDLL(library)
    switches.pretend_used.restype = switches.pretend_kernels.restype = ctypes.c_long
    switches.pretend_limit.argtypes = [ctypes.c_long]
    switches.pretend_old.argtypes = switches.pretend_single.argtypes = [ctypes.c_bool]
    return switches


def pytest_configure() -> None:
    install()
    os.environ["FPCOURSE_DEVICE"] = "pretend"
