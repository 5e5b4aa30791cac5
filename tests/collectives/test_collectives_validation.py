"""`validate collectives`: the errors it prints, and tables of a user's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clustersim.catalog.hardware import Library, understand
from clustersim.errors import InputError
from clustersim.study.validation.collectives.prediction import predict
from clustersim.study.validation.collectives.report import GOALS, CollectivesReport
from clustersim.study.validation.collectives.rows import CollectiveRow
from clustersim.study.validation.collectives.validation import COLLECTIVES

MIB = 2**20
HEADER = "table_id,system,gpu,n_nodes,gpus_per_node,inter_link,collective,library,size_bytes,time_us\n"
NCCL = Library("nccl")


@pytest.fixture(scope="module")
def report() -> CollectivesReport:
    found = COLLECTIVES.run()
    assert isinstance(found, CollectivesReport)
    return found


def median_error(report: CollectivesReport, tables: str, *, large: bool) -> float:
    """Median error of the tables whose names begin so."""
    rows = [row for row in report.collectives if row.table.startswith(tables)]
    return float(np.median([abs(row.error or 0.0) for row in rows if ((row.x or 0) >= MIB) == large]))


def test_the_medians_over_all_tables_meet_what_is_aimed_at(report: CollectivesReport) -> None:
    medians = report.medians()
    assert all(medians[name] <= goal for name, goal in GOALS)
    assert medians["from 1 MiB"] < 0.05
    assert medians["below 1 MiB"] < 0.08


@pytest.mark.parametrize(
    ("tables", "below", "beyond"),
    [
        ("T00", 0.08, 0.02),
        ("T03", 0.02, 0.05),
        ("T05", 0.02, 0.03),
        ("T06", 0.12, 0.07),
        ("T08", 0.04, 0.05),
        ("T10", 0.07, 0.04),
        ("T16", 0.17, 0.02),
        ("S05", 0.17, 0.03),
        ("AIC-a100_sxm-all_gather", 0.04, 0.07),
        ("AIC-a100_sxm-all_reduce", 0.06, 0.05),
        ("AIC-a100_sxm-reduce_scatter", 0.05, 0.06),
        ("AIC-a100_sxm-alltoall", 0.05, 0.06),
        ("AIC-a100_sxm-vllm", 0.08, 0.06),
        ("AIC-h100_sxm-all_gather", 0.04, 0.06),
        ("AIC-h100_sxm-all_reduce", 0.04, 0.04),
        ("AIC-h100_sxm-reduce_scatter", 0.04, 0.06),
        ("AIC-h100_sxm-alltoall", 0.12, 0.04),
        ("AIC-h100_sxm-vllm", 0.04, 0.05),
        ("AIC-l40s-all_gather-2", 0.12, 0.04),
        ("VID-a100_dgx-send_recv", 0.08, 0.2),
        ("VID-h100_dgx-send_recv", 0.04, 0.04),
    ],
)
def test_the_error_of_a_system_stays_where_it_was_frozen(
    report: CollectivesReport, tables: str, below: float, beyond: float
) -> None:
    assert median_error(report, tables, large=False) < below
    assert median_error(report, tables, large=True) < beyond


def test_rows_are_refused_only_with_a_reason(report: CollectivesReport) -> None:
    refused = [row for row in report.rows if row.error is None]
    assert {row.reason for row in refused} == {"the words on the network (infiniband) give no rate"}
    assert len(refused) < 0.07 * len(report.rows)


def test_the_shipped_table_holds_what_the_collection_marks_for_calibration(
    report: CollectivesReport, shared: Callable[[str], Path]
) -> None:
    rows = COLLECTIVES.run(shared("truth/C_collectives.csv")).rows
    assert [(row.id, row.predicted) for row in rows] == [(row.id, row.predicted) for row in report.rows]


@pytest.mark.parametrize(
    ("words", "bus_gb_per_s"),
    [
        (("L40S", 1, 8, "PCIe Gen4, with P2P", "none"), 24),
        (("H100 PCIe", 1, 8, "PCIe Gen5", "none"), 48),
        (("V100-SXM3", 1, 16, "NVLink2 NVSwitch", "none"), 122),
        (("A100-SXM4", 1, 8, "NVLink3 NVSwitch", "none"), 232),
        (("H100-SXM5", 1, 8, "NVLink4 NVSwitch", "none"), 480),
        (("A100 PCIe", 4, 1, "PCIe Gen4", "100GbE TCP/IP sockets"), 10),
        (("A100 PCIe", 4, 1, "PCIe Gen4", "200Gb RDMA (IB/RoCE)"), 24),
        (("H100 PCIe", 4, 1, "PCIe Gen5", "400Gb RDMA (IB/RoCE)"), 48),
        (("A100-SXM4", 4, 8, "NVLink3 NVSwitch", "8x200Gb InfiniBand"), 192),
        (("H100-SXM5", 4, 8, "NVLink4 NVSwitch", "8x400Gb InfiniBand"), 380),
    ],
)
def test_large_all_reduces_come_within_12_percent_of_the_peaks_that_nvidia_shows(
    words: tuple[str, int, int, str, str], bus_gb_per_s: float
) -> None:
    """NVIDIA GTC24 S62129, slide 12, from which usable rates of some links are, too."""
    gpu, nodes, gpus, intra, inter = words
    hardware = understand(gpu=gpu, nodes=nodes, gpus_per_node=gpus, intra_link=intra, inter_link=inter)
    ranks, size = nodes * gpus, 2.0**33
    seconds = predict(hardware, NCCL, "all_reduce", size).seconds
    assert 2 * (ranks - 1) / ranks * size / seconds / 1e9 == pytest.approx(bus_gb_per_s, rel=0.12)


def test_latency_grows_with_the_hops_between_nodes_not_with_the_ranks() -> None:
    times = [
        predict(
            understand(
                gpu="H100", nodes=nodes, gpus_per_node=8, intra_link="NVSwitch", inter_link="8x400G NDR"
            ),
            NCCL,
            "all_reduce",
            8.0,
        ).seconds
        for nodes in (2, 4, 8, 16)
    ]
    assert np.diff(times) == pytest.approx(np.diff(times)[0], rel=1e-6)
    assert times[3] < 4 * times[0]


def test_a_library_from_before_nvls_does_not_use_it() -> None:
    h100 = understand(gpu="H100-SXM5", nodes=1, gpus_per_node=8, intra_link="NVLink4 NVSwitch")
    new, old = (
        predict(h100, Library("nccl", version), "all_reduce", 2.0**30) for version in ((2, 18), (2, 16))
    )
    assert new.algorithm == "nvls/simple"
    assert old.algorithm == "ring/simple"
    assert old.seconds > new.seconds


def test_a_serving_engines_kernel_runs_below_8_mib_and_nccl_beyond() -> None:
    a100 = understand(gpu="A100-SXM4", nodes=1, gpus_per_node=8, intra_link="NVLink3 NVSwitch")
    kernels, sizes = Library("kernels"), (4096, MIB, 8 * MIB)
    found = [predict(a100, kernels, "all_reduce", size).algorithm.split("/")[0] for size in sizes]
    assert found == ["one-shot", "direct", "ring"]
    assert predict(a100, kernels, "all_reduce", 8 * MIB) == predict(a100, NCCL, "all_reduce", 8 * MIB)
    with pytest.raises(InputError, match="no kernel for broadcast"):
        predict(a100, Library("kernels"), "broadcast", 4096)


def test_a_table_of_ones_own_may_name_node_type_and_link_of_the_catalogue(tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text(
        HEADER
        + "mine,dgx-a100,A100,4,8,infiniband-hdr,all_reduce,NCCL,67108864,900\n"
        + "mine,same,A100,1,8,none,all_gather,NCCL,67108864,400\n"
        + "mine,dgx-a100,A100,1,16,none,all_gather,NCCL,67108864,400\n"
        + "mine,dgx-a100,A100,1,8,none,gossip,NCCL,67108864,400\n"
        + "mine,a box,GTX 970,1,2,none,all_gather,NCCL,67108864,400\n"
        + "mine,dgx-a100,A100,0,8,none,all_gather,NCCL,67108864,400\n"
        + "mine,dgx-a100,A100,1,8,none,all_gather,NCCL,many,400\n"
        + "mine,dgx-a100,A100,1,8,none,all_gather,NCCL,0,400\n"
        + "mine,dgx-a100,A100,1,8,none,all_gather,Gloo,64,400\n"
        + "mine,dgx-a100,A100,1,1,none,all_gather,NCCL,64,400\n"
    )
    rows = json.loads(COLLECTIVES.run(table).to_json())
    assert [row["predicted"] is not None for row in rows] == [True] * 2 + [False] * 8
    assert rows[0]["note"] == "tree/simple"
    assert "4 x dgx-a100, 8 x infiniband-hdr" in rows[0]["group"]
    reasons = (
        "has 8 GPUs",
        "gossip",
        "GTX 970",
        "n_nodes is '0'",
        "not a number",
        "not positive",
        "Gloo",
        "single GPU",
    )
    for row, words in zip(rows[2:], reasons, strict=True):
        assert words in row["reason"]


def test_a_table_without_a_column_is_refused_with_the_columns_name(tmp_path: Path) -> None:
    table = tmp_path / "broken.csv"
    row = "mine,dgx-a100,A100,1,8,none,all_gather,NCCL,1,1\n"
    table.write_text(HEADER.replace("size_bytes", "size") + row)
    with pytest.raises(InputError, match="'size_bytes' is missing"):
        COLLECTIVES.run(table)


def test_the_text_tells_what_was_understood_the_errors_and_the_refusals(report: CollectivesReport) -> None:
    text = report.text()
    assert "2 x p5.48xlarge, 8 x efa-400g: T06, T07" in text
    assert "assumed: network technology not stated: InfiniBand" in text
    assert "goal 10%" in text
    assert "VID-a100_dgx-all_reduce-n2-d1 (15)" in text
    for name in (
        "all-reduce",
        "all-gather",
        "reduce-scatter",
        "all-to-all",
        "broadcast",
        "reduce",
        "send-recv",
    ):
        assert f"\n{name} " in text


def test_the_picture_has_a_panel_per_system(report: CollectivesReport, tmp_path: Path) -> None:
    from clustersim.study.validation.collectives.plot import plot_collectives

    rows = [row for row in report.modelled if isinstance(row, CollectiveRow)]
    figure = plot_collectives(rows)
    drawn = [axes for axes in figure.axes if axes.lines]
    assert len(drawn) == len({(row.system, row.nodes) for row in rows}) == 17
    figure.savefig(tmp_path / "collectives.png", dpi=30)
    assert (tmp_path / "collectives.png").stat().st_size > 10_000
