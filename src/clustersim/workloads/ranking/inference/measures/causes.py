"""What made the time of queries: their own batches, and those of others that they waited for."""

from __future__ import annotations

from clustersim.workloads.ranking.inference.measures.served import ServedQueries

__all__ = ["service_causes"]


def service_causes(served: ServedQueries) -> dict[str, float]:
    """Return the share of each resource on the critical paths of all visits that are over.

    *Equation.* A visit ends with its last batch. From there the path goes back along what let each thing
    begin: the step before, or what was before it on the device or in the channel, and where the batch left
    the queue, the batch that its worker was busy with; to the arrival. Seconds in which nothing ran for it,
    while its batch filled, stay `queueing`.

    **Valid when** the order and the make-up of batches do not depend on the speed.
    **Checked by:** tests/study/test_radar_reruns.py, against runs with each resource slower and faster.
    """
    seconds: dict[str, float] = {}
    for visits in served.visits:
        for resource, value in visits.on_paths.items():
            seconds[resource] = seconds.get(resource, 0.0) + value
    whole_s = sum(seconds.values())
    if whole_s <= 0.0:
        return {}
    return {name: value / whole_s for name, value in seconds.items() if value > 0.0}
