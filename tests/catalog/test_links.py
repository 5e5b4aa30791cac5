"""Link types: every number is cited, and headers, codes and measurements agree or say why not."""

import csv

import pytest

from clustersim import catalog
from clustersim.catalog.encodings import SHELF as ENCODINGS
from clustersim.catalog.links import SHELF as LINKS
from clustersim.catalog.packets import SHELF as PACKETS

TOLERANCE = 0.06
"""A measured rate within this of what packet headers leave needs no explanation."""


@pytest.mark.parametrize("name", LINKS.names())
def test_every_link_type_carries_less_payload_than_its_line_rate_and_cites_each_number(name):
    link = catalog.link(name)
    # Sockets share their links with all else; NCCL reaches Omni-Path over verbs alone.
    assert (0.3 if link.kind in ("socket", "omni-path") else 0.5) < link.efficiency <= 1.0
    assert 0.0 < link.latency_s < 1e-5
    assert 0.0 <= link.endpoint_latency_s < 2e-5
    assert 0.0 < link.message_overhead_s < 2e-5
    given = {"bandwidth_bytes_per_s", "packet", "efficiency", "latency_s"}
    assert given | {"endpoint_latency_s", "message_overhead_s"} <= set(link.sources)
    assert (link.signalling_bytes_per_s is None) == ("signalling_bytes_per_s" not in link.sources)


@pytest.mark.parametrize("name", [name for name in LINKS.names() if catalog.link(name).encoding])
def test_the_line_rate_is_what_the_line_code_leaves_of_the_signalling_rate(name):
    link = catalog.link(name)
    left = link.signalling_bytes_per_s * ENCODINGS.get(link.encoding).fraction
    assert left == pytest.approx(link.bandwidth_bytes_per_s, rel=1e-3)


@pytest.mark.parametrize("name", [name for name in LINKS.names() if catalog.link(name).packet])
def test_a_measured_efficiency_agrees_with_the_packets_or_its_source_says_why_not(name):
    link = catalog.link(name)
    assert 0.0 <= link.packet_gap < 0.25
    assert link.efficiency == pytest.approx(link.packet_efficiency * (1 - link.packet_gap))
    assert link.packet_gap <= TOLERANCE or "packet_gap" in link.sources


@pytest.mark.parametrize(
    ("name", "payload", "on_the_wire"),
    [
        ("infiniband-4096", 4096, 4096 + 8 + 12 + 4 + 2),
        ("roce-1024", 1024, 1024 + 20 + 14 + 20 + 8 + 12 + 4 + 4),
        ("roce-4096", 4096, 4178),
        ("tcp-1500", 1448, 1538),
        ("tcp-9000", 8948, 9038),
        ("nvlink-128", 128, 144),
    ],
)
def test_a_packets_efficiency_is_its_payload_over_its_bytes_on_the_wire(name, payload, on_the_wire):
    assert PACKETS.get(name).efficiency == pytest.approx(payload / on_the_wire, rel=1e-12)


def test_pcie_pays_for_headers_and_for_acknowledgements():
    packet = PACKETS.get("pcie-256")
    assert packet.efficiency == pytest.approx(57.88 / 62.96 * 256 / 280)


def test_one_way_over_one_switch_adds_up_to_the_cited_end_to_end_latency():
    cited_s = {
        "infiniband-edr": 1.0e-6,
        "infiniband-hdr": 1.0e-6,
        "infiniband-ndr": 1.15e-6,
        "ethernet-100g": 2.0e-6,
    }
    for name, end_to_end_s in cited_s.items():
        link = catalog.link(name)
        assert 2 * (link.latency_s + link.endpoint_latency_s) == pytest.approx(end_to_end_s)


def test_a_small_message_between_gpu_memories_takes_what_was_measured():
    edr, nvlink = catalog.link("infiniband-edr"), catalog.link("nvlink-4")
    one_switch_s = 2 * (edr.latency_s + edr.endpoint_latency_s) + edr.message_overhead_s
    assert one_switch_s == pytest.approx(1.76e-6)
    assert 2 * nvlink.latency_s + nvlink.message_overhead_s == pytest.approx(1.85e-6)


def test_usable_nvlink_rates_are_not_below_the_measured_send_receive_rates(shared):
    best: dict[str, float] = {}
    with shared("truth/C_collectives.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["table_id"] in ("VID-a100_dgx-send_recv-n2-d2", "VID-h100_dgx-send_recv-n2-d2"):
                best[row["gpu"]] = max(best.get(row["gpu"], 0.0), float(row["busbw_GBps"]) * 1e9)
    for gpu, link in (("A100-SXM4-80GB", "nvlink-3"), ("H100-SXM5-80GB", "nvlink-4")):
        measured, usable = best[gpu], catalog.link(link).usable_bytes_per_s
        assert measured <= usable * 1.0001
        assert usable <= measured * 1.07
