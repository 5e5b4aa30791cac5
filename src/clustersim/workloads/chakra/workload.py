"""A Chakra execution trace as a workload."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import simpy

from clustersim.engine.trace import NO_CAUSE
from clustersim.engine.world import World
from clustersim.errors import CannotRunError, CatalogError, InputError, Problem
from clustersim.spec.chakra import ChakraSpec
from clustersim.topology import Topology
from clustersim.topology.hosts import hosts_of
from clustersim.workloads.base import Outcome, Table
from clustersim.workloads.chakra.communicators import Communicators
from clustersim.workloads.chakra.durations import Durations
from clustersim.workloads.chakra.graph import Graph
from clustersim.workloads.chakra.groups import read_groups
from clustersim.workloads.chakra.ledger import RankTimes
from clustersim.workloads.chakra.matching import build_graph
from clustersim.workloads.chakra.messages import NodeType
from clustersim.workloads.chakra.replay import Replay
from clustersim.workloads.chakra.trace_files import read_trace
from clustersim.workloads.span import Span, critical_shares

__all__ = ["ChakraWorkload"]

_TIMES = tuple(field.name for field in fields(RankTimes))
_MEMORY = (NodeType.MEM_LOAD_NODE, NodeType.MEM_STORE_NODE)


class ChakraWorkload:
    """Runs the nodes of a trace on GPUs of its own: rank n on the n-th GPU.

    Parameters
    ----------
    spec
        What the scenario says.
    topology
        Where the GPUs are.
    gpus
        In the order of ranks.
    base
        Folder that paths in the spec are relative to.

    Raises
    ------
    InputError
        For files that are no trace, nodes that nobody meets, and nodes that wait for each other.
    CannotRunError
        If nodes use the host's memory and there is no host, or GPUs are of several kinds.

    **Valid when** what a rank does depends on no value that is computed: a trace is one way through a
    program. Memory of GPUs is not counted, as a trace does not say what is kept.
    **Checked by:** tests/workloads/test_chakra_replay.py, tests/workloads/test_chakra_export.py.
    """

    kind = "chakra"

    def __init__(
        self, spec: ChakraSpec, *, topology: Topology, gpus: tuple[str, ...], base: Path | None = None
    ) -> None:
        self.name = spec.name
        self.spec = spec
        self.gpus = gpus
        self._base = base or Path()
        self._accelerator = _accelerator(topology, gpus)
        try:
            self._durations = Durations(spec, topology.accelerator(gpus[0]))
        except CatalogError as error:
            raise InputError(Problem(("precision",), str(error))) from None
        self.graph = _graph(spec, self._base)
        _check_hosts(self.graph, topology, gpus)
        self._replay: Replay | None = None
        self._rows: list[tuple[float, ...]] = []
        self._ranks: list[RankTimes] = []
        self._shares: Counter[str] = Counter()

    def start(self, world: World) -> simpy.Process:
        """Begin at `spec.start`; the process ends with the last node of the last iteration."""
        communicators = Communicators(world, self.spec, self.gpus, base=self._base)
        communicators.plan(self.graph.joints)
        self._replay = Replay(
            world, self.graph, name=self.name, communicators=communicators, durations=self._durations
        )
        return world.env.process(self._run(world, self._replay))

    def progress(self) -> float:
        """Return the fraction of nodes that have ended."""
        total = self.spec.iterations * sum(map(len, self.graph.tasks))
        return self._replay.done_nodes / total if self._replay is not None and total else 0.0

    def outcome(self) -> Outcome:
        """Return what complete iterations say; callable at any time."""
        total_s = sum(self._shares.values())
        shares = {name: each / total_s for name, each in sorted(self._shares.items())} if total_s else {}
        return Outcome(
            name=self.name,
            kind=self.kind,
            metrics=self._metrics(),
            tables={"iterations": self._iterations(), "ranks": self._rank_table()},
            attribution=shares,
            complete=len(self._rows) == self.spec.iterations,
            facts=self._facts(),
        )

    # ---- the run

    def _run(self, world: World, replay: Replay) -> Generator[simpy.Event, Any, None]:
        yield world.env.timeout(self.spec.start)
        turns: dict[str, simpy.Event] = {}
        waits: list[simpy.Event] = []
        for gpu in self.gpus:
            turn = world.gpus[gpu].hold()
            if turn is None:
                turn = world.gpus[gpu].request()
                waits.append(turn)
            turns[gpu] = turn
        yield world.env.all_of(waits)
        before: Span | None = None
        for _ in range(self.spec.iterations):
            start_s = world.env.now
            yield replay.begin(before)
            before = replay.last
            self._write_down(replay, start_s, world.env.now)
        for gpu, turn in turns.items():
            world.gpus[gpu].leave(turn)

    def _write_down(self, replay: Replay, start_s: float, end_s: float) -> None:
        self._ranks = [ledger.times(start_s, end_s) for ledger in replay.ledgers]
        means = [float(np.mean([getattr(times, name) for times in self._ranks])) for name in _TIMES]
        last = replay.last
        row = NO_CAUSE if last is None else last.row
        self._rows.append((len(self._rows), start_s, end_s - start_s, *means, row))
        if last is not None:
            for shares in critical_shares(last, since_s=start_s):
                self._shares.update(shares)
            last.cause = None  # this iteration is written down

    # ---- what came out

    def _metrics(self) -> dict[str, float]:
        if not self._rows:
            return {}
        table = self._iterations()
        means = {name: float(table[name].mean()) for name in _TIMES}
        return {"iteration_s.mean": float(table["duration_s"].mean()), **means}

    def _iterations(self) -> Table:
        names = ("iteration", "start_s", "duration_s", *_TIMES, "trace_row")
        columns = zip(*self._rows, strict=True) if self._rows else ((),) * len(names)
        whole = ("iteration", "trace_row")
        return {
            name: np.array(values, dtype=np.int64 if name in whole else np.float64)
            for name, values in zip(names, columns, strict=True)
        }

    def _rank_table(self) -> Table:
        count = len(self._ranks)
        times = [asdict(each) for each in self._ranks]
        return {
            "rank": np.arange(count),
            "gpu": np.array(self.gpus[:count], dtype=object),
            "nodes": np.array([len(tasks) for tasks in self.graph.tasks[:count]], dtype=np.int64),
            **{name: np.array([each[name] for each in times]) for name in _TIMES},
        }

    def _facts(self) -> Mapping[str, float | str]:
        return {
            "trace": self.spec.trace,
            "accelerator": self._accelerator,
            "gpus": float(len(self.gpus)),
            "nodes": float(sum(map(len, self.graph.tasks))),
            "collectives_and_sends": float(len(self.graph.joints)),
        }


def _graph(spec: ChakraSpec, base: Path) -> Graph:
    traces = read_trace(base / spec.trace, ranks=spec.gpus)
    groups = read_groups(base / spec.groups, ranks=spec.gpus) if spec.groups is not None else {}
    return build_graph(traces, groups)


def _accelerator(topology: Topology, gpus: tuple[str, ...]) -> str:
    names = sorted({topology.accelerator_of(gpu) for gpu in gpus})
    if len(names) > 1:
        message = f"the GPUs are of {len(names)} kinds ({', '.join(names)}); name nodes of one kind"
        raise CannotRunError(Problem(("placement",), message))
    return names[0]


def _check_hosts(graph: Graph, topology: Topology, gpus: tuple[str, ...]) -> None:
    """Refuse a trace that moves bytes to hosts that are not there."""
    using = {
        task.rank for task in graph.all_tasks() if task.node.type in _MEMORY and not task.node.duration_micros
    }
    try:
        hosts_of(topology, [gpus[rank] for rank in sorted(using)])
    except CannotRunError as error:
        raise CannotRunError([Problem(("trace",), problem.message) for problem in error.problems]) from None
