"""The KV of one request on its way from the replica that computes its prompt to the one that answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import simpy

from clustersim.engine.trace import NO_CAUSE
from clustersim.engine.world import World
from clustersim.workloads.bulk_flow import BulkFlow, Sent
from clustersim.workloads.inference.fleet.kv_routes import KvRoute
from clustersim.workloads.inference.requests import Request

__all__ = ["KvTransfer"]


class _Chunk(NamedTuple):
    """A part of a prompt that is being computed."""

    new: int
    start_s: float
    seconds: float


class KvTransfer:
    """Sends the KV of a prompt once it is computed and the other side has blocks for it.

    Sent layer by layer, all layers of a chunk of the prompt but the last go while the chunk is
    computed, no faster than that, and the last when it is done. Sent whole, all goes after the prompt.

    *Equation.* Layer by layer over a link that nobody shares, with T the time of the prompt, S its KV, B
    the link's rate and L layers: the first L - 1 are on their way from T/L to T/L + (L-1)/L·max(T, S/B), the
    last takes S/(L·B) from then, or from T if that is later.

    Parameters
    ----------
    request, twin
        Who is answered, and its prompt, which is computed elsewhere.
    layers
        L; 1: whole.
    arrived
        Called when all is there, with the last part that came; returns the row of the trace.

    **Source:** Patel et al., Splitwise, ISCA 2024, section IV-C (layer by layer); Zhong et al., DistServe,
    OSDI 2024, section 4.3 (the decoding side pulls, and KV stays on the prefill side until then).
    **Checked by:** tests/workloads/test_inference_disaggregation.py.
    """

    def __init__(
        self,
        world: World,
        request: Request,
        twin: Request,
        *,
        layers: int,
        arrived: Callable[[KvTransfer, Sent], int],
    ) -> None:
        self.request = request
        self.twin = twin
        self.prefilled = False
        """Whether the prompt is computed to its end."""
        self.offered = False
        """Whether a replica of the other side has been chosen."""
        self.granted_s = 0.0
        """When that replica had blocks for it."""
        self.begun_s = 0.0
        """When the first part was sent."""
        self._world = world
        self._layers = layers
        self._arrived = arrived
        self._done = 0.0
        """Tokens whose KV is computed, all layers."""
        self._chunk: _Chunk | None = None
        """What is computed now."""
        self._route: KvRoute | None = None
        self.there = world.env.event()
        """Happens when all is there, or lost. Its value: how many tokens' KV the other side has then, and the
        row of the trace that let it."""
        self._begin_life()

    def _begin_life(self) -> None:
        self._cached = 0
        self._sent = 0.0
        """Tokens that are sent, or that the other side has."""
        self._under_way = 0
        self._life = object()
        """Parts that were sent in an earlier life count no more when they arrive."""

    @property
    def size_bytes(self) -> float:
        """Bytes of the whole transfer."""
        tokens = self.twin.prompt - self._cached
        return tokens * self._route.bytes_per_token if self._route else 0.0

    @property
    def granted(self) -> bool:
        """Whether a replica has blocks for it."""
        return self._route is not None

    @property
    def lost(self) -> bool:
        """Whether the KV is gone with the replica that had it."""
        return self.there.triggered

    def chunk(self, new: int, seconds: float) -> None:
        """Take note that a chunk of the prompt begins to be computed, which takes so long."""
        self._done = max(self._done, self.twin.prefilled)
        self._chunk = _Chunk(new, self._world.env.now, seconds)
        self._send_what_is_done()
        self._send_layers(self._chunk)

    def prompt_done(self) -> None:
        """Take note that the prompt is computed."""
        self.prefilled = True
        self._done, self._chunk = self.twin.prompt, None
        self._send_what_is_done()

    def grant(self, route: KvRoute, *, cached: int) -> simpy.Event:
        """Begin, now that there are blocks; return `there`.

        Parameters
        ----------
        cached
            Tokens, from the first on, whose KV the other side had in its prefix cache.
        """
        self.granted_s = self._world.env.now
        self._route = route
        self._sent = self._cached = cached
        self._send_what_is_done()
        if self._chunk is not None:
            self._send_layers(self._chunk)
        return self.there

    def lose_source(self) -> None:
        """Give up: the replica that had the KV has failed, and the other one computes the prompt."""
        cached = self._cached
        self._begin_life()
        self.request.generated = 0
        self.there.succeed((cached, NO_CAUSE))

    def lose_target(self) -> None:
        """Begin anew with another replica: the one that the KV went to has failed."""
        self._begin_life()
        self._route = None
        self.there = self._world.env.event()

    def _send_what_is_done(self) -> None:
        if self._route and self._done > self._sent:
            self._send(self._done - self._sent)

    def _send_layers(self, chunk: _Chunk) -> None:
        """Send all layers of the chunk under way but the last, as they are computed."""
        fresh = min(chunk.new, self.twin.prefilled + chunk.new - self._sent)
        if not self._route or self._layers == 1 or fresh <= 0.0:
            return
        now_s, end_s = self._world.env.now, chunk.start_s + chunk.seconds
        first_s = max(now_s, chunk.start_s + chunk.seconds / self._layers)
        part = fresh * (self._layers - 1) / self._layers
        self._send(part, wait_s=first_s - now_s, bound_s=max(0.0, end_s - first_s))

    def _send(self, tokens: float, *, wait_s: float = 0.0, bound_s: float = 0.0) -> None:
        assert self._route is not None
        if self._sent == self._cached:
            self.begun_s = self._world.env.now + wait_s
        self._sent += tokens
        self._under_way += 1
        life = self._life
        BulkFlow(
            self._world,
            self._route.bulk,
            tokens * self._route.bytes_per_token,
            arrived=lambda sent: self._part_arrived(sent, life),
            wait_s=wait_s,
            bound_s=bound_s,
        )

    def _part_arrived(self, sent: Sent, life: object) -> None:
        if life is not self._life:
            return
        self._under_way -= 1
        if self.prefilled and not self._under_way:
            row = self._arrived(self, sent)
            self.there.succeed((self.twin.prompt, row))
