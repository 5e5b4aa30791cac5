"""Sends between stages in closed form, as long as nothing of the job gets in their way."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import simpy

from clustersim.collectives import Communicator
from clustersim.collectives.alone_run import AloneRun
from clustersim.engine.world import World

__all__ = ["QuietSends"]

_SEND = "send_recv:0:1"
_FULL = 1e-9
"""Loads this little above a link's capacity do not fill it (rounding of sums)."""

_Load = tuple[np.ndarray, np.ndarray]
"""Links, and bytes/s on each."""


class QuietSends:
    """Lets sends pass by the clock alone, one event each, where the fabric would take as long.

    That holds while no collective of the job is on the fabric, no other workload uses their links, and all
    sends under way together fill no link. When that ends, those under way go on over the fabric with
    the bytes that are left.

    Parameters
    ----------
    closed_form
        False: every send goes over the fabric.

    **Checked by:** tests/workloads/test_training_quiet_sends.py, against the fabric.
    """

    def __init__(self, world: World, *, closed_form: bool = True) -> None:
        self._world = world
        self._closed_form = closed_form
        self._capacity = np.array(world.topology.link_bandwidth_bytes_per_s) * (1.0 + _FULL)
        self._used = np.zeros(len(self._capacity))
        self._alone: dict[AloneRun, _Load] = {}
        self._on_fabric = 0
        self._loads: dict[tuple[Communicator, float], _Load | None] = {}

    def send(self, communicator: Communicator, size_bytes: float, *, cause: int, label: str) -> simpy.Event:
        """Begin to send; the event's value is the record."""
        load = self._load(communicator, size_bytes) if self._closed_form else None
        if load is not None and not self._on_fabric and communicator.private and self._fits(load):
            return self._begin(communicator, size_bytes, load, cause, label)
        return self.over_fabric(
            lambda: communicator.send_recv(size_bytes, source=0, target=1, cause=cause, label=label)
        )

    def over_fabric(self, start: Callable[[], simpy.Event]) -> simpy.Event:
        """Begin something on the fabric; sends under way go there as well."""
        self._join_all()
        self._on_fabric += 1
        event = start()
        if event.callbacks is None:
            self._left(event)
        else:
            event.callbacks.append(self._left)
        return event

    def _begin(
        self, communicator: Communicator, size_bytes: float, load: _Load, cause: int, label: str
    ) -> simpy.Event:
        done = self._world.env.event()
        run = communicator.run_alone(_SEND, size_bytes, cause=cause, label=label, done=done)
        links, rates = load
        self._used[links] += rates
        self._alone[run] = load
        assert done.callbacks is not None
        done.callbacks.append(lambda _: self._ended(run))
        return done

    def _fits(self, load: _Load) -> bool:
        links, rates = load
        return bool((self._used[links] + rates <= self._capacity[links]).all())

    def _load(self, communicator: Communicator, size_bytes: float) -> _Load | None:
        key = (communicator, size_bytes)
        if key not in self._loads:
            found = communicator.alone_load(_SEND, size_bytes)
            self._loads[key] = None if found is None else (np.array(found[0]), np.array(found[1]))
            communicator.on_shared(self._join_all)
        return self._loads[key]

    def _ended(self, run: AloneRun) -> None:
        """Forget a send that passed by the clock, or leave the fabric with one that has joined."""
        load = self._alone.pop(run, None)
        if load is None:
            self._on_fabric -= 1
        elif self._alone:
            links, rates = load
            self._used[links] -= rates
        else:
            self._used[load[0]] = 0.0  # sums of differences leave rests

    def _left(self, _: simpy.Event) -> None:
        self._on_fabric -= 1

    def _join_all(self) -> None:
        for run in self._alone:
            run.join()
        for links, _ in self._alone.values():
            self._used[links] = 0.0
        self._on_fabric += len(self._alone)
        self._alone.clear()
