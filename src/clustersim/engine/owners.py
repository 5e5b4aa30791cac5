"""Who uses links: a workload, or one part of it that shares no links with its other parts.

Route sets of one owner are no strangers to each other. A workload that runs several things at once,
each with links of its own, makes each a *part* of itself, so that the fabric tells for every part
whether anybody else, another part included, uses its links. Reports count parts to their whole.
"""

from __future__ import annotations

__all__ = ["part_of", "whole_of"]

_SEPARATOR = "/"
"""Stands in no name of a workload."""


def part_of(owner: str, part: str) -> str:
    """Return the owner that is a part of another; that itself where `part` is empty."""
    return f"{owner}{_SEPARATOR}{part}" if part else owner


def whole_of(owner: str) -> str:
    """Return the owner that an owner is a part of, or itself where it is none."""
    return owner.partition(_SEPARATOR)[0]
