"""What the attributes of NCCL's topology file mean: rates, technologies, devices."""

from __future__ import annotations

import re

from clustersim import catalog
from clustersim.catalog.links import LinkType
from clustersim.catalog.pci_devices import SHELF as PCI_DEVICES
from clustersim.errors import CatalogError
from clustersim.topology.importers._xml import Element, refuse

__all__ = [
    "accelerator",
    "device_number",
    "lane_bytes_per_s",
    "lane_link",
    "nic_kind",
    "pcie_bytes_per_s",
    "pcie_link",
    "socket_link",
]

_PCIE = ((64.0, "pcie-6-x16"), (32.0, "pcie-5-x16"), (16.0, "pcie-4-x16"), (8.0, "pcie-3-x16"))
"""GT/s of a lane from which on a link is of a generation."""

_NVLINK = ((100, "nvlink-5"), (90, "nvlink-4"), (80, "nvlink-3"), (70, "nvlink-2"), (60, "nvlink-1"))
"""Compute capability (`sm`) from which on a GPU has a generation of NVLink."""

_LANES = {"nvlink-1": 4, "nvlink-2": 6, "nvlink-3": 12, "nvlink-4": 18, "nvlink-5": 18, "xgmi-mi300": 7}
"""Lanes of one GPU; the catalogue has the sum of them. Source: the makers' datasheets."""

_BRIDGE_SM = (86, 89)
_BRIDGE_SHARE = 12.0 / 20.0
"""Lanes of PCIe boards such as the A40 are slower. Source: SM86_NVLINK_BW / SM80_NVLINK_BW of NCCL."""

_INTEL_SOCKETS = ((0x8F, "upi-sapphire-rapids"), (0x55, "upi-skylake"), (0, "qpi-broadwell"))
"""Model of an Intel CPU of family 6 from which on it has a link. Source: NVIDIA/nccl, topo.cc."""

_AMAZON = "0x1d0f"


def pcie_link(pci: Element) -> LinkType:
    """Return the PCIe generation of a device; Gen 3 where nothing is said, as NCCL takes it."""
    rate = _giga_transfers(pci)
    return catalog.link(next((name for least, name in _PCIE if rate >= least), "pcie-3-x16"))


def pcie_bytes_per_s(pci: Element, link: LinkType) -> float:
    """Return the usable rate of a device's PCIe link: that of 16 lanes by its width and rate per lane."""
    width = pci.whole("link_width", 0) or 16
    generation = next(least for least, name in _PCIE if name == link.name)
    slower = min(1.0, _giga_transfers(pci) / generation)
    return link.usable_bytes_per_s * width / 16 * slower


def _giga_transfers(pci: Element) -> float:
    text = pci.text("link_speed")
    number = re.match(r"\d+(\.\d+)?", text)
    if text and number is None and not text.casefold().startswith("unknown"):
        refuse(pci, f'link_speed="{text}" is not understood; expected, for example, "16.0 GT/s PCIe"')
    return float(number.group()) if number and float(number.group()) > 0 else 8.0


def lane_link(gpu: Element, lane: Element) -> LinkType:
    """Return the technology of a GPU's lanes to others."""
    if lane.tag == "xgmi":
        return catalog.link("xgmi-mi300")
    sm = gpu.whole("sm", 0)
    name = next((name for least, name in _NVLINK if sm >= least), None)
    if name is None:
        refuse(gpu, f'sm="{gpu.text("sm")}" has no NVLink that is known; expected 60 or more')
    return catalog.link(name)


def lane_bytes_per_s(gpu: Element, lane: Element, link: LinkType) -> float:
    """Return the usable rate of lanes: their number times that of one."""
    count = lane.whole("count", 1)
    if count < 1:
        refuse(lane, f'count="{lane.text("count")}"; expected at least one lane')
    share = _BRIDGE_SHARE if gpu.whole("sm", 0) in _BRIDGE_SM else 1.0
    return link.usable_bytes_per_s * count / _LANES[link.name] * share


def accelerator(pci: Element) -> str:
    """Return what a GPU is: as its element says, else by its PCI device number."""
    elements = [pci, *(child for child in pci.children if child.tag == "gpu")]
    for element in elements:
        if name := element.text("accelerator"):
            try:
                return catalog.accelerator(name).name
            except CatalogError as error:
                refuse(element, str(error))
    device = f"{pci.text('vendor')}:{pci.text('device')}".lower()
    try:
        return PCI_DEVICES.get(device)
    except CatalogError:
        refuse(
            pci,
            f"GPU {pci.text('busid')} is of the unknown device '{device}'; write accelerator=\"…\", "
            "a name of the catalogue, into this element",
        )


def device_number(pci: Element) -> int:
    """Return the number that CUDA gives a GPU; those without one keep the order of the file."""
    return next((child.whole("dev", 0) for child in pci.children if child.tag == "gpu"), 0)


def nic_kind(pci: Element) -> str:
    """Return the technology of an adapter by its vendor and class."""
    if pci.text("vendor").lower() == _AMAZON:
        return "efa"
    return "infiniband" if pci.text("class").startswith("0x0207") else "ethernet"


def socket_link(cpu: Element) -> LinkType:
    """Return the link between sockets of this kind; for other makers than Intel the one of AMD."""
    if cpu.text("vendor") == "GenuineIntel":
        model = cpu.whole("modelid", 0)
        return catalog.link(next(name for least, name in _INTEL_SOCKETS if model >= least))
    return catalog.link("xgmi-socket")
