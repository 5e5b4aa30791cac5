"""PCI devices: which accelerator a `vendor:device` number stands for."""

from __future__ import annotations

from clustersim.catalog._store import Record, Shelf

__all__ = ["SHELF"]


def _build(record: Record) -> str:
    return str(record.fields["accelerator"])


SHELF: Shelf[str] = Shelf("PCI device", file="pci_devices.yaml", build=_build)
