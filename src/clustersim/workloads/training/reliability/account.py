"""What the time of a job went to."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import NamedTuple

__all__ = ["USES", "Account", "Stay"]


@dataclass(slots=True)
class Account:
    """Seconds by what they went to; together the time of the period.

    Parameters
    ----------
    useful_s
        Training whose result was kept, counted as with all replicas.
    lost_s
        Training that had to be done again.
    checkpoint_s
        Standing still for checkpoints.
    detection_s
        From failures to their diagnosis.
    restart_s
        Starting again, reading the checkpoint included.
    waiting_s
        Waiting for nodes.
    reduced_s
        What training with fewer replicas fell short of training with all.
    """

    useful_s: float = 0.0
    lost_s: float = 0.0
    checkpoint_s: float = 0.0
    detection_s: float = 0.0
    restart_s: float = 0.0
    waiting_s: float = 0.0
    reduced_s: float = 0.0

    @property
    def total_s(self) -> float:
        """All of it."""
        return math.fsum(getattr(self, name) for name in USES)

    def add(self, other: Account) -> None:
        """Add what another account holds."""
        for name in USES:
            setattr(self, name, getattr(self, name) + getattr(other, name))


USES: tuple[str, ...] = tuple(field.name for field in fields(Account))
"""Fields of an account, in the order in which they are shown."""


class Stay(NamedTuple):
    """A time that the job spent in one phase, and what it went to."""

    phase: str
    start_s: float
    end_s: float
    account: Account
