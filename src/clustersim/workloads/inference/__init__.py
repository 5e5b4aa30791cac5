"""LLM inference services, request by request."""

from __future__ import annotations

from clustersim.workloads.inference.service import InferenceWorkload

__all__ = ["InferenceWorkload"]
