"""Rare garbage collection while a world runs."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["rare_collection"]

_OBJECTS_BETWEEN_COLLECTIONS = 200_000


@contextmanager
def rare_collection() -> Iterator[None]:
    """Look for reference cycles rarely: a run makes many small objects and hardly any cycles."""
    before = gc.get_threshold()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
