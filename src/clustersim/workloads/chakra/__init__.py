"""Execution traces of MLCommons Chakra: read, written and run on a cluster."""

from clustersim.workloads.chakra.workload import ChakraWorkload

__all__ = ["ChakraWorkload"]
