"""The exchange of tokens with their experts that sends a token at most once to each node.

A token that visits several experts of another node crosses the network once, to the GPU there that has the
place of its own GPU, which passes it on inside the node, at most once to each GPU. What comes back is
added up on the way and takes the same paths the other way.

**Source:** DeepSeek-AI, "DeepSeek-V3 Technical Report", arXiv:2412.19437, section 3.2.2; deepseek-ai/DeepEP,
README.md (kernels for training: from RDMA to NVLink); HybridEP is NVIDIA's of the same kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from clustersim.catalog.models import MoeConfig
from clustersim.collectives.group import Group
from clustersim.collectives.plan import Connection, Payload, Plan, pipeline

__all__ = ["TokenExchange"]


@dataclass(frozen=True)
class TokenExchange:
    """An algorithm for `all_to_all` whose messages are tokens for experts, spread evenly over the ranks.

    Sizes are those of an all-to-all that sends every copy: tokens × experts that each visits × bytes.

    *Equation.* p(m) is the chance that a token visits experts of m of N ranks
    (`clustersim.catalog.models.MoeConfig.visit_chance`), of k experts that it visits in all. With n nodes of
    L ranks and S bytes of all copies, a rank sends ``(n - 1)·p(L)·S/k`` to other nodes and passes
    ``n·(L - 1)·p(1)·S/k`` on inside its own.

    Parameters
    ----------
    moe
        The experts, and how many of them a token visits.

    **Valid when** chunks are passed on as they arrive.
    **Checked by:** tests/collectives/test_token_exchange.py.
    """

    moe: MoeConfig

    @property
    def kind(self) -> str:
        """What it is an algorithm for."""
        return "all_to_all"

    def part(self, ranks: int, *, of: int) -> float:
        """Return what goes to some `ranks` of a group `of` so many, over all copies of a rank."""
        return self.moe.visit_chance(self.moe.experts * ranks / of) / self.moe.experts_per_token

    def plans(self, group: Group) -> tuple[Plan, ...]:
        """Return the plan on a group, whose ranks lie in nodes as they may."""
        messages = _Messages(self, group)
        across, inside = list(messages.across()), list(messages.inside())
        connections, volumes, payloads = zip(*across, *inside, strict=True)
        arriving: dict[str, list[int]] = {}
        for index, (connection, _, _) in enumerate(across):
            arriving.setdefault(connection.target, []).append(index)
        feeds = [
            *(() for _ in across),
            *(tuple(arriving.get(connection.source, ())) for connection, _, _ in inside),
        ]
        phase = pipeline(connections, volumes, feeds, lambda index, _: payloads[index], chunks=group.chunks)
        return (Plan("token-exchange", "direct", (phase,), len(group) ** 2),)


_Message = tuple[Connection, float, Payload]


class _Messages:
    """Who sends how much to whom: connection, part of all copies of a rank, blocks of the all-to-all."""

    def __init__(self, tokens: TokenExchange, group: Group) -> None:
        self._group = group
        self._nodes = group.nodes
        self._ranks = len(group)
        self._tokens = tokens
        self._home = {
            gpu: (node, place) for node, gpus in enumerate(self._nodes) for place, gpu in enumerate(gpus)
        }

    def across(self) -> Iterator[_Message]:
        """Yield what goes from each rank to its peer in each other node."""
        for gpu, (home, _) in self._home.items():
            for node, members in enumerate(self._nodes):
                if node != home:
                    blocks = [self._block(gpu, target) for target in members]
                    yield (
                        self._group.connect(gpu, self._peer(gpu, node)),
                        self._part(len(members)),
                        Payload(blocks),
                    )

    def inside(self) -> Iterator[_Message]:
        """Yield what goes on inside nodes: own tokens, and those that have come from other nodes."""
        for members in self._nodes:
            for relay in members:
                sources = [relay, *self._relayed(relay)]
                for target in members:
                    if target != relay:
                        blocks = [self._block(source, target) for source in sources]
                        yield (
                            self._group.connect(relay, target),
                            len(sources) * self._part(1),
                            Payload(blocks),
                        )

    def _relayed(self, relay: str) -> list[str]:
        home, _ = self._home[relay]
        return [
            gpu for gpu, (node, _) in self._home.items() if node != home and self._peer(gpu, home) == relay
        ]

    def _peer(self, gpu: str, node: int) -> str:
        members = self._nodes[node]
        return members[self._home[gpu][1] % len(members)]

    def _part(self, ranks: int) -> float:
        return self._tokens.part(ranks, of=self._ranks)

    def _block(self, source: str, target: str) -> int:
        return self._group.rank[source] * self._ranks + self._group.rank[target]
