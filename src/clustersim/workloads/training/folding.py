"""Whether replicas are alike, so that one lane of each stage stands for all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from clustersim.spec.training import TrainingSpec
from clustersim.topology import Topology
from clustersim.workloads.training.layout import Layout

__all__ = ["Folding", "folding"]

_WITHIN: tuple[str, ...] = ("tensor", "context", "expert", "expert_tensor")
_BETWEEN: tuple[str, ...] = ("data", "expert_data")
_ALIKE = 1e-9
"""Loads this little above a link's capacity do not fill it (rounding of sums)."""


class Folding(NamedTuple):
    """Whether replicas are folded, and what a reader has to know about it."""

    folded: bool
    note: str = ""


def folding(spec: TrainingSpec, layout: Layout, topology: Topology, *, changes: bool = False) -> Folding:
    """Say whether one lane of each stage can stand for all of its stage.

    Replicas are alike where all ranks compute alike (no jitter, no straggler), no link changes, what
    each lane sends and exchanges goes over the same kinds of links at the same distance, and the
    links that several replicas use are never full, whatever goes over them at once.

    *Equation.* A link that GPUs of several replicas use carries at the most
    min(Σ_sources max w_l·r, Σ_targets max w_l·r), with r the rate of a connection alone: a GPU's
    connections share its adapter, so the largest counts. It must not be above the link's capacity.

    Parameters
    ----------
    changes
        Whether links change while the job runs.

    **Valid when** all connections of a GPU over the network go through one adapter.
    **Checked by:** tests/workloads/test_training_folding.py.
    """
    if layout.lanes_per_stage == 1 or spec.fold == "never":
        return Folding(False)
    why = _varies(spec, changes=changes) or ("" if spec.fold == "always" else _differs(layout, topology))
    if not why:
        return Folding(True)
    lanes = layout.lanes_per_stage * layout.pipeline
    return Folding(False, f"each of {lanes} lanes was simulated by itself: {why}")


def _varies(spec: TrainingSpec, *, changes: bool) -> str:
    """Say what makes replicas differ in any case."""
    if spec.kernel_jitter:
        return "kernels vary from GPU to GPU ('kernel_jitter')"
    if spec.distillation is not None and spec.distillation.gpus is not None:
        return "a teacher on other GPUs sends to each ('distillation.gpus')"
    if spec.gpu_spread:
        return "GPUs are not equally fast ('gpu_spread')"
    if spec.stragglers:
        return "some GPUs are slow ('stragglers')"
    return "links change while the job runs ('cluster.changes')" if changes else ""


def _differs(layout: Layout, topology: Topology) -> str:
    """Say what makes replicas differ by where they are."""
    routes = _Routes(topology)
    for stage in range(layout.pipeline):
        first = None
        for replica in range(layout.lanes_per_stage):
            found = tuple(routes.of(connection) for connection in _said_by(layout, stage, replica))
            first = found if first is None else first
            if found != first:
                return f"replica {replica} of stage {stage} is connected in another way than replica 0"
    for stage in range(layout.pipeline):
        for connection in _said_between(layout, stage):
            routes.of(connection)
    full = routes.overloaded(dict(_replicas(layout)))
    if full is not None:
        return f"replicas may get in each other's way on {topology.link_names[full]}"
    return ""


_Connection = tuple[str, str]
_Kind = tuple[float, tuple[tuple[float, float], ...]]
"""Latency of a path, and bandwidth and weight of each of its links."""


class _Routes:
    """Connections of a job, and what they put on links that are used from several replicas."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._bandwidth: list[float] = topology.link_bandwidth_bytes_per_s.tolist()
        self._kinds: dict[_Connection, _Kind] = {}
        self._from: dict[int, dict[str, float]] = defaultdict(dict)
        self._to: dict[int, dict[str, float]] = defaultdict(dict)

    def of(self, connection: _Connection) -> _Kind:
        """Return what a connection is like; note its load."""
        known = self._kinds.get(connection)
        if known is None:
            known = self._kinds[connection] = self._look(*connection)
        return known

    def _look(self, source: str, target: str) -> _Kind:
        path = self._topology.path(source, target)
        weights = path.weights
        links = [(self._bandwidth[link], weight) for link, weight in zip(path.links, weights, strict=True)]
        if links:
            rate = min(bandwidth / weight for bandwidth, weight in links)
            for link, weight in zip(path.links, weights, strict=True):
                load, by_source, by_target = rate * weight, self._from[link], self._to[link]
                by_source[source] = max(by_source.get(source, 0.0), load)
                by_target[target] = max(by_target.get(target, 0.0), load)
        return path.latency_s, tuple(links)

    def overloaded(self, replicas: dict[str, int]) -> int | None:
        """Return a link that several replicas use and that they could fill together."""
        for link, by_source in self._from.items():
            by_target = self._to[link]
            if len({replicas[gpu] for gpu in (*by_source, *by_target)}) > 1:
                load = min(sum(by_source.values()), sum(by_target.values()))
                if load > self._bandwidth[link] * (1.0 + _ALIKE):
                    return link
        return None


def _said_by(layout: Layout, stage: int, replica: int) -> Iterator[_Connection]:
    """Yield who talks to whom in a lane, and from it to its neighbours."""
    for neighbour in sorted({(stage - 1) % layout.pipeline, (stage + 1) % layout.pipeline} - {stage}):
        yield from layout.exchange(stage, neighbour, replica)
    for dimension in _WITHIN:
        if getattr(layout, dimension) > 1:
            yield from _rings(layout.lane_groups(dimension, stage, replica))


def _said_between(layout: Layout, stage: int) -> Iterator[_Connection]:
    for dimension in _BETWEEN:
        yield from _rings(layout.groups(dimension, stage))


def _rings(groups: Sequence[Sequence[str]]) -> Iterator[_Connection]:
    for group in groups:
        for place, gpu in enumerate(group):
            if len(group) > 1:
                yield gpu, group[(place + 1) % len(group)]
                yield gpu, group[place - 1]


def _replicas(layout: Layout) -> Iterator[tuple[str, int]]:
    for stage in range(layout.pipeline):
        for replica in range(layout.lanes_per_stage):
            for rank in layout.lane_ranks(stage, replica):
                yield layout.gpu(rank), replica
