"""Prompts on one pool of replicas, answers on another, and KV on the network between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import simpy

from clustersim.engine.trace import NO_CAUSE
from clustersim.engine.world import World
from clustersim.workloads.bulk_flow import Sent
from clustersim.workloads.inference.fleet.kv_routes import KvRoutes
from clustersim.workloads.inference.fleet.kv_transfer import KvTransfer
from clustersim.workloads.inference.fleet.pool import Pool
from clustersim.workloads.inference.replica.engine import ReplicaEngine
from clustersim.workloads.inference.requests import Handover, Request

__all__ = ["Disaggregation"]


class Disaggregation:
    """Takes each request through both pools.

    A request's prompt is computed as a *twin* of it on a prefill replica, which ends with the first
    token. A decode replica takes blocks for the request, pulls the KV into them and goes on from
    the second token; the prefill replica keeps its blocks until then. A request of one token is
    answered by the prefill replica alone.

    Parameters
    ----------
    routes
        Between replicas of the pools.
    layers
        Parts that the KV of a chunk is sent in: the layers of the model, or 1 for all at once.
    lane
        Where the trace shows transfers.
    answered
        Called with a request that a prefill replica answered alone.
    again
        Called with a request that has to be sent again from the beginning.
    recovered
        Called for each request that goes on after a failure without that.
    """

    def __init__(
        self,
        world: World,
        *,
        routes: KvRoutes,
        layers: int,
        lane: str,
        answered: Callable[[Request], None],
        again: Callable[[Request], None],
        recovered: Callable[[], None],
    ) -> None:
        self._world = world
        self._routes = routes
        self._layers = layers
        self._lane = lane
        self._answered = answered
        self._again = again
        self._recovered = recovered
        self._transfers: dict[int, KvTransfer] = {}
        """By request, from its sending until its KV is there."""

    def connect(self, prefill: Pool, decode: Pool) -> None:
        """Tell the pools; their engines were made with the hooks below."""
        self._prefill = prefill
        self._decode = decode

    def send(self, request: Request) -> None:
        """Send the prompt of a request to a prefill replica."""
        twin = replace(request, waits=(), on_finish=None)
        self._transfers[request.index] = KvTransfer(
            self._world, request, twin, layers=self._layers, arrived=self._kv_arrived
        )
        self._prefill.send(twin)

    def deliver(self, engine: ReplicaEngine, request: Request) -> None:
        """Give a request to a decode replica, which asks for its KV when it has blocks."""
        engine.submit_prefilled(request, self._bring)

    def chunk_begins(self, twin: Request, new: int, seconds: float) -> None:
        """Hook of a prefill engine: a chunk of a prompt begins to be computed."""
        transfer = self._transfers[twin.index]
        if twin.output > 1:
            self._offer(transfer)
            transfer.chunk(new, seconds)

    def prompt_done(self, twin: Request) -> None:
        """Hook of a prefill engine: a prompt is computed, and its first token is out."""
        transfer = self._transfers[twin.index]
        _take_times(transfer.request, twin)
        self._offer(transfer)
        transfer.prompt_done()

    def prompt_answered(self, twin: Request) -> None:
        """Hook of a prefill engine: a request of one token is answered."""
        request = self._transfers.pop(twin.index).request
        self._prefill.left(twin)
        _take_times(request, twin)
        request.replica, request.first_row = twin.replica, twin.first_row
        request.finish_s, request.last_row = twin.finish_s, twin.last_row
        request.last_activity = twin.last_activity
        self._answered(request)

    def prefill_failed(self, twins: Sequence[Request]) -> None:
        """See to the prompts that a failed prefill replica had.

        A request that a decode replica has been chosen for is computed there, prompt included.
        """
        for twin in twins:
            transfer = self._transfers[twin.index]
            transfer.request.attempts += 1
            if not transfer.offered or transfer.granted:
                del self._transfers[twin.index]
            if transfer.offered:
                transfer.lose_source()
                self._recovered()
            else:
                self._again(transfer.request)

    def decode_failed(self, requests: Sequence[Request]) -> None:
        """See to the requests that a failed decode replica had.

        One whose KV is still on the prefill side goes to another decode replica from there.
        """
        for request in requests:
            transfer = self._transfers.get(request.index)
            if transfer is None or transfer.lost:
                self._transfers.pop(request.index, None)
                self._again(request)
                continue
            transfer.lose_target()
            if transfer.prefilled:
                _take_times(request, transfer.twin)
            request.generated = 1
            self._recovered()
            self._decode.send(request)

    def _offer(self, transfer: KvTransfer) -> None:
        """Send a request to a decode replica, where it stands as one that has its first token."""
        if not transfer.offered:
            transfer.offered = True
            transfer.request.generated = 1
            self._decode.send(transfer.request)

    def _bring(self, request: Request) -> simpy.Event:
        """Have the KV come to the replica that has blocks for it now."""
        transfer = self._transfers[request.index]
        if transfer.lost:
            del self._transfers[request.index]
            return self._world.env.event().succeed((request.prefilled, NO_CAUSE))
        source = self._prefill.member_of(transfer.twin)
        route = self._routes.between(source, self._decode.member_of(request))
        return transfer.grant(route, cached=request.prefilled)

    def _kv_arrived(self, transfer: KvTransfer, last: Sent) -> int:
        """Note how the KV came, and let the prefill replica go on; return the row of the trace."""
        request, twin = transfer.request, transfer.twin
        del self._transfers[request.index]
        source = self._prefill.member_of(twin)
        handover = _handover(transfer, last)
        request.handover = handover = handover._replace(row=self._record(transfer, handover))
        source.engine.release_prefilled(twin)
        self._prefill.left(twin)
        return handover.row

    def _record(self, transfer: KvTransfer, handover: Handover) -> int:
        """Write the transfer into the trace, as far as it was not hidden behind the prompt."""
        return self._world.trace.record(
            "transfer",
            self._lane,
            f"request {transfer.request.index}: KV",
            handover.arrived_s - handover.exposed_s,
            handover.arrived_s,
            cause=transfer.twin.last_activity,
            shares=handover.shares,
        )


def _take_times(request: Request, twin: Request) -> None:
    """Let a request know what happened to its prompt."""
    request.admitted_s, request.first_token_s = twin.admitted_s, twin.first_token_s
    request.cached, request.preemptions = twin.cached, request.preemptions + twin.preemptions


def _handover(transfer: KvTransfer, last: Sent) -> Handover:
    """Say how the KV came.

    Exposed is the time from the first token, or from when there were blocks, to the last byte; its shares
    are those of the part of the KV that came last, as far as it lies in that time.
    """
    twin = transfer.twin
    exposed_s = last.end_s - max(twin.first_token_s, transfer.granted_s)
    took_s = last.end_s - last.start_s
    scale = exposed_s / took_s if took_s else 0.0
    return Handover(
        replica=twin.replica,
        first_row=twin.first_row,
        last_row=twin.last_row,
        transfer_s=last.end_s - transfer.begun_s,
        exposed_s=exposed_s,
        arrived_s=last.end_s,
        size_bytes=transfer.size_bytes,
        shares={name: seconds * scale for name, seconds in last.shares.items()},
        row=NO_CAUSE,
    )
