"""The engine's tests are about the interpreted solver, unless they say otherwise."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def interpreted_solver() -> Iterator[None]:
    """Whatever solver other tests loaded in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLUSTERSIM_SOLVER", "python")
        yield
