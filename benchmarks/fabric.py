"""Flows per CPU second of the fabric, beside the events per second of plain simpy in the same run.

    python benchmarks/fabric.py [--quick] [--reference DIR]

The flow sets are made here: random pairs of hosts on a non-blocking fat-tree (three tiers, one
of the shortest paths drawn at random), Poisson arrivals at a load, sizes log-normal. With
`--reference`, sets of the columns that `replay_flows` takes (NAME.csv.gz and
links_NAME.csv.gz) are replayed as well, and the largest difference to their `finish` printed.
Absolute numbers are this machine's; `alive` says how many flows shared the fabric on average.
"""

from __future__ import annotations

import argparse
import gc
import random
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import simpy

from clustersim.engine.fabric import Fabric, replay_flows
from clustersim.engine.fabric.replay import read_columns

CAPACITY = 25e9
MEAN_BYTES = 30e6


def simpy_events_per_s(events: int) -> float:
    def waits(env: simpy.Environment):
        for _ in range(events):
            yield env.timeout(1.0)

    env = simpy.Environment()
    env.process(waits(env))
    started = time.process_time()
    env.run()
    return events / (time.process_time() - started)


class FatTree:
    """Directed links of a k-ary fat-tree, and a random shortest path between two hosts."""

    def __init__(self, arity: int) -> None:
        self.half = arity // 2
        self.hosts = arity * self.half * self.half
        self.names: list[str] = []
        self.index: dict[tuple[str, str], int] = {}
        for host in range(self.hosts):
            self._both(f"h{host}", self._edge(host))
        for pod in range(arity):
            for up in range(self.half):
                for edge in range(self.half):
                    self._both(f"e{pod}.{edge}", f"a{pod}.{up}")
                for core in range(self.half):
                    self._both(f"a{pod}.{up}", f"c{up}.{core}")

    def _both(self, one: str, other: str) -> None:
        for ends in ((one, other), (other, one)):
            self.index[ends] = len(self.names)
            self.names.append(">".join(ends))

    def _edge(self, host: int) -> str:
        return f"e{host // (self.half * self.half)}.{host // self.half % self.half}"

    def path(self, source: int, target: int, draw: random.Random) -> list[int]:
        first, last = self._edge(source), self._edge(target)
        pods = [edge[1:].split(".")[0] for edge in (first, last)]
        up, core = draw.randrange(self.half), draw.randrange(self.half)
        stops = [f"h{source}", first]
        if first != last:
            stops.append(f"a{pods[0]}.{up}")
            if pods[0] != pods[1]:
                stops += [f"c{up}.{core}", f"a{pods[1]}.{up}"]
            stops.append(last)
        stops.append(f"h{target}")
        return [self.index[ends] for ends in pairwise(stops)]


def flow_set(arity: int, flows: int, *, load: float, seed: int = 1) -> tuple[dict, dict]:
    """Random flows; a load of infinity starts all of them within a microsecond."""
    tree, draw = FatTree(arity), random.Random(seed)
    rate = load * tree.hosts * CAPACITY / MEAN_BYTES
    columns: dict[str, list] = {"bytes": [], "start": [], "path": []}
    now = 0.0
    for _ in range(flows):
        now += draw.expovariate(rate) if np.isfinite(rate) else 1e-6 / flows
        source, target = draw.sample(range(tree.hosts), 2)
        columns["bytes"].append(MEAN_BYTES * draw.lognormvariate(-1.125, 1.5))
        columns["start"].append(now)
        columns["path"].append(tree.path(source, target, draw))
    return {"name": tree.names, "bandwidth_Bps": [CAPACITY] * len(tree.names)}, columns


def replay_line(name: str, links: dict, flows: dict) -> None:
    count = len(flows["bytes"])
    gc.collect()
    started = time.process_time()
    finish = replay_flows(links, flows)["finish"]
    seconds = time.process_time() - started
    start = np.array(flows["start"], dtype=float)
    alive = (finish - start).sum() / (finish.max() - start.min())
    note = ""
    if "finish" in flows:
        wanted = np.array(flows["finish"], dtype=float)
        note = f"   largest difference {np.max(np.abs(finish - wanted) / wanted):.1e}"
    print(f"{name:<34}{count:>8}{alive:>8.0f}{count / seconds:>12,.0f} flows/s{note}")


def lone_line(links: int, rounds: int) -> None:
    """A collective that shares nothing: start and finish, with the process that waits for it."""
    env = simpy.Environment()
    fabric = Fabric(env, [CAPACITY] * links, names=[str(link) for link in range(links)])
    ring = fabric.route_set(range(links), owner="ring")

    def collective():
        for number in range(rounds):
            yield fabric.start(ring, 1e6 + number, bound_bytes_per_s=CAPACITY / 2 + number)
            yield env.timeout(1e-6)

    env.process(collective())
    started = time.process_time()
    env.run()
    each_us = (time.process_time() - started) / rounds * 1e6
    print(f"{f'macro-flow alone on {links} links':<34}{rounds:>8}{1:>8}{each_us:>12.1f} us each")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the flows")
    parser.add_argument("--reference", type=Path, help="a folder with reference flow sets")
    arguments = parser.parse_args()
    scale = 0.1 if arguments.quick else 1.0
    print(f"plain simpy: {simpy_events_per_s(int(500_000 * scale)):,.0f} events/s")
    print(f"{'flow set':<34}{'flows':>8}{'alive':>8}{'speed':>12}")
    for arity, flows, load in [(8, 4000, 0.5), (16, 10000, 0.1), (16, 2000, np.inf)]:
        what = "at once" if np.isinf(load) else f"load {load:.0%}"
        name = f"fat-tree, {arity**3 // 4} hosts, {what}"
        replay_line(name, *flow_set(arity, int(flows * scale), load=load))
    for links in (6, 6000):
        lone_line(links, int(20_000 * scale))
    if arguments.reference:
        for path in sorted(arguments.reference.glob("links_*.csv.gz")):
            name = path.name.removeprefix("links_")
            flows = read_columns(path.parent / name)
            replay_line(name.removesuffix(".csv.gz"), read_columns(path), flows)


if __name__ == "__main__":
    main()
