"""What of a delay may hide behind another step by step."""

from __future__ import annotations

import pytest
from collective_bench import Bench
from hypothesis import given
from hypothesis import strategies as st

from clustersim.collectives import Communicator
from clustersim.collectives.hidden_delays import hideable_s, in_flight_part, spread
from clustersim.engine.pessimism import Pessimism, PessimisticCollectives
from clustersim.engine.world import World

SECONDS = st.floats(min_value=1e-6, max_value=10.0)


@given(st.lists(SECONDS, max_size=20), SECONDS, SECONDS, SECONDS)
def test_what_may_hide_is_a_part_of_the_delay(
    held_s: list[float], delay_s: float, alone_s: float, round_s: float
) -> None:
    assert 0.0 <= hideable_s(held_s, delay_s, alone_s, round_s) <= delay_s


def test_equal_short_delays_on_n_links_may_all_hide_behind_one() -> None:
    assert hideable_s([0.1] * 5, 1.0, 2.0, round_s=1.0) == pytest.approx(4 / 5)


def test_what_held_longer_than_a_round_does_not_hide_but_hides_others() -> None:
    assert hideable_s([3.0, 2.0], 1.0, 2.0, round_s=1.0) == 0.0
    assert hideable_s([3.0, 0.5, 0.5], 1.0, 2.0, round_s=1.0) == pytest.approx(1 / 4)


def test_one_link_alone_and_no_delay_leave_nothing_to_hide() -> None:
    assert hideable_s([0.1], 1.0, 2.0, round_s=1.0) == 0.0
    assert hideable_s([0.1, 0.1], 1e-9, 2.0, round_s=1.0) == 0.0


def test_the_spread_is_relative_to_the_least_time_that_it_may_take() -> None:
    assert spread(0.5, 2.5) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("algorithm", "kind", "part"),
    [
        ("ring", "all_reduce", 8 / 14),  # 8 messages are on their way, of 14 that each rank sends
        ("ring", "all_gather", 1.0),
        ("ring", "broadcast", 7 / 64),  # a chain of 7 hops, 64 chunks
        ("direct", "all_to_all", 1.0),
    ],
)
def test_in_flight_is_a_message_for_each_connection_on_the_way_round(
    bench: Bench, algorithm: str, kind: str, part: float
) -> None:
    topology = bench.star_of_gpus([100e9] * 8)
    communicator = Communicator(World(topology), topology.gpus, owner="job", algorithm=algorithm)
    asked = f"{kind}:0" if kind == "broadcast" else kind
    (planned,) = communicator.candidates(asked)
    assert in_flight_part(planned.phases[0].phase) == pytest.approx(part)


def found(part: float, **changes: object) -> PessimisticCollectives:
    fields = {"workload": "job", "kind": "all-reduce", "count": 1, "size_bytes": 1e6, "in_flight_bytes": 1e6}
    return PessimisticCollectives(**{**fields, **changes}, part=part)  # type: ignore[arg-type]


def test_of_each_kind_of_a_workload_the_worst_is_kept_and_all_are_counted() -> None:
    pessimism = Pessimism()
    for one in (
        found(0.1),
        found(0.3, size_bytes=7.0),
        found(0.2, count=5),
        found(0.04),
        found(0.4, kind="x"),
    ):
        pessimism.add(one)
    assert pessimism.collectives == (found(0.4, kind="x"), found(0.3, size_bytes=7.0, count=7))
