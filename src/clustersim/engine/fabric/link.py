"""A link as a simpy resource."""

from __future__ import annotations

from clustersim.engine.fabric.fabric import Fabric
from clustersim.engine.fabric.flow import Flow

__all__ = ["Link"]


class Link:
    """One directed link: `yield link.put(size_bytes)` waits until the bytes have crossed it.

    It shares its capacity fairly with everything else that uses it, here or through the
    fabric. Use it like any simpy resource in a process of your own::

        def sender(link):
            yield link.put(10e6)

    Parameters
    ----------
    fabric
        The fabric that it belongs to.
    index
        Its number there.
    """

    def __init__(self, fabric: Fabric, index: int) -> None:
        self.fabric = fabric
        self.index = index
        self.name = fabric.names[index]

    @property
    def capacity_bytes_per_s(self) -> float:
        """Present capacity; assign to change it, zero stalls the link."""
        return self.fabric.capacity_bytes_per_s(self.index)

    @capacity_bytes_per_s.setter
    def capacity_bytes_per_s(self, value: float) -> None:
        self.fabric.set_capacity(self.index, value)

    @property
    def load_bytes_per_s(self) -> float:
        """Bytes/s that cross it now."""
        return self.fabric.load_bytes_per_s(self.index)

    def put(self, size_bytes: float) -> Flow:
        """Send bytes over this one link; the event fires when they have crossed."""
        return self.fabric.start(self.fabric.route_set((self.index,)), size_bytes)

    def __repr__(self) -> str:
        return f"<Link {self.name}>"
