"""Sets of flows for comparing fabrics: made here from a seed, or read from a folder.

A set is two tables, with the columns that `clustersim.replay_flows` takes. Sizes are whole
numbers of bytes, because SimGrid takes no others.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from clustersim.engine.fabric.replay import read_columns

CAPACITY = 25e9
MEAN_BYTES = 30e6


@dataclass(frozen=True)
class FlowSet:
    """Links with bandwidth and latency; flows with size, start and path (text), in rows."""

    name: str
    links: dict[str, list[float]]
    flows: dict[str, list]

    def write(self, folder: Path) -> None:
        """Write `links.csv` and `flows.csv`."""
        for table, columns in (("links", self.links), ("flows", self.flows)):
            with open(folder / f"{table}.csv", "w", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(columns)
                writer.writerows(zip(*columns.values(), strict=True))


def read(folder: Path, name: str, *, links: str = "links_{}.csv.gz", flows: str = "{}.csv.gz") -> FlowSet:
    """Read a set from two CSV files."""
    link_table, flow_table = (
        read_columns(folder / links.format(name)),
        read_columns(folder / flows.format(name)),
    )
    numbers = {column: np.array(link_table[column], dtype=float).tolist() for column in _LINK_COLUMNS}
    columns: dict[str, list] = {
        column: np.array(flow_table[column], dtype=float).tolist()
        for column in ("bytes", "start", "finish")
        if column in flow_table
    }
    columns["bytes"] = [int(size) for size in columns["bytes"]]
    return FlowSet(name, numbers, columns | {"path": flow_table["path"]})


_LINK_COLUMNS = ("bandwidth_Bps", "latency_s")


def reference(folder: Path) -> Iterator[str]:
    """Names of the sets in a folder."""
    for path in sorted(folder.glob("links_*.csv.gz")):
        yield path.name.removeprefix("links_").removesuffix(".csv.gz")


class _Network:
    """Links by their ends; every link has the same capacity unless told otherwise."""

    def __init__(self) -> None:
        self.capacities: list[float] = []
        self.index: dict[tuple[str, str], int] = {}

    def join(self, one: str, other: str, capacity: float = CAPACITY) -> None:
        """Add a link in each direction."""
        for ends in ((one, other), (other, one)):
            self.index[ends] = len(self.capacities)
            self.capacities.append(capacity)

    def path(self, stops: list[str]) -> str:
        return " ".join(str(self.index[ends]) for ends in pairwise(stops))

    def flow_set(self, name: str, rows: list[tuple[float, float, str]]) -> FlowSet:
        """Make a set of (start, bytes, path) in the order of the starts."""
        links = {"bandwidth_Bps": self.capacities, "latency_s": [0.0] * len(self.capacities)}
        starts, sizes, paths = zip(*rows, strict=True)
        return FlowSet(
            name,
            links,
            {"bytes": [max(1, int(size)) for size in sizes], "start": list(starts), "path": list(paths)},
        )


class _FatTree(_Network):
    """Non-blocking three-tier k-ary fat-tree, k³/4 hosts."""

    def __init__(self, arity: int) -> None:
        super().__init__()
        self.half = arity // 2
        self.hosts = arity * self.half * self.half
        for host in range(self.hosts):
            self.join(f"h{host}", self._edge(host))
        for pod in range(arity):
            for up in range(self.half):
                for edge in range(self.half):
                    self.join(f"e{pod}.{edge}", f"a{pod}.{up}")
                for core in range(self.half):
                    self.join(f"a{pod}.{up}", f"c{up}.{core}")

    def _edge(self, host: int) -> str:
        return f"e{host // (self.half * self.half)}.{host // self.half % self.half}"

    def random_path(self, draw: random.Random) -> str:
        """One of the shortest paths between two random hosts."""
        source, target = draw.sample(range(self.hosts), 2)
        first, last = self._edge(source), self._edge(target)
        pods = [edge[1:].split(".")[0] for edge in (first, last)]
        up, core = draw.randrange(self.half), draw.randrange(self.half)
        stops = [f"h{source}", first]
        if first != last:
            stops.append(f"a{pods[0]}.{up}")
            if pods[0] != pods[1]:
                stops += [f"c{up}.{core}", f"a{pods[1]}.{up}"]
            stops.append(last)
        return self.path([*stops, f"h{target}"])


def _arrivals(flows: int, rate: float, draw: random.Random) -> Iterator[tuple[float, float]]:
    """Poisson arrivals with log-normal sizes: most flows small, most bytes in large ones."""
    now = 0.0
    for _ in range(flows):
        now += draw.expovariate(rate)
        yield now, MEAN_BYTES * draw.lognormvariate(-1.125, 1.5)


def fat_tree_load(name: str, flows: int, *, load: float) -> FlowSet:
    """Random pairs of 1,024 hosts; `load` is the part of the hosts' bandwidth that is asked for."""
    tree, draw = _FatTree(16), random.Random(1)
    rate = load * tree.hosts * CAPACITY / MEAN_BYTES
    rows = [(start, size, tree.random_path(draw)) for start, size in _arrivals(flows, rate, draw)]
    return tree.flow_set(name, rows)


def fat_tree_at_once(name: str, flows: int) -> FlowSet:
    """Random pairs of 1,024 hosts, all within a microsecond."""
    return fat_tree_load(name, flows, load=flows / 1e-6 * MEAN_BYTES / (1024 * CAPACITY))


def alike(name: str, flows: int, *, pairs: int = 32) -> FlowSet:
    """Few distinct paths through the fat-tree, each with many flows alive."""
    tree, draw = _FatTree(16), random.Random(1)
    paths = [tree.random_path(draw) for _ in range(pairs)]
    rate = 4.0 * pairs * CAPACITY / MEAN_BYTES
    return tree.flow_set(
        name, [(start, size, draw.choice(paths)) for start, size in _arrivals(flows, rate, draw)]
    )


def few_saturated_links(name: str, flows: int) -> FlowSet:
    """32 leaves with 32 hosts and 4 uplinks each, which are asked for one and a half of what they have."""
    network, draw = _Network(), random.Random(1)
    leaves, hosts, uplinks = 32, 32, 4
    for leaf in range(leaves):
        for host in range(hosts):
            network.join(f"h{leaf}.{host}", f"l{leaf}")
        for spine in range(uplinks):
            network.join(f"l{leaf}", f"s{spine}")

    def path() -> str:
        one, other = draw.sample(range(leaves), 2)
        ends = (f"h{one}.{draw.randrange(hosts)}", f"h{other}.{draw.randrange(hosts)}")
        return network.path([ends[0], f"l{one}", f"s{draw.randrange(uplinks)}", f"l{other}", ends[1]])

    rate = 1.5 * leaves * uplinks * CAPACITY / MEAN_BYTES
    return network.flow_set(name, [(start, size, path()) for start, size in _arrivals(flows, rate, draw)])


def incast(name: str, flows: int, *, senders: int = 256) -> FlowSet:
    """One switch; everybody sends to one receiver, twice as fast as that can take it."""
    network, draw = _Network(), random.Random(1)
    for host in range(senders + 1):
        network.join(f"h{host}", "switch")
    rate = 2.0 * CAPACITY / MEAN_BYTES
    rows = [
        (start, size, network.path([f"h{1 + draw.randrange(senders)}", "switch", "h0"]))
        for start, size in _arrivals(flows, rate, draw)
    ]
    return network.flow_set(name, rows)


def generated(scale: float) -> dict[str, Callable[[], FlowSet]]:
    """Makers of the generated sets by name; `scale` is the part of their flows to take."""

    def flows(count: int) -> int:
        return max(20, int(count * scale))

    return {
        "at-once-2k": lambda: fat_tree_at_once("at-once-2k", flows(2000)),
        "at-once-10k": lambda: fat_tree_at_once("at-once-10k", flows(10000)),
        "load-60": lambda: fat_tree_load("load-60", flows(10000), load=0.6),
        "load-10": lambda: fat_tree_load("load-10", flows(10000), load=0.1),
        "alike": lambda: alike("alike", flows(5000)),
        "few-saturated": lambda: few_saturated_links("few-saturated", flows(5000)),
        "incast": lambda: incast("incast", flows(2000)),
    }
