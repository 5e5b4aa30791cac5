"""The drives of one node: reads and writes wait for each other in the order in which they come."""

from __future__ import annotations

import simpy

from clustersim.catalog.drives import SHELF
from clustersim.errors import CatalogError, InputError, Problem
from clustersim.spec.kv_cache import NvmeTier

__all__ = ["NodeDrives", "drive_rates"]


def drive_rates(spec: NvmeTier, *, speed: float = 1.0) -> tuple[float, float]:
    """Return what the drives of one node read and write per second, all together, in bytes.

    Raises
    ------
    InputError
        For a drive that the catalogue does not have; its path is relative to the tier.
    """
    try:
        drive = SHELF.get(spec.drive)
    except CatalogError as error:
        raise InputError(Problem(("drive",), str(error))) from None
    read = drive.read_bytes_per_s if spec.read_bandwidth is None else spec.read_bandwidth
    write = drive.write_bytes_per_s if spec.write_bandwidth is None else spec.write_bandwidth
    return spec.drives * speed * read, spec.drives * speed * write


class NodeDrives:
    """Striped drives as two queues, one for what is read and one for what is written.

    *Equation.* A job of S bytes that comes at t ends at max(t, end of the one before) + S / rate.

    Parameters
    ----------
    env
        The clock.
    read_bytes_per_s, write_bytes_per_s
        Of all drives of the node.

    **Valid when** reads and writes do not slow each other down, and the order of service does not matter
    to who waits; an access takes no time beyond its bytes.
    **Checked by:** tests/workloads/test_kv_mover.py.
    """

    def __init__(self, env: simpy.Environment, *, read_bytes_per_s: float, write_bytes_per_s: float) -> None:
        self._env = env
        self._rates = {"read": read_bytes_per_s, "write": write_bytes_per_s}
        self._free_s = {"read": 0.0, "write": 0.0}

    def read(self, size_bytes: float) -> float:
        """Queue bytes to be read; return the seconds from now until they are."""
        return self._serve("read", size_bytes)

    def write(self, size_bytes: float) -> float:
        """Queue bytes to be written; return the seconds from now until they are."""
        return self._serve("write", size_bytes)

    def _serve(self, queue: str, size_bytes: float) -> float:
        now_s = self._env.now
        end_s = max(now_s, self._free_s[queue]) + size_bytes / self._rates[queue]
        self._free_s[queue] = end_s
        return end_s - now_s
