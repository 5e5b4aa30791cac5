"""The highest load that keeps an objective: its elasticities, and what they add up to."""

from __future__ import annotations

import pytest
from radar_cases import CHAT, FEED, record_of, scenario, shares_of

from clustersim.errors import InputError
from clustersim.study.capacity.configuration import configurations
from clustersim.study.radar import radar
from clustersim.study.radar.capacity_elasticity import capacity_elasticity
from clustersim.study.radar.elasticity import elasticities

PREFILL = {
    "lengths": {"prompt": 4096, "output": 1},
    "arrivals": {"kind": "poisson", "rate": "7 req/s"},
    "slo": {"ttft": "500 ms"},
    "requests": 150,
}
DECODE = {
    "lengths": {"prompt": 16, "output": 128},
    "arrivals": {"kind": "poisson", "rate": "20 req/s"},
    "slo": {"tpot": "12 ms"},
    "requests": 150,
}
QUERIES = {
    "arrivals": {"kind": "poisson", "rate": "120000 req/s"},
    "slo": {"latency": "1 ms"},
    "queries": 1200,
}
CASES = {
    "prefill": scenario(CHAT, nodes=1, **PREFILL),
    "decode": scenario(CHAT, nodes=1, **DECODE),
    "ranking inference": scenario(FEED, nodes=1, **QUERIES),
}


@pytest.mark.parametrize("name", CASES)
def test_capacity_depends_on_what_the_time_of_requests_at_that_load_is_made_of(name):
    wanted = CASES[name]
    found = capacity_elasticity(wanted, attainment=0.95, tolerance=0.006, jobs=1)
    # Euler: the same service on another clock.
    assert found.total == pytest.approx(1.0 + found.slo, rel=0.06)
    assert found.slo > 0.0
    (service,) = configurations(wanted, service=None, vary={})
    shares = elasticities(shares_of(record_of(service.at(found.factor, wanted.seed))))
    for resource, share in shares.items():
        assert found.shares[resource] == pytest.approx(share, abs=0.1), resource


def test_clients_in_a_closed_loop_have_no_rate_to_search():
    closed = scenario(CHAT, nodes=1, slo={"ttft": "1 s"})
    with pytest.raises(InputError, match="fixed number of clients"):
        capacity_elasticity(closed)


def test_without_objectives_there_is_no_capacity():
    with pytest.raises(InputError, match="no objectives"):
        capacity_elasticity(scenario(CHAT, nodes=1, arrivals={"kind": "poisson", "rate": "8 req/s"}))


def test_the_radar_searches_it_where_asked_for_services_whose_requests_come_at_a_rate(tmp_path):
    wanted = scenario(FEED, nodes=1, **QUERIES | {"queries": 300})
    alone = capacity_elasticity(wanted, jobs=1, store=tmp_path)
    found = radar(wanted, check=False, what_if=False, memory=False, capacity=True, jobs=1, store=tmp_path)
    (profile,) = found.profiles
    assert profile.capacity is not None
    assert profile.capacity.elasticities == alone.elasticities
    rows = found.frame().dropna(subset=["of_capacity"])
    assert rows["of_capacity"].sum() == pytest.approx(alone.total, rel=1e-12)
    assert "looser objectives" in found.summary()


def test_a_closed_loop_has_no_capacity_in_the_radar():
    closed = scenario(CHAT, nodes=1, slo={"ttft": "1 s"})
    found = radar(closed, check=False, what_if=False, memory=False, capacity=True, jobs=1)
    assert found.profiles[0].capacity is None
