"""What a ring all-reduce of 1 GB costs to simulate, for more and more GPUs.

    python benchmarks/collectives.py [--quick] [--json FILE] [--astra-sim PATH]

As a macro-flow, on a built world: the communicator's plan (routes and closed form), the first
collective, one of a size not seen before, and one of a size seen before; then simpy events and solves
of one. Beside it, where that takes less than a minute, the same collective step by step, each message
a flow. `--astra-sim` takes ASTRA-sim's `AstraSim_Analytical_Congestion_Aware` and gives it the same
ring with the pace and the latency per step that the closed form here has (from two sizes), so that the
simulated times are comparable; its CPU time is that of its whole process. CPU seconds throughout.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import astra_sim
from clustersim.collectives import Communicator
from clustersim.engine.world import World
from collective_cases import Case, cluster, run
from measuring import events_scheduled

SIZE_BYTES = 10**9
_SIZES_MORE = 5
_HEAD = "   GPUs    links  world s    plan ms   first ms   new size   again ms  events  solves   simulated"
_HEAD += "    stepwise s  simulated"
_HEAD_ASTRA_SIM = "  ASTRA-sim s  simulated"


@dataclass
class Row:
    """One line of the table; seconds of CPU but for those of the simulation."""

    gpus: int
    links: int
    world_s: float
    plan_s: float
    first_s: float
    new_size_s: float
    again_s: float
    events: int
    solves: int
    simulated_s: float
    stepwise_s: float | None = None
    stepwise_simulated_s: float | None = None
    astra_sim_s: float | None = None
    astra_sim_simulated_s: float | None = None


def cpu_s(what: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    started = time.process_time()
    what()
    return time.process_time() - started


def macro_row(case: Case, world_s: float) -> Row:
    """Run the collective several times on one world."""
    world = World(case.topology, keep_trace=False)
    found: list[Communicator] = []
    plan_s = cpu_s(lambda: found.append(_planned(world, case)))
    group = found[0]

    def once(size_bytes: float) -> Callable[[], object]:
        return lambda: world.env.run(until=group.all_reduce(size_bytes))

    first_s = cpu_s(once(SIZE_BYTES))
    before_s, solves, events = world.env.now, world.fabric.solves, events_scheduled(world.env)
    again_s = min(cpu_s(once(SIZE_BYTES)) for _ in range(_SIZES_MORE))
    solves, events = world.fabric.solves - solves, events_scheduled(world.env) - events - 1
    simulated_s = (world.env.now - before_s) / _SIZES_MORE
    new_size_s = min(cpu_s(once(SIZE_BYTES + 1 + more)) for more in range(_SIZES_MORE))
    return Row(
        len(case.groups[0]), len(case.topology.link_names), world_s, plan_s, first_s, new_size_s, again_s,
        events // _SIZES_MORE, solves // _SIZES_MORE, simulated_s,
    )  # fmt: skip


def _planned(world: World, case: Case) -> Communicator:
    group = Communicator(world, case.groups[0], owner="job", algorithm=case.algorithm)
    group.alone_s(case.kind, case.size_bytes)
    return group


def add_astra_sim(row: Row, case: Case, binary: Path) -> None:
    """Run the same ring in ASTRA-sim."""
    group = Communicator(
        World(case.topology, keep_trace=False), case.groups[0], owner="job", algorithm="ring"
    )
    one_s, two_s = (group.alone_s(case.kind, factor * SIZE_BYTES) for factor in (1, 2))
    steps = 2 * (row.gpus - 1)
    found = astra_sim.all_reduce(
        binary,
        ranks=row.gpus,
        size_bytes=SIZE_BYTES,
        bytes_per_s=steps * SIZE_BYTES / row.gpus / (two_s - one_s),
        latency_s=(2 * one_s - two_s) / steps,
    )
    row.astra_sim_s, row.astra_sim_simulated_s = found.cpu_s, found.finish_s


def measure(kind: str, node: str, link: str, gpus: int, *, stepwise: bool, binary: Path | None) -> Row:
    """Measure one number of GPUs on one topology."""
    started = time.process_time()
    gpus_per_node = len(cluster("star", 1, node, link=link).gpus)
    topology = cluster(kind, gpus // gpus_per_node, node, link=link)
    World(topology, keep_trace=False)
    case = Case("alone", topology, [topology.gpus], SIZE_BYTES)
    row = macro_row(case, time.process_time() - started)
    if stepwise:
        outcome = run(case, "stepwise")
        row.stepwise_s, row.stepwise_simulated_s = outcome.cpu_s, outcome.collectives_s[0]
    if binary:
        add_astra_sim(row, case, binary)
    return row


def print_row(row: Row) -> None:
    """Print one line."""
    cells = [f"{row.gpus:>7,}{row.links:>9,}{row.world_s:>9.2f}"]
    cells += [f"{seconds * 1e3:>11.3f}" for seconds in (row.plan_s, row.first_s, row.new_size_s, row.again_s)]
    cells += [f"{row.events:>8}{row.solves:>8}{row.simulated_s:>12.6f}"]
    for spent_s, simulated_s in (
        (row.stepwise_s, row.stepwise_simulated_s),
        (row.astra_sim_s, row.astra_sim_simulated_s),
    ):
        cells.append(f"{'':>23}" if spent_s is None else f"{spent_s:>11.2f}{simulated_s:>12.6f}")
    print("".join(cells).rstrip(), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="up to 64 GPUs, step by step up to 16")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here")
    parser.add_argument("--astra-sim", type=Path, metavar="PATH", help="ASTRA-sim's analytical binary")
    parser.add_argument("--astra-sim-up-to", type=int, default=1024, metavar="N", help="largest ring there")
    options = parser.parse_args()
    sizes = (8, 64) if options.quick else (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
    most_steps = 16 if options.quick else 256
    measured: dict[str, list[dict[str, float | None]]] = {}
    for kind, node, link in (
        ("rail-optimized", "dgx-h100", "infiniband-ndr"),
        ("fat-tree", "t4-x1", "ethernet-100g"),
    ):
        print(f"\n{kind} of {node}, {link}\n{_HEAD}" + (_HEAD_ASTRA_SIM if options.astra_sim else ""))
        measured[kind] = []
        for gpus in sizes:
            # Eight channels of eight times the messages: step by step takes eight times as long there.
            steps = gpus <= (most_steps if kind == "fat-tree" else most_steps // 4)
            binary = options.astra_sim if kind == "fat-tree" and gpus <= options.astra_sim_up_to else None
            row = measure(kind, node, link, gpus, stepwise=steps, binary=binary)
            print_row(row)
            measured[kind].append(asdict(row))
    if options.json:
        options.json.write_text(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
