"""Conversations: sessions that begin on their own, and whose turns wait for the answers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import simpy

from clustersim.spec.arrivals import SessionArrivals
from clustersim.workloads.inference.demand.desk import Desk
from clustersim.workloads.inference.demand.lengths import Lengths
from clustersim.workloads.inference.demand.load import Process

__all__ = ["SessionLoad", "block_ids"]

_SESSION_BITS = 24
_TENANT_BITS = 40


class SessionLoad:
    """Sessions of several turns; a prompt is the system prompt, all turns before, and what is new.

    *Equation.* Turn k of a session sends prompt_k = system + Σ_{j<k} (new_j + output_j) + new_k tokens,
    the k-th pause after the answer to turn k; the next turn would not, if prompt + output went
    beyond the context limit.

    Parameters
    ----------
    spec
        Turns, pauses, system prompt, limit.
    start_s
        When sessions begin, sorted.
    lengths
        New tokens of a turn's prompt, and its output.
    streams
        Random stream of each session: its turns, lengths and pauses. They are those of the
        session at any load.
    hash_tokens
        Tokens that each block id stands for.
    duration_s
        Send no turn after this time.

    **Checked by:** tests/workloads/test_inference_sessions.py.
    """

    def __init__(
        self,
        spec: SessionArrivals,
        *,
        start_s: np.ndarray,
        lengths: Lengths,
        streams: Callable[[int], np.random.Generator],
        hash_tokens: int,
        duration_s: float | None,
    ) -> None:
        self._spec = spec
        self._start_s = start_s
        self._lengths = lengths
        self._streams = streams
        self._hash_tokens = hash_tokens
        self._duration_s = duration_s if duration_s is not None else np.inf

    def run(self, env: simpy.Environment, desk: Desk) -> Process:
        """Begin each session at its time, counted from now; end when the last one ends."""
        begun_s = env.now
        talking: list[simpy.Process] = []
        for session, start_s in enumerate(self._start_s.tolist()):
            if begun_s + start_s > env.now:
                yield env.timeout(begun_s + start_s - env.now)
            if desk.closed:
                break
            talking = [process for process in talking if process.is_alive]
            talking.append(env.process(self._talk(env, desk, session, begun_s + self._duration_s)))
        yield env.all_of(talking)

    def _talk(self, env: simpy.Environment, desk: Desk, session: int, end_s: float) -> Process:
        spec, rng = self._spec, self._streams(session)
        turns = (
            int(spec.turns) if spec.turns_distribution == "fixed" else int(rng.geometric(1.0 / spec.turns))
        )
        lengths = (column.tolist() for column in self._lengths.sample(rng, turns))
        context = spec.system_prompt
        for turn, (new, output) in enumerate(zip(*lengths, strict=True)):
            if turn == 0:
                new, output = self._cut(new, output)
            elif spec.think_time:
                yield env.timeout(rng.exponential(spec.think_time))
            if desk.closed or env.now > end_s or context + new + output > spec.context_limit:
                return
            answered = env.event()
            desk.hand_in(
                env.now,
                context + new,
                output,
                session=session,
                hashes=self._ids(desk, session, context + new + output),
                hash_tokens=self._hash_tokens,
                answered=answered,
            )
            yield answered
            context += new + output

    def _cut(self, new: int, output: int) -> tuple[int, int]:
        """Lengths of a first turn that fits below the context limit."""
        room = self._spec.context_limit - self._spec.system_prompt
        output = min(output, room - 1)
        return min(new, room - output), output

    def _ids(self, desk: Desk, session: int, tokens: int) -> tuple[int, ...]:
        shared = self._spec.system_prompt // self._hash_tokens
        return block_ids(desk.tenant, session, tokens // self._hash_tokens, shared=shared)


def block_ids(tenant: int, session: int, blocks: int, *, shared: int) -> tuple[int, ...]:
    """Return names of the blocks of a session's context, prompt and answer: a session only grows.

    The first `shared` blocks, those of the system prompt, are the same in all sessions of a tenant.
    """
    common = tenant << (_TENANT_BITS + _SESSION_BITS)
    own = common + ((session + 1) << _SESSION_BITS)
    return (*range(common, common + min(shared, blocks)), *range(own + shared, own + blocks))
