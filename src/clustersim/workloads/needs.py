"""What a unit of work takes: arithmetic, bytes through memory, bytes and messages on the network."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Needs"]


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a workload did over some time, all its GPUs together.

    Parameters
    ----------
    unit
        What is counted: `token`, `sample`.
    units
        How many were done.
    flops
        That were executed, recomputation included; a multiply-add counts as two.
    hbm_bytes
        Through device memory, by the operators' least traffic.
    network_bytes
        That GPUs sent to others, inside nodes as well: of each collective what its textbook algorithm
        sends (a ring's for all-reduce: 2·S·(n - 1)/n per GPU).
    messages
        Calls of collectives and sends, each counted once for every GPU that takes part.
    """

    unit: str
    units: float
    flops: float
    hbm_bytes: float
    network_bytes: float
    messages: float

    def metrics(self, seconds: float) -> dict[str, float]:
        """Return the `work.*` metrics: each need over the units, and units per second.

        Empty where nothing was done.
        """
        if self.units <= 0.0 or seconds <= 0.0:
            return {}
        return {
            "work.units_per_s": self.units / seconds,
            "work.flops_per_unit": self.flops / self.units,
            "work.hbm_bytes_per_unit": self.hbm_bytes / self.units,
            "work.network_bytes_per_unit": self.network_bytes / self.units,
            "work.messages_per_unit": self.messages / self.units,
        }
