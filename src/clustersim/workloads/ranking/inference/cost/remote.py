"""Tables in the host memory of servers over the network (sharded sparse inference)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clustersim.catalog.processors import Processor
from clustersim.catalog.ranking_engines import RankingEngine
from clustersim.cost.operators import element_bytes
from clustersim.workloads.ranking.inference.cost.places import Way
from clustersim.workloads.ranking.inference.cost.rows import ServedTables
from clustersim.workloads.ranking.inference.cost.timer import RooflineTimer
from clustersim.workloads.ranking.inference.replica.ask import Ask, Question
from clustersim.workloads.ranking.inference.replica.profile import Kernels, Step

__all__ = ["RemoteRows", "tables_of_servers"]

Numbers = NDArray[np.float64]


class RemoteRows:
    """Servers look rows up and pool them; the replica sends indices and gets pooled embeddings.

    *Equation.* Server s has some of the tables. For a batch it gets their indices, reads their rows,
    t_s = overhead + Σ rows·bytes/(e_m·bandwidth), and sends their pooled embeddings. The batch waits for the
    last server, then copies dense features and embeddings to the device and computes the layers.

    Parameters
    ----------
    tables
        Which.
    servers
        How many.
    processor
        A server's socket; its memory is read for one request after the other.
    overhead_s
        Of a server for each request; it holds up nobody else.
    precision
        Of embeddings on the wire.
    speed
        How many times faster the cluster's hosts are.
    balance
        What the servers have alike much of: bytes of tables, or what a sample reads and sends.

    **Valid when** a table fits one server.
    **Source:** Lui et al., Understanding Capacity-Driven Scale-Out Neural Recommendation Inference,
    ISPASS 2021 (arXiv:2011.02084): tables on sparse shards, balanced by capacity or load, asked in
    parallel by the main shard.
    **Checked by:** tests/workloads/ranking/test_ranking_inference_service.py.
    """

    hit_rate: float | None = None
    device_bytes = 0.0
    together = False

    def __init__(
        self,
        tables: ServedTables,
        *,
        servers: int,
        engine: RankingEngine,
        processor: Processor,
        overhead_s: float,
        precision: str,
        speed: float,
        balance: Literal["capacity", "load"] = "capacity",
    ) -> None:
        self._tables = tables
        self._engine = engine
        self._precision = precision
        self._overhead_s = overhead_s / speed
        self._bytes_per_s = processor.memory_efficiency * processor.memory_bandwidth_bytes_per_s * speed
        sizes = tables.rows * tables.row_bytes
        if balance == "load":
            read = tables.lookups(1.0, 1.0) * tables.row_bytes
            sizes = read + tables.pooled_bytes(1.0, 1.0, element_bytes(precision))
        self._server_of = tables_of_servers(sizes, servers)
        self._servers = servers

    def way(self, timer: RooflineTimer, samples: float, queries: float) -> Way:
        """Return: ask all servers, copy what is there, compute the layers."""
        pooled = self._tables.pooled_bytes(samples, queries, element_bytes(self._precision))
        questions = self._questions(samples, queries, pooled)
        work = timer.layers(samples, queries)
        moved = float(pooled.sum())
        steps: list[Step] = [
            Ask(questions),
            *timer.copies(timer.dense_bytes(samples) + moved),
            Kernels(work.time),
        ]
        sent = sum(each.request_bytes + each.answer_bytes for each in questions)
        return Way(
            steps=steps,
            works=(work,),
            flops=work.flops,
            hbm_bytes=work.hbm_bytes,
            network_bytes=sent,
            messages=2.0 * len(questions),
        )

    def _questions(self, samples: float, queries: float, pooled: Numbers) -> tuple[Question, ...]:
        lookups = self._tables.lookups(samples, queries)

        def by_server(of_tables: Numbers) -> list[float]:
            summed: list[float] = np.bincount(
                self._server_of, weights=of_tables, minlength=self._servers
            ).tolist()
            return summed

        columns = (
            by_server(lookups * self._engine.index_bytes),
            by_server(pooled),
            by_server(lookups * self._tables.row_bytes / self._bytes_per_s),
        )
        return tuple(
            Question(server, request, answer, self._overhead_s, seconds)
            for server, (request, answer, seconds) in enumerate(zip(*columns, strict=True))
            if request
        )


def tables_of_servers(sizes: Numbers, servers: int) -> NDArray[np.intp]:
    """Return the server of each table: the largest first, each to the server that has least.

    **Source:** the longest-processing-time rule (Graham, SIAM Journal on Applied Mathematics 17, 1969).
    """
    loads = np.zeros(servers)
    chosen = np.zeros(len(sizes), dtype=np.intp)
    for table in np.argsort(-sizes, kind="stable").tolist():
        server = int(np.argmin(loads))
        chosen[table] = server
        loads[server] += sizes[table]
    return chosen
