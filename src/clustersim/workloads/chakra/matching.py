"""Which nodes of different ranks belong together: members of collectives, sends and receives."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import zip_longest

from clustersim.errors import InputError, Problem, did_you_mean
from clustersim.workloads.chakra.graph import Graph, Joint, Task, cycle_problem, find_cycle, tasks_of
from clustersim.workloads.chakra.groups import Groups
from clustersim.workloads.chakra.messages import CollectiveType, NodeType
from clustersim.workloads.chakra.trace_files import RankTrace

__all__ = ["build_graph"]

_KINDS: Mapping[CollectiveType, str] = {
    CollectiveType.ALL_REDUCE: "all_reduce",
    CollectiveType.REDUCE: "reduce",
    CollectiveType.ALL_GATHER: "all_gather",
    CollectiveType.GATHER: "gather",
    CollectiveType.SCATTER: "scatter",
    CollectiveType.BROADCAST: "broadcast",
    CollectiveType.ALL_TO_ALL: "all_to_all",
    CollectiveType.REDUCE_SCATTER: "reduce_scatter",
    CollectiveType.REDUCE_SCATTER_BLOCK: "reduce_scatter",
    CollectiveType.BARRIER: "barrier",
}

_SIZE_OF_A_PART = ("all_gather", "gather")
"""Kinds whose `comm_size` is what one rank gives. **Source:** astra-sim, native_collectives/
collective_algorithm/Ring.cc: an all-gather of `data_size` sends messages of `data_size`, a reduce-scatter,
all-reduce or all-to-all messages of `data_size` / ranks."""

_ALL = ("", "0")
"""Names of the group of all ranks. **Source:** astra-sim, Workload.cc, `extract_comm_group`."""


def build_graph(traces: Sequence[RankTrace], groups: Groups) -> Graph:
    """Tie the nodes of all ranks together.

    The n-th collective of a group in one file meets the n-th of the same group in the others; the n-th
    send of one rank to another with a tag meets the n-th receive of that tag.

    Raises
    ------
    InputError
        For nodes that nobody meets, that do not agree, or that wait for each other in a circle.

    **Checked by:** tests/workloads/test_chakra_graph.py.
    """
    tasks = [tasks_of(trace) for trace in traces]
    joints = [*_collectives(traces, tasks, groups), *_sends(traces, tasks)]
    for joint in joints:
        for task in joint.tasks:
            task.joint = joint
    graph = Graph(tasks, joints)
    cycle = find_cycle(graph)
    if cycle:
        raise InputError(cycle_problem(cycle, traces))
    return graph


# ---- collectives


def _collectives(traces: Sequence[RankTrace], tasks: Sequence[Sequence[Task]], groups: Groups) -> list[Joint]:
    calls: dict[str, dict[int, list[Task]]] = defaultdict(lambda: defaultdict(list))
    members = {name: tuple(range(len(traces))) for name in _ALL} | dict(groups)
    for name in _ALL:
        members[name] = members[_ALL[0]]
    for trace, own in zip(traces, tasks, strict=True):
        for task in own:
            if task.node.type == NodeType.COMM_COLL_NODE:
                name = _group_name(trace, task, members)
                calls["" if name in _ALL else name][trace.rank].append(task)
    joints: list[Joint] = []
    for name, by_rank in calls.items():
        rows = zip_longest(*(by_rank[rank] for rank in members[name]))
        joints += (_collective(traces, name, members[name], row) for row in rows)
    return joints


def _group_name(trace: RankTrace, task: Task, members: Mapping[str, tuple[int, ...]]) -> str:
    said = task.node.attributes.get("pg_name", "")
    name = said if isinstance(said, str) else repr(said)
    if name not in members:
        hint = did_you_mean(name, [each for each in members if each])
        message = f"its group '{name}' is not in the file of groups (workload's 'groups').{hint}"
        raise InputError(trace.problem(task.node, message))
    if trace.rank not in members[name]:
        message = f"its group '{name}' has ranks {list(members[name])}, not rank {trace.rank}"
        raise InputError(trace.problem(task.node, message))
    dims = task.node.attributes.get("involved_dim")
    if not name and isinstance(dims, tuple) and not all(dims):
        message = (
            "'involved_dim' leaves dimensions of ASTRA-sim's network out, which only that knows; "
            "name its ranks as a group ('pg_name') instead"
        )
        raise InputError(trace.problem(task.node, message))
    return name


def _collective(
    traces: Sequence[RankTrace], name: str, group: tuple[int, ...], row: tuple[Task | None, ...]
) -> Joint:
    here = [task for task in row if task is not None]
    first = here[0]
    if len(here) < len(group):
        absent = group[row.index(None)]
        message = f"rank {absent} has no collective that would meet it: {traces[absent].file} has fewer"
        raise InputError(traces[first.rank].problem(first.node, message))
    said = {task: _said(traces, task) for task in here}
    for task, words in said.items():
        if words != said[first]:
            message = (
                f"it is {_words(*words)}; node {first.node.id} of {traces[first.rank].file}, which it "
                f"meets, is {_words(*said[first])}"
            )
            raise InputError(traces[task.rank].problem(task.node, message))
    kind, size = said[first]
    whole = size * len(group) if kind in _SIZE_OF_A_PART else size
    return Joint(kind, group, f"group {name}", float(whole), tuple(here))


def _said(traces: Sequence[RankTrace], task: Task) -> tuple[str, int]:
    """Return kind and size of a collective; a barrier has none."""
    number = _number(traces, task, "comm_type")
    if number > max(CollectiveType):
        message = f"comm_type {number} is unknown; known are 0 to {max(CollectiveType)}"
        raise InputError(traces[task.rank].problem(task.node, message))
    kind = _KINDS[CollectiveType(number)]
    return kind, 0 if kind == "barrier" else _number(traces, task, "comm_size")


def _words(kind: str, size_bytes: int) -> str:
    return f"{kind.replace('_', '-')} of {size_bytes} B"


# ---- sends and receives


def _sends(traces: Sequence[RankTrace], tasks: Sequence[Sequence[Task]]) -> list[Joint]:
    sends: dict[tuple[int, int, int], list[Task]] = defaultdict(list)
    receives: dict[tuple[int, int, int], list[Task]] = defaultdict(list)
    for own in tasks:
        for task in own:
            if task.node.type == NodeType.COMM_SEND_NODE:
                sends[task.rank, _peer(traces, task, "comm_dst"), _tag(traces, task)].append(task)
            elif task.node.type == NodeType.COMM_RECV_NODE:
                receives[_peer(traces, task, "comm_src"), task.rank, _tag(traces, task)].append(task)
    joints: list[Joint] = []
    for key in dict.fromkeys((*sends, *receives)):
        for send, receive in zip_longest(sends.get(key, ()), receives.get(key, ())):
            if send is None or receive is None:
                raise InputError(_unmatched(traces, send or receive, key))
            joints.append(_transfer(traces, send, receive))
    return joints


def _unmatched(traces: Sequence[RankTrace], task: Task, key: tuple[int, int, int]) -> Problem:
    source, target, tag = key
    sends = task.rank == source and task.node.type == NodeType.COMM_SEND_NODE
    other, what = (target, "receive") if sends else (source, "send")
    message = f"{traces[other].file} has no {what} that meets it (from {source} to {target}, tag {tag})"
    return traces[task.rank].problem(task.node, message)


def _transfer(traces: Sequence[RankTrace], send: Task, receive: Task) -> Joint:
    sizes = [_number(traces, task, "comm_size") for task in (send, receive)]
    if sizes[0] != sizes[1]:
        message = (
            f"it sends {sizes[0]} B, node {receive.node.id} of {traces[receive.rank].file} "
            f"receives {sizes[1]} B"
        )
        raise InputError(traces[send.rank].problem(send.node, message))
    pair = (send.rank, receive.rank)
    return Joint("send_recv", pair, f"from {pair[0]} to {pair[1]}", float(sizes[0]), (send, receive))


def _peer(traces: Sequence[RankTrace], task: Task, name: str) -> int:
    rank = _number(traces, task, name)
    if not 0 <= rank < len(traces):
        message = f"{name} is {rank}; there are ranks 0 to {len(traces) - 1}"
        raise InputError(traces[task.rank].problem(task.node, message))
    return rank


def _tag(traces: Sequence[RankTrace], task: Task) -> int:
    return _number(traces, task, "comm_tag", default=0)


def _number(traces: Sequence[RankTrace], task: Task, name: str, *, default: int | None = None) -> int:
    """Return an attribute that is a whole number, not negative."""
    value = task.node.attributes.get(name, default)
    if type(value) is not int or value < 0:
        found = "is missing" if value is None else f"is {value!r}"
        message = f"its attribute '{name}' {found}; a whole number from 0 is due"
        raise InputError(traces[task.rank].problem(task.node, message))
    return value
