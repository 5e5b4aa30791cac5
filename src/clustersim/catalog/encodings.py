"""Line codes: what of the signalling rate they leave to the line rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clustersim.catalog._store import Record, Shelf, Source

__all__ = ["SHELF", "Encoding"]


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """A line code, with forward error correction where that is part of it.

    *Equation.* line rate = signalling rate · fraction.

    **Source:** `sources`. **Checked by:** tests/catalog/test_links.py.
    """

    name: str
    fraction: float
    sources: Mapping[str, Source]


def _build(record: Record) -> Encoding:
    kept, of = record.fields["fraction"]
    return Encoding(name=record.name, fraction=kept / of, sources=record.sources_of(("fraction",)))


SHELF: Shelf[Encoding] = Shelf("encoding", file="encodings.yaml", build=_build)
