"""Hashes over source trees: what has not changed is not made again."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def fingerprint(root: Path, paths: Iterable[Path]) -> str:
    """SHA-256 over the names and contents of files, relative to ``root``; their order does not matter."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def stored(stamp: Path) -> str | None:
    """The hash kept in ``stamp``."""
    return stamp.read_text().strip() if stamp.exists() else None
