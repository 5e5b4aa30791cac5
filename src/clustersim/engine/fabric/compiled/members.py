"""Who stands on a bundle: a compact list of crossings, those that it holds back in front."""

from __future__ import annotations

from clustersim.engine.fabric.compiled.jit import bundles_of, crossings_of, inner, members_of

__all__ = ["attach", "detach", "hold", "let_go"]


@inner
def _swap(s: int, first: int, one: int, other: int) -> None:
    members, crossings = members_of(s), crossings_of(s)
    a, bundle = members[first + one], members[first + other]
    members[first + one], members[first + other] = bundle, a
    crossings[a].place, crossings[bundle].place = other, one


@inner
def attach(s: int, at: int) -> None:
    """Put crossing `e` on its bundle, not held back."""
    bundle = bundles_of(s)[crossings_of(s)[at].bundle]
    members_of(s)[bundle.first + bundle.users] = at
    crossings_of(s)[at].place = bundle.users
    bundle.users += 1


@inner
def detach(s: int, at: int) -> None:
    """Take crossing `e`, which is not held back, off its bundle."""
    bundle = bundles_of(s)[crossings_of(s)[at].bundle]
    bundle.users -= 1
    _swap(s, bundle.first, crossings_of(s)[at].place, bundle.users)


@inner
def hold(s: int, at: int) -> None:
    """Count crossing `e` among those that its bundle holds back."""
    bundle = bundles_of(s)[crossings_of(s)[at].bundle]
    _swap(s, bundle.first, crossings_of(s)[at].place, bundle.held)
    bundle.held += 1


@inner
def let_go(s: int, at: int) -> None:
    """Count crossing `e` no longer among those that its bundle holds back."""
    bundle = bundles_of(s)[crossings_of(s)[at].bundle]
    bundle.held -= 1
    _swap(s, bundle.first, crossings_of(s)[at].place, bundle.held)
