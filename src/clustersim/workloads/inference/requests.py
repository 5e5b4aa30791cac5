"""One request to the service, from its arrival to its last token."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Request", "Wait"]

Wait = tuple[int, int]
"""Half-open range of engine step rows during which a preempted request was not running."""


@dataclass(slots=True, eq=False)
class Request:
    """What a request asks for, where it stands, and when things happened to it.

    The scheduler keeps `generated`, `pending` and `prefilled` up to date only at the points
    where a request changes its state; while it decodes, the batch counts for all of its
    requests together (see `DecodeBatch`).
    """

    index: int
    """Position in the order of sending, from 0."""
    arrival_s: float
    """Simulated time of arrival."""
    prompt: int
    """Prompt tokens."""
    output: int
    """Tokens to generate, at least 1."""
    replica: int = -1
    admitted_s: float = math.nan
    """Start of the first step that computed some of its prompt."""
    first_token_s: float = math.nan
    finish_s: float = math.nan
    preemptions: int = 0
    generated: int = 0
    """Output tokens so far."""
    pending: int = 0
    """Tokens that the present prefill must compute: the prompt, and what a preemption threw away."""
    prefilled: int = 0
    """Tokens of `pending` that are computed."""
    blocks: int = 0
    """KV blocks that it holds while its prompt is computed."""
    first_row: int = -1
    """Row of the engine's step log at which it was admitted."""
    last_row: int = -1
    """Row of the step log with which it finished."""
    last_activity: int = -1
    """Trace row of the activity with which it finished."""
    preempted_row: int = -1
    waits: list[Wait] = field(default_factory=list)
    """Step rows during which it had lost its KV blocks and waited to be computed again."""
    on_finish: Callable[[Request], None] | None = None

    @property
    def order(self) -> tuple[float, int]:
        """Key by which requests are older or younger."""
        return (self.arrival_s, self.index)

    @property
    def finished(self) -> bool:
        """Whether its last token is out."""
        return not math.isnan(self.finish_s)
