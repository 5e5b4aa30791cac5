"""What the library itself contributes to a result: its version, its code, its catalogue."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import clustersim

__all__ = ["library_digest"]

_DECIDING = (".py", ".yaml", ".csv")
_SHIPPED = "_shipped"


@cache
def library_digest() -> str:
    """Return a SHA-256 over the package's modules and catalogue files.

    Shipped scenarios do not count: the one that runs is part of the hash by itself.

    **Checked by:** tests/spec/test_content_hash.py.
    """
    folder = Path(clustersim.__file__).parent
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        if path.suffix in _DECIDING and place.parts[0] != _SHIPPED:
            total.update(place.as_posix().encode() + b"\0")
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
