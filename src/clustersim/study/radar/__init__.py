"""What each workload needs, on five axes: the shares of its time, checked by reruns."""

from __future__ import annotations

from clustersim.study.radar.profiling import radar
from clustersim.study.radar.result import Profile, Radar

__all__ = ["Profile", "Radar", "radar"]
