"""Power around accelerators: hosts, waiting, and the data centre."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from clustersim.catalog._store import Record, Shelf, Source

__all__ = ["DEFAULT_SERVER", "SHELF", "ServerPower"]

DEFAULT_SERVER = "gpu-server"
"""The entry that a scenario gets."""


@dataclass(frozen=True, kw_only=True)
class ServerPower:
    """How the power of a machine follows from the design power (TDP) of its accelerators.

    *Equation.* A GPU that computes for a share u of the time takes TDP·(u + w·(1 - u)), its host
    h·TDP more, and the data centre the product of that and its PUE.

    Parameters
    ----------
    host_share
        h: processors, memory, adapters and fans.
    waiting_share
        w: of a GPU that waits for communication or the host.
    pue
        Energy of the data centre over that of its machines.

    **Valid when** kernels run at the power limit, as those of large matrix products do; small or
    memory-bound kernels take less. **Source:** `sources`.
    **Checked by:** tests/workloads/test_training_economics.py.
    """

    name: str
    host_share: float
    waiting_share: float
    pue: float
    sources: Mapping[str, Source]


def _build(record: Record) -> ServerPower:
    fields = ("host_share", "waiting_share", "pue")
    return ServerPower(
        name=record.name,
        **{field: record.fields[field] for field in fields},
        sources=MappingProxyType(record.sources_of(fields)),
    )


SHELF: Shelf[ServerPower] = Shelf("server power", file="power.yaml", build=_build)
