"""What a scenario may say about step times that were measured."""

from __future__ import annotations

from typing import Annotated

from clustersim.spec._base import FileReference, SpecModel

__all__ = ["StepTimesSpec"]


class StepTimesSpec(SpecModel):
    """Measured times of a layer's operators, in place of the roofline."""

    tables: Annotated[str, FileReference(folder=(".csv", ".csv.gz"))]
    """Folder with one CSV file per operator, relative to the scenario file, as docs/scheduling.md says:
    what Vidur's predictors give. Exchanges go over the fabric unless `all_reduce` (with tensor
    parallelism) and `send_recv` (with pipeline stages) are there too; host time is `host_overhead`
    alone, 0 by default."""
