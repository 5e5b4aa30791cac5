"""Demand as a whole: scaled loads, tenants, files, and what reaches the service."""

from __future__ import annotations

from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_inference_service import run, service

from clustersim.errors import InputError
from clustersim.spec.demand import scaled_load
from clustersim.spec.inference import InferenceSpec
from clustersim.workloads.inference.demand.plan import plan_demand

LENGTHS = {"prompt": 100, "output": 20}
BASE = {"kind": "inference", "name": "chat", "model": "llama-2-7b", "requests": 400}
POISSON = {"arrivals": {"kind": "poisson", "rate": "2 req/s"}, "lengths": {"table": "azure-code-2023"}}
SESSIONS = {
    "arrivals": {
        "kind": "sessions",
        "starts": {"kind": "gamma", "rate": "1 req/s", "cv": 2.0},
        "turns": 3.0,
        "think_time": "1 s",
    },
    "lengths": LENGTHS,
}
CLIENTS = {
    "arrivals": {"kind": "clients", "table": "servegen-m-small", "rate_scale": 0.01},
    "lengths": LENGTHS,
}


class Streams:
    """Stands for a world: random streams by name."""

    def random(self, *names):
        return np.random.default_rng([crc32(str(name).encode()) for name in names])


def spec(**fields):
    return InferenceSpec.model_validate(BASE | fields)


def sent(fields, factor=1.0):
    """Requests of an open load at a factor: arrival, prompt, output."""
    demand = plan_demand(scaled_load(spec(**fields), factor), base=None)
    load = demand.load(Streams(), "chat")._tenants[0].load
    requests = load._requests
    return requests.arrival_s, requests.prompt, requests.output


@settings(max_examples=15)
@given(factor=st.floats(0.1, 20.0))
def test_a_scaled_load_sends_the_same_requests_faster(factor):
    (time, *lengths), (scaled_time, *scaled_lengths) = sent(POISSON), sent(POISSON, factor)
    np.testing.assert_allclose(time, factor * scaled_time, rtol=1e-9)
    np.testing.assert_array_equal(lengths, scaled_lengths)


def test_every_kind_of_arrivals_is_scaled():
    loop = spec(arrivals={"kind": "closed-loop", "clients": 10}, lengths=LENGTHS)
    assert scaled_load(loop, 2.5).arrivals.clients == 25
    assert scaled_load(loop, 0.01).arrivals.clients == 1
    assert scaled_load(spec(**SESSIONS), 3.0).arrivals.starts.rate == pytest.approx(3.0)
    assert scaled_load(spec(**CLIENTS), 2.0).arrivals.rate_scale == pytest.approx(0.02)
    trace = spec(arrivals={"kind": "trace", "path": "x.csv"})
    assert scaled_load(trace, 2.0).arrivals.rate_scale == 2.0
    tenants = [{"name": "a"} | POISSON, {"name": "b"} | CLIENTS]
    both = scaled_load(spec(tenants=tenants), 2.0).tenants
    assert (both[0].arrivals.rate, both[1].arrivals.rate_scale) == pytest.approx((4.0, 0.02))


@pytest.mark.parametrize("factor", [0.0, -1.0, float("inf"), float("nan")])
def test_a_load_is_scaled_by_a_positive_number(factor):
    with pytest.raises(InputError, match="positive number"):
        scaled_load(spec(**POISSON), factor)


def test_tenants_share_the_service_and_are_measured_apart():
    tenants = [
        {"name": "people", "priority": 0, "slo": {"ttft": "10 s"}} | POISSON,
        {
            "name": "jobs",
            "priority": 1,
            "slo": {"ttft": "1 us"},
            "arrivals": POISSON["arrivals"],
            "lengths": LENGTHS,
        },
    ]
    outcome, _ = run(service(arrivals=None, lengths=None, tenants=tenants, requests=80))
    table, metrics = outcome.tables["requests"], outcome.metrics
    assert len(table["tenant"]) == 80
    assert set(table["tenant"]) == {"people", "jobs"}
    jobs = table["tenant"] == "jobs"
    assert set(table["prompt_tokens"][jobs]) == {100}
    assert metrics["ttft_s.jobs.p50"] == pytest.approx(np.median(table["ttft_s"][jobs]))
    assert metrics["requests_finished.people"] + metrics["requests_finished.jobs"] == 80
    assert (metrics["slo_attainment.people"], metrics["slo_attainment.jobs"]) == (1.0, 0.0)
    assert metrics["slo_attainment"] == pytest.approx(1.0 - jobs.mean())
    assert metrics["goodput_per_s"] == pytest.approx(metrics["requests_per_s.people"])
    rows = outcome.tables["statistics"]
    assert set(rows["tenant"]) == {"", "people", "jobs"}


def test_tenants_have_streams_of_their_own():
    twins = [{"name": name} | POISSON for name in ("a", "b")]
    outcome, _ = run(service(arrivals=None, lengths=None, tenants=twins, requests=40))
    table = outcome.tables["requests"]
    first, second = (table["arrival_s"][table["tenant"] == name] for name in ("a", "b"))
    assert first[0] != second[0]
    more = [*twins, {"name": "c"} | POISSON]
    outcome, _ = run(service(arrivals=None, lengths=None, tenants=more, requests=40))
    again = outcome.tables["requests"]
    assert again["arrival_s"][again["tenant"] == "a"].tolist() == pytest.approx(
        first[: np.sum(again["tenant"] == "a")].tolist()
    )


def test_sessions_and_clients_run_through_the_service():
    for fields in (SESSIONS, CLIENTS):
        outcome, _ = run(service(requests=None, duration="10 s", **fields))
        assert outcome.complete
        assert outcome.metrics["requests_finished"] == outcome.metrics["requests_sent"] > 5
    with_cache, _ = run(
        service(requests=None, duration="30 s", kv_cache={"prefix_caching": True}, **SESSIONS)
    )
    assert 0.2 < with_cache.metrics["cache_hit_rate"] < 0.9


def test_lengths_of_a_file_are_drawn_together_and_may_be_scaled(tmp_path):
    (tmp_path / "lengths.csv").write_text(
        "num_prefill_tokens,num_decode_tokens,pd_ratio\n10,1,10\n300,30,10\n"
    )
    lengths = {"path": str(tmp_path / "lengths.csv"), "output_scale": 2.0}
    _, prompt, output = sent({"arrivals": POISSON["arrivals"], "lengths": lengths})
    assert {tuple(pair) for pair in zip(prompt.tolist(), output.tolist(), strict=True)} == {
        (10, 2),
        (300, 60),
    }
    assert 100 < np.sum(prompt == 10) < 300


def test_problems_of_a_tenant_stand_where_it_is_written():
    tenants = [{"name": "a"} | POISSON, {"name": "b", "arrivals": {"kind": "trace", "path": "gone.csv"}}]
    with pytest.raises(InputError, match=r"gone\.csv") as caught:
        plan_demand(spec(tenants=tenants), base=None)
    assert caught.value.problems[0].path == ("tenants", 1, "arrivals", "path")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "give 'arrivals' or 'tenants'"),
        ({"tenants": [{"name": "a"} | POISSON], **POISSON}, "not both"),
        ({"tenants": [{"name": "a"} | POISSON] * 2}, "two tenants are called 'a'"),
        ({"tenants": [{"name": "a"} | POISSON], "lengths": LENGTHS}, "lengths of its own"),
        ({"tenants": [{"name": "a", "arrivals": POISSON["arrivals"]}]}, "need 'lengths'"),
        ({"arrivals": CLIENTS["arrivals"] | {"rate": "3 req/s"}, "lengths": LENGTHS}, "service's 'duration'"),
        ({"arrivals": {"kind": "clients"}, "lengths": LENGTHS}, "either 'table' or 'path'"),
        ({"arrivals": POISSON["arrivals"], "lengths": LENGTHS | {"prompt_scale": 2.0}}, "need no scale"),
    ],
)
def test_demands_that_contradict_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        spec(**fields)
