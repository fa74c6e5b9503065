"""A control group for one submission: its memory and its processes as a whole, on Linux with version 1 or 2."""

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
    """The folders of one group: one in version 2, one for each controller in version 1, none where not allowed."""

    folders: tuple[Path, ...]

    @classmethod
    def make(cls, memory: int, processes: int, root: Path = ROOT) -> ControlGroup:
        """Make a group below that of this process, with a limit in bytes and one on the number of processes."""
        group = cls(tuple(parent / f"homework-{uuid.uuid4().hex}" for parent in _own(root)))
        version_2 = len(group.folders) == 1
        limits = {"pids.max": processes, ("memory.max" if version_2 else "memory.limit_in_bytes"): memory}
        if version_2:
            limits["memory.swap.max"] = 0
        try:
            for folder in group.folders:
                folder.mkdir()
                for name, value in limits.items():
                    if (folder / name).exists():
                        (folder / name).write_text(str(value))
        except OSError:
            group.remove()
            return cls(())
        return group

    def enter(self) -> list[str]:
        """Return the beginning of a command that runs the rest of it inside the group, as far as the kernel lets it."""
        if not self.folders:
            return []
        moves = "; ".join(f"echo $$ > {shlex.quote(str(folder / MEMBERS))}" for folder in self.folders)
        return ["sh", "-c", f'{moves}; exec "$@"', "sh"]

    def remove(self) -> None:
        """Remove the group, once its processes are gone."""
        for folder in self.folders:
            for _ in range(50):
                try:
                    folder.rmdir()
                    break
                except FileNotFoundError:
                    break
                except OSError:  # the kernel still counts a process that was killed
                    time.sleep(0.02)


def _own(root: Path) -> list[Path]:
    """Return the groups that this process is in and may divide; [] where it may not."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    paths = {controllers: path.lstrip("/") for _, controllers, path in (line.split(":", 2) for line in lines)}
    own = root / paths.get("", "")
    if {"memory", "pids"} <= _words(own / "cgroup.subtree_control"):
        folders = [own]
    elif {"memory", "pids"} <= _words(own.parent / "cgroup.subtree_control"):
        folders = [own.parent]  # beside this process: a group of version 2 has members or parts, not both
    else:
        folders = [root / name / paths[name] for name in ("memory", "pids") if name in paths]
    return folders if folders and all(os.access(folder, os.W_OK) for folder in folders) else []


def _words(file: Path) -> set[str]:
    try:
        return set(file.read_text().split())
    except OSError:
        return set()
