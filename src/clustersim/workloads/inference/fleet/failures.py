"""Replicas that fail, are repaired and start again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from clustersim.engine.world import World
from clustersim.errors import InputError, Problem
from clustersim.spec.fleet import ReplicaFailuresSpec
from clustersim.workloads.inference.fleet.member import Member, State

__all__ = ["Failures", "check_replicas"]


class Failures:
    """Makes replicas fail: by chance, at given times, and when a link between their GPUs is dead.

    Each replica draws its lives from a stream of its own, so that variants of a scenario meet the same
    failures as long as the same replicas serve. A replica whose GPUs cannot reach each other any more
    comes back when all its links have capacity again; others after the repair.

    Parameters
    ----------
    world
        Clock, links and randomness.
    name
        Of the service, for the random streams.
    members
        All replicas.
    fail
        Does what has to be done when a replica fails.

    **Valid when** failures hit replicas that serve: one that starts or stands still does not fail.
    **Checked by:** tests/workloads/test_inference_failures.py.
    """

    def __init__(
        self,
        world: World,
        spec: ReplicaFailuresSpec,
        *,
        name: str,
        members: Sequence[Member],
        fail: Callable[[Member], None],
    ) -> None:
        self._world = world
        self._spec = spec
        self._members = members
        self._fail = fail
        self.closed = False
        self._cut_off: set[int] = set()
        """Replicas that have a dead link."""
        self._in_repair: set[int] = set()
        if spec.mtbf is not None:
            self._mtbf_s = spec.mtbf
            self._lives = [world.random(name, "failures", member.number) for member in members]
            self._life: list[object] = [None] * len(members)
            for member in members:
                member.on_ready.append(self._begin_life)
        for failure in spec.at:
            member = members[failure.replica]
            repair_s = spec.repair if failure.repair is None else failure.repair
            self._at(failure.at - world.env.now, partial(self._strike, member, repair_s))
        if world.links_change:
            self._links = _links_of(world, members)
            world.on_link_change.append(self._link_changed)
            for member in members:
                member.on_ready.append(self._check_links)

    def _at(self, delay_s: float, act: Callable[[], None]) -> None:
        timer = self._world.env.timeout(max(0.0, delay_s))
        timer.callbacks.append(lambda _: None if self.closed else act())

    def _begin_life(self, member: Member) -> None:
        place = member.number
        life = self._life[place] = object()

        def end() -> None:
            if self._life[place] is life:
                self._strike(member, self._spec.repair)

        self._at(self._lives[place].exponential(self._mtbf_s), end)

    def _strike(self, member: Member, repair_s: float) -> None:
        if member.serves:
            self._fail(member)
            self._in_repair.add(member.number)
            self._at(repair_s, partial(self._repaired, member))

    def _repaired(self, member: Member) -> None:
        self._in_repair.discard(member.number)
        self._recover(member)

    def _recover(self, member: Member) -> None:
        """Start a failed replica again, if nothing is wrong with it any more."""
        held_up = member.number in self._cut_off or member.number in self._in_repair
        if member.state is State.FAILED and not held_up:
            member.recover()

    def _check_links(self, member: Member) -> None:
        if member.number in self._cut_off:
            self._fail(member)

    def _link_changed(self, link: int, bytes_per_s: float) -> None:
        if self.closed:
            return
        for number in self._links.get(link, ()):
            member = self._members[number]
            if bytes_per_s == 0.0:
                self._cut_off.add(number)
                if member.serves:
                    self._fail(member)
            elif number in self._cut_off and self._whole(number):
                self._cut_off.discard(number)
                self._recover(member)

    def _whole(self, number: int) -> bool:
        capacity = self._world.fabric.capacity_bytes_per_s
        return all(capacity(link) > 0.0 for link, users in self._links.items() if number in users)


def check_replicas(spec: ReplicaFailuresSpec, replicas: int) -> None:
    """Refuse failures of replicas that there are not.

    Raises
    ------
    InputError
        With each of them.
    """
    problems = [
        Problem(
            ("failures", "at", place, "replica"),
            f"there is no replica {failure.replica}; the service has {replicas}, numbered from 0",
        )
        for place, failure in enumerate(spec.at)
        if failure.replica >= replicas
    ]
    if problems:
        raise InputError(problems)


def _links_of(world: World, members: Sequence[Member]) -> Mapping[int, set[int]]:
    """Return for each link between GPUs of one replica the replicas that use it."""
    users: dict[int, set[int]] = {}
    for member in members:
        gpus = member.replica.gpus
        for source in gpus:
            for target in gpus:
                for link in world.topology.path(source, target).links:
                    users.setdefault(link, set()).add(member.number)
    return users
