"""Tables of flows replayed in compiled code: SimGrid's answers, and those of the interpreted replay."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_fabric_simgrid import SETS, assert_agrees, tables

from clustersim.engine.fabric import replay_flows
from clustersim.engine.fabric.compiled.choice import installed
from clustersim.errors import InputError

needs_numba = pytest.mark.skipif(not installed(), reason="numba (extra 'fast') is not installed")


def both(links: dict, flows: dict) -> tuple[np.ndarray, np.ndarray]:
    compiled = replay_flows(links, flows, solver="compiled")["finish"]
    return compiled, replay_flows(links, flows, solver="python")["finish"]


@needs_numba
@pytest.mark.parametrize("name", SETS)
def test_compiled_flows_finish_when_simgrid_says(shared: Callable[[str], Path], name: str) -> None:
    links, flows = tables(shared, name)
    assert_agrees(replay_flows(links, flows, solver="compiled")["finish"], flows)


TIMES = st.one_of(st.integers(0, 6).map(float), st.floats(0.0, 5.0))
SIZES = st.one_of(st.just(0.0), st.sampled_from([1.0, 20.0]), st.floats(0.1, 300.0))
CAPACITIES = st.one_of(st.just(0.0), st.sampled_from([1.0, 10.0]), st.floats(0.5, 200.0))


@st.composite
def tables_of_flows(draw: st.DrawFn) -> tuple[dict, dict]:
    """A few links, some of them dead, and flows over few paths; many ties, some links twice on a path."""
    count = draw(st.integers(1, 6))
    links = {
        "bandwidth_Bps": draw(st.lists(CAPACITIES, min_size=count, max_size=count)),
        "latency_s": draw(st.lists(st.sampled_from([0.0, 0.25, 1.0]), min_size=count, max_size=count)),
    }
    path = st.lists(st.integers(0, count - 1), max_size=5)
    paths = draw(st.lists(path, min_size=1, max_size=5))
    rows = draw(st.lists(st.tuples(SIZES, TIMES, st.sampled_from(paths)), max_size=25))
    sizes, starts, chosen = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    return links, {"bytes": sizes, "start": starts, "path": chosen}


@needs_numba
@settings(max_examples=300, deadline=None)
@given(case=tables_of_flows())
def test_compiled_and_interpreted_replays_agree(case: tuple[dict, dict]) -> None:
    """Ties, zero bytes, empty paths, links named twice, dead links, latency, equal flows."""
    compiled, interpreted = both(*case)
    np.testing.assert_allclose(compiled, interpreted, rtol=1e-9, atol=1e-12, equal_nan=True)


@needs_numba
@pytest.mark.parametrize("paths", [3, 400])
def test_replays_agree_on_many_flows(paths: int) -> None:
    """Many equal flows on few paths, and few on many: the heaps grow deep, some start together."""
    rng = np.random.default_rng(3)
    routes = [rng.choice(60, size=4, replace=False).tolist() for _ in range(paths)]
    flows = {
        "bytes": rng.exponential(1e6, 2000),
        "start": np.round(rng.exponential(0.3, 2000), 2),
        "path": [routes[i] for i in rng.integers(0, paths, 2000)],
    }
    compiled, interpreted = both({"bandwidth_Bps": rng.uniform(1e8, 3e8, 60)}, flows)
    np.testing.assert_allclose(compiled, interpreted, rtol=1e-9)


@pytest.mark.parametrize("solver", ["python", pytest.param("compiled", marks=needs_numba)])
def test_columns_may_be_text_lists_arrays_or_a_frame(solver: str) -> None:
    text = {"bytes": ["20", "1e1", "  5.0"], "start": ["0", "0.5", "1_0"], "path": ["0 1", "1", ""]}
    numbers = {"bytes": [20, 10, 5], "start": (0, 0.5, 10), "path": [(0, 1), np.array([1]), []]}
    links = {"bandwidth_Bps": ["10", "4"], "latency_s": ["0.5", "1e-1"]}
    frame = pd.DataFrame({**numbers, "start": np.float32(numbers["start"]), "note": ["a", "b", "c"]})
    finish = [
        replay_flows(links, flows, solver=solver)["finish"].tolist() for flows in (text, numbers, frame)
    ]
    assert finish[0] == finish[1] == finish[2]
    assert math.isnan(finish[0][0]) is False
    assert finish[0][2] == 10.0
    assert list(replay_flows(pd.DataFrame(links), frame, solver=solver)) == [*frame, "finish"]


@needs_numba
@settings(max_examples=300, deadline=None)
@given(values=st.lists(st.one_of(st.floats(0.0, 1e30), st.decimals(0, 10**9, places=9)), min_size=1))
def test_text_is_read_to_the_last_bit(values: list) -> None:
    from clustersim.engine.fabric.compiled.replay import read_values

    column = [str(value) for value in values]
    assert read_values(column).tolist() == [float(text) for text in column]


LINKS = {"bandwidth_Bps": [10.0, 10.0]}
FLOW = {"bytes": [1.0, 1.0], "start": [0.0, 0.0], "path": ["0", "0 1"]}


@pytest.mark.parametrize("solver", ["python", pytest.param("compiled", marks=needs_numba)])
@pytest.mark.parametrize(
    ("links", "flows", "message"),
    [
        ({"bandwith_Bps": [1.0]}, FLOW, "Did you mean 'bandwith_Bps'"),
        (LINKS, FLOW | {"path": ["0", "0 2"]}, r"flows.path\[1\]: unknown link 2; .* rows 0 to 1"),
        (LINKS, FLOW | {"path": ["0", "0-1"]}, r"flows.path\[1\]: must be link indices, got '0-1'"),
        (LINKS, FLOW | {"bytes": ["1", "x"]}, r"flows.bytes\[1\]: must be a number, got 'x'"),
        (
            LINKS,
            FLOW | {"bytes": [1.0, -1.0]},
            r"flows.bytes\[1\]: must be zero or more and finite, got -1.0",
        ),
        (LINKS, FLOW | {"start": [math.nan, 0.0]}, r"flows.start\[0\]: must be seconds and finite, got nan"),
        (LINKS, FLOW | {"start": [0.0]}, "2 rows of bytes, 1 of start and 2 of path"),
        ({"bandwidth_Bps": [math.inf]}, FLOW | {"path": [[], []]}, r"links.bandwidth_Bps\[0\]"),
    ],
)
def test_bad_tables_are_refused_with_the_row(solver: str, links: dict, flows: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        replay_flows(links, flows, solver=solver)
