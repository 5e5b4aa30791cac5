"""Exchanges between the GPUs that work on a batch together: indices out, pooled embeddings back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import simpy
from numpy.typing import NDArray

from clustersim.collectives import Communicator
from clustersim.collectives.communicator import CollectiveRecord
from clustersim.workloads.ranking.inference.replica.queued import Over, Queued

if TYPE_CHECKING:
    from clustersim.workloads.ranking.inference.replica.batch import Batch
    from clustersim.workloads.ranking.inference.replica.leap import Leap
    from clustersim.workloads.ranking.inference.replica.worker import Worker

__all__ = ["Exchange", "ExchangeChannel"]

Matrix = NDArray[np.float64]


class ExchangeChannel(Queued[Matrix]):
    """The communicator of a group of GPUs: their all-to-alls go one after the other, as on one stream.

    Parameters
    ----------
    communicator
        Of the group, in the order of the matrices' rows.
    """

    def __init__(self, communicator: Communicator) -> None:
        super().__init__(communicator.world.env)
        self._communicator = communicator

    @property
    def private(self) -> bool:
        """Exchanges always run on the fabric."""
        return False

    def _begin(self, message: Matrix, over: Over) -> None:
        event = self._communicator.all_to_all_v(message)
        if event.callbacks is None:
            over({})
            return

        def done(event: simpy.Event) -> None:
            record = event.value
            assert isinstance(record, CollectiveRecord)
            over(record.shares)

        event.callbacks.append(done)


class Exchange:
    """The step of a batch in which its GPUs exchange bytes.

    Parameters
    ----------
    bytes_by_pair
        From GPU i (row) to GPU j (column).
    """

    def __init__(self, bytes_by_pair: Matrix) -> None:
        self.bytes_by_pair = bytes_by_pair

    def begin(self, batch: Batch) -> None:
        """Stand in line for the communicator."""
        exchange = batch.worker.device.exchange
        assert exchange is not None  # devices of several GPUs have one
        batch.send(self.bytes_by_pair, exchange)

    def leap(self, leap: Leap, worker: Worker) -> bool:
        """Return that only the simulation can tell."""
        return False
