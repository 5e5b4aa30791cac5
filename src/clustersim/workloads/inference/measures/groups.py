"""Requests that metrics are given for: all that count, and those of each tenant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from clustersim.workloads.inference.measures.served import Served

__all__ = ["Group", "groups", "metric_name"]


class Group(NamedTuple):
    """Some of the requests.

    `tenant` is whose they are, empty for everybody's; `chosen` are those that count, which arrived
    after the warm-up, and `members` these and the others.
    """

    tenant: str
    chosen: np.ndarray
    members: np.ndarray


def groups(served: Served) -> Iterator[Group]:
    """Yield all requests together, and then those of each tenant."""
    columns = served.columns
    counted = columns.arrival_s >= served.counted_from_s
    yield Group("", counted, np.ones(len(columns), dtype=bool))
    for number, tenant in enumerate(served.tenants):
        members = columns.tenant == number
        yield Group(tenant.name, counted & members, members)


def metric_name(metric: str, tenant: str, statistic: str = "") -> str:
    """Return the flat name: `ttft_s.p99`, or of a tenant `ttft_s.batch.p99`."""
    return ".".join(part for part in (metric, tenant, statistic) if part)
