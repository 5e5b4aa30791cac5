"""Clients of production services: how unequal, how bursty and how daily their requests are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from clustersim.catalog._store import Record, Shelf, Source

__all__ = ["SHELF", "ClientGroup", "ClientMixture"]


@dataclass(frozen=True, kw_only=True)
class ClientGroup:
    """Clients that are taken as alike, each a process of its own.

    Parameters
    ----------
    clients
        How many.
    rate_per_s
        Mean rate of each.
    gaps, shape
        Distribution of the gaps between its requests, `gamma` or `weibull`, and its shape.
    hourly
        Rate in each hour of the day over the mean.
    """

    clients: int
    rate_per_s: float
    gaps: str
    shape: float
    hourly: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ClientMixture:
    """All clients of a service, the largest first.

    **Valid when** a client's burstiness is the same all day, and days are alike: the fits that it
    was made from change every ten minutes. **Source:** `sources`; made by tools/fit_clients.py.
    **Checked by:** tests/workloads/test_inference_clients.py (rate, and shares of the largest clients).
    """

    name: str
    groups: tuple[ClientGroup, ...]
    sources: Mapping[str, Source] = field(default_factory=dict)

    @property
    def source(self) -> Source:
        """Which data it was made from."""
        return self.sources["all"]

    @property
    def rate_per_s(self) -> float:
        """Mean rate of all clients."""
        return sum(group.clients * group.rate_per_s for group in self.groups)


def _build(record: Record) -> ClientMixture:
    groups = tuple(
        ClientGroup(**{**group, "hourly": np.array(group["hourly"])}) for group in record.fields["groups"]
    )
    return ClientMixture(name=record.name, groups=groups, sources=MappingProxyType(dict(record.sources)))


SHELF: Shelf[ClientMixture] = Shelf("client mixture", file="clients.yaml", build=_build)
