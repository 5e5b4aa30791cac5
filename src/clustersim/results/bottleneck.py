"""One sentence that says what took the time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from clustersim.engine.trace import COMPUTE, HOST, MEMORY_BANDWIDTH, NETWORK_LATENCY, QUEUEING, STORAGE
from clustersim.results.attribution import NETWORK_BANDWIDTH, by_class
from clustersim.results.fabric_report import FabricReport

if TYPE_CHECKING:
    from clustersim.workloads.base import Outcome

__all__ = ["RESOURCE_NAMES", "fabric_sentence", "workload_sentence"]

RESOURCE_NAMES: Mapping[str, str] = {
    COMPUTE: "compute",
    MEMORY_BANDWIDTH: "memory bandwidth",
    NETWORK_BANDWIDTH: "network bandwidth",
    NETWORK_LATENCY: "network latency",
    HOST: "host overhead",
    STORAGE: "storage",
    QUEUEING: "queueing",
}
"""Resource classes as people write them."""

_WORTH_SAYING = 0.05
_MOST_NAMED = 3
_TIME_OF = {
    "training": "iteration time",
    "inference": "request time",
    "chakra": "iteration time",
    "ranking-training": "iteration time",
    "ranking-inference": "query time",
}


def workload_sentence(outcome: Outcome, fabric: FabricReport | None = None) -> str:
    """Say which resources took a workload's time, largest first, and which link most.

    Named are up to three classes with 5 % or more. A link is named where it alone makes
    up more than half of the network share, and why it held the workload back where `fabric` knows.
    """
    if not outcome.attribution:
        return f"{outcome.name}: nothing was finished, so there is no time to attribute."
    classes = by_class(outcome.attribution)
    named = [item for item in classes.items() if item[1] >= _WORTH_SAYING][:_MOST_NAMED]
    first, *others = (f"{_percent(share)} {_name(resource, outcome, fabric)}" for resource, share in named)
    time_of = _TIME_OF.get(outcome.kind, "time")
    sentence = f"{outcome.name}: {first.replace(' % ', f' % of {time_of} is ', 1)}"
    return f"{sentence}{''.join(f', {part}' for part in others)}."


def _name(resource: str, outcome: Outcome, fabric: FabricReport | None) -> str:
    name = RESOURCE_NAMES.get(resource, resource.replace("_", " "))
    if resource != NETWORK_BANDWIDTH:
        return name
    links = {
        key.partition(":")[2]: share
        for key, share in outcome.attribution.items()
        if key.startswith(f"{NETWORK_BANDWIDTH}:")
    }
    if not links:
        return name
    link, share = max(links.items(), key=lambda item: (item[1], item[0]))
    if share > 0.5 * sum(links.values()):
        return f"{name} (mostly {link}{_why(fabric, outcome.name, link)})"
    return f"{name} (over {len(links)} links, most at {link})"


def _why(fabric: FabricReport | None, workload: str, link: str) -> str:
    """Say whether a link held a workload back by being full, or at the rate of its protocol."""
    if fabric is None or link not in fabric.names:
        return ""
    full_s, protocol_s = fabric.held_back_s(workload, link)
    if protocol_s > full_s:
        return ", at the rate of its own protocol"
    return ", which was full" if full_s else ""


def fabric_sentence(fabric: FabricReport, outcomes: Iterable[Outcome] = ()) -> str:
    """Say which link was busiest, how long the fullest was full, and whom a link held back most."""
    busiest = fabric.busiest(1)
    if not busiest:
        return "fabric: no link carried anything."
    link = busiest[0]
    longest = int(fabric.saturated_s.argmax())
    saturated_s = float(fabric.saturated_s[longest])
    parts = [f"fabric: {link.name} ({link.tier}) was busiest, {_percent(link.mean_utilization)} on average"]
    if saturated_s > 0 and fabric.duration_s > 0:
        full = "it was full" if fabric.names[longest] == link.name else f"{fabric.names[longest]} was full"
        parts.append(f"{full} for {_percent(saturated_s / fabric.duration_s)} of the time")
    share, name, holder = max(_held_back(outcomes), default=(0.0, "", ""))
    if share >= _WORTH_SAYING:
        why = _why(fabric, name, holder)
        at_protocol = f", at the rate of {name}'s own protocol" if "protocol" in why else ""
        parts.append(f"{holder} held {name} back for {_percent(share)} of its time{at_protocol}")
    return "; ".join(parts if len(parts) > 1 else [*parts, "no link was ever full"]) + "."


def _held_back(outcomes: Iterable[Outcome]) -> Iterator[tuple[float, str, str]]:
    """Share of a workload's time that one link took, with the names of both."""
    for outcome in outcomes:
        for resource, share in outcome.attribution.items():
            kind, _, link = resource.partition(":")
            if kind == NETWORK_BANDWIDTH and link:
                yield share, outcome.name, link


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.0f} %" if fraction >= 0.01 else "under 1 %"
