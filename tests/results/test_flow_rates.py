"""Rates of flows over time."""

from __future__ import annotations

import numpy as np
import pytest

import clustersim as cs
import synthetic_result
from clustersim.engine.fabric.rate_recorder import RateRecorder
from clustersim.errors import InputError
from clustersim.results import Result
from clustersim.results.flow_rates import OWN_RATE, FlowRates

_SCENARIO = {
    "name": "rates",
    "cluster": {
        "topology": {
            "kind": "leaf-spine",
            "nodes": 4,
            "node": "a100-40gb-x4",
            "nodes_per_leaf": 2,
            "oversubscription": 8,
        }
    },
    "workloads": [
        {
            "kind": "training",
            "name": name,
            "model": "gpt2-xl",
            "gpus": 8,
            "micro_batch": 1,
            "steps": 2,
            "placement": {"policy": "spread"},
        }
        for name in ("one", "two")
    ],
}


@pytest.fixture(scope="module")
def kept() -> Result:
    return cs.run(cs.Scenario.from_dict(_SCENARIO), keep_rates=True)


def test_keeping_rates_changes_no_number(kept: Result) -> None:
    plain = cs.run(cs.Scenario.from_dict(_SCENARIO))
    assert plain.metrics() == kept.metrics()
    assert plain.content_hash == kept.content_hash
    assert not plain.flows.kept


def test_the_integral_of_the_rates_is_what_the_links_carried(kept: Result) -> None:
    """Each route set loads its links with its rate times its connections there."""
    for name in ("one", "two"):
        (series,) = kept.flows.of(name)
        link, others = series.route.split(" and ")
        assert int(others.split()[0]) > 10
        connections = kept.fabric.shared_by(link)[name] / series.moved_bytes
        assert connections == pytest.approx(round(connections), rel=1e-9)


def test_two_transfers_into_one_port_are_held_back_by_it_and_the_rest_runs_faster() -> None:
    """1 GB and 0.5 GB into one NIC: half the rate each until the small one is done."""
    scenario = cs.Scenario.from_dict(
        {
            **_SCENARIO,
            "cluster": {"topology": {"kind": "star", "nodes": 3, "node": "dgx-a100"}},
        }
    )
    world = cs.World(cs.topology.build(scenario.cluster), keep_rates=True)
    world.transfer("node0/gpu0", "node2/gpu0", 1e9, owner="large")
    world.transfer("node1/gpu0", "node2/gpu0", 0.5e9, owner="small")
    world.env.run()
    flows = FlowRates.of_world(world, workloads=["large", "small"])
    (large,), (small,) = flows.of("large"), flows.of("small")
    full = large.rate_bytes_per_s[-1]
    np.testing.assert_allclose(large.rate_bytes_per_s, [full / 2, full], rtol=1e-9)
    np.testing.assert_allclose(small.rate_bytes_per_s, [full / 2], rtol=1e-9)
    assert large.moved_bytes == pytest.approx(1e9, rel=1e-9)
    assert small.held_by.tolist() == [large.held_by[0]]
    assert large.held_by[0].endswith(">node2/nic0")
    assert (large.route, small.route) == ("node0/gpu0>node2/gpu0", "node1/gpu0>node2/gpu0")


def test_spans_touch_or_leave_out_pauses_and_say_what_held_them_back(kept: Result) -> None:
    for series in kept.flows.series:
        assert (series.start_s[1:] >= series.end_s[:-1]).all()
        assert (series.end_s > series.start_s).all()
        assert (series.rate_bytes_per_s > 0).all()
        assert set(series.held_by) <= {OWN_RATE, *kept.fabric.names}


def test_seconds_by_holder_are_those_that_the_links_counted(kept: Result) -> None:
    for name in ("one", "two"):
        (series,) = kept.flows.of(name)
        counted = {
            kept.fabric.names[each.link]: each.seconds
            for each in kept.fabric.sharing.held_back()
            if each.workload == name and not each.by_protocol
        }
        held = {link: seconds for link, seconds in series.held_s().items() if link != OWN_RATE}
        assert held == pytest.approx(counted, rel=1e-6)


def test_a_run_that_kept_no_rates_says_how_to_keep_them() -> None:
    with pytest.raises(InputError, match="keep_rates=True"):
        synthetic_result.result().flows.of("pretrain")


def test_a_name_that_moved_nothing_is_refused_with_a_suggestion() -> None:
    made = synthetic_result.result(flows=synthetic_result.rates())
    with pytest.raises(InputError, match="Did you mean 'pretrain'"):
        made.flows.rate("pretain")


def test_the_frame_has_a_row_per_span() -> None:
    frame = synthetic_result.result(flows=synthetic_result.rates()).flows.rate("pretrain")
    assert frame["rate_bytes_per_s"].tolist() == [1e9, 0.5e9, 1e9]
    assert frame["held_by"].tolist() == [OWN_RATE, synthetic_result.UPLINK, OWN_RATE]


def test_the_room_for_rates_is_bounded_and_the_result_says_until_when(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("clustersim.engine.fabric.fabric.RateRecorder", lambda: RateRecorder(most_spans=5))
    short = cs.run(cs.Scenario.from_dict(_SCENARIO), keep_rates=True)
    assert sum(len(series.start_s) for series in short.flows.series) == 5
    last_s = max(float(series.end_s[-1]) for series in short.flows.series)
    assert short.flows.until_s == last_s < short.simulated_s
    assert any("rates of flows were kept until" in note for note in short.notes)
    assert "rates of flows were kept until" in short.summary()
