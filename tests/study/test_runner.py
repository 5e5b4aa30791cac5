"""From a scenario to a result: what stops a run early, and what is found before it starts."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import simpy

import clustersim as cs
from clustersim.engine.world import World
from clustersim.study.prepare import check, prepare
from clustersim.workloads import Outcome


def two_nodes(**workload: Any) -> dict[str, Any]:
    """A job of sixteen GPUs on two nodes under one switch."""
    job = {"kind": "training", "name": "job", "model": "bert-large", "gpus": 16, "micro_batch": 8, "steps": 3}
    return {
        "name": "two-nodes",
        "cluster": {
            "topology": {"kind": "star", "nodes": 2, "node": "dgx-a100"},
            "fabric": {"link": "infiniband-hdr"},
        },
        "workloads": [job | {"sequence": 128} | workload],
    }


class Probe:
    """A workload that waits, and may press Ctrl-C."""

    name, kind = "probe", "probe"

    def __init__(self, *, interrupt_at_s: float | None = None) -> None:
        self.interrupt_at_s = interrupt_at_s

    def start(self, world: World) -> simpy.Process:
        return world.env.process(self._wait(world))

    def _wait(self, world: World) -> Iterator[simpy.Event]:  # type: ignore[misc]
        if self.interrupt_at_s is not None:
            yield world.env.timeout(self.interrupt_at_s)
            os.kill(os.getpid(), signal.SIGINT)

    def progress(self) -> float:
        return 1.0

    def outcome(self) -> Outcome:
        return Outcome(self.name, self.kind, {"waited": 1.0}, {}, {}, complete=True)


def test_the_same_seed_gives_the_same_result_bit_for_bit() -> None:
    scenario = cs.Scenario.from_dict(two_nodes(kernel_jitter=0.1))
    assert cs.run(scenario, seed=3).metrics() == cs.run(scenario, seed=3).metrics()
    assert cs.run(scenario, seed=3).metrics() != cs.run(scenario, seed=4).metrics()


def test_ctrl_c_keeps_what_was_computed_and_says_that_it_is_partial() -> None:
    scenario = cs.Scenario.from_dict(two_nodes(steps=10_000))
    result = cs.run(scenario, workloads=[Probe(interrupt_at_s=3.0)])
    assert not result.complete
    assert len(result.iterations("job")) >= 2
    assert "partial" in result.summary().lower()


def test_a_failed_link_ends_the_run_with_the_reason_and_keeps_the_result() -> None:
    data = two_nodes(steps=10_000)
    data["cluster"]["changes"] = [{"at": "2 s", "link": "node0/nic0<>leaf0", "capacity": 0}]
    topology = prepare(cs.Scenario.from_dict(two_nodes())).topology
    switch = next(
        target for source, target in topology.link_ends if source == "node0/nic0" and "node0" not in target
    )
    data["cluster"]["changes"][0]["link"] = f"node0/nic0<>{switch}"
    result = cs.run(cs.Scenario.from_dict(data))
    assert not result.complete
    assert "nothing can move" in result.notes[0]
    assert "node0/nic0" in result.notes[0]
    assert len(result.iterations("job")) >= 1


def test_a_degraded_link_slows_the_iterations_while_it_lasts() -> None:
    data = two_nodes(steps=None, duration="6 s")
    healthy = cs.run(cs.Scenario.from_dict(data)).metrics()["job"]["iteration_s.p99"]
    topology = prepare(cs.Scenario.from_dict(data)).topology
    switch = next(
        target for source, target in topology.link_ends if source == "node0/nic0" and "node0" not in target
    )
    link = f"node0/nic0<>{switch}"
    data["cluster"]["changes"] = [
        {"at": "2 s", "link": link, "capacity": 0.01},
        {"at": "4 s", "link": link, "capacity": 1},
    ]
    iterations = cs.run(cs.Scenario.from_dict(data)).iterations("job")
    during = iterations[(iterations.start_s > 2) & (iterations.start_s < 3.5)].duration_s
    after = iterations[iterations.start_s > 5].duration_s
    assert during.min() > 1.2 * healthy
    assert after.max() == pytest.approx(healthy, rel=1e-6)


def test_an_unknown_link_of_a_change_is_named_with_its_place() -> None:
    data = two_nodes()
    data["cluster"]["changes"] = [{"at": "2 s", "link": "node0/nic0<>leaf7", "capacity": 0}]
    with pytest.raises(cs.InputError, match=r"cluster.changes\[0\].link"):
        check(cs.Scenario.from_dict(data))


def test_more_gpus_than_the_cluster_has_are_refused() -> None:
    with pytest.raises(cs.CannotRunError, match="24 GPUs are asked for"):
        check(cs.Scenario.from_dict(two_nodes(gpus=24)))


def test_every_problem_of_every_workload_is_told_at_once() -> None:
    data = two_nodes(model="bert-larg")
    data["workloads"].append(data["workloads"][0] | {"name": "other", "gpus": 99})
    with pytest.raises(cs.InputError) as caught:
        check(cs.Scenario.from_dict(data))
    assert "workloads[0].model" in str(caught.value)
    assert "workloads[1].gpus" in str(caught.value)


def test_until_stops_the_clock_there() -> None:
    data = two_nodes(steps=10_000) | {"run": {"until": "2 s"}}
    result = cs.run(cs.Scenario.from_dict(data))
    assert result.simulated_s == pytest.approx(2.0)
    assert not result.outcomes["job"].complete


def test_progress_rises_to_one() -> None:
    seen: list[float] = []
    cs.run(cs.Scenario.from_dict(two_nodes()), progress=lambda fraction, _: seen.append(fraction))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
