"""The package's tests as other processors compute: ``make portable``.

OpenBLAS and PyTorch choose their kernels by what the processor can do; two variables make them choose as an older one
would. Runs the tests of the package once for each setting that this machine can play, and ends with status 1 where one
of them fails. Arguments go to pytest: ``python tests/tools/portable.py -k flow``.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
# (kernels of OpenBLAS, kernels of PyTorch): the flag of the processor that they need
SETTINGS = {
    ("Nehalem", "default"): "sse4_2",
    ("Haswell", "avx2"): "avx2",
    ("Zen", "avx2"): "avx2",
    ("SkylakeX", "avx512"): "avx512f",
}


def flags() -> set[str]:
    """What this processor can do, as Linux says; nothing where it does not say."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((set(line.split(":")[1].split()) for line in lines if line.startswith("flags")), set())


def main() -> int:
    """Run the command and return its exit status."""
    failed, can = [], flags()
    for (blas, torch), flag in SETTINGS.items():
        name = f"OPENBLAS_CORETYPE={blas} ATEN_CPU_CAPABILITY={torch}"
        if flag not in can:
            print(f"{name}: not on this machine ({platform.machine()}, no {flag})", flush=True)
            continue
        print(f"{name}", flush=True)
        environment = os.environ | {"OPENBLAS_CORETYPE": blas, "ATEN_CPU_CAPABILITY": torch}
        command = [sys.executable, "-m", "pytest", "tests", "-q", "-n", "2", "-p", "no:cacheprovider",
                   "--ignore=tests/pages", "--ignore=tests/homework", *sys.argv[1:]]  # fmt: skip
        if subprocess.run(command, cwd=REPOSITORY, env=environment).returncode:
            failed.append(name)
    print("\n".join(["failed:", *failed]) if failed else "all settings pass")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
