"""Collectives over the fabric: rings, trees, hierarchies and in-switch reduction."""

from __future__ import annotations

from clustersim.collectives.communicator import CollectiveRecord, Communicator

__all__ = ["CollectiveRecord", "Communicator"]
