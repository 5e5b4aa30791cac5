"""The nodes of one rank, with the order in which its lane executes them as dependencies."""

from __future__ import annotations

from collections.abc import Mapping

from clustersim.workloads.chakra.messages import AttributeValue, CollectiveType, Node, NodeType

__all__ = ["COLLECTIVES", "RankWriter"]

_MICROS_PER_S = 1e6

COLLECTIVES: Mapping[str, CollectiveType] = {
    "all_reduce": CollectiveType.ALL_REDUCE,
    "all_gather": CollectiveType.ALL_GATHER,
    "reduce_scatter": CollectiveType.REDUCE_SCATTER,
    "all_to_all": CollectiveType.ALL_TO_ALL,
    "broadcast": CollectiveType.BROADCAST,
    "reduce": CollectiveType.REDUCE,
    "gather": CollectiveType.GATHER,
    "scatter": CollectiveType.SCATTER,
    "barrier": CollectiveType.BARRIER,
}
"""Types of collectives by their names here."""

_SIZE_OF_A_PART = ("all_gather", "gather")
"""Kinds whose size is what one rank gives; docs/chakra.md."""


class RankWriter:
    """Collects nodes; what comes next waits for what the lane has passed.

    Durations are whole microseconds, of which the format has no parts: what rounding takes from one
    computation it gives to the next, so that all together are right to half a microsecond.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._passed: tuple[int, ...] = ()
        self._tails: dict[str, int] = {}
        self._launched: dict[str, int] = {}
        self._computed_s = 0.0
        self._computed_micros = 0

    def compute(self, name: str, seconds: float) -> None:
        """Compute; everything after waits for it."""
        self._computed_s += seconds
        end = round(self._computed_s * _MICROS_PER_S)
        number = self._add(name, NodeType.COMP_NODE, {}, duration_micros=end - self._computed_micros)
        self._computed_micros = end
        self._passed = (number,)

    def collective(
        self,
        key: str,
        name: str,
        kind: str,
        size_bytes: float,
        *,
        stream: str,
        ranks: int,
        group: str,
        after: str,
    ) -> None:
        """Begin a collective of a group when those before it on its stream, and `after`, have ended."""
        part = 1 / ranks if kind in _SIZE_OF_A_PART else 1.0
        attributes: dict[str, AttributeValue] = {
            "comm_type": int(COLLECTIVES[kind]),
            "comm_size": round(size_bytes * part),
        }
        if group:
            attributes["pg_name"] = group
        self._launch(key, name, NodeType.COMM_COLL_NODE, attributes, stream=stream, after=after)

    def move(self, key: str, name: str, size_bytes: float, *, store: bool, stream: str, after: str) -> None:
        """Store something in the host's memory, or load it from there."""
        kind = NodeType.MEM_STORE_NODE if store else NodeType.MEM_LOAD_NODE
        self._launch(key, name, kind, {"tensor_size": round(size_bytes)}, stream=stream, after=after)

    def send(self, key: str, name: str, size_bytes: float, *, source: int, target: int, tag: int) -> None:
        """Send to a rank, after what was sent to it before."""
        attributes = _message(size_bytes, source, target, tag)
        self._launch(key, name, NodeType.COMM_SEND_NODE, attributes, stream=f"to {target}", after="")

    def receive(self, name: str, size_bytes: float, *, source: int, target: int, tag: int) -> None:
        """Receive from a rank; everything after waits for it."""
        attributes = _message(size_bytes, source, target, tag)
        self._passed = (*self._passed, self._add(name, NodeType.COMM_RECV_NODE, attributes))

    def wait(self, key: str) -> None:
        """Have everything after wait for what was begun as `key`, if that was anything."""
        number = self._launched.get(key)
        if number is not None and number not in self._passed:
            self._passed = (*self._passed, number)

    def _launch(
        self,
        key: str,
        name: str,
        kind: NodeType,
        attributes: Mapping[str, AttributeValue],
        *,
        stream: str,
        after: str,
    ) -> None:
        waits = (*self._passed, self._tails.get(stream), self._launched.get(after))
        number = self._add(name, kind, attributes, waits=waits)
        self._tails[stream] = self._launched[key] = number

    def _add(
        self,
        name: str,
        kind: NodeType,
        attributes: Mapping[str, AttributeValue],
        *,
        duration_micros: int = 0,
        waits: tuple[int | None, ...] | None = None,
    ) -> int:
        number = len(self.nodes)
        before = dict.fromkeys(
            each for each in (self._passed if waits is None else waits) if each is not None
        )
        self.nodes.append(
            Node(
                id=number,
                name=name,
                type=kind,
                data_deps=tuple(before),
                duration_micros=duration_micros,
                attributes={"is_cpu_op": False, **attributes},
            )
        )
        return number


def _message(size_bytes: float, source: int, target: int, tag: int) -> dict[str, AttributeValue]:
    return {"comm_size": round(size_bytes), "comm_src": source, "comm_dst": target, "comm_tag": tag}
