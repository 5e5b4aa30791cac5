"""Whether a workload gets next to nothing because others are served first."""

from __future__ import annotations

from clustersim.engine.fabric import Flow
from clustersim.engine.world import World

__all__ = ["why_starved"]

_NOTHING = 1e-6
"""A share of the narrowest link, over the time of waiting, that is no progress."""
_AT_LEAST = 0.01
"""A wait shorter than this part of the run is no starvation."""


def why_starved(world: World) -> str:
    """Return a sentence on the owners that have waited in vain for their first bytes; else nothing.

    An owner that has moved more than a millionth of what its narrowest link could have carried while
    it waited is slow, not starved; and so is one that waits since a moment ago.
    """
    moved: dict[str, float] = {}
    for route_set, size_bytes in world.fabric.moved_bytes():
        moved[route_set.owner] = moved.get(route_set.owner, 0.0) + size_bytes
    parts = {
        flow.route_set.owner: f"'{flow.route_set.owner}' waits for bytes since {flow.started_s:.6g} s: "
        f"traffic of a higher priority fills {_full_links(world, flow)}"
        for flow in world.fabric.starved()
        if world.env.now - flow.started_s > _AT_LEAST * world.env.now
        and moved[flow.route_set.owner] <= _NOTHING * _possible_bytes(world, flow)
    }
    return f"starved at {world.env.now:.6g} s: {'; '.join(parts.values())}" if parts else ""


def _possible_bytes(world: World, flow: Flow) -> float:
    """Bytes that the narrowest link of a flow could have carried while it waited."""
    narrowest = min(map(world.fabric.capacity_bytes_per_s, flow.route_set.links))
    return narrowest * (world.env.now - flow.started_s)


def _full_links(world: World, flow: Flow) -> str:
    fabric = world.fabric
    full = [
        world.topology.link_names[link]
        for link in flow.route_set.links
        if fabric.load_bytes_per_s(link) >= (1.0 - _NOTHING) * fabric.capacity_bytes_per_s(link)
    ]
    return ", ".join(full[:3])
