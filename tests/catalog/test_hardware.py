"""Words about hardware: what is understood, what is assumed, what is refused."""

from __future__ import annotations

import pytest

from clustersim import catalog
from clustersim.catalog.hardware import Hardware, Library, read_library, understand
from clustersim.catalog.hardware.between import link_of_rate, read_network
from clustersim.catalog.hardware.gpus import read_gpu
from clustersim.catalog.hardware.inside import read_inside
from clustersim.errors import InputError

GBIT = 1e9 / 8

NETWORKS = [
    # words, technology, ports of a node, Gbit/s of a port, of a GPU, of a node
    ("GCP a3-megagpu: 8x200GbE GPUDirect-TCPXO (FasTrak)", "tcpxo", 8, 200, None, None),
    ("GPUDirect-TCPX 4x200G", "tcpx", 4, 200, None, None),
    ("GCP a3-ultragpu: 8x400G CX-7 RoCE", "ethernet", 8, 400, None, None),
    ("AWS p4de: 4x100G EFA", "efa", 4, 100, None, None),
    ("4x100G (400 Gb/s) EFA", "efa", 4, 100, None, 400),
    ("AWS p5: 32x100G EFA", "efa", 32, 100, None, None),
    ("AWS p5: 32x100G EFA (3200 Gb/s)", "efa", 32, 100, None, 3200),
    ("3,200 Gbps EFA", "efa", None, None, None, 3200),
    ("AWS p5en: 16x200G EFA (3200 Gb/s)", "efa-v3", 16, 200, None, 3200),
    ("8x400G EFAv4", "efa-v3", 8, 400, None, None),
    ("8x400G InfiniBand NDR", "infiniband", 8, 400, None, None),
    ("8 x 200 Gb/s HDR", "infiniband", 8, 200, None, None),
    ("400G x8 NDR", "infiniband", 8, 400, None, None),
    ("NDR400 x 8", "infiniband", 8, 400, None, None),
    ("8xHDR", "infiniband", 8, 200, None, None),
    ("8x 50 GB/s NDR", "infiniband", 8, 400, None, None),
    ("4x HDR200", "infiniband", 4, 200, None, None),
    ("4x HDR100", "infiniband", 4, 100, None, None),
    ("InfiniBand 4X HDR", "infiniband", None, 200, None, None),
    ("EDR", "infiniband", None, 100, None, None),
    ("dual-rail EDR InfiniBand", "infiniband", 2, 100, None, None),
    ("FDR InfiniBand", "infiniband", None, 54.5, None, None),
    ("HDR InfiniBand, 8 HCAs", "infiniband", 8, 200, None, None),
    ("8x ConnectX-7 400Gb/s NDR", "infiniband", 8, 400, None, None),
    ("4x NVIDIA ConnectX-6 HDR", "infiniband", 4, 200, None, None),
    ("InfiniBand NDR 400 Gb/s per GPU", "infiniband", None, None, 400, None),
    ("1.6 Tb/s InfiniBand per node", "infiniband", None, None, None, 1600),
    ("800 GB/s InfiniBand XDR aggregate", "infiniband", None, None, None, 6400),
    ("1x100GbE RoCE v2", "ethernet", 1, 100, None, None),
    ("RoCE v2 8x CX6-Dx 100G", "ethernet", 8, 100, None, None),
    ("8x BlueField-3 RoCE", "ethernet", 8, 400, None, None),
    ("200Gb RDMA (IB/RoCE)", "ethernet", None, 200, None, None),
    ("TCP 25 GbE", "tcp", None, 25, None, None),
    ("100GbE TCP/IP sockets", "tcp", None, 100, None, None),
    ("Slingshot 11", "slingshot-11", None, 200, None, None),
    ("4x Slingshot-11 (25 GB/s each)", "slingshot", 4, 200, None, None),
    ("2x100 Gb/s Omni-Path", "omni-path", 2, 100, None, None),
    ("4x Omni-Path 100G per node", "omni-path", 4, 100, None, None),
    ("8x NVIDIA ConnectX-7 IB NDR 400Gb/s", "infiniband", 8, 400, None, None),
    ("Storage: 2x CX-7 NDR, Compute: 8x CX-7 NDR, Management: 100GbE", "infiniband", 8, 400, None, None),
    ("Management: 1x 100GbE RoCE; Compute: 4x HDR200", "infiniband", 4, 200, None, None),
    ("1x Ethernet 100Gb/s, 8x Quantum-2 InfiniBand (400Gb/s)", "infiniband", 8, 400, None, None),
    ("infiniband-hdr", "infiniband-hdr", None, 200, None, None),
]


@pytest.mark.parametrize(
    ("words", "technology", "ports", "port", "gpu", "node"), NETWORKS, ids=lambda v: str(v)
)
def test_words_on_a_network_give_technology_ports_and_rates(
    words: str, technology: str, ports: int | None, port: float | None, gpu: float | None, node: float | None
) -> None:
    found = read_network(words)
    assert found is not None
    assert (found.technology, found.ports) == (technology, ports)
    rates = (found.port_bytes_per_s, found.gpu_bytes_per_s, found.node_bytes_per_s)
    assert rates == tuple(None if rate is None else pytest.approx(rate * GBIT) for rate in (port, gpu, node))
    assert found.assumed == ()


@pytest.mark.parametrize(
    ("words", "technology", "assumed"),
    [
        ("about 100 GB/s per node", "infiniband", "technology not stated"),
        ("not stated (about 100 GB/s per node)", "infiniband", "technology not stated"),
        ("3.2 Tbps per node", "infiniband", "technology not stated"),
        ("ConnectX-7", "infiniband", "technology not stated"),
        ("10 Gigabit Ethernet", "tcp", "TCP"),
        ("400 GbE", "ethernet", "RoCE"),
    ],
)
def test_what_the_words_leave_open_is_taken_and_said(words: str, technology: str, assumed: str) -> None:
    found = read_network(words)
    assert found is not None
    assert found.technology == technology
    assert assumed in found.assumed[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("pigeons", "'pigeons' names no network technology"),
        ("not stated", "does not say which network"),
        ("8x200G HDR (3200 Gb/s)", "contradict"),
        ("200G or 400G InfiniBand", "contradict"),
    ],
)
def test_a_network_that_is_not_understood_is_refused_with_the_words(words: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_network(words)


@pytest.mark.parametrize("words", ["none", "", "-", "N/A"])
def test_no_network_is_none(words: str) -> None:
    assert read_network(words) is None


def test_a_rate_between_those_of_the_catalogue_keeps_the_efficiency_of_the_nearest() -> None:
    link = link_of_rate("efa", 300 * GBIT)
    assert link.name == "efa-300g"
    assert link.usable_bytes_per_s == pytest.approx(300 * GBIT * catalog.link("efa-400g").efficiency)
    assert link_of_rate("infiniband", 200 * GBIT) == catalog.link("infiniband-hdr")


GPUS = [
    ("NVIDIA A100-SXM4-80GB", "a100", "board", 80),
    ("A100 80GB PCIe", "a100", "card", 80),
    ("Tesla V100-SXM2-16GB", "v100", "board", 16),
    ("Tesla_V100_PCIE_32GB", "v100", "card", 32),
    ("H100_80GB_HBM3", "h100", None, 80),
    ("H100 NVL", "h100", "card", None),
    ("HGX H200", "h200", "board", None),
    ("GH200 480GB", "gh200", None, 480),
    ("B200-SXM-180GB", "b200", "board", 180),
    ("GB200 NVL72", "gb200", None, None),
    ("AMD Instinct MI250X", "mi250x", None, None),
    ("MI300X", "mi300x", None, None),
    ("L4", "l4", None, None),
    ("L40S", "l40s", None, None),
    ("A10G", "a10g", None, None),
    ("GeForce RTX 4090", "rtx-40", None, None),
    ("RTX 3090 Ti", "rtx-30", None, None),
    ("RTX A6000", "rtx-a6000", None, None),
    ("TPU v4", "tpu", None, None),
    ("Gaudi2", "gaudi2", None, None),
    ("Tesla T4", "t4", None, None),
    ("P100", "p100", None, None),
]


@pytest.mark.parametrize(("words", "family", "form", "memory"), GPUS, ids=lambda v: str(v))
def test_a_gpu_is_known_in_many_spellings(
    words: str, family: str, form: str | None, memory: int | None
) -> None:
    found = read_gpu(words)
    assert found.family is not None
    assert (found.family.name, found.form, found.memory_gb) == (family, form, memory)


def test_an_unknown_gpu_is_refused_and_one_that_is_not_stated_is_not() -> None:
    with pytest.raises(InputError, match="'GTX 970' is not known"):
        read_gpu("GTX 970")
    assert read_gpu("not stated").family is None


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("NVLink4 NVSwitch", ("nvlink", 4, "switch", None, None)),
        ("NVLink 3.0, fully connected", ("nvlink", 3, "mesh", None, None)),
        ("NVLink2 hybrid cube mesh", ("nvlink", 2, "lanes", None, None)),
        ("NVLink bridge pairs over PCIe Gen4", ("nvlink", None, "pairs", 4, None)),
        ("NVL72", ("nvlink", None, "switch", None, None)),
        ("Infinity Fabric xGMI full mesh", ("xgmi", None, "mesh", None, None)),
        ("PCIe Gen4 x16 (no NVLink)", ("pcie", None, None, 4, None)),
        ("PCIe 5.0 x16, no P2P", ("pcie", None, None, 5, False)),
        ("PCI-E gen3 x16 with P2P", ("pcie", None, None, 3, True)),
        ("none", (None, None, None, None, None)),
    ],
)
def test_words_on_links_inside_a_node(words: str, expected: tuple[object, ...]) -> None:
    assert tuple(read_inside(words)) == expected


@pytest.mark.parametrize(
    ("words", "library"),
    [
        ("NCCL 2.18.5", Library("nccl", (2, 18, 5))),
        ("NCCL (2025)", Library("nccl")),
        ("NCCL via torch (Vidur profiler)", Library("nccl")),
        ("nccl-tests 2.13", Library("nccl")),
        ("RCCL", Library("rccl")),
        ("vLLM custom all-reduce, CUDA graph", Library("kernels")),
        ("TensorRT-LLM one-shot", Library("kernels")),
        ("", Library("nccl")),
    ],
)
def test_words_on_a_library(words: str, library: Library) -> None:
    assert read_library(words) == library


@pytest.mark.parametrize("words", ["oneCCL 2021", "Open MPI 4.1", "carrier pigeon"])
def test_a_library_that_is_not_modelled_is_refused(words: str) -> None:
    with pytest.raises(InputError, match="known: NCCL, RCCL"):
        read_library(words)


def cluster(
    gpu: str, nodes: int, gpus: int, intra: str = "", inter: str = "none", system: str = ""
) -> Hardware:
    return understand(
        gpu=gpu, nodes=nodes, gpus_per_node=gpus, intra_link=intra, inter_link=inter, system=system
    )


CLUSTERS = [
    (
        ("H100-SXM5-80GB", 8, 8, "NVLink4 NVSwitch", "8x400G InfiniBand NDR"),
        "8 x dgx-h100, 8 x infiniband-ndr",
    ),
    (
        ("H100", 2, 8, "NVLink4 NVSwitch", "AWS p5: 32x100G EFA", "AWS p5.48xlarge"),
        "2 x p5.48xlarge, 8 x efa-400g",
    ),
    (
        ("H200", 16, 8, "NVLink4 NVSwitch", "16x200G EFA (3200 Gb/s)", "AWS p5en.48xlarge"),
        "16 x p5en.48xlarge, 8 x efa-v3-400g",
    ),
    (("A100-SXM4-80GB", 1, 4, "NVLink3 NVSwitch"), "1 x dgx-a100-80gb (4 GPUs)"),
    (("A100-SXM4-40GB", 4, 4, "NVLink3", "4x HDR200"), "4 x hgx-a100-x4, 4 x infiniband-hdr"),
    (("V100-SXM2-16GB", 1, 8, "NVLink2 hybrid cube mesh", "none"), "1 x dgx-1v-16gb"),
    (("V100-SXM3-32GB", 1, 16, "NVLink2 NVSwitch", "none"), "1 x dgx-2"),
    (("V100-SXM2-32GB", 4, 4, "NVLink2", "1x100GbE RoCE v2"), "4 x v100 x4 mesh, 1 x ethernet-100g"),
    (("H100", 2, 8, "NVLink4 NVSwitch", "8x100G RoCE"), "2 x dgx-h100, 8 x ethernet-100g"),
    (("MI300X", 2, 8, "Infinity Fabric", "8x400G RoCE"), "2 x mi300x-x8, 8 x ethernet-400g"),
    (("MI250X", 4, 8, "xGMI", "4x Slingshot 11"), "4 x mi250x-x8, 4 x slingshot-11"),
    (("A40", 1, 8, "NVLink bridge pairs"), "1 x a40-x8 with NVLink bridges"),
    (("L40S", 1, 8, "PCIe Gen4 x16 (no NVLink)"), "1 x l40s-x8, through host memory"),
    (("L40S", 1, 2, "PCIe Gen4 x16 (no NVLink)"), "1 x l40s-x8 (2 GPUs)"),
    (("H100 PCIe", 1, 4, "PCIe Gen5, no P2P"), "1 x h100-pcie-x8 (4 GPUs), through host memory"),
    (("GB200", 18, 4, "NVLink5 NVL72", "NVLink"), "1 x gb200-nvl72"),
    (
        ("not stated", 4, 8, "NVLink", "not stated (about 100 GB/s per node)"),
        "4 x dgx-a100, 8 x infiniband-edr",
    ),
]


@pytest.mark.parametrize(("words", "title"), CLUSTERS, ids=[title for _, title in CLUSTERS])
def test_a_row_becomes_node_type_link_and_counts(words: tuple[object, ...], title: str) -> None:
    assert cluster(*words).title == title  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("A100-SXM4-80GB", 2, 8, "NVLink3 NVSwitch", "none"), "no network between them"),
        (("A100-SXM4-80GB", 2, 8, "NVLink3 NVSwitch", "InfiniBand (size not stated)"), "give no rate"),
        (("H100-SXM5-80GB", 2, 8, "NVLink3", "8x400G InfiniBand"), "h100 has NVLink 4, not NVLink 3"),
        (("Gaudi", 1, 8, "10x100GbE RoCE"), "no node type of the catalogue stands for"),
        (("not stated", 2, 8, "", "8x400G InfiniBand"), "does not say which GPU"),
        (("GB200", 36, 4, "NVL72", "NVLink"), "holds 72 GPUs, not 144"),
        (("H100", 2, 16, "NVLink4 NVSwitch", "EFA", "AWS p5.48xlarge"), "has 8 GPUs, not 16"),
        (("B200", 1, 8, "PCIe Gen5"), "not sold as a PCIe card"),
        (("H100", 0, 8), "are no cluster"),
    ],
)
def test_hardware_that_is_not_understood_is_refused_with_the_reason(
    words: tuple[object, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        cluster(*words)  # type: ignore[arg-type]


def test_adapters_are_those_of_the_words_not_those_that_the_node_ships_with() -> None:
    found = cluster("A100-SXM4-80GB", 2, 8, "NVLink3 NVSwitch", "1x100GbE RoCE v2")
    assert found.node.nics == 1
    assert found.link == catalog.link("ethernet-100g")
    shipped = cluster("A100-SXM4-80GB", 2, 8, "NVLink3 NVSwitch", "HDR InfiniBand")
    assert shipped.node.nics == 8
    assert shipped.assumed == ("adapters of a node not stated: 8",)
    aggregate = cluster("A100-SXM4-80GB", 2, 8, "NVLink3 NVSwitch", "1.6 Tb/s InfiniBand per node")
    assert aggregate.link == catalog.link("infiniband-hdr")


def test_a_switch_that_adds_is_read_from_the_words() -> None:
    assert cluster("H100", 4, 8, "NVLink4 NVSwitch", "8x400Gb NDR with SHARP").reduces
    assert not cluster("H100", 4, 8, "NVLink4 NVSwitch", "8x400Gb NDR").reduces


@pytest.mark.parametrize(
    ("words", "accelerator"),
    [
        (("V100-SXM2-16GB", 1, 8, "NVLink2", "none", "DGX-1"), "v100-sxm2-16gb"),
        (("V100-SXM2-32GB", 1, 8, "NVLink2", "none", "DGX-1"), "v100-sxm2-32gb"),
        (("A100-SXM4-40GB", 1, 8, "NVLink3", "none", "DGX A100"), "a100-sxm4-40gb"),
        (("A100-SXM4-80GB", 1, 8, "NVLink3", "none", "DGX A100"), "a100-sxm4-80gb"),
    ],
)
def test_a_server_that_is_named_has_gpus_of_the_memory_that_the_words_name(
    words: tuple[object, ...], accelerator: str
) -> None:
    assert cluster(*words).node.accelerator == accelerator  # type: ignore[arg-type]


def test_every_gpu_family_names_node_types_and_links_that_are_there() -> None:
    from clustersim.catalog.hardware.gpus import SHELF

    for family in map(SHELF.get, SHELF.names()):
        for node in (*family.boards.values(), family.card):
            assert node is None or catalog.node_type(node)
        for link in (family.bridge, family.scale_up):
            assert link is None or catalog.link(link)
        assert all(layout in family.boards for layout in family.usual.values())
