"""Workloads in the formats of other tools."""
