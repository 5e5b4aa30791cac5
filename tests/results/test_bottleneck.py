"""One sentence per workload and for the fabric."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import synthetic_result
from clustersim.engine.trace import COMPUTE, HOST, link_resource
from clustersim.results.bottleneck import fabric_sentence, workload_sentence


def test_the_sentence_names_the_largest_resources_first_and_the_link() -> None:
    assert workload_sentence(synthetic_result.training()) == (
        "pretrain: 50 % of iteration time is compute, 30 % network bandwidth (mostly leaf0>spine0), "
        "10 % host overhead."
    )
    assert workload_sentence(synthetic_result.inference()) == (
        "chat: 60 % of request time is memory bandwidth, 20 % compute, 20 % queueing."
    )


def test_the_sentence_says_why_the_link_held_the_job_back() -> None:
    fabric = synthetic_result.fabric()
    assert "(mostly leaf0>spine0, which was full)" in workload_sentence(synthetic_result.training(), fabric)
    at_downlink = replace(
        synthetic_result.training(), attribution={link_resource(synthetic_result.DOWNLINK): 1.0}
    )
    assert workload_sentence(at_downlink, fabric) == (
        "pretrain: 100 % of iteration time is network bandwidth (mostly spine0>leaf1, at the rate of its own "
        "protocol)."
    )
    assert fabric_sentence(fabric, [at_downlink]).endswith(
        "spine0>leaf1 held pretrain back for 100 % of its time, at the rate of pretrain's own protocol."
    )


def test_a_network_share_over_many_links_names_the_largest() -> None:
    split = {
        link_resource(name): share for name, share in (("a>b", 0.2), ("b>c", 0.3), ("c>d", 0.1), ("d>e", 0.4))
    }
    sentence = workload_sentence(replace(synthetic_result.training(), attribution=split))
    assert sentence == "pretrain: 100 % of iteration time is network bandwidth (over 4 links, most at d>e)."


def test_small_shares_are_not_worth_saying() -> None:
    outcome = replace(synthetic_result.training(), attribution={COMPUTE: 0.97, HOST: 0.03})
    assert workload_sentence(outcome) == "pretrain: 97 % of iteration time is compute."


def test_nothing_finished_says_so() -> None:
    outcome = replace(synthetic_result.training(), attribution={})
    assert "nothing was finished" in workload_sentence(outcome)


def test_the_fabric_sentence_says_what_was_full_and_whom_it_held_back() -> None:
    made = synthetic_result.result()
    assert made.bottlenecks()["fabric"] == (
        "fabric: leaf0>spine0 (leaf-spine) was busiest, 75 % on average; it was full for 50 % of the time; "
        "leaf0>spine0 held pretrain back for 25 % of its time."
    )


def test_a_calm_fabric_says_that_no_link_was_full() -> None:
    calm = replace(synthetic_result.fabric(), saturated_s=np.zeros(3))
    assert fabric_sentence(calm).endswith("75 % on average; no link was ever full.")
