"""Prefix caching and tiers in whole services."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim import Scenario, load, run
from clustersim.errors import CannotRunError, InputError
from clustersim.study.prepare import prepare

HOST = {"kind": "host", "capacity": "4 GiB"}
NVME = {"kind": "nvme", "capacity": "8 GiB", "drives": 2}
REMOTE = {"kind": "remote", "capacity": "64 GiB", "nodes": [1]}


def write_trace(path, rows):
    """Write (milliseconds, ids, tokens after them, output) as a trace."""
    lines = [
        {
            "timestamp": moment,
            "input_length": 512 * len(ids) + rest,
            "output_length": output,
            "hash_ids": [*ids, 10**6 + place][: len(ids) + bool(rest)],
        }
        for place, (moment, ids, rest, output) in enumerate(rows)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def turns(count, *, every_ms=300, systems=2):
    """Return requests that go on with one of some conversations in turn."""
    rows, ids = [], {talk: [talk] for talk in range(systems)}
    for place in range(count):
        talk = place % systems
        ids[talk] = [*ids[talk], 100 + place]
        rows.append((every_ms * place, list(ids[talk]), 40, 12))
    return rows


def a_scenario(trace, **service) -> Scenario:
    chat = {
        "name": "chat",
        "kind": "inference",
        "model": "llama-2-7b",
        "arrivals": {"kind": "trace", "path": trace},
        "scheduler": {"memory_utilization": 0.26},
        "placement": {"nodes": [0]},
        "kv_cache": {"prefix_caching": True},
    }
    return Scenario.from_dict(
        {
            "name": "tiers",
            "cluster": {
                "topology": {"kind": "star", "nodes": 2, "node": "dgx-h100"},
                "fabric": {"link": "infiniband-ndr"},
            },
            "workloads": [chat | service],
        }
    )


def requests_of(scenario):
    return run(scenario).outcomes["chat"].tables["requests"]


@pytest.fixture
def trace(tmp_path):
    return write_trace(tmp_path / "turns.jsonl", turns(40))


def test_kept_prefixes_make_prompts_shorter_and_change_nothing_else(trace) -> None:
    with_cache, without = (
        requests_of(a_scenario(trace, kv_cache={"prefix_caching": kept})) for kept in (True, False)
    )
    assert (with_cache["cached_tokens"] % 16 == 0).all()
    assert with_cache["cached_tokens"].sum() > 0.5 * with_cache["prompt_tokens"].sum()
    assert without["cached_tokens"].sum() == 0
    assert (with_cache["output_tokens"] == without["output_tokens"]).all()
    assert with_cache["ttft_s"].mean() < 0.7 * without["ttft_s"].mean()


def test_a_service_without_shared_prompts_is_as_with_the_plain_cache(tmp_path) -> None:
    path = write_trace(tmp_path / "apart.jsonl", [(50 * place, [place], 40, 12) for place in range(60)])
    kept, plain = (requests_of(a_scenario(path, kv_cache={"prefix_caching": kept})) for kept in (True, False))
    assert kept["finish_s"] == pytest.approx(plain["finish_s"], rel=1e-12)


@pytest.mark.parametrize("tiers", [[], [HOST], [HOST, NVME], [REMOTE], [HOST, NVME, REMOTE]])
def test_every_second_of_a_request_has_a_cause(trace, tiers) -> None:
    kv_cache = {"prefix_caching": True, "tiers": tiers}
    outcome = run(a_scenario(trace, kv_cache=kv_cache)).outcomes["chat"]
    shares = [column for name, column in outcome.tables["requests"].items() if name.endswith("_share")]
    assert np.sum(shares, axis=0) == pytest.approx(np.ones(40), abs=1e-9)
    assert sum(outcome.attribution.values()) == pytest.approx(1.0)


def test_waiting_for_kv_is_put_down_to_links_and_drives(tmp_path) -> None:
    """Two long conversations that do not fit together: each turn brings its own back."""
    long = [list(range(100 * talk, 100 * talk + 14)) for talk in range(4)]
    path = write_trace(
        tmp_path / "long.jsonl", [(2000 * place, long[place % 4], 40, 2) for place in range(12)]
    )
    small = {"scheduler": {"memory_utilization": 0.26}}
    host, nvme = (
        run(a_scenario(path, kv_cache={"prefix_caching": True, "tiers": [tier]}, **small)).outcomes["chat"]
        for tier in (HOST | {"capacity": "64 GiB"}, NVME | {"capacity": "64 GiB", "drives": 1})
    )
    fetched = host.tables["requests"]["cached_tokens"] > 0
    assert fetched.sum() == 8
    assert host.metrics["cache_hit_rate.lower"] > 0.5
    assert (host.tables["requests"]["network_bandwidth_share"][fetched] > 0.1).all()
    assert "network_bandwidth:node0/host0>node0/pcie0" in host.attribution
    assert (nvme.tables["requests"]["storage_share"][fetched] > 0.3).all()
    assert (nvme.tables["requests"]["ttft_s"] >= host.tables["requests"]["ttft_s"] - 1e-12).all()


def test_replicas_find_each_others_prefixes_in_the_remote_store_only(tmp_path) -> None:
    """Three conversations and two replicas in turn: the next turn is never where the last one was."""
    trace = write_trace(tmp_path / "odd.jsonl", turns(30, systems=3))
    rates = [
        run(a_scenario(trace, replicas=2, kv_cache={"prefix_caching": True, "tiers": tiers}))
        .outcomes["chat"]
        .metrics["cache_hit_rate"]
        for tiers in ([], [HOST], [REMOTE])
    ]
    assert rates[0] <= rates[1] < rates[2]


def test_kv_in_fewer_bits_makes_more_blocks(trace) -> None:
    blocks = {
        precision: run(a_scenario(trace, kv_cache={"precision": precision}))
        .outcomes["chat"]
        .facts["kv_blocks"]
        for precision in ("bf16", "fp8", "int8", "int4")
    }
    assert 1.98 < blocks["fp8"] / blocks["bf16"] <= 2.01
    assert 1.9 < blocks["int8"] / blocks["bf16"] < blocks["fp8"] / blocks["bf16"]
    assert 3.7 < blocks["int4"] / blocks["bf16"] < 4.0


def test_occupancy_over_time_is_a_table(trace) -> None:
    kv_cache = {"prefix_caching": True, "tiers": [HOST, REMOTE]}
    table = run(a_scenario(trace, kv_cache=kv_cache)).outcomes["chat"].tables["kv_cache"]
    assert len(table["time_s"]) == 40
    fractions = [table[f"{name}_fraction"] for name in ("gpu_held", "gpu_idle", "host_used", "remote_used")]
    assert all(((column >= 0) & (column <= 1)).all() for column in fractions)
    assert np.isnan(table["nvme_used_fraction"]).all()
    assert (np.diff(table["found_tokens"]) >= 0).all()


@settings(max_examples=15, deadline=None)
@given(
    gaps=st.lists(st.integers(0, 400), min_size=6, max_size=20),
    policy=st.sampled_from(["vllm", "vllm-v1", "sarathi"]),
    tiers=st.sampled_from([(), (HOST,), (HOST, NVME), (REMOTE,)]),
    write=st.sampled_from(["through", "back"]),
    systems=st.integers(4, 6),
)
def test_skipping_ahead_gives_the_times_of_step_by_step(
    tmp_path_factory, gaps, policy, tiers, write, systems
) -> None:
    """With prefixes found, evicted, copied down and fetched among the flows of others."""
    rows = [
        (moment, ids, rest, 12 + 9 * place)
        for place, (moment, (_, ids, rest, _)) in enumerate(
            zip(np.cumsum(gaps).tolist(), turns(len(gaps), systems=systems), strict=True)
        )
    ]
    path = write_trace(tmp_path_factory.mktemp("rows") / "rows.jsonl", rows)
    kv_cache = {"prefix_caching": True, "tiers": list(tiers), "write": write}
    tables = [
        requests_of(
            a_scenario(
                path,
                kv_cache=kv_cache,
                scheduler={"memory_utilization": 0.2, "policy": policy},
                skip_ahead=skip_ahead,
            )
        )
        for skip_ahead in (True, False)
    ]
    for column in ("cached_tokens", "preemptions"):
        assert (tables[0][column] == tables[1][column]).all()
    for column in ("first_token_s", "finish_s"):
        assert tables[0][column] == pytest.approx(tables[1][column], rel=1e-9)


@pytest.mark.parametrize(
    ("tier", "place", "says"),
    [
        (NVME | {"drive": "nvme-gen44"}, "tiers[0].drive", "Did you mean"),
        (REMOTE | {"nodes": [7]}, "tiers[0].nodes", "node 7 does not exist; the cluster has nodes 0 to 1"),
    ],
)
def test_a_tier_that_has_no_place_is_refused_before_the_run(trace, tier, place, says) -> None:
    with pytest.raises(InputError, match="kv_cache") as caught:
        prepare(a_scenario(trace, kv_cache={"prefix_caching": True, "tiers": [tier]}))
    assert place in str(caught.value)
    assert says in str(caught.value)


def test_tiers_on_nodes_without_hosts_are_refused(trace) -> None:
    scenario = a_scenario(trace, kv_cache={"prefix_caching": True, "tiers": [HOST]})
    topology = prepare(scenario).topology
    bare = topology.graph.copy()
    bare.remove_nodes_from([name for name, kind in topology.graph.nodes(data="kind") if kind == "host"])
    from clustersim.topology import from_graph
    from clustersim.workloads.inference.cache.build import check_tiers

    with pytest.raises(CannotRunError, match=r"kv_cache\.tiers.*has no host"):
        check_tiers(scenario.workloads[0], from_graph(bare), topology.gpus[:1])


def test_the_shipped_scenario_shows_what_each_tier_brings(root) -> None:
    scenario = load(root / "scenarios" / "prefix-cache-tiers.yaml")
    ttft_s, hits = [], []
    for kv_cache in ({}, {"prefix_caching": True}, None):
        changed = scenario if kv_cache is None else scenario.with_(**{"workloads.chat.kv_cache": kv_cache})
        metrics = run(changed).outcomes["chat"].metrics
        ttft_s.append(metrics["ttft_s.mean"])
        hits.append(metrics.get("cache_hit_rate", 0.0))
    assert ttft_s[0] > 5 * ttft_s[1] > 10 * ttft_s[2]
    assert hits == sorted(hits)


def test_swapped_requests_take_their_kv_over_pcie(tmp_path) -> None:
    path = write_trace(tmp_path / "many.jsonl", [(10 * place, [place], 40, 600) for place in range(20)])
    result = run(a_scenario(path, kv_cache={}, scheduler={"memory_utilization": 0.19, "preemption": "swap"}))
    chat = result.outcomes["chat"]
    assert chat.metrics["preemptions"] > 0
    assert chat.metrics["requests_finished"] == 20
    moved = [row for row in result.trace if row.lane == "chat.0/kv-swap"]
    assert {row.label for row in moved} == {"swap out", "swap in"}
    assert "network_bandwidth:node0/gpu0>node0/pcie0" in chat.attribution


@pytest.mark.parametrize("write", ["through", "back"])
def test_no_request_is_lost_when_replicas_with_tiers_fail(tmp_path, write) -> None:
    path = write_trace(tmp_path / "turns.jsonl", turns(50, systems=7, every_ms=120))
    chat = run(
        a_scenario(
            path,
            replicas=2,
            kv_cache={"prefix_caching": True, "tiers": [HOST, NVME, REMOTE], "write": write},
            failures={"repair": "1 s", "at": [{"at": "2 s", "replica": 0}, {"at": "4.5 s", "replica": 1}]},
            startup={"engine": "0.1 s"},
        )
    ).outcomes["chat"]
    assert chat.metrics["requests_finished"] == 50
    assert chat.metrics["retries"] > 0
    assert chat.tables["kv_cache"]["gpu_held_fraction"][-1] == 0.0


@pytest.mark.parametrize("transfer", ["whole", "layer-wise"])
def test_prompts_that_are_computed_elsewhere_find_their_prefixes_there(tmp_path, transfer) -> None:
    path = write_trace(tmp_path / "turns.jsonl", turns(40, systems=7, every_ms=120))
    pools = {"transfer": transfer, "prefill": {"replicas": 2}, "decode": {"replicas": 1}}
    kv_cache = {"prefix_caching": True, "tiers": [HOST, REMOTE]}
    chat = run(a_scenario(path, placement={}, disaggregation=pools, kv_cache=kv_cache)).outcomes["chat"]
    rates = [chat.metrics[f"cache_hit_rate{part}"] for part in ("", ".gpu", ".lower")]
    assert rates[0] > 0.5
    assert rates[0] == pytest.approx(rates[1] + rates[2])
    shares = [column for name, column in chat.tables["requests"].items() if name.endswith("_share")]
    assert np.sum(shares, axis=0) == pytest.approx(np.ones(40), abs=1e-9)
