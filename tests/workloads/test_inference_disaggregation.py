"""Prompts on one pool, answers on another: where the KV goes, how long it takes, what it costs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from inference_fleets import SPLIT, placed, requests_of, run_service, service_spec, star, uplinks

from clustersim.engine.world import World
from clustersim.errors import CannotRunError
from clustersim.results.paths import request_path
from clustersim.spec.training import TrainingSpec
from clustersim.workloads.inference.columns import TABLES

KV_PER_TOKEN = 2 * 32 * 4096 * 2
"""Llama-2-7B in bf16: keys and values of 32 layers."""
ONE = {"lengths": {"prompt": 2000, "output": 20}, "requests": 1}


def split(transfer="whole", **pools):
    return {
        "disaggregation": {name: SPLIT[name] | pools.get(name, {}) for name in SPLIT} | {"transfer": transfer}
    }


def nic_rate(topology):
    """Usable bytes per second of the link that leaves the first node."""
    route = topology.path("node0/gpu0", "node1/gpu0")
    return min(topology.link_bandwidth_bytes_per_s[link] for link in route.links)


def delays_s(topology):
    """What a transfer between the nodes costs beside its bytes."""
    path = topology.path("node0/gpu0", "node1/gpu0")
    return path.latency_s + topology.message_overhead_s(path.links)


@pytest.mark.parametrize("transfer", ["whole", "layer-wise"])
def test_every_request_is_answered_and_its_kv_crosses_the_network_once(transfer):
    outcome, workload, world = run_service(**split(transfer))
    requests = requests_of(workload)
    assert outcome.complete
    assert outcome.metrics["requests_finished"] == 60
    assert all(request.handover.replica in (0, 1) and request.replica == 2 for request in requests)
    moved = sum(request.handover.size_bytes for request in requests)
    assert moved == KV_PER_TOKEN * sum(request.prompt for request in requests)
    usage = world.fabric.usage(world.env.now)
    entering = [
        index
        for index, (source, target) in enumerate(world.topology.link_ends)
        if source == "switch0" and target.startswith("node1/")
    ]
    assert sum(usage.bytes[link] for link in entering) == pytest.approx(moved, rel=1e-9)
    assert all(gpu.memory.free_bytes == pytest.approx(gpu.memory.capacity) for gpu in world.gpus.values())


def test_alone_a_whole_transfer_takes_its_bytes_over_the_bandwidth():
    _, workload, world = run_service(**ONE, **split())
    (request,) = requests_of(workload)
    handover = request.handover
    size = 2000 * KV_PER_TOKEN
    expected_s = delays_s(world.topology) + size / nic_rate(world.topology)
    assert handover.size_bytes == size
    assert handover.transfer_s == pytest.approx(expected_s, rel=1e-9)
    assert handover.exposed_s == pytest.approx(expected_s, rel=1e-9)
    assert sum(handover.shares.values()) == pytest.approx(expected_s, rel=1e-9)
    _, colocated, _ = run_service(**ONE, replicas=1)
    (same,) = requests_of(colocated)
    assert request.first_token_s == pytest.approx(same.first_token_s, rel=1e-12)
    assert request.finish_s == pytest.approx(same.finish_s + expected_s, rel=1e-12)


@pytest.mark.parametrize("bandwidth", ["2 Gbit/s", "25 Gbit/s", "400 Gbit/s"])
def test_alone_a_transfer_by_layers_leaves_the_last_layer_or_what_the_link_is_too_slow_for(bandwidth):
    topology = star(bandwidth=bandwidth)
    _, workload, _ = run_service(topology, **ONE, **split("layer-wise"))
    (request,) = requests_of(workload)
    prompt_s = request.first_token_s - request.arrival_s
    layers, wire_s = 32, 2000 * KV_PER_TOKEN / nic_rate(topology)
    delay_s = delays_s(topology)
    early_s = prompt_s / layers + delay_s + (layers - 1) / layers * max(prompt_s, wire_s)
    last_s = prompt_s + delay_s + wire_s / layers
    if early_s <= last_s - wire_s / layers:
        assert request.handover.exposed_s == pytest.approx(last_s - prompt_s, rel=1e-6)
    else:
        # The last layer shares the link with what is still on its way.
        assert request.handover.exposed_s == pytest.approx(
            prompt_s / layers + delay_s + wire_s - prompt_s, rel=0.02
        )


def test_by_layers_less_is_exposed_than_whole_and_never_more_bytes_move():
    exposed = {}
    for transfer in ("whole", "layer-wise"):
        _, workload, _ = run_service(**split(transfer))
        exposed[transfer] = np.mean([request.handover.exposed_s for request in requests_of(workload)])
    assert exposed["layer-wise"] < 0.6 * exposed["whole"]


@pytest.mark.parametrize("policy", [{}, {"policy": "sarathi", "max_batched_tokens": 256}])
@pytest.mark.parametrize("transfer", ["whole", "layer-wise"])
def test_skipping_ahead_changes_no_answer(transfer, policy):
    (skipping, _, _), (stepping, _, _) = (
        run_service(**split(transfer), scheduler=policy, skip_ahead=skip) for skip in (True, False)
    )
    assert len(skipping.tables["steps"]["steps"]) < len(stepping.tables["steps"]["steps"])
    for column in ("admitted_s", "first_token_s", "finish_s"):
        np.testing.assert_allclose(
            skipping.tables["requests"][column], stepping.tables["requests"][column], rtol=1e-9
        )


def test_different_tensor_degrees_move_the_same_bytes_between_all_gpus_that_share_heads():
    for ranks in ((2, 1), (1, 4), (2, 4)):
        pools = dict(
            zip(("prefill", "decode"), ({"parallelism": {"tensor": rank}} for rank in ranks), strict=True)
        )
        outcome, workload, world = run_service(
            **split(prefill={"replicas": 1} | pools["prefill"], decode=pools["decode"]), requests=20
        )
        assert outcome.metrics["requests_finished"] == 20
        moved = sum(request.handover.size_bytes for request in requests_of(workload))
        assert moved == pytest.approx(KV_PER_TOKEN * sum(request.prompt for request in requests_of(workload)))
        usage = world.fabric.usage(world.env.now)
        leaving = [
            index
            for index, (source, target) in enumerate(world.topology.link_ends)
            if target == "switch0" and source.startswith("node0/")
        ]
        assert sum(usage.bytes[link] for link in leaving) == pytest.approx(moved, rel=1e-9)


def test_a_request_of_one_token_is_answered_by_the_prefill_replica():
    outcome, workload, _ = run_service(lengths={"prompt": 300, "output": 1}, **split())
    assert outcome.metrics["requests_finished"] == 60
    assert all(request.handover is None and request.replica < 2 for request in requests_of(workload))


def test_prefill_replicas_keep_what_the_decode_side_has_no_blocks_for():
    roomy = {"lengths": {"prompt": 1500, "output": 200}, "arrivals": {"kind": "fixed", "rate": "20 req/s"}}
    tight = {"scheduler": {"memory_utilization": 0.42}}
    free, _, _ = run_service(**roomy, **split())
    held, workload, _ = run_service(**roomy, **split(decode=tight))
    assert held.metrics["requests_finished"] == 60
    waited = [request.handover.arrived_s - request.first_token_s for request in requests_of(workload)]
    assert max(waited) > 1.0
    steps = {"free": free.tables["steps"], "held": held.tables["steps"]}
    most = {name: table["kv_used_fraction"][table["replica"] < 2].max() for name, table in steps.items()}
    assert most["held"] > 1.5 * most["free"]


def test_a_training_job_on_the_same_links_makes_the_time_to_the_second_token_longer():
    topology = uplinks()
    chat = service_spec(**split(), requests=30)
    job = TrainingSpec.model_validate(
        {
            "kind": "training",
            "name": "pretrain",
            "model": "gpt2-xl",
            "gpus": 4,
            "precision": "bf16",
            "micro_batch": 1,
            "global_batch": 8,
            "sequence": 1024,
            "steps": 100,
            "placement": {"policy": "spread"},
        }
    )
    exposed = []
    for specs in ((chat,), (chat, job)):
        workloads = placed(topology, *specs)
        world = World(topology, seed=1)
        processes = [workload.start(world) for workload in workloads]
        world.env.run(until=processes[0])
        exposed.append([request.handover.exposed_s for request in requests_of(workloads[0])])
    alone, beside = (np.percentile(seconds, 99) for seconds in exposed)
    assert beside > 1.2 * alone


def test_what_the_decode_side_has_cached_of_a_conversation_is_not_sent_again():
    sessions = {
        "kind": "sessions",
        "starts": {"kind": "poisson", "rate": "0.5 req/s"},
        "turns": 5,
        "turns_distribution": "fixed",
        "think_time": "2 s",
    }
    moved = {}
    for caching in (False, True):
        outcome, workload, _ = run_service(
            arrivals=sessions, kv_cache={"prefix_caching": caching}, **split("layer-wise")
        )
        assert outcome.metrics["requests_finished"] == 60
        requests = requests_of(workload)
        moved[caching] = sum(request.handover.size_bytes for request in requests)
        assert moved[caching] <= KV_PER_TOKEN * sum(request.prompt for request in requests)
    assert moved[True] < 0.6 * moved[False]


def test_shares_of_every_request_add_up_with_what_it_waited_for_its_kv():
    outcome, workload, _ = run_service(star(bandwidth="10 Gbit/s"), **split())
    table = outcome.tables["requests"]
    names = [name for name in table if name.endswith("_share")]
    np.testing.assert_allclose(sum(table[name] for name in names), 1.0, rtol=1e-9)
    exposed = [request.handover.shares for request in requests_of(workload)]
    on_wires = [
        sum(s for name, s in shares.items() if name.startswith("network_bandwidth")) for shares in exposed
    ]
    assert np.all(table["network_bandwidth_share"] * table["e2e_s"] >= np.array(on_wires) * (1 - 1e-9))
    assert sum(outcome.attribution.values()) == pytest.approx(1.0)


def test_the_trace_shows_transfers_as_far_as_requests_waited_for_them():
    _, _, world = run_service(**split("layer-wise"))
    rows = [row for row in world.trace.rows if row.lane == "chat.kv/transfers"]
    assert len(rows) == 60
    for row in rows:
        assert sum(row.shares.values()) == pytest.approx(row.end_s - row.start_s, rel=1e-9, abs=1e-12)
        assert row.end_s > world.trace.rows[row.cause].end_s


def test_a_pool_that_cannot_lie_as_it_says_is_refused_where_it_says_so():
    spec = service_spec(**split(decode={"parallelism": {"tensor": 3}}))
    with pytest.raises(CannotRunError, match="3 GPUs do not divide the 32 heads") as caught:
        placed(star(), spec)
    assert caught.value.problems[0].path == ("disaggregation", "decode", "parallelism", "tensor")


def test_the_critical_path_of_a_request_goes_through_both_replicas_and_the_network():
    outcome, workload, world = run_service(star(bandwidth="10 Gbit/s"), **split())
    request = requests_of(workload)[20]
    path = request_path(world.trace.rows, outcome, 20)
    assert path[0].start_s == pytest.approx(request.arrival_s)
    assert path[-1].end_s == pytest.approx(request.finish_s)
    for one, other in pairwise(path):
        assert one.end_s == pytest.approx(other.start_s)
    lanes = list(dict.fromkeys(segment.lane for segment in path))
    replica = request.handover.replica
    engines = [lane for lane in lanes if lane.endswith(("/engine", "/transfers"))]
    assert engines == [f"chat.{replica}/engine", "chat.kv/transfers", "chat.2/engine"]


def test_the_table_of_transfers_says_what_every_request_waited_for():
    outcome, workload, _ = run_service(**split())
    table = outcome.tables["kv_transfers"]
    assert list(table) == [column.name for column in TABLES["kv_transfers"]]
    np.testing.assert_allclose(
        table["exposed_s"], [request.handover.exposed_s for request in requests_of(workload)]
    )
    assert set(table["from_replica"]) == {0, 1}
    assert set(table["to_replica"]) == {2}
    assert outcome.metrics["kv_exposed_s.mean"] == pytest.approx(table["exposed_s"].mean())
