"""A control group (version 2) for one submission: its memory and its processes as a whole."""

from __future__ import annotations

import os
import shlex
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MEMBERS = "cgroup.procs"


@dataclass(frozen=True)
class ControlGroup:
    """The folder of one group; None where this process may not make one."""

    folder: Path | None

    @classmethod
    def make(cls, memory: int, processes: int, root: Path = ROOT) -> ControlGroup:
        """Make a group below that of this process, with a limit in bytes and one on the number of processes."""
        own = _own(root)
        if own is None:
            return cls(None)
        group = cls(own / f"homework-{uuid.uuid4().hex}")
        try:
            group.folder.mkdir()
            for name, value in {"pids.max": processes, "memory.max": memory, "memory.swap.max": 0}.items():
                if (group.folder / name).exists():
                    (group.folder / name).write_text(str(value))
        except OSError:
            group.remove()
            return cls(None)
        return group

    def enter(self) -> list[str]:
        """Return the beginning of a command that runs the rest of it inside the group, as far as the kernel lets it."""
        if self.folder is None:
            return []
        return ["sh", "-c", f'echo $$ > {shlex.quote(str(self.folder / MEMBERS))}; exec "$@"', "sh"]

    def remove(self) -> None:
        """Remove the group, once its processes are gone."""
        for _ in range(50 if self.folder else 0):
            try:
                self.folder.rmdir()
                return
            except FileNotFoundError:
                return
            except OSError:  # the kernel still counts a process that was killed
                time.sleep(0.02)


def _own(root: Path) -> Path | None:
    """Return the group that this process is in or stands beside, if it may be divided; None where it may not."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    own = root / next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
    for group in (own, own.parent):  # beside this process: a group has members or parts, not both
        if {"memory", "pids"} <= _words(group / "cgroup.subtree_control"):
            return group if os.access(group, os.W_OK) else None
    return None


def _words(file: Path) -> set[str]:
    try:
        return set(file.read_text().split())
    except OSError:
        return set()
