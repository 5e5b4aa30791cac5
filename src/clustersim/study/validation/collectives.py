"""Collectives beside nccl-tests style tables: time against message size on published systems.

A row names its hardware in words; `_SYSTEMS` says which node type and fabric of the catalogue that
is. Each prediction is the closed form of `Communicator.alone_s` on a star of such nodes, with the
algorithm `auto` and the frozen parameters of `clustersim.catalog.collectives`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from clustersim import catalog
from clustersim.errors import CatalogError, ClusterSimError, InputError
from clustersim.study.validation.framework import Row, Validation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from clustersim.collectives import Communicator

__all__ = ["COLLECTIVES", "CollectiveRow", "System", "communicator", "system_of"]

KINDS = {
    "all_reduce": "all_reduce",
    "all_gather": "all_gather",
    "reduce_scatter": "reduce_scatter",
    "alltoall": "all_to_all",
    "all_to_all": "all_to_all",
    "broadcast": "broadcast:0",
    "sendrecv": "send_recv:0:1",
    "send_recv": "send_recv:0:1",
}
"""Name in a table to what `Communicator.alone_s` calls it."""

_SYSTEMS: tuple[tuple[str, str, str, str], ...] = (
    # accelerator, words in `inter_link`, node type, fabric link
    ("a100", "4x100g efa", "p4de.24xlarge", "efa-100g"),
    ("h100", "32x100g efa", "p5.48xlarge", "efa-400g"),
    ("h200", "32x100g efa", "p5en.48xlarge", "efa-400g"),
    ("h100", "gpudirect-tcpxo", "a3-megagpu-8g", "tcpxo-200g"),
    ("h100", "gpudirect-tcpx", "a3-highgpu-8g", "tcpx-200g"),
    ("h200", "8x400g cx-7 roce", "a3-ultragpu-8g", "ethernet-400g"),
    ("v100", "none", "dgx-2", "infiniband-edr"),
    ("a100-sxm4-80gb", "none", "dgx-a100-80gb", "infiniband-hdr"),
    ("a100-sxm4", "none", "dgx-a100", "infiniband-hdr"),
    ("h100-sxm5", "none", "dgx-h100", "infiniband-ndr"),
    ("h200-sxm", "none", "dgx-h200", "infiniband-ndr"),
    ("b200", "none", "hgx-b200", "infiniband-ndr"),
    ("mi300x", "none", "mi300x-x8", "infiniband-ndr"),
    ("l40s", "none", "l40s-x4", "infiniband-ndr"),
    ("a100-sxm4-80gb", "8x200g infiniband", "dgx-a100-80gb", "infiniband-hdr"),
    ("h100-sxm5", "8x400g infiniband", "dgx-h100", "infiniband-ndr"),
)

_RANGES = ((64 * 2**10, "< 64 KiB"), (2**20, "64 KiB - 1 MiB"), (64 * 2**20 + 1, "1 - 64 MiB"))
_COLUMNS = (
    "table_id", "system", "gpu", "n_nodes", "gpus_per_node", "inter_link",
    "collective", "library", "size_bytes", "time_us",
)  # fmt: skip


@dataclass(frozen=True)
class System:
    """The hardware of a row in the catalogue's terms."""

    node: str
    link: str
    nodes: int
    gpus_per_node: int


@dataclass(frozen=True)
class CollectiveRow(Row):
    """A row that also knows what a plot needs: its table, system, kind and number of ranks."""

    table: str = ""
    system: str = ""
    kind: str = ""
    ranks: int = 0
    bus_factor: float = 1.0


def system_of(row: Mapping[str, str]) -> System:
    """Return the node type and fabric of a table row.

    Besides the words of published tables, `system` may be a node type and `inter_link` a link of
    the catalogue.

    Raises
    ------
    InputError
        With the reason why the row cannot be modelled.
    """
    nodes, per_node = _count(row, "n_nodes"), _count(row, "gpus_per_node")
    _refuse(row)
    try:
        node, link = catalog.node_type(row["system"]).name, row["inter_link"]
        link = catalog.link(link).name if link != "none" else catalog.node_type(node).nic_link
    except CatalogError:
        node, link = _by_words(row)
    if per_node > catalog.node_type(node).gpus:
        raise InputError(f"{node} has {catalog.node_type(node).gpus} GPUs, not {per_node}")
    return System(node, link, nodes, per_node)


def _refuse(row: Mapping[str, str]) -> None:
    """Raise for rows that measure something else than a collective of a known machine."""
    if row["collective"] not in KINDS:
        raise InputError(f"'{row['collective']}' is not a collective that is modelled")
    if "custom all-reduce" in row["library"]:
        raise InputError("one-shot kernels of a serving engine, not a collective library")
    if row["gpu"].startswith("L40S") and _count(row, "gpus_per_node") > 2:
        raise InputError("a PCIe node without peer-to-peer: traffic is staged in host memory")


def _by_words(row: Mapping[str, str]) -> tuple[str, str]:
    gpu, inter = row["gpu"].lower(), row["inter_link"].lower()
    for accelerator, words, node, link in _SYSTEMS:
        if gpu.startswith(accelerator) and words in inter:
            return node, link
    if "not stated" in inter or "not stated" in gpu:
        raise InputError("the source does not say which hardware it is")
    raise InputError(f"no node type for {row['gpu']} with '{row['inter_link']}'; see docs/collectives.md")


def _count(row: Mapping[str, str], column: str) -> int:
    try:
        count = int(row[column])
    except ValueError:
        count = 0
    if count < 1:
        raise InputError(f"{column} is '{row[column]}', not a number from 1")
    return count


@cache
def communicator(system: System) -> Communicator:
    """Return a communicator over all GPUs that a system uses, on a star of its nodes."""
    from clustersim.collectives import Communicator
    from clustersim.engine.world import World
    from clustersim.spec.cluster import ClusterSpec, FabricSpec, StarSpec
    from clustersim.topology import build

    star = StarSpec(kind="star", nodes=system.nodes, node=system.node)
    topology = build(ClusterSpec(topology=star, fabric=FabricSpec(link=system.link)), base=None)
    gpus = [gpu for members in topology.gpus_by_node.values() for gpu in members[: system.gpus_per_node]]
    return Communicator(World(topology, keep_trace=False), gpus, owner="validation")


def predict(rows: Sequence[dict[str, str]]) -> Iterator[Row]:
    """Predict the time of each row, in microseconds."""
    for row in rows:
        yield _predicted(row)


def _predicted(row: Mapping[str, str]) -> CollectiveRow:
    identity = f"{row['table_id']}:{row['size_bytes']}"
    try:
        size_bytes, measured_us = float(row["size_bytes"]), float(row["time_us"])
        if not (size_bytes > 0 and measured_us > 0):
            raise InputError("size or time is not positive")
        group = _group(row["table_id"], row["collective"], size_bytes)
        system = system_of(row)
        group_of_gpus = communicator(system)
        kind = KINDS[row["collective"]]
        predicted_us = 1e6 * group_of_gpus.alone_s(kind, size_bytes)
    except ValueError:
        return CollectiveRow(identity, row["table_id"], "us", None, None, "size or time is not a number")
    except ClusterSimError as error:
        return CollectiveRow(identity, row["table_id"], "us", measured_us, None, str(error))
    return CollectiveRow(
        identity,
        group,
        "us",
        measured_us,
        predicted_us,
        note=group_of_gpus.algorithm_of(kind, size_bytes),
        x=size_bytes,
        table=row["table_id"],
        system=_title(system),
        kind=kind.partition(":")[0],
        ranks=len(group_of_gpus.group),
        bus_factor=group_of_gpus.bus_bytes_factor(kind),
    )


def _group(table: str, collective: str, size_bytes: float) -> str:
    """Errors are reported by table, collective and range of sizes."""
    of_sizes = next((name for limit, name in _RANGES if size_bytes < limit), "> 64 MiB")
    return f"{table} {of_sizes}" if collective in table else f"{table} {collective} {of_sizes}"


def _title(system: System) -> str:
    return f"{system.nodes} × {system.node}" + (f", {system.link}" if system.nodes > 1 else "")


def _plot(rows: Sequence[Row]) -> Figure:
    from clustersim.study.validation.collectives_plot import plot_collectives

    return plot_collectives([row for row in rows if isinstance(row, CollectiveRow)])


COLLECTIVES = Validation(
    name="collectives",
    title="Time of collectives against message size, beside nccl-tests tables",
    shipped="collectives.csv",
    columns=_COLUMNS,
    predict=predict,
    plotter=_plot,
)
