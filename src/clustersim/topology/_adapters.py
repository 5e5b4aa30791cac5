"""Where a vertex's traffic leaves and enters its node: its nearest ports, and relays to others."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from clustersim.topology._alike import AlikeNodes, Place
from clustersim.topology._inside import joined_by_scale_up, ports
from clustersim.topology._wires import Wires

__all__ = ["Adapters"]


class Adapters:
    """Ports of each vertex: the vertices, nearest to it, that have a link to outside its node.

    *Equation.* The k-th of g GPUs that are equally near to the same n ports takes port
    ⌊k·n/g⌋ first, so that GPUs share adapters evenly and keep to one rail each.

    **Checked by:** tests/topology/test_nodes.py, tests/topology/test_routing_forwarding.py.
    """

    def __init__(self, wires: Wires) -> None:
        self._wires = wires
        self._near: dict[tuple[int, bool], tuple[int, ...]] = {}
        self._ports: dict[tuple[int, bool], tuple[int, ...]] = {}
        self._ports_by_place: dict[tuple[Place, bool], tuple[int, ...]] = {}
        self._relay_ways: dict[tuple[int, int, bool], list[tuple[int, ...]]] = {}

    @cached_property
    def alike(self) -> AlikeNodes:
        """Which nodes are alike inside."""
        return AlikeNodes(self._wires)

    @cached_property
    def gpus_by_node(self) -> dict[str | None, list[int]]:
        """GPUs of each node, in the graph's order."""
        found: dict[str | None, list[int]] = {}
        for vertex, kind in enumerate(self._wires.kind):
            if kind == "gpu":
                found.setdefault(self._wires.node[vertex], []).append(vertex)
        return found

    @cached_property
    def _members(self) -> dict[str, list[int]]:
        """Vertices of each node, in the graph's order."""
        found: dict[str, list[int]] = {}
        for vertex, node in enumerate(self._wires.node):
            if node is not None:
                found.setdefault(node, []).append(vertex)
        return found

    def of(self, vertex: int, *, leaving: bool) -> tuple[int, ...]:
        """Return the vertex's nearest ports, the one of its rail first; a chip of the fabric is its own."""
        key = (vertex, leaving)
        found = self._ports.get(key)
        if found is None:
            found = self._ports[key] = self._as_in_nodes_alike(vertex, leaving=leaving)
        return found

    def _as_in_nodes_alike(self, vertex: int, *, leaving: bool) -> tuple[int, ...]:
        """The vertex's ports, looked for once in all nodes of a shape."""
        if self._wires.node[vertex] is None:
            return self._in_turn(vertex, leaving=leaving)
        place = self.alike.place(vertex)
        known = self._ports_by_place.get((place, leaving))
        if known is not None:
            return self.alike.vertices(vertex, known)
        found = self._in_turn(vertex, leaving=leaving)
        self._ports_by_place[place, leaving] = self.alike.places(found)
        return found

    def _in_turn(self, vertex: int, *, leaving: bool) -> tuple[int, ...]:
        near = self._nearest(vertex, leaving=leaving)
        first = self._turn(vertex, near, leaving=leaving) if len(near) > 1 else 0
        return near[first:] + near[:first]

    def _nearest(self, vertex: int, *, leaving: bool) -> tuple[int, ...]:
        key = (vertex, leaving)
        found = self._near.get(key)
        if found is None:
            own = self._wires.in_fabric[vertex]
            found = self._near[key] = (vertex,) if own else ports(self._wires, vertex, leaving=leaving)
        return found

    def _turn(self, vertex: int, near: tuple[int, ...], *, leaving: bool) -> int:
        """Place in `near` of the port that the vertex takes first."""
        if self._wires.kind[vertex] != "gpu":
            return 0
        rivals = [
            gpu
            for gpu in self.gpus_by_node[self._wires.node[vertex]]
            if self._nearest(gpu, leaving=leaving) == near
        ]
        return rivals.index(vertex) * len(near) // len(rivals)

    def relayed(self, source: int, target: int) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
        """Yield ways of pairs that their own ports do not join: source … port, and port … target.

        First over another port of the source's node, as NCCL's PXN does (a GPU of the target's rail
        takes the bytes over the scale-up switch and sends them on), then over another port of the
        target's node, then over both.

        **Source:** "Doubling all2all performance with NCCL 2.12", NVIDIA developer blog, 2022 (PXN).
        """
        leave = [(source, port) for port in self.of(source, leaving=True)]
        enter = [(target, port) for port in self.of(target, leaving=False)]
        other_leave = self._relays(source, self._place(target), leaving=True)
        other_enter = self._relays(target, self._place(source), leaving=False)
        for befores, afters in ((other_leave, enter), (leave, other_enter), (other_leave, other_enter)):
            for before in befores:
                for after in afters:
                    yield before, after[::-1]

    def _relays(self, vertex: int, place: int, *, leaving: bool) -> list[tuple[int, ...]]:
        """Ways from a vertex to the other ports of its node, beginning with GPU `place`'s."""
        key = (vertex, place, leaving)
        found = self._relay_ways.get(key)
        if found is None:
            own = self.of(vertex, leaving=leaving)
            ways = self._ways_to_ports(vertex, place, leaving=leaving)
            found = self._relay_ways[key] = [way for port, way in ways if port not in own]
        return found

    def _ways_to_ports(
        self, vertex: int, place: int, *, leaving: bool
    ) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Each port of a vertex's node with the way there: over the GPU beside it, else directly."""
        wires, node = self._wires, self._wires.node[vertex]
        if node is None:
            return
        gpus = self.gpus_by_node.get(node, [])
        beside: dict[int, int] = {}
        for gpu in [*gpus[place : place + 1], *gpus]:
            if joined_by_scale_up(wires, vertex, gpu):
                for port in self.of(gpu, leaving=leaving)[:1]:
                    beside.setdefault(port, gpu)
        links = wires.out if leaving else wires.into
        outer = [
            port for port in self._members[node] if any(wires.node[other] != node for other, _ in links[port])
        ]
        for port in [*beside, *(port for port in outer if port not in beside)]:
            yield port, (vertex, beside[port], port) if port in beside else (vertex, port)

    def _place(self, vertex: int) -> int:
        """Place of a GPU in its node; 0 for what is no GPU."""
        gpus = self.gpus_by_node.get(self._wires.node[vertex], [])
        return gpus.index(vertex) if vertex in gpus else 0
