"""How a run came to its end."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Ending"]


class Ending(StrEnum):
    """Why the clock stopped; all but `COMPLETE` leave a partial result."""

    COMPLETE = "complete"
    """All workloads were done, or the scenario's `until` was reached."""
    INTERRUPTED = "interrupted"
    """Ctrl-C."""
    STALLED = "stalled"
    """Nothing could move any more."""
