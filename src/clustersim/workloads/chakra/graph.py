"""The nodes of all ranks as one graph: who waits for whom, and who meets for which collective."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from clustersim.errors import InputError, Problem
from clustersim.workloads.chakra.messages import Node
from clustersim.workloads.chakra.trace_files import RankTrace

__all__ = ["Graph", "Joint", "Task", "cycle_problem", "find_cycle", "tasks_of"]


@dataclass(slots=True, eq=False)
class Task:
    """A node of one rank.

    Parameters
    ----------
    place
        In its file, from 0.
    parents
        Tasks of the same rank that have to end first: how many.
    children
        Tasks of the same rank that wait for it.
    joint
        What it takes part in, for communication.
    """

    rank: int
    place: int
    node: Node
    parents: int = 0
    children: list[Task] = field(default_factory=list)
    joint: Joint | None = None


@dataclass(slots=True, eq=False)
class Joint:
    """A collective, or a send with its receive.

    Parameters
    ----------
    kind
        Of collective, as `clustersim.collectives.kinds` names it; `send_recv`.
    group
        Ranks in order; of a send source and target.
    stream
        What it runs in: one of a stream after the other.
    size_bytes
        As `clustersim.collectives.Communicator` counts it.
    tasks
        One of each rank, in the order of the group.
    """

    kind: str
    group: tuple[int, ...]
    stream: str
    size_bytes: float
    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class Graph:
    """A whole trace.

    Parameters
    ----------
    tasks
        Of each rank, in the order of its file.
    joints
        All communication.
    """

    tasks: Sequence[Sequence[Task]]
    joints: Sequence[Joint]

    def all_tasks(self) -> Iterator[Task]:
        """Yield the tasks of all ranks."""
        for tasks in self.tasks:
            yield from tasks


def tasks_of(trace: RankTrace) -> list[Task]:
    """Return the tasks of one rank, tied by data and control dependencies.

    Raises
    ------
    InputError
        For an id given twice, and for a dependency on a node that does not exist.
    """
    tasks = [Task(trace.rank, place, node) for place, node in enumerate(trace.nodes)]
    by_id: dict[int, Task] = {}
    problems: list[Problem] = []
    for task in tasks:
        if by_id.setdefault(task.node.id, task) is not task:
            problems.append(trace.problem(task.node, "its id is that of an earlier node"))
    for task in tasks:
        for parent in dict.fromkeys((*task.node.data_deps, *task.node.ctrl_deps)):
            if parent not in by_id:
                problems.append(trace.problem(task.node, f"it waits for node {parent}, which does not exist"))
                continue
            by_id[parent].children.append(task)
            task.parents += 1
    if problems:
        raise InputError(problems)
    return tasks


def find_cycle(graph: Graph) -> list[Task]:
    """Return tasks that wait for each other in a circle, over ranks as well; empty where there are none.

    A collective ends for nobody before all its members have come, a receive not before its send.
    """
    parents = {task: task.parents for task in graph.all_tasks()}
    waiting = {id(joint): len(_needed(joint)) for joint in graph.joints}
    ready = [task for task, count in parents.items() if not count]
    left = set(parents)
    came: set[Task] = set()
    while ready:
        task = ready.pop()
        came.add(task)
        for ended in _ended(task, waiting, came, left):
            left.discard(ended)
            for child in ended.children:
                parents[child] -= 1
                if not parents[child]:
                    ready.append(child)
    return _circle(left, came) if left else []


def _needed(joint: Joint) -> tuple[Task, ...]:
    """Return the tasks that have to have come before it begins."""
    return joint.tasks[:1] if joint.kind == "send_recv" else joint.tasks


def _ended(task: Task, waiting: dict[int, int], came: set[Task], left: set[Task]) -> list[Task]:
    """Return the tasks that end because this one has come."""
    joint = task.joint
    if joint is None:
        return [task]
    if task in _needed(joint):
        waiting[id(joint)] -= 1
    if waiting[id(joint)]:
        return []
    return [each for each in joint.tasks if each in came and each in left]


def _circle(left: set[Task], came: set[Task]) -> list[Task]:
    """Walk from a task that never ends to what it waits for, until one comes again."""
    parent_of = {child: task for task in left for child in task.children if child in left}
    path: list[Task] = []
    task = min(left, key=_position)
    while task not in path:
        path.append(task)
        if task in came and task.joint is not None:
            task = next(each for each in _needed(task.joint) if each not in came)
        else:
            task = parent_of[task]
    circle = path[path.index(task) :][::-1]
    first = circle.index(min(circle, key=_position))
    return circle[first:] + circle[:first]


def _position(task: Task) -> tuple[int, int]:
    return task.rank, task.place


def cycle_problem(cycle: Sequence[Task], traces: Sequence[RankTrace]) -> Problem:
    """Say which nodes wait for each other."""
    shown = cycle[:_MOST_SHOWN]
    names = [f"{traces[task.rank].file} node {task.node.id} ('{task.node.name}')" for task in shown]
    more = f" → … {len(cycle) - len(shown)} more" if len(cycle) > len(shown) else ""
    chain = " → ".join(names)
    return Problem(("trace",), f"these nodes wait for each other in a circle: {chain}{more} → {names[0]}")


_MOST_SHOWN = 6
