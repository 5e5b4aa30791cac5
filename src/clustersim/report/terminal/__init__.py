"""The summary of a run as text, part by part: each kind of workload, the fabric, the bottlenecks."""

from clustersim.report.terminal.summary import renderable, summary

__all__ = ["renderable", "summary"]
