"""Who shared each link, and whom it held back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clustersim as cs
import synthetic_result
from clustersim.engine.link_waits import LinkWait, LinkWaits
from clustersim.results import FabricReport, Result
from clustersim.results.link_sharing import NO_WORKLOAD, LinkSharing, workload_of

_JOB = {"kind": "training", "name": "job", "model": "gpt2", "gpus": 2, "micro_batch": 1, "steps": 1}
_PAIR = {
    "name": "pair",
    "cluster": {"topology": {"kind": "star", "nodes": 2, "node": "dgx-a100"}},
    "workloads": [
        {"kind": "training", "name": "job", "model": "gpt2", "gpus": 2, "micro_batch": 1, "steps": 1}
    ],
}


@dataclass(frozen=True)
class Routes:
    """As much of a route set as counts here."""

    links: tuple[int, ...]
    weights: tuple[float, ...]
    owner: str
    purpose: str = ""


def two_jobs(**changes: object) -> Result:
    """Two data-parallel jobs over two leaves that meet on oversubscribed uplinks."""
    job = {"kind": "training", "model": "gpt2-xl", "gpus": 8, "micro_batch": 1, "steps": 2}
    spread = {"policy": "spread"}
    scenario = cs.Scenario.from_dict(
        {
            "name": "two-jobs",
            "cluster": {
                "topology": {
                    "kind": "leaf-spine",
                    "nodes": 4,
                    "node": "a100-40gb-x4",
                    "nodes_per_leaf": 2,
                    "oversubscription": 8,
                }
            },
            "workloads": [{**job, "name": name, "placement": spread} for name in ("one", "two")],
        }
    )
    return cs.run(scenario.with_(**changes) if changes else scenario)


@pytest.fixture(scope="module")
def shared() -> Result:
    return two_jobs()


def test_the_rows_of_a_link_add_up_to_its_bytes(shared: Result) -> None:
    sharing, fabric = shared.fabric.sharing, shared.fabric
    sums = np.bincount(sharing.link, weights=sharing.carried_bytes, minlength=len(fabric.names))
    np.testing.assert_allclose(sums, fabric.carried_bytes, rtol=1e-12)


def test_both_jobs_are_named_on_the_links_that_they_share(shared: Result) -> None:
    uplinks = [
        name for name, tier in zip(shared.fabric.names, shared.fabric.tiers, strict=True) if "leaf" in tier
    ]
    met = [link for link in uplinks if set(shared.fabric.shared_by(link)) == {"one", "two"}]
    assert met
    for link in met:
        assert sum(shared.fabric.shared_by(link).values()) == pytest.approx(
            shared.fabric.link(link).carried_bytes, rel=1e-12
        )
    assert set(shared.sharing()["traffic"]) == {"all-reduce"}


def test_seconds_held_back_are_those_of_the_trace(shared: Result) -> None:
    """Full links and own protocols together make up the network bandwidth of every collective."""
    for name in ("one", "two"):
        in_trace = sum(
            seconds
            for activity in shared.trace
            if activity.kind == "collective" and activity.lane.startswith(f"{name}/")
            for resource, seconds in activity.shares.items()
            if resource.startswith("network_bandwidth:")
        )
        rows = shared.sharing().query("workload == @name")
        assert rows["held_back_s"].sum() + rows["protocol_bound_s"].sum() == pytest.approx(in_trace, rel=1e-9)


def test_a_job_alone_is_held_back_by_its_protocol_and_no_link_is_full() -> None:
    alone = cs.run(
        cs.Scenario.from_dict(
            {
                "name": "alone",
                "cluster": {"topology": {"kind": "star", "nodes": 2, "node": "a100-40gb-x4"}},
                "workloads": [
                    {
                        "kind": "training",
                        "name": "job",
                        "model": "gpt2-xl",
                        "gpus": 8,
                        "micro_batch": 1,
                        "steps": 1,
                    }
                ],
            }
        )
    )
    assert alone.fabric.saturated_s.max() == 0.0
    longest = alone.fabric.sharing.held_back()[0]
    assert longest.by_protocol
    assert alone.metrics()["fabric"]["protocol_bound_s.max"] == longest.seconds > 0
    assert alone.fabric.held_back_s("job", alone.fabric.names[longest.link]) == (0.0, longest.seconds)
    assert "at the rate of its own protocol" in alone.bottlenecks()["job"]
    assert "at the rate of job's own protocol" in alone.bottlenecks()["fabric"]


def test_steps_that_are_skipped_ahead_count_as_if_they_had_run() -> None:
    scenario = cs.Scenario.from_dict(
        {
            "name": "chat",
            "cluster": {"topology": {"kind": "star", "nodes": 1, "node": "dgx-h100"}},
            "workloads": [
                {
                    "kind": "inference",
                    "name": "chat",
                    "model": "llama-2-7b",
                    "parallelism": {"tensor": 2},
                    "arrivals": {"kind": "fixed", "rate": "2 req/s"},
                    "lengths": {"prompt": 100, "output": 50},
                    "requests": 4,
                }
            ],
        }
    )
    ahead, through = (
        cs.run(scenario.with_(**{"workloads.chat.skip_ahead": skip})).metrics()["fabric"]
        for skip in (True, False)
    )
    assert ahead["protocol_bound_s.max"] == pytest.approx(through["protocol_bound_s.max"], rel=1e-6)


def test_step_by_step_collectives_name_their_owner_and_kind_too() -> None:
    stepwise = two_jobs(
        **{f"workloads.{name}.collective.fidelity": "stepwise" for name in ("one", "two")},
        **{f"workloads.{name}.model": "resnet-50" for name in ("one", "two")},
        **{f"workloads.{name}.steps": 1 for name in ("one", "two")},
    )
    frame = stepwise.sharing()
    assert set(frame["workload"]) == {"one", "two"}
    assert set(frame["traffic"]) == {"all-reduce"}
    assert (frame["held_back_s"] + frame["protocol_bound_s"]).max() > 0


def test_bytes_of_replicas_are_those_of_their_service() -> None:
    assert synthetic_result.fabric().shared_by(synthetic_result.UPLINK) == {"pretrain": 15e9, "chat": 3.75e9}
    assert workload_of("chat.1", {"chat"}) == "chat"
    assert workload_of("v1.5", {"v1", "v1.5"}) == "v1.5"
    assert workload_of("", {"chat"}) == NO_WORKLOAD


@given(
    st.lists(
        st.builds(
            Routes,
            links=st.just((0, 2, 3)),
            weights=st.tuples(*[st.floats(0.5, 8.0)] * 3),
            owner=st.sampled_from(["", "a", "b.0"]),
            purpose=st.sampled_from(["", "all-reduce"]),
        ),
        max_size=6,
    ),
    st.lists(st.floats(0.0, 1e12), min_size=6, max_size=6),
)
def test_no_byte_is_lost_between_route_sets_and_rows(routes: list[Routes], moved: list[float]) -> None:
    sharing = LinkSharing.of(zip(routes, moved, strict=False), {}, [0, 2, 3], ["a", "b"])  # type: ignore[arg-type]
    for row, link in enumerate((0, 2, 3)):
        total = sum(
            size_bytes * route.weights[route.links.index(link)]
            for route, size_bytes in zip(routes, moved, strict=False)
        )
        assert sum(sharing.by_workload(row, "carried_bytes").values()) == pytest.approx(total, rel=1e-12)


def test_a_second_counts_once_however_many_flows_wait() -> None:
    waits = LinkWaits()
    waits.add("job", "all-reduce", 3, until_s=2.0, full_s=2.0)
    waits.add("job", "all-reduce", 3, until_s=3.0, full_s=2.0)
    assert waits.by_place["job", "all-reduce", 3] == LinkWait(full_s=3.0, protocol_s=0.0, until_s=3.0)


def test_a_flow_that_waited_for_both_reasons_keeps_both() -> None:
    waits = LinkWaits()
    waits.add("job", "all-reduce", 3, until_s=2.0, full_s=0.5, protocol_s=1.5)
    assert waits.by_place["job", "all-reduce", 3] == LinkWait(full_s=0.5, protocol_s=1.5, until_s=2.0)


def test_plain_transfers_are_told_apart_from_workloads() -> None:
    world = cs.World(cs.topology.build(cs.Scenario.from_dict(_PAIR).cluster))
    world.transfer("node0/gpu0", "node1/gpu0", 1e9)
    world.transfer("node0/gpu1", "node1/gpu1", 1e9, owner="mine")
    world.env.run()
    report = FabricReport.of_world(world, workloads=["mine"])
    assert set(report.sharing.workload) == {NO_WORKLOAD, "mine"}
    assert set(report.sharing.traffic) == {"transfer"}
