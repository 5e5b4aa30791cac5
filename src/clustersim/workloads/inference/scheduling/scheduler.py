"""Queue, running requests and KV blocks of one replica: what all policies share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import NamedTuple

import simpy

from clustersim.workloads.inference.cache.fetch import Fetch
from clustersim.workloads.inference.cache.kv_cache import KvCache
from clustersim.workloads.inference.requests import Request
from clustersim.workloads.inference.scheduling.decode_batch import DecodeBatch
from clustersim.workloads.inference.scheduling.fair_share import FairShare
from clustersim.workloads.inference.scheduling.order import FirstComeFirstServed, RequestQueue
from clustersim.workloads.inference.scheduling.plan import Chunk, Completed, StepPlan
from clustersim.workloads.inference.scheduling.swap_space import SwapSpace

__all__ = ["Bring", "Loading", "Scheduler"]

Bring = Callable[[Request], simpy.Event]
"""Starts to bring the keys and values of a request's prompt from elsewhere. The event is their arrival; its
value says of how many tokens they are, and the row of the trace that ended with it."""


class Loading(NamedTuple):
    """A request that has its blocks and waits for keys and values to be moved into them."""

    request: Request
    source: Fetch | Bring


class Scheduler(ABC):
    """Which requests of a replica run in its next step.

    A request is queued, then admitted: it holds KV blocks until it is finished or preempted.
    Between the two it is loading (its KV is on the way), prefilling or decoding. Where prompts
    are handed over, a request whose prompt is computed is parked: it keeps its blocks until
    `release_prefilled`.

    Parameters
    ----------
    cache
        KV blocks of the replica.
    max_batch
        Requests running at once.
    queue
        Order in which requests are admitted; first come, first served by default.
    decoding
        The decodes; `DecodeBatch` by default.
    pipeline
        Steps under way at the same time, one behind the other; each request is in one of them.
        None of them has more than `max_batch / pipeline` requests.
    swap
        Host memory for the KV of preempted decodes; None: it is computed again.
    """

    _spare_blocks = 1
    """Free blocks with which a decode step surely has what it needs, beyond those that it takes."""

    def __init__(
        self,
        cache: KvCache,
        *,
        max_batch: int,
        queue: RequestQueue | None = None,
        decoding: DecodeBatch | None = None,
        pipeline: int = 1,
        swap: SwapSpace | None = None,
    ) -> None:
        self.cache = cache
        self.max_batch = max_batch
        self.pipeline = pipeline
        self.swap = swap
        self._most_together = max(1, max_batch // pipeline)
        self._under_way: dict[int, StepPlan] = {}
        """Steps whose requests are not among `decoding` and `prefilling` meanwhile, by identity."""
        self._left_over: set[Request] = set()
        """Requests that could have run and did not when the last step was planned."""
        self.queue = queue if queue is not None else FirstComeFirstServed()
        self._shares = queue if isinstance(queue, FairShare) else None
        self.decoding = decoding if decoding is not None else DecodeBatch(cache.block_tokens)
        self.prefilling: list[Request] = []
        """Admitted requests whose prompt is not computed to its end, in the order of admission."""
        self.running = 0
        """Requests that hold a place in the batch: loading, prefilling and decoding."""
        self.hands_over = False
        """Whether requests are decoded elsewhere once their prompt is computed."""
        self.preempted: list[Request] = []
        """Requests that lost their blocks when the last step was planned."""
        self.started_loading: list[Loading] = []
        """Requests that were admitted when the last step was planned, and wait for their KV."""
        self.resumed: list[Request] = []
        """Requests that decode from the last planned step on, without a prompt computed before."""
        self._loading: set[Request] = set()
        self._loaded: list[Request] = []
        self._parked: set[Request] = set()
        self._brings: dict[Request, Bring] = {}
        self._turns = 0

    def submit(self, request: Request) -> bool:
        """Queue a request; return whether it may be admitted at the next step boundary."""
        request.pending = request.prompt
        return self._enqueue(request)

    def submit_prefilled(self, request: Request, bring: Bring) -> bool:
        """Queue a request whose prompt was computed elsewhere, and its first token with it."""
        request.pending = request.prompt + request.generated - 1
        self._brings[request] = bring
        return self._enqueue(request)

    def next_step(self) -> StepPlan | None:
        """Admit, make room and say what runs next; None where there is nothing to do."""
        self.preempted = []
        self.started_loading = []
        self.resumed = []
        if self._loaded:
            self._take_loaded()
        plan = self._plan()
        if plan is not None and (self.pipeline > 1 or plan.lane is not self.decoding):
            self._launch(plan)
        return plan

    def complete(self, plan: StepPlan, steps: int = 1) -> Completed:
        """Book `steps` repetitions of a plan as done (more than one only without chunks)."""
        lane, cache = plan.lane, self.cache
        grown = bool(self._under_way) and self._land(plan)
        finished: list[Request] = []
        if plan.decodes:
            if self._shares is not None:
                self._shares.generated(lane.requests, steps)
            if not grown:
                cache.grow(lane.blocks_needed(steps))
            finished = lane.advance(steps)
        peak_blocks = cache.used_blocks
        answered: list[Request] = []
        handed_over: list[Request] = []
        for chunk in plan.chunks:
            request = chunk.request
            request.prefilled += chunk.new
            cache.computed(request)
            if request.prefilled == request.pending:
                answered.append(request)
                self._after_prompt(request, finished, handed_over)
        if self._shares is not None:
            self._shares.generated(answered)
        if finished:
            self._finish(finished)
        if lane is not self.decoding:
            self._merge(lane)
        return Completed(answered, finished, handed_over, peak_blocks)

    def steps_ahead(self, plan: StepPlan, limit: int) -> int:
        """Return how many steps like this one, without prompts, can follow each other: at most `limit`,
        to the next departure, and as long as there are KV blocks."""
        lane = plan.lane
        changed = self.preempted or self.resumed
        if changed or lane is not self.decoding or not self.queue.steady:
            return 1
        limit = min(limit, lane.steps_to_departure)
        return max(
            1,
            lane.steps_within(
                min(self.cache.free_blocks - self._spare_blocks, self.cache.quiet_blocks), limit
            ),
        )

    def loaded(self, request: Request, tokens: int) -> bool:
        """Take note that `tokens` of a loading request's prompt are in memory now.

        It runs from the next step boundary on. Returns False for a request that is not
        loading any more (its replica failed meanwhile).
        """
        if request not in self._loading:
            return False
        self._loading.remove(request)
        request.prefilled = tokens
        self.cache.computed(request)
        self._loaded.append(request)
        return True

    def release_prefilled(self, request: Request) -> None:
        """Take back the blocks of a parked request."""
        if request in self._parked:
            self._parked.remove(request)
            self.cache.release(request, finished=True)

    def abort(self) -> list[Request]:
        """Lose everything; return all requests, in the order of arrival, as if never served."""
        lost = {*self.queue, *self._everyone()}
        while len(self.queue):
            self.queue.pop()
        self.decoding.clear()
        for held in (
            self.prefilling,
            self._loading,
            self._loaded,
            self._parked,
            self._brings,
            self._under_way,
        ):
            held.clear()
        self.cache.clear()
        if self.swap is not None:
            self.swap.clear()
        self.running = 0
        for request in lost:
            request.start_over()
        return sorted(lost, key=lambda request: request.order)

    @property
    def empty(self) -> bool:
        """Whether there is no request left, waiting, running, swapped out or parked."""
        swapped = self.swap is not None and len(self.swap.requests)
        return not (self.running or len(self.queue) or self._parked or swapped)

    @abstractmethod
    def _plan(self) -> StepPlan | None:
        """Return the next step."""

    @abstractmethod
    def _leaves_room_for_prompts(self) -> bool:
        """Whether a step with the present decodes has any tokens left for prompts."""

    def _enqueue(self, request: Request) -> bool:
        queue = self.queue
        queue.push(request)
        if not queue.steady:
            return True
        return queue.head() is request and self._leaves_room_for_prompts() and self._may_admit(request)

    def _may_admit(self, request: Request) -> bool:
        """Whether the head of the queue may be admitted, as far as is known between two steps."""
        return self._can_admit(request)

    def _can_admit(self, request: Request, reserved_blocks: int = 0, *, tokens: int | None = None) -> bool:
        return self.running < self.max_batch and self.cache.admits(request, reserved_blocks, tokens=tokens)

    def _admit(self, *, tokens: int | None = None) -> Request | None:
        """Give the head of the queue its blocks; return it, unless it waits for its KV first."""
        request = self.queue.pop()
        request.prefilled = self.cache.admit(request, tokens=tokens)
        self._count_in(request)
        source = self._brings.pop(request, None) or self.cache.fetch(request)
        if source is None:
            self.prefilling.append(request)
            return request
        self._loading.add(request)
        self.started_loading.append(Loading(request, source))
        return None

    def _count_in(self, request: Request) -> None:
        self.running += 1
        self._turns += 1
        request.turn = self._turns

    def _take_loaded(self) -> None:
        for request in self._loaded:
            if request.prefilled < request.pending:
                self.prefilling.append(request)
            else:
                self.decoding.join(request)
                self.resumed.append(request)
        self._loaded.clear()

    def _after_prompt(self, request: Request, finished: list[Request], handed_over: list[Request]) -> None:
        """Count the token that ends a prefill, and say where the request goes."""
        self.prefilling.remove(request)
        request.generated += 1
        if request.generated == request.output:
            finished.append(request)
        elif self.hands_over:
            self.running -= 1
            self._parked.add(request)
            handed_over.append(request)
        else:
            self.decoding.join(request)

    def _finish(self, finished: list[Request]) -> None:
        for request in finished:
            self.running -= 1
            self.cache.release(request, finished=True)

    def _everyone(self) -> Iterable[Request]:
        """All requests that hold blocks."""
        under_way = [
            request
            for plan in self._under_way.values()
            for request in (*plan.lane.requests, *(chunk.request for chunk in plan.chunks))
        ]
        swapped = self.swap.requests if self.swap is not None else ()
        idle = (*self.decoding.requests, *self.prefilling)
        return (*idle, *under_way, *swapped, *self._loading, *self._loaded, *self._parked)

    def _lane(self) -> DecodeBatch:
        """Return the decodes of the next step: all that are not under way, or the first of them."""
        if self.pipeline == 1 or len(self.decoding) <= self._most_together:
            return self.decoding
        in_order = sorted(self.decoding.requests, key=self._place)
        return self.decoding.part(set(in_order[: self._most_together]))

    def _make_room(self, lane: DecodeBatch) -> int:
        """Preempt until each decode has its blocks; return how many they need.

        Each, one after the other, must find a free block, though it may not need one: so ask vLLM
        before version 1 and Sarathi-Serve. A request alone asks for what it needs.
        """
        needed = lane.blocks_needed(1)
        while needed >= self.cache.free_blocks and not self._have_room(lane, needed):
            self._preempt(max(self._idle(lane), key=self._place), lane)
            needed = lane.blocks_needed(1)
        return needed

    def _have_room(self, lane: DecodeBatch, needed: int) -> bool:
        free_blocks = self.cache.free_blocks
        if needed > free_blocks or not len(lane):
            return needed <= free_blocks
        return self.running == 1 or lane.needs_block(max(lane.requests, key=self._place))

    def _idle(self, lane: DecodeBatch) -> list[Request]:
        """All admitted requests that are in no step yet."""
        others = self.decoding.requests if lane is not self.decoding else []
        return [*lane.requests, *others, *self.prefilling]

    def _place(self, request: Request) -> tuple[float, ...]:
        """Key of the order in which requests run; who is last loses its blocks first."""
        return self.queue.rank(request)

    def _preempt(self, victim: Request, lane: DecodeBatch) -> None:
        self.running -= 1
        victim.preemptions += 1
        self.preempted.append(victim)
        decoding = victim not in self.prefilling
        if not decoding:
            self.prefilling.remove(victim)
        elif victim in lane.requests:
            lane.remove(victim)
        else:
            self.decoding.remove(victim)
        swapped = decoding and self.swap is not None and self.swap.take(victim)
        self.cache.release(victim, finished=False)
        if not swapped:
            victim.pending = victim.prompt + victim.generated
            victim.prefilled = 0
            self.queue.put_back(victim)

    def _swap_in(self, lane: DecodeBatch) -> int:
        """Bring back decodes from host memory while there is room; return how many blocks move."""
        moved = 0
        while self.swap is not None and self.swap.requests and not self.preempted:
            request = self.swap.requests[0]
            needed = lane.blocks_needed(1)
            if self.running >= self.max_batch or not self.cache.admits(
                request, needed, tokens=request.pending + 1
            ):
                break
            self.cache.admit(request, tokens=request.pending)
            moved += self.swap.give_back()
            self._count_in(request)
            lane.join(request)
            self.resumed.append(request)
        return moved

    def _launch(self, plan: StepPlan) -> None:
        """Set the requests of a step aside until it is done, its decodes with the blocks that they need."""
        if plan.decodes:
            self.cache.grow(plan.lane.blocks_needed(1))
        if plan.lane is self.decoding:
            self.decoding = plan.lane.alike()
        for chunk in plan.chunks:
            self.prefilling.remove(chunk.request)
        self._under_way[id(plan)] = plan
        self._left_over = {*self.decoding.requests, *self.prefilling}

    def _land(self, plan: StepPlan) -> bool:
        """Put the prompts of a step that was set aside among the others again."""
        if self._under_way.pop(id(plan), None) is None:
            return False
        self.prefilling += [chunk.request for chunk in plan.chunks]
        return True

    def _merge(self, lane: DecodeBatch) -> None:
        """Bring decodes back to the others."""
        if not len(self.decoding):
            self.decoding = lane
            return
        for request in lane.leave_all():
            self.decoding.join(request)

    def _step(
        self, lane: DecodeBatch, chunks: tuple[Chunk, ...] = (), *, swapped_in: int = 0
    ) -> StepPlan | None:
        """Return a step of the decodes and the chunks; None where there is neither."""
        decodes = len(lane)
        if not decodes and not chunks:
            return None
        swapped_out = self.swap.moved_out() if self.swap is not None else 0
        return StepPlan(lane, decodes, lane.context_sum, chunks, swapped_out, swapped_in)
