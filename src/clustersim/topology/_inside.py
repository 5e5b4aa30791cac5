"""Paths inside one node: over scale-up links where they lead there, else over PCIe."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clustersim.topology._wires import Wires

__all__ = ["Pick", "joined_by_scale_up", "ports", "route_inside"]

Pick = Callable[[Sequence[tuple[int, int]], int], tuple[int, int]]
"""Chooses one of several equal (vertex, link) at a hop."""


def route_inside(wires: Wires, source: int, target: int, pick: Pick) -> list[int] | None:
    """Return the links of a shortest path that stays in the node, or None.

    Scale-up links come first, and GPUs may forward on them (as on a hybrid cube mesh);
    on other links only switches, NICs and the host forward.
    """
    return _route(wires, source, target, pick, scale_up=True) or _route(
        wires, source, target, pick, scale_up=False
    )


def joined_by_scale_up(wires: Wires, source: int, target: int) -> bool:
    """Whether scale-up links of their node lead from one vertex to another."""
    return source != target and source in _hops_to(wires, source, target, scale_up=True)


def _route(wires: Wires, source: int, target: int, pick: Pick, *, scale_up: bool) -> list[int] | None:
    hops = _hops_to(wires, source, target, scale_up=scale_up)
    if source not in hops:
        return None
    links: list[int] = []
    at = source
    while at != target:
        ahead = [
            (vertex, link)
            for vertex, link in wires.out[at]
            if hops.get(vertex) == hops[at] - 1 and (wires.is_scale_up[link] or not scale_up)
        ]
        at, link = pick(ahead, len(links))
        links.append(link)
    return links


def _hops_to(wires: Wires, source: int, target: int, *, scale_up: bool) -> dict[int, int]:
    """Breadth first from the target backwards, until the source is met."""
    node, hops, frontier = wires.node[target], {target: 0}, [target]
    while frontier and source not in hops:
        behind: list[int] = []
        for at in frontier:
            if at != target and not scale_up and not wires.forwards[at]:
                continue
            for vertex, link in wires.into[at]:
                if (
                    vertex not in hops
                    and wires.node[vertex] == node
                    and (wires.is_scale_up[link] or not scale_up)
                ):
                    hops[vertex] = hops[at] + 1
                    behind.append(vertex)
        frontier = behind
    return hops


def ports(wires: Wires, vertex: int, *, leaving: bool) -> tuple[int, ...]:
    """Return the vertices of the node, nearest to `vertex`, that have a link to outside.

    `leaving` True looks at links that go out, False at links that come in. A vertex
    outside all nodes is its own port.
    """
    node = wires.node[vertex]
    if node is None:
        return (vertex,)
    links = wires.out if leaving else wires.into
    seen, frontier = {vertex}, [vertex]
    while frontier:
        found = [at for at in frontier if any(wires.node[other] != node for other, _ in links[at])]
        if found:
            return tuple(sorted(found))
        ahead: list[int] = []
        for at in frontier:
            for other, _ in links[at]:
                if other not in seen and wires.forwards[other]:
                    seen.add(other)
                    ahead.append(other)
        frontier = ahead
    return ()
