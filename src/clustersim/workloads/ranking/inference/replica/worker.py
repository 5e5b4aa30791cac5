"""A worker: one copy of the engine, which takes one batch at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from clustersim.workloads.ranking.inference.replica.ask import ServerClient
from clustersim.workloads.ranking.inference.replica.channel import Channel
from clustersim.workloads.ranking.inference.replica.exchange import ExchangeChannel
from clustersim.workloads.ranking.inference.replica.line import Line

if TYPE_CHECKING:
    from clustersim.workloads.ranking.inference.replica.leap import Leap

__all__ = ["Device", "Worker"]


class Device(Line):
    """The GPU, the group of GPUs or the processor that workers compute on.

    Parameters
    ----------
    gpus
        Names of the GPUs.
    channels
        Its copy engines by direction (`in`, `out`).
    exchange
        How its GPUs exchange bytes; None for one alone.
    client
        How it asks servers for embeddings; None where it has them.
    workers
        How many share it.
    """

    __slots__ = ("busy", "channels", "client", "exchange", "gpus", "workers")

    def __init__(
        self,
        gpus: tuple[str, ...],
        channels: Mapping[str, Channel],
        *,
        exchange: ExchangeChannel | None = None,
        client: ServerClient | None = None,
        workers: int,
    ) -> None:
        super().__init__()
        self.gpus = gpus
        self.channels = channels
        self.exchange = exchange
        self.client = client
        self.workers = workers
        self.busy = 0
        """Workers with a batch."""


class Worker:
    """One copy of the engine on a device.

    Parameters
    ----------
    number
        Among the workers of its replica.
    device
        Where it computes.
    """

    __slots__ = ("alone", "channels", "device", "leaps", "number")

    def __init__(self, number: int, device: Device) -> None:
        self.number = number
        self.device = device
        self.channels = device.channels
        self.alone = device.workers == 1
        """Whether no other worker uses its device and its channels."""
        self.leaps: dict[int, Leap | None] = {}
        """Closed forms of whole batches, by number of the profile."""
