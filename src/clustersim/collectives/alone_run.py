"""A collective that has its links to itself until somebody says otherwise: one event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clustersim.collectives.macro_run import Choice, MacroRun

if TYPE_CHECKING:
    import simpy

    from clustersim.collectives.communicator import Communicator

__all__ = ["AloneRun"]


class AloneRun(MacroRun):
    """Runs a collective of one phase in closed form, and on the fabric from `join` on.

    Whoever makes it knows that nothing gets in its way until then; the end is the same as on the fabric.

    **Checked by:** tests/workloads/test_training_quiet_sends.py.
    """

    __slots__ = ("_timer",)

    def __init__(
        self, communicator: Communicator, choice: Choice, cause: int, label: str, done: simpy.Event
    ) -> None:
        self._timer: simpy.Event | None = None
        super().__init__(communicator, choice, 1, cause, label, done)

    def join(self) -> None:
        """Go on over the fabric: others may now use its links."""
        if self._timer is None:
            return
        self._timer = None
        world, leg = self._communicator.world, self._choice.legs[0]
        moved_s = world.env.now - self._start_s - leg.delay_s
        if moved_s <= 0.0:
            world.env.timeout(-moved_s).callbacks.append(self._flow)
            return
        part = min(1.0, moved_s / leg.flow_s)
        self._book(moved_s, part * leg.flow_bytes)
        flow = world.fabric.start(
            leg.route_set, (1.0 - part) * leg.flow_bytes, bound_bytes_per_s=leg.flow_bytes / leg.flow_s
        )
        flow.callbacks.append(self._flowed)

    def _wait(self) -> None:
        self._timer = self._communicator.world.env.timeout(self._choice.alone_s)
        self._timer.callbacks.append(self._passed)

    def _passed(self, timer: simpy.Event) -> None:
        if timer is not self._timer:
            return  # it went on over the fabric
        self._timer = None
        leg = self._choice.legs[0]
        self._book(leg.flow_s, leg.flow_bytes)
        self._communicator.finish(self._start_s, self._shares, self._cause, self._label, self._done)

    def _book(self, moved_s: float, moved_bytes: float) -> None:
        """Put bytes that have moved in closed form on the links' meters, and their time into the shares."""
        communicator, leg = self._communicator, self._choice.legs[0]
        now_s = communicator.world.env.now
        own_s = moved_s * leg.bandwidth_part
        communicator.world.fabric.account(leg.route_set, moved_bytes, now_s - moved_s, now_s)
        communicator.add_share(self._shares, leg.slowest_link, own_s)
        communicator.note_waits(leg, {}, own_s, until_s=now_s)
