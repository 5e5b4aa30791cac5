"""Chakra execution traces of our workloads, for ASTRA-sim and whoever else reads them.

Files are read and written by `clustersim.workloads.chakra`, which runs them as well.
"""

from clustersim.interchange.chakra.export import Exported, export

__all__ = ["Exported", "export"]
