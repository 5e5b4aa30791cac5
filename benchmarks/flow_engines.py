"""One engine over one set of flows, in a process of its own so that its memory is its own.

    python benchmarks/flow_engines.py ENGINE FOLDER [--repeat N]

FOLDER holds links.csv and flows.csv. Prints what it measured as JSON and leaves the finish times in
FOLDER/ENGINE.npy. Engines: `simgrid` (with --driver), `process-python` and `process-compiled` (a
simpy process for each flow, as a workload would have), `replay-python` and `replay-compiled`
(`clustersim.replay_flows`). What is timed is the simulation: for processes from making them, for
`replay_flows` the whole call.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import simpy

import simgrid_driver
from clustersim.engine.fabric import Fabric, replay_flows
from flow_sets import FlowSet, read
from measuring import best_cpu_s, events_scheduled, peak_mib

ENGINES = ("simgrid", "process-python", "process-compiled", "replay-python", "replay-compiled")


class Processes:
    """A simpy process for each flow: it waits for its start and its latency, sends, and notes the time."""

    def __init__(self, flows: FlowSet, solver: str) -> None:
        capacities = flows.links["bandwidth_Bps"]
        names = [str(link) for link in range(len(capacities))]
        self.env = simpy.Environment()
        self.fabric = Fabric(self.env, capacities, names=names, solver=solver)
        self._latencies = flows.links["latency_s"]
        self._rows = list(zip(flows.flows["start"], flows.flows["bytes"], flows.flows["path"], strict=True))
        self.finish = np.full(len(self._rows), math.nan)

    def run(self) -> Processes:
        """Make the processes and run them to their ends."""
        for row in range(len(self._rows)):
            self.env.process(self._send(row))
        self.env.run()
        return self

    def _send(self, row: int) -> Generator[simpy.Event, Any, None]:
        start_s, size_bytes, text = self._rows[row]
        path = [int(link) for link in text.split()]
        yield self.env.timeout(start_s)
        latency_s = sum([self._latencies[link] for link in path])
        if latency_s:
            yield self.env.timeout(latency_s)
        yield self.fabric.start(self.fabric.route_set(path), size_bytes)
        self.finish[row] = self.env.now


def measure_processes(flows: FlowSet, solver: str, repeat: int) -> tuple[dict[str, float], np.ndarray]:
    """Time the processes and count what they did."""
    cpu_s, done = best_cpu_s(lambda: Processes(flows, solver).run, repeat=repeat)
    counts = {"events": events_scheduled(done.env), "fabric_events": done.fabric.events}
    counts |= {"solves": done.fabric.solves, "touched": done.fabric.flows_touched}
    return {"cpu_s": cpu_s, **counts}, done.finish


def measure_replay(flows: FlowSet, solver: str, repeat: int) -> tuple[dict[str, float], np.ndarray]:
    """Time `replay_flows` on numbers, and paths as they stand in a file."""
    links = {name: np.array(column) for name, column in flows.links.items()}
    table = {name: np.array(column) for name, column in flows.flows.items() if name != "path"}
    table["path"] = flows.flows["path"]

    def prepare() -> Callable[[], dict[str, Any]]:
        return lambda: replay_flows(links, table, solver=solver)

    cpu_s, answer = best_cpu_s(prepare, repeat=repeat)
    return {"cpu_s": cpu_s}, answer["finish"]


def measure_simgrid(driver: Path, folder: Path, repeat: int) -> tuple[dict[str, float], np.ndarray]:
    """Run the driver some times; less often where it takes seconds."""
    runs: list[simgrid_driver.SimGridRun] = []
    while len(runs) < repeat and sum(run.cpu_s for run in runs) < 4.0:
        runs.append(simgrid_driver.run(driver, folder))
    best = min(runs, key=lambda run: run.cpu_s)
    return {"cpu_s": best.cpu_s, "peak_mib": best.peak_mib}, best.finish_s


def first_rows(flows: FlowSet) -> FlowSet:
    """Two flows, to load what is loaded once in a process: the compiled kernel."""
    return FlowSet("two", flows.links, {name: column[:2] for name, column in flows.flows.items()})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--driver", type=Path, help="SimGrid's driver")
    options = parser.parse_args()
    if options.engine == "simgrid":
        measured, finish = measure_simgrid(options.driver, options.folder, options.repeat)
    else:
        flows = read(options.folder, "", links="links.csv", flows="flows.csv")
        way, solver = options.engine.split("-")
        measure = measure_processes if way == "process" else measure_replay
        measure(first_rows(flows), solver, 1)
        measured, finish = measure(flows, solver, options.repeat)
        measured["peak_mib"] = peak_mib()
    np.save(options.folder / f"{options.engine}.npy", finish)
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
