"""Flows on the simpy clock: one flush per instant, one wake for the next completion."""

from __future__ import annotations

import math
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import simpy
from simpy.events import NORMAL, EventPriority

from clustersim.engine.fabric.flow import Flow
from clustersim.engine.fabric.meters import COLLECT_AT, LinkMeters
from clustersim.engine.fabric.sharing import Sharing

__all__ = ["Clockwork"]

_AFTER_NORMAL = EventPriority(2)
"""The solve comes after everything else of the same instant."""
_LOOK_EVERY = 2048
"""After so many classes solved for, whoever wants to know is told how much work there was (assumed)."""
_TOUCH_S = 5e-6
"""CPU time per class solved for in plain Python (assumed; measured 3 to 8 µs)."""


def _keep(alarm: simpy.Event, _: object) -> None:
    """Leave an alarm what it calls."""


class _Alarm(simpy.Event):
    """An event of the fabric's own that is scheduled again and again, with one callback."""

    # simpy takes the callbacks away from an event that it has processed; here they stay.
    callbacks: Any = property(attrgetter("_calls"), _keep)

    def __init__(self, env: simpy.Environment, ring: Callable[[simpy.Event], None]) -> None:
        self.env = env
        self._ok = True
        self._value = None
        self._calls = [ring]


class Clockwork:
    """Puts rates on the clock.

    Whoever changes something calls `look` afterwards. What is pending then is solved once, after
    everything else of that instant. One event stands for the next completion of the whole fabric;
    when it fires, the flows that are done fire in turn.
    """

    def __init__(self, env: simpy.Environment, sharing: Sharing, meters: LinkMeters) -> None:
        self.env = env
        self.sharing = sharing
        """Who knows the rates; it may be replaced between two instants, by `on_work` for example."""
        self.meters = meters
        self.wakes = 0
        """How often flows finished."""
        self.events = 0
        """How often an event of the fabric's own came up."""
        self.on_work: Callable[[float], None] | None = None
        """Is told now and then, when nothing is pending, how many CPU seconds solving took since."""
        self.on_changed: Callable[[], None] | None = None
        """Is called after every change that `Sharing.changed` may tell of."""
        self._told_at = 0
        self._flush_pending = False
        self._flush_alarm = _Alarm(env, self._flush)
        self._wake_alarm = _Alarm(env, self._wake)
        self._wake_s = math.inf
        """Time of the completion that is waited for."""
        self._rings_s = math.inf
        """When the alarm for it rings: the clock may show a rounding error less or more."""

    def look(self) -> None:
        """See to it that what is pending gets solved, and that the next completion is not missed."""
        sharing = self.sharing
        if self.on_changed is not None:
            self.on_changed()
        if sharing.pending:
            if not self._flush_pending:
                self._flush_pending = True
                self.env.schedule(self._flush_alarm, _AFTER_NORMAL)
        elif sharing.next_s < self._wake_s:
            self._wake_s = next_s = sharing.next_s
            now_s = self.env.now
            delay_s = next_s - now_s
            self._rings_s = now_s + delay_s
            self.env.schedule(self._wake_alarm, NORMAL, delay_s)

    def _flush(self, _: simpy.Event) -> None:
        """Solve once for all changes of this instant."""
        self.events += 1
        self._flush_pending = False
        self.sharing.solve(self.env.now)
        self.look()
        if len(self.meters.log) >= COLLECT_AT:
            self.meters.collect()
        if self.on_work is not None:
            self._tell_work(self.on_work)

    def _tell_work(self, on_work: Callable[[float], None]) -> None:
        """Tell how much work there was, now and then."""
        touched = self.sharing.flows_touched - self._told_at
        if touched >= _LOOK_EVERY:
            self._told_at += touched
            if not self.sharing.pending:
                on_work(_TOUCH_S * touched)

    def _wake(self, _: simpy.Event) -> None:
        """Finish the flows whose time has come: by their key, never by what seems to be left."""
        self.events += 1
        now_s = self.env.now
        if now_s != self._rings_s:
            return  # an earlier completion came in between; this one was arranged again since
        due_s = max(now_s, self._wake_s)
        self._wake_s = self._rings_s = math.inf
        done = self.sharing.finish(due_s, now_s)
        at_once = len(done) == 1 and len(done[0].callbacks) < 2 and self.env.peek() > now_s
        if done:
            self.wakes += 1
            if not at_once:
                for flow in done:
                    self.env.schedule(flow)
        self.look()
        if len(self.meters.log) >= COLLECT_AT:
            self.meters.collect()
        if at_once:
            _fire(done[0])


def _fire(flow: Flow) -> None:
    """Do what simpy does with an event that comes up; a flow does not fail."""
    callbacks: Any = flow.callbacks
    nothing: Any = None
    flow.callbacks = nothing
    for callback in callbacks:
        callback(flow)
