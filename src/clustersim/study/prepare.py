"""From a scenario to placed workloads on a topology: all that can be known before running."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from clustersim.errors import CannotRunError, InputError, PathPart
from clustersim.spec.scenario import Scenario
from clustersim.topology import Topology, build
from clustersim.workloads import Workload, create, gpus_needed
from clustersim.workloads.placement import Placer

_SIZES = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"))

__all__ = ["CapacityChange", "CheckReport", "Prepared", "check", "prepare"]


@dataclass(frozen=True)
class CapacityChange:
    """A link that has another capacity from some time on."""

    at_s: float
    link: int
    bandwidth_bytes_per_s: float


@dataclass(frozen=True)
class Prepared:
    """A scenario that was found able to run."""

    scenario: Scenario
    topology: Topology
    changes: tuple[CapacityChange, ...]
    workloads: tuple[Workload, ...]
    gpus: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class CheckReport:
    """What a scenario was found to be, without running it."""

    prepared: Prepared

    def text(self) -> str:
        """Return one line for the cluster and a few for each workload."""
        topology = self.prepared.topology
        nodes, gpus, links = len(topology.gpus_by_node), len(topology.gpus), len(topology.link_names)
        lines = [
            f"{self.prepared.scenario.name}: can run",
            f"  cluster: {_plural(nodes, 'node')}, {_plural(gpus, 'GPU')}, {_plural(links, 'link')}",
        ]
        for workload, placed in zip(self.prepared.workloads, self.prepared.gpus, strict=True):
            where = f"{_plural(len(placed), 'GPU')}, {placed[0]} to {placed[-1]}"
            lines.append(f"  {workload.name} ({workload.kind}): {where}")
            lines += [
                f"    {name}: {_plain(name, value)}" for name, value in workload.outcome().facts.items()
            ]
        return "\n".join(lines)


def check(scenario: Scenario) -> CheckReport:
    """Say whether a scenario can run: memory fits, groups divide, all ranks are reachable.

    Raises
    ------
    InputError, CannotRunError
        With every problem that was found; see `prepare`.
    """
    return CheckReport(prepare(scenario))


def prepare(scenario: Scenario) -> Prepared:
    """Build the topology, place every workload and check all that can be known before running.

    Raises
    ------
    InputError
        Names and files that do not exist, each with its position in the scenario file.
    CannotRunError
        Well-formed, but memory does not fit, groups do not divide or GPUs cannot be reached.
    """
    with _located(scenario, "cluster"):
        topology = build(scenario.cluster, base=scenario.base_dir, seed=scenario.seed)
        changes = tuple(_link_changes(scenario, topology))
    placer = Placer(topology)
    workloads: list[Workload] = []
    placed: list[tuple[str, ...]] = []
    errors: list[InputError] = []
    for index, spec in enumerate(scenario.workloads):
        try:
            with _located(scenario, "workloads", index):
                gpus = tuple(gpu for need in gpus_needed(spec) for gpu in placer.take(*need))
                _check_reachable(topology, gpus)
                workloads.append(create(spec, topology=topology, gpus=gpus, base=scenario.base_dir))
                placed.append(gpus)
        except InputError as error:
            errors.append(error)
    if errors:
        malformed = any(not isinstance(error, CannotRunError) for error in errors)
        problems = [problem for error in errors for problem in error.problems]
        raise (InputError if malformed else CannotRunError)(problems)
    return Prepared(scenario, topology, changes, tuple(workloads), tuple(placed))


def _check_reachable(topology: Topology, gpus: Sequence[str]) -> None:
    for gpu in gpus[1:]:
        topology.route(gpus[0], gpu)
        topology.route(gpu, gpus[0])


def _link_changes(scenario: Scenario, topology: Topology) -> Iterator[CapacityChange]:
    for position, change in enumerate(scenario.cluster.changes):
        source, both, target = change.link.partition("<>")
        names = [f"{source}>{target}", f"{target}>{source}"] if both else [change.link]
        with _under("changes", position, "link"):
            for link in map(topology.link_index, names):
                full = float(topology.link_bandwidth_bytes_per_s[link])
                yield CapacityChange(change.at, link, change.capacity * full)


@contextmanager
def _under(*prefix: PathPart) -> Iterator[None]:
    """Put a prefix before the paths of problems from below."""
    try:
        yield
    except InputError as error:
        moved = [replace(problem, path=(*prefix, *problem.path)) for problem in error.problems]
        raise type(error)(moved) from None


@contextmanager
def _located(scenario: Scenario, *prefix: PathPart) -> Iterator[None]:
    """Give problems from below their place in the scenario file."""
    try:
        with _under(*prefix):
            yield
    except InputError as error:
        raise scenario.locate_all(error) from None


def _plain(name: str, value: float | str) -> str:
    """Return a fact as people read it: bytes with a unit, other numbers short."""
    if isinstance(value, str):
        return value
    if name.endswith(("_bytes", "_bytes_per_gpu")):
        step, unit = next((item for item in _SIZES if value >= item[0]), (1.0, "B"))
        return f"{value / step:,.3g} {unit}"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.6g}"


def _plural(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number != 1 else ''}"
