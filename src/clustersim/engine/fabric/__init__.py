"""The fluid fabric: flows that share links max-min fairly, on a simpy clock."""

from __future__ import annotations

from clustersim.engine.fabric.fabric import Fabric
from clustersim.engine.fabric.flow import Flow
from clustersim.engine.fabric.link import Link
from clustersim.engine.fabric.meters import FabricUsage
from clustersim.engine.fabric.replay import replay_flows
from clustersim.engine.fabric.route_set import RouteSet
from clustersim.engine.fabric.traffic import DEFAULT_TRAFFIC, TrafficClass

__all__ = [
    "DEFAULT_TRAFFIC",
    "Fabric",
    "FabricUsage",
    "Flow",
    "Link",
    "RouteSet",
    "TrafficClass",
    "replay_flows",
]
