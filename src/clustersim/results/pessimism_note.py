"""One sentence for a run whose collectives may be too slow, because they ran as fluids."""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.engine.pessimism import PessimisticCollectives
from clustersim.units import SIZE, format_quantity

__all__ = ["pessimism_note"]


def pessimism_note(found: Sequence[PessimisticCollectives]) -> str:
    """Say how many collectives of whom may be too slow by how much, and what to do; empty if none may.

    `found` has the worst first.
    """
    if not found:
        return ""
    worst, count = found[0], sum(one.count for one in found)
    workloads = " and ".join(dict.fromkeys(one.workload for one in found if one.workload)) or "the run"
    return (
        f"{count:,} collective{'s' if count > 1 else ''} of {workloads} shared links with transfers smaller "
        f"than what is in flight on a ring ({_size(worst.in_flight_bytes)}): times may be pessimistic by "
        f"up to {100 * worst.part:.0f} % ({worst.kind} of {_size(worst.size_bytes)}); run with "
        "'fidelity: stepwise' to check"
    )


def _size(size_bytes: float) -> str:
    return format_quantity(float(f"{size_bytes:.3g}"), SIZE)
