"""All that is claimed of the fabric, claimed again with the compiled solver."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("numba", reason="numba (extra 'fast') is not installed")

from test_fabric_behaviour import *  # noqa: F403
from test_fabric_clock import *  # noqa: F403
from test_fabric_closed_forms import *  # noqa: F403
from test_fabric_properties import *  # noqa: F403
from test_fabric_traffic import *  # noqa: F403


@pytest.fixture(autouse=True, scope="module")
def compiled_solver() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLUSTERSIM_SOLVER", "compiled")
        yield
