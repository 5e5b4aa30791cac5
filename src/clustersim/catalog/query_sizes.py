"""How many candidates ranking queries have: published quantiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clustersim.catalog._store import Record, Shelf, Source

__all__ = ["SHELF", "QuerySizes"]


@dataclass(frozen=True, kw_only=True)
class QuerySizes:
    """Candidates per query as equally likely values.

    Parameters
    ----------
    samples
        Values in ascending order; each is drawn as often as any other.
    """

    name: str
    samples: tuple[int, ...]
    sources: Mapping[str, Source]


def _build(record: Record) -> QuerySizes:
    samples = tuple(record.fields["samples"])
    return QuerySizes(name=record.name, samples=samples, sources={"samples": record.source("samples")})


SHELF: Shelf[QuerySizes] = Shelf("query sizes", file="query_sizes.yaml", build=_build)
