"""Groups that are all joined to each other, as in a dragonfly."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from clustersim.errors import InputError, Problem

__all__ = ["global_links", "group_count"]

Place = tuple[int, int]
"""Group, and switch in it."""


def group_count(given: int | None, *, adapters: int, adapters_per_group: int, global_ports: int) -> int:
    """Return how many groups there are: as given, else as many as hold the adapters.

    Raises
    ------
    InputError
        If the adapters do not fit, or a group has too few global ports to reach each other one.
    """
    needed = math.ceil(adapters / adapters_per_group)
    groups = given or max(2, needed)
    if groups < needed:
        raise InputError(
            Problem(
                ("topology", "groups"),
                f"{groups} groups of {adapters_per_group} adapters hold {groups * adapters_per_group}, "
                f"the nodes have {adapters}; expected {needed} groups or more",
            )
        )
    if groups > global_ports + 1:
        raise InputError(
            Problem(
                ("topology", "groups"),
                f"{groups} groups, but one has {global_ports} global links and so reaches {global_ports} "
                "others; expected larger groups or more global links",
            )
        )
    return groups


def global_links(groups: int, *, switches: int, ports: int) -> Iterator[tuple[Place, Place]]:
    """Yield the links between groups: equally many between each two, spread evenly over the switches.

    Link n of group i to the group that is d places further leaves at position (d−1)·m + n of
    the (g−1)·m that are used, m of them per pair of groups.

    Parameters
    ----------
    switches, ports
        Switches of one group with global links, and global links of each.
    """
    if groups < 2:
        return
    per_pair = switches * ports // (groups - 1)
    used = per_pair * (groups - 1)

    def switch(group: int, other: int, n: int) -> int:
        position = ((other - group - 1) % groups) * per_pair + n
        return position * switches // used

    for (one, other), n in itertools.product(itertools.combinations(range(groups), 2), range(per_pair)):
        yield (one, switch(one, other, n)), (other, switch(other, one, n))
