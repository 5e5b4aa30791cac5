"""From the interpreted to the compiled solver, at an instant and without changing an answer.

A run begins interpreted, because loading the compiled code takes half a second. Once solving has
taken about a second it is worth loading: the flows under way, with the bytes that each has left,
begin again in a compiled sharing, and one solve gives them the rates that they had.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from clustersim.engine.fabric.compiled import choice
from clustersim.engine.fabric.held import pack

if TYPE_CHECKING:
    from clustersim.engine.fabric.compiled.sharing import Compiled
    from clustersim.engine.fabric.flow import Flow
    from clustersim.engine.fabric.interpreted import Interpreted
    from clustersim.engine.fabric.route_set import RouteSet

__all__ = ["WORTH_IT_S", "Work", "compiled_twin"]

WORTH_IT_S = 1.0
"""CPU time of solving after which the compiled code is loaded; loading takes half of that (assumed)."""


class Work:
    """Adds up what solving costs, and says when the compiled code is worth loading.

    Parameters
    ----------
    repeatable
        Count the work of one fabric only. The two solvers round differently, so that a run gives the
        same floats in every process only if what went before in that process does not matter.
    """

    _of_process_s = 0.0

    def __init__(self, *, repeatable: bool) -> None:
        self.repeatable = repeatable
        self._own_s = 0.0

    def add(self, cpu_s: float) -> bool:
        """Note that solving took so long; return whether it is time to switch."""
        self._own_s += cpu_s
        Work._of_process_s += cpu_s
        return (self._own_s if self.repeatable else Work._of_process_s) >= WORTH_IT_S

    def begin_compiled(self) -> bool:
        """Whether a new fabric begins with the compiled solver: where the code is loaded already."""
        return choice.loaded() and not self.repeatable


def compiled_twin(
    old: Interpreted,
    route_sets: Sequence[RouteSet],
    capacities: Sequence[float],
    take: Callable[[Any], None],
    *,
    merge_from: int,
    now_s: float,
) -> Compiled:
    """Return a compiled sharing that goes on where an interpreted one stands; nothing may be pending.

    Parameters
    ----------
    route_sets
        All route sets that were registered, in their order.
    capacities
        Present capacity of each link.
    take
        Is given what moves, as `LinkMeters.take`.
    """
    from clustersim.engine.fabric.compiled.sharing import Compiled

    old.settle(now_s)
    new = Compiled(capacities, take, merge_from=merge_from)
    for route_set in route_sets:
        new.register(route_set, now_s)
    new.take_over(old.partition.altered, old.saturation(now_s), old.partition.state)
    for flow, bound, left_bytes in _under_way(old):
        earlier_s = {link: -seconds for link, seconds in old.held_s(flow, now_s).items()}
        new.start(flow, flow.route_set, left_bytes, bound, now_s)
        flow.held_before = pack(earlier_s)
    new.solve(now_s)
    new.go_on_counting(old.solves, old.flows_touched)
    new.changed = old.changed
    return new


def _under_way(old: Interpreted) -> list[tuple[Flow, float, float]]:
    """Return flow, bound and bytes left of all flows, in the order in which they started."""
    flows = [
        (flow, flow_class.bound, max(target - flow_class.served, 0.0))
        for flow_class in old.alive
        for target, _, flow in flow_class.heap
    ]
    return sorted(flows, key=lambda entry: entry[0].number)
