"""The search itself: enumerate, drop what does not fit, prune by a bound, simulate the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol

from clustersim.spec.training import TrainingSpec
from clustersim.study.plan.evaluator import Assess, Simulate
from clustersim.study.plan.journal import Journal
from clustersim.study.plan.layouts import Assessed, Candidate, Simulated
from clustersim.study.plan.pareto import dominates, objectives

__all__ = ["Answers", "Found", "Progress", "Search"]

Progress = Callable[[float, float], None]
"""Called with the fraction done and the best iteration time so far in seconds; 0 before there is one."""

_ROUND = 16
"""Layouts between two looks at the bound; the same for any number of processes, and so the answer is."""

_ASSESSING = 0.1
"""Part of the progress bar that finding out what fits takes."""


class Answers(Protocol):
    """What `clustersim.study.servers.Servers` does for an `Evaluator`."""

    def ask(
        self, questions: Sequence[Assess | Simulate]
    ) -> Iterator[tuple[int, tuple[Assessed, ...] | Simulated]]:
        """Yield position and answer as they come."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What came of a search.

    Parameters
    ----------
    simulated
        Fastest first.
    pruned
        Fit, but cannot be among those that were asked for; by their bound.
    unfit
        Do not fit into memory; those that need least first.
    failed
        Could not be simulated.
    indivisible
        Layouts whose numbers do not divide.
    """

    simulated: tuple[Candidate, ...]
    pruned: tuple[Candidate, ...]
    unfit: tuple[Candidate, ...]
    failed: tuple[Candidate, ...]
    indivisible: tuple[Candidate, ...]

    @property
    def enumerated(self) -> int:
        """All layouts that were looked at."""
        groups = (self.simulated, self.pruned, self.unfit, self.failed, self.indivisible)
        return sum(map(len, groups))


class Search:
    """Finds the fastest layouts, and those that nothing beats in time, memory and network together.

    A layout is left out where its bound is above the `top`-th best time so far and, besides, either above
    `within` times the best, or a simulated layout is at least as good as its bound in time, and in memory and
    bytes on the network. So the `top` fastest are exact, and so is the Pareto front up to `within` times the
    best time. Best bounds come first, in rounds. Iterations of many micro-batches are worked out from shorter
    ones (`clustersim.study.plan.steady`); in the end the `top` fastest are simulated whole.

    Parameters
    ----------
    ladders
        Layouts, each with less and less kept for the backward pass.
    top
        How many of the fastest have to be right.
    within
        How much slower than the best the Pareto front may be.

    **Checked by:** tests/study/test_plan.py, against simulating everything.
    """

    def __init__(
        self,
        ladders: Sequence[tuple[TrainingSpec, ...]],
        *,
        top: int,
        within: float,
        journal: Journal,
        progress: Progress | None = None,
    ) -> None:
        self._ladders = ladders
        self._top, self._within = top, within
        self._journal = journal
        self._progress = progress

    def run(self, answers: Answers) -> Found:
        """Search with the help of whoever answers."""
        candidates = list(self._assessed(answers))
        of = {fate: [each for each in candidates if each.assessed.fate == fate] for fate in _FATES}
        waiting = sorted(of["fits"], key=lambda each: (each.assessed.bound_s, each.number))
        done, pruned = self._simulated(waiting, answers)
        done = self._confirmed(done, answers)
        return Found(
            simulated=tuple(sorted((each for each in done if _ran(each)), key=_rank)),
            pruned=tuple(pruned),
            unfit=tuple(sorted(of["does not fit"], key=lambda each: each.assessed.memory_bytes)),
            failed=tuple(sorted((each for each in done if not _ran(each)), key=_rank)),
            indivisible=tuple(of["cannot be divided"]),
        )

    def _assessed(self, answers: Answers) -> Iterator[Candidate]:
        known: list[tuple[Assessed, ...]] = [()] * len(self._ladders)
        for number, (position, answer) in enumerate(
            answers.ask([Assess(ladder) for ladder in self._ladders])
        ):
            assert not isinstance(answer, Simulated)
            known[position] = answer
            self._report(_ASSESSING * (number + 1) / len(self._ladders), 0.0)
        pairs = (
            (spec, assessed)
            for ladder, found in zip(self._ladders, known, strict=True)
            for spec, assessed in zip(ladder, found, strict=False)  # later ones were not looked at
        )
        for number, (spec, assessed) in enumerate(pairs):
            yield Candidate(number=number, spec=spec, assessed=assessed)

    def _simulated(
        self, waiting: Sequence[Candidate], answers: Answers
    ) -> tuple[list[Candidate], list[Candidate]]:
        """Simulate in rounds, best bounds first; return what was simulated and what was not."""
        done: list[Candidate] = []
        pruned: list[Candidate] = []
        left = iter(waiting)
        while batch := list(islice(self._worth(left, done, pruned), _ROUND)):
            for candidate in self._simulate(batch, answers, whole=False):
                done.append(candidate)
                decided = (len(done) + len(pruned)) / len(waiting)
                self._report(_ASSESSING + (1 - _ASSESSING) * decided, min(each.iteration_s for each in done))
        return done, pruned

    def _worth(
        self, left: Iterator[Candidate], done: Sequence[Candidate], pruned: list[Candidate]
    ) -> Iterator[Candidate]:
        """Yield what cannot be left out by what was simulated in earlier rounds."""
        ran = [each for each in done if _ran(each)]
        times = sorted(each.iteration_s for each in ran)
        known = [objectives(each) for each in ran]
        for candidate in left:
            bound = objectives(candidate)
            slow = len(times) >= self._top and bound[0] > times[self._top - 1]
            if slow and (bound[0] > self._within * times[0] or any(dominates(one, bound) for one in known)):
                pruned.append(candidate)
            else:
                yield candidate

    def _confirmed(self, done: Sequence[Candidate], answers: Answers) -> list[Candidate]:
        """Simulate the fastest layouts whole, until those that are fastest then have been."""
        known = {each.number: each for each in done}
        while True:
            ranked = sorted(filter(_ran, known.values()), key=_rank)[: self._top]
            short = [each for each in ranked if each.simulated is not None and not each.simulated.whole]
            if not short:
                return list(known.values())
            known |= {each.number: each for each in self._simulate(short, answers, whole=True)}

    def _simulate(self, batch: Sequence[Candidate], answers: Answers, *, whole: bool) -> Iterator[Candidate]:
        missing: list[Candidate] = []
        for candidate in batch:
            known = self._journal.get(candidate.spec, whole=whole)
            if known is None:
                missing.append(candidate)
            else:
                yield replace(candidate, simulated=known)
        for position, answer in answers.ask([Simulate(each.spec, whole) for each in missing]):
            assert isinstance(answer, Simulated)
            self._journal.put(missing[position].spec, answer)
            yield replace(missing[position], simulated=answer)

    def _report(self, fraction: float, best_s: float) -> None:
        if self._progress is not None:
            self._progress(min(fraction, 1.0), best_s if best_s != float("inf") else 0.0)


_FATES = ("fits", "does not fit", "cannot be divided")


def _ran(candidate: Candidate) -> bool:
    return candidate.simulated is not None and not candidate.simulated.error


def _rank(candidate: Candidate) -> tuple[float, float, int]:
    return candidate.iteration_s, candidate.assessed.memory_bytes, candidate.number
