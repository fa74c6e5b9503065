"""A student's notebook in a process of its own, cut off from files, network and neighbours, within limits.

Bubblewrap gives it the namespaces (a file system with Python, the course's package and an empty scratch directory; no
network; its own processes). Under root the process also becomes a user of its own, because resource limits do not
bind root. Control groups bound memory and processes as a whole where this process may make them, and a watchdog bounds
memory everywhere.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import secrets
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

from fpcourse.grading.control_group import ControlGroup

RUNNER = Path(__file__).resolve().with_name("cell_runner.py")
PACKAGE = RUNNER.parents[1]
PROTECTIONS = {
    "files": "a student's code could read other submissions, hidden tests and whatever else you can read",
    "network": "a student's code could reach other machines",
    "processes": "a student's code could start as many processes as it likes",
}
MOST_REPLY = 2**23  # bytes of one reply: an array of 4 MiB as text, and some more
MOST_PARTS = 300_000  # lists, dictionaries and their entries in one reply: each takes some hundred bytes here
GRACE = 2.0  # seconds past its time until a process that does not answer is ended; more on a busy machine
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/tmp",
    "MPLBACKEND": "agg",
    "TQDM_DISABLE": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    **ONE_THREAD,
}


def busy() -> float:
    """Return how many times longer work takes here because others want the processors too, between 1 and 5.

    Limits are stretched by it: that a machine is busy is no fault of the student's.
    """
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(5.0, max(1.0, os.getloadavg()[0] / processors))


@dataclass(frozen=True)
class Limits:
    """What one submission may use: seconds of wall-clock time, bytes of ``memory`` and ``disk``."""

    cell_seconds: float = 60.0
    call_seconds: float = 30.0
    seconds: float = 300.0
    memory: int = 4 * 2**30
    disk: int = 2**28
    processes: int = 128  # threads included


class Ended(Exception):
    """The student's process is gone: it ended itself, or was ended."""


@dataclass
class Sandbox:
    """One process that runs cells and calls. ``protections`` names those that this machine offers."""

    protections: frozenset[str]
    limits: Limits
    reason: str = field(default="", init=False)  # why the process was ended, where we know

    def __post_init__(self) -> None:
        here, there = socket.socketpair()
        self._scratch = None if "files" in self.protections else tempfile.mkdtemp(prefix="homework-")
        self._group = ControlGroup.make(self.limits.memory, self.limits.processes)
        settings = {
            "socket": there.fileno(),
            # A number that no account has, other than the neighbours': the limit on processes counts by user.
            "uid": 1_000_000 + os.getpid() if os.geteuid() == 0 and "files" in self.protections else None,
            "processes": self.limits.processes,
            "memory": self.limits.memory,
        }
        if "files" in self.protections:
            walls, program, environment = self._walls(), "/course/cell_runner.py", {"PYTHONPATH": "/course"}
            rules = _no_hidden_memory()
            walls[-1:] = ["--seccomp", str(rules.fileno()), "--"] if rules else ["--"]
        else:
            walls, program, environment = [], RUNNER, {"PYTHONPATH": str(PACKAGE.parent), "HOME": self._scratch}
            rules = None
        # -P: a script's own folder, here that of the grader, is no place to import from
        command = [*self._group.enter(), *walls, sys.executable, "-P", str(program), json.dumps(settings)]
        with there, open(os.devnull, "r+b") as nowhere:
            self._process = subprocess.Popen(
                command,
                stdin=nowhere,
                stdout=nowhere,
                stderr=nowhere,
                pass_fds=[there.fileno(), *([rules.fileno()] if rules else [])],
                cwd=self._scratch,
                env=ENVIRONMENT | environment,
                start_new_session=True,
            )
        if rules:
            rules.close()
        self._socket = here
        self._over = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _walls(self) -> list[str]:
        """Return the command of bubblewrap up to the program: what can be seen inside, and nothing else can."""
        seen = {path: path for path in ("/usr", "/lib", "/lib64", "/bin", "/etc/alternatives", "/etc/ld.so.cache")}
        seen |= {
            path: path for path in (sys.base_prefix, sys.prefix) if not path.startswith("/usr/") and path != "/usr"
        }
        seen |= {str(PACKAGE): "/course/fpcourse", str(PACKAGE.parent / "data"): "/course/data"}
        seen[str(RUNNER)] = "/course/cell_runner.py"
        parents = {str(parent): None for path in seen.values() for parent in reversed(Path(path).parents[:-1])}
        walls = [
            shutil.which("bwrap"),
            "--unshare-pid",
            "--unshare-ipc",
            "--unshare-uts",
            "--die-with-parent",
            "--new-session",
        ]
        if os.geteuid() != 0:
            walls += ["--unshare-user", "--disable-userns"]
        if "network" in self.protections:
            walls += ["--unshare-net"]
        walls += ["--proc", "/proc", "--dev", "/dev"]
        for path in ("/tmp", "/dev/shm"):
            walls += ["--perms", "1777", "--size", str(self.limits.disk), "--tmpfs", path]
        for parent in parents:
            if parent not in seen and parent != "/tmp":
                walls += ["--perms", "0755", "--dir", parent]
        for source, target in seen.items():
            walls += ["--ro-bind-try", source, target]
        hidden = "/course/fpcourse/grading"  # the grader is no part of what students use
        walls += ["--tmpfs", hidden, "--remount-ro", hidden]
        return [*walls, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp", "--"]

    def ask(self, do: str, *arguments: object, seconds: float) -> dict:
        """Send one request and return the reply.

        Parameters
        ----------
        do : str
            What to do: "start", "run", "get" or "call" (see ``cell_runner.Runner``).
        arguments : object
            Its arguments, anything that JSON takes.
        seconds : float
            The time that it may take.

        Returns
        -------
        dict
            The reply, from which a student's code may have made anything.

        Raises
        ------
        Ended
            If the process ends, or does not answer in time.
        """
        number = secrets.token_hex()  # what else a student's code may write into the socket answers nothing
        request = {"number": number, "do": do, "arguments": list(arguments), "seconds": seconds}
        patience = seconds + GRACE * busy()
        deadline = time.monotonic() + patience
        try:
            self._socket.settimeout(patience)
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            return self._reply(number.encode(), deadline)
        except TimeoutError:
            self.reason = self.reason or f"it did not stop after {seconds:g} seconds"
        except (OSError, EOFError, ValueError, RecursionError):
            pass
        self.close()
        raise Ended(self.reason or "the process ended itself, or took more memory than allowed")

    def _reply(self, number: bytes, deadline: float) -> dict:
        """Read until the line with this number; limited in time and in bytes, whatever else is written."""
        buffer, begin, searched = bytearray(), 0, 0
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            end = buffer.find(b"\n", searched)
            if end < 0:
                searched = len(buffer)
                self._socket.settimeout(left)
                received = self._socket.recv(2**20)
                if not received:
                    raise EOFError
                if len(buffer) > MOST_REPLY:
                    self.reason = f"it answered with more than {MOST_REPLY >> 20} MiB"
                    raise EOFError
                buffer += received
                continue
            line, begin, searched = buffer[begin:end], end + 1, end + 1
            if number in line:
                if sum(map(line.count, (b",", b"[", b"{"))) > MOST_PARTS:
                    self.reason = "its answer has too many parts"
                    raise EOFError
                reply = json.loads(line)
                if isinstance(reply, dict):
                    return reply

    def _watch(self) -> None:
        """End the process where all its children together take more memory than allowed."""
        while not self._over.wait(0.2):
            if _memory(self._process.pid, self.limits.memory) > self.limits.memory:
                self.reason = f"it took more than {self.limits.memory / 2**30:.3g} GiB of memory"
                self._end()  # who waits for a reply sees the process gone
                return

    def _end(self) -> None:
        family = [self._process]
        with contextlib.suppress(psutil.NoSuchProcess):
            family += psutil.Process(self._process.pid).children(recursive=True)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    @property
    def closed(self) -> bool:
        """Whether the process is gone."""
        return self._over.is_set()

    def close(self) -> None:
        """End the process with all its children, and remove what it left."""
        if self.closed:
            return
        self._over.set()
        self._socket.close()
        self._end()
        self._process.wait()
        self._group.remove()
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)


# System calls that take memory which no process's size shows: memfd_create, shmget, memfd_secret; and the numbers of
# the processor in a filter.
HIDDEN_MEMORY = {"x86_64": (0xC000003E, (319, 29, 447)), "aarch64": (0xC00000B7, (279, 194, 447))}


def _no_hidden_memory() -> IO[bytes] | None:
    """Return a file with the filter (seccomp, classic BPF) that refuses these calls; None for another processor."""
    if platform.machine() not in HIDDEN_MEMORY:
        return None
    processor, calls = HIDDEN_MEMORY[platform.machine()]
    load, equal, greater, give = 0x20, 0x15, 0x35, 0x06
    allow, refuse = 0x7FFF0000, 0x00050001  # with EPERM
    body = [(equal, 0, 0, call) for call in calls]
    steps = [(load, 0, 0, 4), (equal, 1, 0, processor), (give, 0, 0, refuse), (load, 0, 0, 0)]
    steps += [(greater, len(body) + 1, 0, 0x40000000)]  # the numbers of another way to call
    steps += [(code, len(body) - i, no, value) for i, (code, _, no, value) in enumerate(body)]
    steps += [(give, 0, 0, allow), (give, 0, 0, refuse)]
    file = tempfile.TemporaryFile()  # noqa: SIM115 - who starts the process closes it
    file.write(b"".join(struct.pack("HBBI", *step) for step in steps))
    file.seek(0)
    return file


def _memory(pid: int, enough: int) -> int:
    """Return the memory of a process and its descendants in bytes, shared pages counted once where it may matter."""
    try:
        family = psutil.Process(pid).children(recursive=True)
        total = sum(process.memory_info().rss for process in family)
        return total if total <= enough else sum(process.memory_full_info().pss for process in family)
    except psutil.Error:  # some child has just ended: next time
        return 0


def available() -> frozenset[str]:
    """Return the names of the protections that this machine offers, tried out."""
    offers = (frozenset(PROTECTIONS), frozenset(PROTECTIONS) - {"network"}) if shutil.which("bwrap") else ()
    return next(filter(_works, offers), frozenset())


def complaint() -> str:
    """Return what bubblewrap itself says of this machine: "" where it works or is not there."""
    program = shutil.which("bwrap")
    if program is None:
        return "bubblewrap is not installed"
    trial = [program, "--unshare-all", "--unshare-user", "--disable-userns", "--ro-bind", "/", "/", "true"]
    return subprocess.run(trial, capture_output=True, text=True, errors="replace").stderr.strip()


def _works(protections: frozenset[str]) -> bool:
    sandbox = Sandbox(protections, Limits())
    try:
        return "error" not in sandbox.ask("run", "1 + 1", seconds=120.0)
    except Ended:
        return False
    finally:
        sandbox.close()
