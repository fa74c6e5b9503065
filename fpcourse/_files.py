"""Files that are whole or not there, and a digest that names what a result depends on."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def written_whole(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Open a new file beside ``path`` and move it there at the end; after an error ``path`` is as it was."""
    path = Path(path)
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(part, "xb") as file:
            yield file
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def digest(*parts: bytes | str | os.PathLike) -> str:
    """Return the sha256 of bytes, texts and the contents of files (given as paths), in this order."""
    total = hashlib.sha256()
    for part in parts:
        content = Path(part).read_bytes() if isinstance(part, os.PathLike) else part
        content = content.encode() if isinstance(content, str) else content
        total.update(hashlib.sha256(content).digest())
    return total.hexdigest()
