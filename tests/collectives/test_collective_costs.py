"""The cost table: sourced, ordered, and found by kind and bandwidth."""

from __future__ import annotations

from itertools import pairwise

import pytest

from clustersim.catalog.collectives import SHELF, collective_costs


@pytest.mark.parametrize("name", SHELF.names())
def test_protocols_trade_latency_for_bandwidth_and_have_a_source(name: str) -> None:
    entry = SHELF.get(name)
    assert "ring" in entry.families
    for family in entry.families.values():
        for less, more in pairwise(family.values()):
            first_s, then_s = (one.start_latency_s + one.step_latency_s for one in (less, more))
            assert first_s <= then_s + 1e-7
            assert less.bandwidth_efficiency <= more.bandwidth_efficiency
        for protocol in family.values():
            assert 0 < protocol.bandwidth_efficiency <= 1
            assert 0 <= protocol.step_latency_s < 1e-3
    assert all(source.text for source in entry.sources.values())


@pytest.mark.parametrize(("kind", "rate", "expected"), [
    ("nvlink", 258.1e9, "nvlink-3"), ("nvlink", 122e9, "nvlink-3"), ("nvlink", 722e9, "nvlink-5"),
    ("efa", 11.5e9, "efa-100g"), ("efa", 46e9, "efa-400g"), ("infiniband", 24e9, "infiniband"),
    ("slingshot", 23e9, "infiniband"), ("ethernet", 1.15e9, "ethernet-100g"), ("wan", 1e6, "ethernet-100g"),
    ("tcp", 2.5e9, "tcp-sockets"), ("tcp", 20e9, "tcpx-200g"), ("tcp", 22.6e9, "tcpxo-200g"),
    ("socket", 16e9, "pcie"),
])  # fmt: skip
def test_a_link_takes_the_entry_of_its_kind_with_the_nearest_bandwidth(
    kind: str, rate: float, expected: str
) -> None:
    assert collective_costs(kind, bandwidth_bytes_per_s=rate).name == expected


def test_only_nvlink_of_hopper_and_later_adds_in_the_switch() -> None:
    assert [name for name in SHELF.names() if "nvls" in SHELF.get(name).families] == ["nvlink-4", "nvlink-5"]
