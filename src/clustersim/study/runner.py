"""From a scenario to a result: let the time of a prepared world pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from importlib.metadata import version

import simpy
from simpy.core import EmptySchedule

from clustersim.engine.collection import rare_collection
from clustersim.engine.world import World
from clustersim.results import Ending, Result
from clustersim.spec.scenario import Scenario
from clustersim.study.interrupts import interrupt_flag
from clustersim.study.prepare import CapacityChange, prepare
from clustersim.study.starvation import why_starved
from clustersim.workloads import Workload

__all__ = ["Progress", "run"]

Progress = Callable[[float, float], None]
"""Called with the fraction done (0 to 1) and the simulated time in seconds."""

_EVENTS_BETWEEN_LOOKS = 500
_SECONDS_BETWEEN_REPORTS = 0.1


def run(
    scenario: Scenario,
    *,
    seed: int | None = None,
    progress: Progress | None = None,
    workloads: Sequence[Workload] = (),
    keep_rates: bool = False,
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
    keep_rates
        Keep how fast every flow ran over time and what held it back, for `Result.flows`. It costs
        time and memory, up to 64 MB, and changes no number.

    Returns
    -------
    Result
        With `complete` False where Ctrl-C, or a network on which nothing can move any more,
        ended the run early; everything up to then is kept.

    Raises
    ------
    InputError, CannotRunError
        Before anything ran; see `clustersim.study.prepare`.
    """
    started = time.perf_counter()
    if seed is not None:
        scenario = scenario.with_(seed=seed)
    prepared = prepare(scenario)
    everyone = (*prepared.workloads, *workloads)
    world = World(prepared.topology, seed=scenario.seed, keep_trace=scenario.run.trace, keep_rates=keep_rates)
    world.links_change = bool(prepared.changes)
    world.undisturbed = len(everyone) == 1 and not world.links_change
    for change in prepared.changes:
        world.env.process(_change_capacity(world, change))
    processes = [workload.start(world) for workload in everyone]
    with rare_collection():
        ending, why = _let_time_pass(world, processes, everyone, scenario.run.until, progress)
        outcomes = [workload.outcome() for workload in everyone]
    return Result.collect(
        scenario=scenario,
        world=world,
        outcomes=outcomes,
        version=version("clustersim"),
        ending=ending,
        why=why,
        wall_s=time.perf_counter() - started,
    )


def _change_capacity(world: World, change: CapacityChange) -> Generator[simpy.Event, None, None]:
    yield world.env.timeout(change.at_s)
    world.change_link(change.link, change.bandwidth_bytes_per_s)


def _let_time_pass(
    world: World,
    processes: Sequence[simpy.Process],
    workloads: Sequence[Workload],
    until_s: float | None,
    progress: Progress | None,
) -> tuple[Ending, str]:
    """Run events until all are done; return how it ended, and why if that was early."""
    env = world.env
    end: simpy.Event = env.all_of(processes)
    if until_s is not None:
        end = end | env.timeout(until_s)
    next_report = 0.0
    with interrupt_flag() as interrupted:
        while not end.processed:
            if interrupted:
                return Ending.INTERRUPTED, f"interrupted at {env.now:.6g} s of simulated time"
            if progress is not None and time.monotonic() >= next_report:
                next_report = time.monotonic() + _SECONDS_BETWEEN_REPORTS
                progress(_fraction(world, workloads, until_s), env.now)
            try:
                for _ in range(_EVENTS_BETWEEN_LOOKS):
                    env.step()
                    if end.processed:
                        break
            except EmptySchedule:
                return Ending.STALLED, _why_nothing_moves(world, processes, workloads)
        if interrupted:  # in the last events: a study of many short runs has to stop, too
            return Ending.INTERRUPTED, f"interrupted at {env.now:.6g} s of simulated time"
    if progress is not None:
        progress(1.0, env.now)
    starved = why_starved(world)
    return (Ending.STALLED, starved) if starved else (Ending.COMPLETE, "")


def _fraction(world: World, workloads: Sequence[Workload], until_s: float | None) -> float:
    done = min(workload.progress() for workload in workloads)
    return max(done, world.env.now / until_s) if until_s else done


def _why_nothing_moves(
    world: World, processes: Sequence[simpy.Process], workloads: Sequence[Workload]
) -> str:
    waiting = [
        workload.name for workload, process in zip(workloads, processes, strict=True) if process.is_alive
    ]
    links = [world.topology.link_names[link] for link in world.fabric.stalled()]
    cause = f"the capacity of {', '.join(links[:5])} is 0" if links else "no event is due"
    waits = f"{', '.join(waiting)} would wait forever"
    return f"nothing can move any more at {world.env.now:.6g} s: {cause}; {waits}"
