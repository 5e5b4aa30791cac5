"""The executor: runs the graph of a trace once on the clock."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, cast

import simpy

from clustersim.engine.trace import HOST, NETWORK_LATENCY, NO_CAUSE
from clustersim.workloads.chakra.communicators import Communicators
from clustersim.workloads.chakra.durations import Durations, on_host
from clustersim.workloads.chakra.graph import Graph, Joint, Task
from clustersim.workloads.chakra.ledger import Interval, RankLedger
from clustersim.workloads.chakra.messages import NodeType
from clustersim.workloads.span import Span
from clustersim.workloads.training.kernels import Kernels

if TYPE_CHECKING:
    from clustersim.collectives import CollectiveRecord
    from clustersim.engine.world import World

__all__ = ["Replay"]

_ROUNDING = 1e-10
"""Relative: kernels this near to their own time were not slowed (sums of times are rounded)."""
_MEMORY = (NodeType.MEM_LOAD_NODE, NodeType.MEM_STORE_NODE)


class _Queue:
    """What runs one after the other: of what waits, the lowest key first."""

    __slots__ = ("_begun", "_busy", "_waiting", "last")

    def __init__(self) -> None:
        self.last: Span | None = None
        self._waiting: list[tuple[int, int, Callable[[], None]]] = []
        self._busy = False
        self._begun = 0

    def add(self, key: int, begin: Callable[[], None]) -> None:
        heapq.heappush(self._waiting, (key, self._begun, begin))
        self._begun += 1

    def start_next(self) -> None:
        if self._waiting and not self._busy:
            self._busy = True
            heapq.heappop(self._waiting)[2]()

    def end(self, span: Span) -> None:
        self._busy = False
        self.last = span


class Replay:
    """Starts each node when all nodes that it waits for have ended.

    A GPU computes one node at a time, of those that are ready the first of its file, and so does the
    host's processor of each rank. A collective begins when all its members are ready; those of one group
    run one after the other, as do the sends of a rank to another. A send does not wait for its
    receive, which ends when what is sent has come.

    Parameters
    ----------
    graph
        What there is to do.
    name
        Of the workload, in the trace.
    communicators
        What ranks talk over.
    durations
        How long nodes compute.

    **Valid when** sends take nothing from kernels, and collectives what `ChakraSpec.contention` says.
    **Checked by:** tests/workloads/test_chakra_replay.py.
    """

    def __init__(
        self, world: World, graph: Graph, *, name: str, communicators: Communicators, durations: Durations
    ) -> None:
        self._world = world
        self._graph = graph
        self._name = name
        self._communicators = communicators
        self._durations = durations
        self._queues: dict[Hashable, _Queue] = {}
        self._touched: dict[_Queue, None] = {}
        self._ready: deque[Task] = deque()
        self._kernels = [Kernels(world.env) for _ in graph.tasks]
        self.done_nodes = 0
        self.last: Span | None = None
        self.ledgers: list[RankLedger] = []

    def begin(self, before: Span | None) -> simpy.Event:
        """Begin an iteration because `before` ended; the event is its end."""
        tasks = list(self._graph.all_tasks())
        self.ledgers = [RankLedger() for _ in self._graph.tasks]
        self.last = before
        self._left = len(tasks)
        self._parents = {task: task.parents for task in tasks}
        self._cause = dict.fromkeys(tasks, before)
        self._came: dict[Joint, dict[Task, float]] = {joint: {} for joint in self._graph.joints}
        self._ended: set[Joint] = set()
        self._end = self._world.env.event()
        self._ready.extend(task for task in tasks if not task.parents)
        self._settle()
        if not tasks:
            self._end.succeed()
        return self._end

    # ---- the graph

    def _settle(self) -> None:
        """Let everything begin that can."""
        while self._ready or self._touched:
            while self._ready:
                self._start(self._ready.popleft())
            touched, self._touched = self._touched, {}
            for queue in touched:
                queue.start_next()

    def _start(self, task: Task) -> None:
        if task.joint is not None:
            self._come(task, task.joint)
        elif task.node.type == NodeType.COMP_NODE:
            self._enqueue(
                ("host" if on_host(task.node) else "gpu", task.rank), task.place, self._compute, task
            )
        elif task.node.type in _MEMORY:
            self._enqueue((task.node.type, task.rank), task.place, self._move, task)
        else:
            self._finish(task, self._cause[task])

    def _finish(self, task: Task, span: Span | None) -> None:
        self._left -= 1
        self.done_nodes += 1
        if span is not None:
            self.last = span
        for child in task.children:
            self._parents[child] -= 1
            if span is not None:
                self._cause[child] = span
            if not self._parents[child]:
                self._ready.append(child)
        if not self._left:
            self._end.succeed()

    def _enqueue(self, which: Hashable, key: int, begin: Callable[[_Queue, Task], None], task: Task) -> None:
        queue = self._queue(which)
        queue.add(key, lambda: begin(queue, task))
        self._touched[queue] = None

    def _queue(self, which: Hashable) -> _Queue:
        queue = self._queues.get(which)
        if queue is None:
            queue = self._queues[which] = _Queue()
        return queue

    def _later(self, cause: Span | None, queue: _Queue) -> Span | None:
        """Return what ended last of what a task waited for: its parents, or the queue."""
        before = queue.last
        if before is None or (cause is not None and cause.end_s >= before.end_s):
            return cause
        return before

    # ---- computation

    def _compute(self, queue: _Queue, task: Task) -> None:
        seconds, resource = self._durations.of(task.node)
        start_s = self._world.env.now
        cause = self._later(self._cause[task], queue)

        ledger = self.ledgers[task.rank]
        kind, intervals = ("host", ledger.host) if resource == HOST else ("compute", ledger.compute)
        timer = (
            self._world.env.timeout(seconds) if resource == HOST else self._kernels[task.rank].run(seconds)
        )
        alone = {resource: seconds}
        timer.callbacks.append(lambda _: self._ran(queue, task, cause, start_s, kind, alone, intervals))

    def _ran(
        self,
        queue: _Queue,
        task: Task,
        cause: Span | None,
        start_s: float,
        kind: str,
        shares: dict[str, float],
        intervals: list[Interval],
    ) -> None:
        """Write down what a rank did by itself, and go on; `shares` are what it takes alone."""
        end_s = self._world.env.now
        slowed_s = end_s - start_s - sum(shares.values())
        if kind == "compute" and slowed_s > _ROUNDING * (end_s - start_s):
            self._kernels[task.rank].book_slowdown(shares, slowed_s)
        lane = f"{self._name}/rank {task.rank}/{kind}"
        row = self._world.trace.record(
            kind, lane, task.node.name, start_s, end_s, cause=_row(cause), shares=shares
        )
        intervals.append((start_s, end_s))
        self._free(queue, Span(cause, start_s, end_s, shares, row), [task])

    def _free(self, queue: _Queue, span: Span, tasks: list[Task]) -> None:
        queue.end(span)
        self._touched[queue] = None
        for task in tasks:
            self._finish(task, span)
        self._settle()

    # ---- communication

    def _come(self, task: Task, joint: Joint) -> None:
        came = self._came[joint]
        came[task] = self._world.env.now
        sends = joint.kind == "send_recv"
        if joint in self._ended:
            self._finish(task, self._cause[task])
        elif task is joint.tasks[0] if sends else len(came) == len(joint.tasks):
            if len(set(joint.group)) == 1:
                self._ended.add(joint)
                for each in list(came):
                    self._finish(each, self._cause[each])
            else:
                queue = self._queue(joint.stream)
                queue.add(0, lambda: self._meet(queue, joint, self._cause[task]))
                self._touched[queue] = None

    def _meet(self, queue: _Queue, joint: Joint, cause: Span | None) -> None:
        cause = self._later(cause, queue)
        label = joint.tasks[0].node.name
        event = self._communicators.run(joint, cause=_row(cause), label=label)
        beside = self._communicators.beside(joint)
        for rank in joint.group:
            self._kernels[rank].begin_beside(beside)

        def ended(done: simpy.Event) -> None:
            record = cast("CollectiveRecord", done.value)
            self._ended.add(joint)
            for rank in joint.group:
                self._kernels[rank].end_beside(beside, record.shares)
            for task, came_s in self._came[joint].items():
                begun_s = max(record.start_s, came_s)
                self.ledgers[task.rank].communication.append((begun_s, record.end_s))
            span = Span(cause, record.start_s, record.end_s, record.shares, record.row)
            self._free(queue, span, list(self._came[joint]))

        event.callbacks.append(ended)

    def _move(self, queue: _Queue, task: Task) -> None:
        """Load from the host's memory or store to it: as long as recorded, or over the links between."""
        node, start_s = task.node, self._world.env.now
        cause = self._later(self._cause[task], queue)
        intervals = self.ledgers[task.rank].communication
        size = node.attributes.get("tensor_size", 0)
        if node.duration_micros or not isinstance(size, int):
            latency_speed = self._world.topology.speeds.network_latency
            seconds = node.duration_micros * 1e-6 / latency_speed
            timer, alone = self._world.env.timeout(seconds), {NETWORK_LATENCY: seconds}
            timer.callbacks.append(
                lambda _: self._ran(queue, task, cause, start_s, "transfer", alone, intervals)
            )
            return
        store = node.type == NodeType.MEM_STORE_NODE
        event = self._communicators.to_host(
            task.rank, float(size), store=store, cause=_row(cause), label=node.name
        )

        def ended(done: simpy.Event) -> None:
            record = cast("CollectiveRecord", done.value)
            intervals.append((record.start_s, record.end_s))
            span = Span(cause, record.start_s, record.end_s, record.shares, record.row)
            self._free(queue, span, [task])

        event.callbacks.append(ended)


def _row(cause: Span | None) -> int:
    return NO_CAUSE if cause is None else cause.row
