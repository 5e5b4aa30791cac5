"""From a scenario to a result: build the world, place the workloads, let time pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version

import simpy
from simpy.core import EmptySchedule

from clustersim.engine.world import World
from clustersim.errors import CannotRunError, InputError, PathPart, Problem
from clustersim.results import Result
from clustersim.spec.scenario import Scenario
from clustersim.study.interrupts import interrupt_flag
from clustersim.topology import Topology, build
from clustersim.units import SIZE, format_quantity
from clustersim.workloads import Workload, create, gpus_needed
from clustersim.workloads.placement import Placer

__all__ = ["CheckReport", "Prepared", "Progress", "check", "prepare", "run"]

Progress = Callable[[float, float], None]
"""Called with the fraction done (0 to 1) and the simulated time in seconds."""

_EVENTS_BETWEEN_LOOKS = 500
_SECONDS_BETWEEN_REPORTS = 0.1


@dataclass(frozen=True)
class Prepared:
    """A scenario that was found able to run: its topology and placed workloads."""

    scenario: Scenario
    topology: Topology
    workloads: tuple[Workload, ...]
    gpus: tuple[tuple[str, ...], ...]


def prepare(scenario: Scenario) -> Prepared:
    """Build the topology, place every workload and check all that can be known before running.

    Raises
    ------
    InputError
        Names and files that do not exist, each with its position in the scenario file.
    CannotRunError
        Well-formed, but memory does not fit, groups do not divide or GPUs cannot be reached.
    """
    base = scenario.base_dir
    with _located(scenario, "cluster"):
        topology = build(scenario.cluster, base=base, seed=scenario.seed)
        _link_changes(scenario, topology)
    placer = Placer(topology)
    workloads: list[Workload] = []
    placed: list[tuple[str, ...]] = []
    errors: list[InputError] = []
    for index, spec in enumerate(scenario.workloads):
        try:
            with _located(scenario, "workloads", index):
                gpus = placer.take(gpus_needed(spec), spec.placement)
                _check_reachable(topology, gpus)
                workloads.append(create(spec, topology=topology, gpus=gpus, base=base))
                placed.append(gpus)
        except InputError as error:
            errors.append(error)
    if errors:
        kind = InputError if any(not isinstance(error, CannotRunError) for error in errors) else CannotRunError
        raise kind([problem for error in errors for problem in error.problems])
    return Prepared(scenario, topology, tuple(workloads), tuple(placed))


@dataclass(frozen=True)
class CheckReport:
    """What a scenario was found to be, without running it."""

    prepared: Prepared

    def text(self) -> str:
        """Return one line for the cluster and a few for each workload."""
        topology = self.prepared.topology
        lines = [
            f"{self.prepared.scenario.name}: can run",
            f"  cluster: {len(topology.gpus_by_node)} nodes, {len(topology.gpus)} GPUs, {len(topology.link_names)} links",
        ]
        for workload, gpus in zip(self.prepared.workloads, self.prepared.gpus, strict=True):
            lines.append(f"  {workload.name} ({workload.kind}): {len(gpus)} GPUs, {gpus[0]} to {gpus[-1]}")
            lines += [f"    {name}: {_plain(name, value)}" for name, value in workload.outcome().facts.items()]
        return "\n".join(lines)


def check(scenario: Scenario) -> CheckReport:
    """Say whether a scenario can run: memory fits, groups divide, all ranks are reachable.

    Raises
    ------
    InputError, CannotRunError
        With every problem that was found; see `prepare`.
    """
    return CheckReport(prepare(scenario))


def run(
    scenario: Scenario,
    *,
    seed: int | None = None,
    progress: Progress | None = None,
    workloads: Sequence[Workload] = (),
) -> Result:
    """Simulate a scenario once.

    Parameters
    ----------
    scenario
        What to simulate.
    seed
        In place of the scenario's own.
    progress
        Called now and then with the fraction done and the simulated seconds.
    workloads
        Further workloads of your own, beside the scenario's (docs/your-own-workload.md).

    Returns
    -------
    Result
        With `complete` False where Ctrl-C, or a network on which nothing can move any more,
        ended the run early; everything up to then is kept.

    Raises
    ------
    InputError, CannotRunError
        Before anything ran; see `prepare`.
    """
    started = time.perf_counter()
    if seed is not None:
        scenario = scenario.with_(seed=seed)
    prepared = prepare(scenario)
    everyone = (*prepared.workloads, *workloads)
    world = World(prepared.topology, seed=scenario.seed, keep_trace=scenario.run.trace)
    _schedule_link_changes(world, scenario)
    processes = [workload.start(world) for workload in everyone]
    stopped = _let_time_pass(world, processes, everyone, scenario.run.until, progress)
    return Result.collect(
        scenario=scenario,
        world=world,
        outcomes=[workload.outcome() for workload in everyone],
        version=version("clustersim"),
        stopped=stopped,
        wall_s=time.perf_counter() - started,
    )


def _let_time_pass(
    world: World,
    processes: Sequence[simpy.Process],
    workloads: Sequence[Workload],
    until_s: float | None,
    progress: Progress | None,
) -> str:
    """Run events until all are done; return why it stopped early, or an empty text."""
    env = world.env
    end: simpy.Event = env.all_of(processes)
    if until_s is not None:
        end = end | env.timeout(until_s)
    next_report = 0.0
    with interrupt_flag() as interrupted:
        while not end.processed:
            if interrupted:
                return f"interrupted at {env.now:.6g} s of simulated time"
            if progress is not None and time.monotonic() >= next_report:
                next_report = time.monotonic() + _SECONDS_BETWEEN_REPORTS
                progress(_fraction(world, workloads, until_s), env.now)
            try:
                for _ in range(_EVENTS_BETWEEN_LOOKS):
                    env.step()
                    if end.processed:
                        break
            except EmptySchedule:
                return _why_nothing_moves(world, processes, workloads)
    if progress is not None:
        progress(1.0, env.now)
    return ""


def _fraction(world: World, workloads: Sequence[Workload], until_s: float | None) -> float:
    done = min(workload.progress() for workload in workloads)
    return max(done, world.env.now / until_s) if until_s else done


def _why_nothing_moves(world: World, processes: Sequence[simpy.Process], workloads: Sequence[Workload]) -> str:
    waiting = [workload.name for workload, process in zip(workloads, processes, strict=True) if process.is_alive]
    links = [world.topology.link_names[link] for link in world.fabric.stalled()]
    cause = f"the capacity of {', '.join(links[:5])} is 0" if links else "no event is due"
    return f"nothing can move any more at {world.env.now:.6g} s: {cause}; {', '.join(waiting)} would wait forever"


def _check_reachable(topology: Topology, gpus: Sequence[str]) -> None:
    for gpu in gpus[1:]:
        topology.route(gpus[0], gpu)
        topology.route(gpu, gpus[0])


def _link_changes(scenario: Scenario, topology: Topology) -> list[tuple[float, int, float]]:
    """Time, link index and capacity of every change, checked."""
    changes: list[tuple[float, int, float]] = []
    for position, change in enumerate(scenario.cluster.changes):
        source, both, target = change.link.partition("<>")
        names = [f"{source}>{target}", f"{target}>{source}"] if both else [change.link]
        try:
            changes += [
                (change.at, link, change.capacity * float(topology.link_bandwidth_bytes_per_s[link]))
                for link in map(topology.link_index, names)
            ]
        except InputError as error:
            raise InputError([_under(problem, "changes", position, "link") for problem in error.problems]) from None
    return changes


def _schedule_link_changes(world: World, scenario: Scenario) -> None:
    for at_s, link, capacity in _link_changes(scenario, world.topology):
        due = world.env.timeout(at_s)
        due.callbacks.append(lambda _, link=link, capacity=capacity: world.fabric.set_capacity(link, capacity))


@contextmanager
def _located(scenario: Scenario, *prefix: PathPart) -> Iterator[None]:
    """Give errors from below their place in the scenario file."""
    try:
        yield
    except InputError as error:
        problems: Iterable[Problem] = (_under(problem, *prefix) for problem in error.problems)
        raise scenario.locate_all(type(error)(problems)) from None


def _under(problem: Problem, *prefix: PathPart) -> Problem:
    return replace(problem, path=(*prefix, *problem.path))


def _plain(name: str, value: float | str) -> str:
    """A fact as people read it: bytes with a unit, other numbers short."""
    if isinstance(value, str):
        return value
    return format_quantity(round(value), SIZE) if name.endswith("_bytes") else f"{value:,.6g}"
