"""One request to the service, from its arrival to its last token."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Handover", "Request", "Wait"]

Wait = tuple[int, int]
"""Half-open range of engine step rows during which a preempted request was not running."""


class Handover(NamedTuple):
    """Where a request's prompt was computed, if elsewhere, and how its KV came from there.

    Parameters
    ----------
    replica, first_row, last_row
        Who computed the prompt, and the rows of its step log from admission to the first token.
    transfer_s
        From when the first part of the KV was sent to when all had come.
    exposed_s
        Of that, what the request waited for: from its first token, or from when there were blocks
        for it, if that is later.
    arrived_s
        When all had come.
    size_bytes
        Of the KV.
    shares
        Seconds of `exposed_s` by resource.
    row
        Row of the trace that stands for `exposed_s`.
    """

    replica: int
    first_row: int
    last_row: int
    transfer_s: float
    exposed_s: float
    arrived_s: float
    size_bytes: float
    shares: Mapping[str, float]
    row: int


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
    waits: Sequence[Wait] = ()
    """Step rows during which it had lost its KV blocks and waited to be computed again."""
    turn: int = 0
    """Number of its last admission among those of its replica."""
    attempts: int = 0
    """Times that a replica failed with it."""
    tenant: int = 0
    """Whose it is, by position among the service's tenants."""
    priority: int = 0
    """The smaller, the earlier it is served where the order goes by priority."""
    session: int = -1
    """Conversation that it belongs to; −1: none."""
    hashes: Sequence[int] | None = None
    """Names of the blocks of its prompt, equal for equal beginnings; None: it shares nothing."""
    hash_tokens: int = 0
    """Tokens that each of `hashes` stands for."""
    cached: int = 0
    """Prompt tokens whose keys and values were found at its first admission."""
    loading_s: dict[str, float] | None = None
    """Seconds by resource in which it waited for keys and values from lower tiers; None: it did not."""
    handover: Handover | None = None
    """How its KV came to the replica, where another one computed its prompt."""
    on_finish: Callable[[Request], None] | None = None

    @property
    def order(self) -> tuple[float, int]:
        """Key by which requests are older or younger."""
        return (self.arrival_s, self.index)

    @property
    def finished(self) -> bool:
        """Whether its last token is out."""
        return not math.isnan(self.finish_s)

    def note_loading(self, shares: Mapping[str, float]) -> None:
        """Add seconds by resource in which it waited for keys and values from lower tiers."""
        self.loading_s = self.loading_s or {}
        for resource, seconds in shares.items():
            self.loading_s[resource] = self.loading_s.get(resource, 0.0) + seconds

    def start_over(self) -> None:
        """Forget what a failed replica did for it; it can be sent again."""
        self.attempts += 1
        self.generated = self.pending = self.prefilled = self.blocks = self.cached = 0
        self.admitted_s = self.first_token_s = math.nan
        self.first_row = self.preempted_row = -1
        self.waits = ()
        self.loading_s = None
        self.handover = None
