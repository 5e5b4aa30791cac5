"""Flows as simpy events: what a flow costs the event loop, and in which order events of one instant come."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest
import simpy

from clustersim.engine.fabric import Fabric, Flow


@pytest.fixture
def env() -> simpy.Environment:
    return simpy.Environment()


@pytest.fixture
def fabric(env: simpy.Environment) -> Fabric:
    return Fabric(env, [10.0, 10.0], names=["a", "b"])


def send(fabric: Fabric, link: int, size_bytes: float) -> Flow:
    return fabric.start(fabric.route_set([link]), size_bytes)


def note(flow: simpy.Event, notes: list[str], text: str) -> None:
    def write(_: simpy.Event) -> None:
        notes.append(text)

    callbacks: list[Callable[[Any], None]] = flow.callbacks
    callbacks.append(write)


def test_a_flow_that_is_alone_from_start_to_finish_is_one_event(
    env: simpy.Environment, fabric: Fabric
) -> None:
    flow = send(fabric, 0, 10.0)
    env.step()
    assert flow.processed
    assert env.peek() == float("inf")


def test_a_flow_fires_after_what_was_due_before_it_at_the_same_instant(
    env: simpy.Environment, fabric: Fabric
) -> None:
    notes: list[str] = []
    note(send(fabric, 0, 10.0), notes, "flow")
    note(env.timeout(1.0), notes, "timeout")
    env.run()
    assert notes == ["timeout", "flow"]


def test_flows_that_are_done_together_fire_before_what_they_cause(
    env: simpy.Environment, fabric: Fabric
) -> None:
    notes: list[str] = []

    def process(name: str, link: int) -> Generator[simpy.Event, Any, None]:
        yield send(fabric, link, 10.0)
        notes.append(name)
        yield env.timeout(0.0)
        notes.append(f"after {name}")

    env.process(process("first", 0))
    env.process(process("second", 1))
    env.run()
    assert notes == ["first", "second", "after first", "after second"]


def test_a_run_until_a_flow_stops_there_and_goes_on(env: simpy.Environment, fabric: Fabric) -> None:
    first, second = send(fabric, 0, 10.0), send(fabric, 0, 30.0)
    third = send(fabric, 1, 15.0)
    assert env.run(until=third) is None
    assert (env.now, third.processed, first.processed) == (1.5, True, False)
    env.run(until=first)
    assert env.now == 2.0
    env.run()
    assert (first.finished_s, second.finished_s) == (2.0, 4.0)


def test_a_flow_can_be_waited_for_with_others(env: simpy.Environment, fabric: Fabric) -> None:
    flows = [send(fabric, link, size_bytes) for link, size_bytes in ((0, 10.0), (1, 20.0))]
    env.run(until=env.any_of(flows))
    assert env.now == 1.0
    env.run(until=env.all_of(flows))
    assert env.now == 2.0


def test_what_held_a_flow_back_is_known_long_after_it_ended(env: simpy.Environment, fabric: Fabric) -> None:
    both = fabric.start(fabric.route_set([0, 1]), 20.0)
    env.run(until=1.0)
    assert both.held_by() == {0: 1.0}
    fabric.set_capacity(1, 5.0)
    later = fabric.start(fabric.route_set([0, 1]), 5.0)
    env.run()
    for _ in range(3):
        send(fabric, 0, 10.0)
    env.run()
    assert (both.held_by(), later.held_by()) == ({0: 1.0, 1: 3.0}, {1: 2.0})
