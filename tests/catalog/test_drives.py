"""Drives of the catalogue."""

from __future__ import annotations

from clustersim import catalog
from clustersim.catalog.drives import SHELF


def test_drives_read_faster_than_they_write_and_every_rate_has_a_source() -> None:
    for drive in map(SHELF.get, SHELF.names()):
        assert drive.read_bytes_per_s > drive.write_bytes_per_s > 0
        assert set(drive.sources) == {"read_bytes_per_s", "write_bytes_per_s"}


def test_a_drive_is_found_by_its_makers_name() -> None:
    assert SHELF.get("PM1743").read_bytes_per_s == 13e9
    assert "7" in catalog.describe("nvme-gen4")
