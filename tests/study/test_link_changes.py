"""A link that degrades or fails is felt by every tenant, also by one that has its links to itself."""

from __future__ import annotations

from typing import Any

import pytest

import clustersim as cs


def served(*changes: dict[str, Any], skip_ahead: bool = True) -> cs.Result:
    """One replica across two nodes, whose links nobody else uses."""
    data = {
        "name": "alone",
        "cluster": {
            "topology": {"kind": "star", "nodes": 2, "node": "a100-40gb-x4"},
            "fabric": {"link": "ethernet-100g"},
            "changes": list(changes),
        },
        "workloads": [
            {
                "name": "chat",
                "kind": "inference",
                "model": "llama-2-70b",
                "parallelism": {"tensor": 8},
                "arrivals": {"kind": "fixed", "rate": "1 req/s"},
                "lengths": {"prompt": 500, "output": 50},
                "requests": 20,
                "skip_ahead": skip_ahead,
            }
        ],
    }
    return cs.run(cs.Scenario.from_dict(data))


def change(at: str, capacity: float) -> dict[str, Any]:
    return {"at": at, "link": "node0/nic0>switch0", "capacity": capacity}


@pytest.mark.parametrize("skip_ahead", [True, False])
def test_a_degraded_link_slows_a_service_that_has_it_to_itself(skip_ahead: bool) -> None:
    healthy = served(skip_ahead=skip_ahead).requests("chat")
    degraded = served(change("10 s", 0.02), skip_ahead=skip_ahead).requests("chat")
    before, after = degraded.finish_s < 10, degraded.arrival_s > 10
    assert degraded.e2e_s[before].to_numpy() == pytest.approx(healthy.e2e_s[before].to_numpy(), rel=1e-9)
    assert (degraded.e2e_s[after] > 1.5 * healthy.e2e_s[after]).all()


def test_a_link_that_recovers_gives_the_service_its_speed_back() -> None:
    healthy = served().requests("chat")
    recovered = served(change("2 s", 0.02), change("4 s", 1)).requests("chat")
    late = recovered.arrival_s > 14
    assert recovered.tpot_s[late].to_numpy() == pytest.approx(healthy.tpot_s[late].to_numpy(), rel=0.02)


def test_a_failed_link_stalls_a_service_that_has_it_to_itself() -> None:
    result = served(change("5 s", 0))
    assert result.ending == "stalled"
    assert "node0/nic0>switch0" in result.notes[0]
    assert result.metrics()["chat"]["requests_unfinished"] > 0
