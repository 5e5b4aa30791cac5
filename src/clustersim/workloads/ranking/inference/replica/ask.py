"""Questions to servers of embedding rows: all at once, and a batch waits for the last answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from clustersim.engine.fabric import TrafficClass
from clustersim.engine.trace import HOST
from clustersim.engine.world import World
from clustersim.workloads.bulk_flow import BulkFlow, BulkRoute, Sent
from clustersim.workloads.ranking.inference.replica.line import Line

if TYPE_CHECKING:
    from clustersim.workloads.ranking.inference.replica.batch import Batch
    from clustersim.workloads.ranking.inference.replica.leap import Leap
    from clustersim.workloads.ranking.inference.replica.worker import Worker

__all__ = ["Ask", "Question", "RowServer", "ServerClient"]


class Question(NamedTuple):
    """What a batch asks of one server.

    Parameters
    ----------
    server
        Its number.
    request_bytes, answer_bytes
        Indices, and pooled embeddings.
    overhead_s, memory_s
        Time of the server that holds up nobody else, and time in which its memory reads rows.
    """

    server: int
    request_bytes: float
    answer_bytes: float
    overhead_s: float
    memory_s: float


class RowServer:
    """A host that has rows in its memory, which it reads for one request after the other."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.memory = Line()


class ServerClient:
    """The ways between the host of a device and the servers.

    Parameters
    ----------
    world
        Clock and links.
    host
        That asks.
    servers
        Of the service, shared by all who ask.
    owner, traffic
        Whose bytes they are, and how they compete.
    """

    def __init__(
        self, world: World, host: str, servers: Sequence[RowServer], *, owner: str, traffic: TrafficClass
    ) -> None:
        self.world = world
        self.servers = servers

        def route(source: str, target: str, purpose: str) -> BulkRoute:
            return BulkRoute.of(world, {(source, target): 1.0}, owner=owner, purpose=purpose, traffic=traffic)

        self.there = [route(host, server.host, "indices") for server in servers]
        self.back = [route(server.host, host, "embeddings") for server in servers]


class _Asking:
    """The questions of one batch on their way."""

    def __init__(self, client: ServerClient, questions: Sequence[Question], batch: Batch) -> None:
        self._client = client
        self._batch = batch
        self._missing = len(questions)
        for question in questions:
            self._ask(question)

    def _ask(self, question: Question) -> None:
        client = self._client
        env, line = client.world.env, client.servers[question.server].memory

        def at_server(sent: Sent) -> None:
            timer = env.timeout(question.overhead_s)
            assert timer.callbacks is not None  # it has just been made
            timer.callbacks.append(lambda _: read(sent))

        def read(sent: Sent) -> None:
            begin_s = line.join(env.now, question.memory_s)
            waited_s = begin_s - env.now
            BulkFlow(
                client.world,
                client.back[question.server],
                question.answer_bytes,
                wait_s=line.free_s - env.now,
                bound_by=HOST,
                arrived=lambda answer: self._answered(sent, answer, waited_s, question.overhead_s),
            )

        BulkFlow(client.world, client.there[question.server], question.request_bytes, arrived=at_server)

    def _answered(self, sent: Sent, answer: Sent, waited_s: float, overhead_s: float) -> None:
        self._missing -= 1
        if self._missing:
            return
        shares = _sum_of(sent.shares, answer.shares, {HOST: overhead_s - waited_s})
        self._batch.answered(waited_s, shares)


class Ask:
    """The step of a batch in which it asks servers for pooled embeddings."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self.questions = questions

    def begin(self, batch: Batch) -> None:
        """Ask all servers at once."""
        client = batch.worker.device.client
        assert client is not None  # made where embeddings are remote
        _Asking(client, self.questions, batch)

    def leap(self, leap: Leap, worker: Worker) -> bool:
        """Return that only the simulation can tell."""
        return False


def _sum_of(*parts: Mapping[str, float]) -> dict[str, float]:
    total: dict[str, float] = {}
    for part in parts:
        for resource, seconds in part.items():
            total[resource] = total.get(resource, 0.0) + seconds
    return total
