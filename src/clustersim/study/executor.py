"""Calls spread over processes: one fresh interpreter per call.

A process of its own per run costs under a second and buys three things: a run that is
killed (out of memory) takes no other with it, nothing depends on how the calling program was
started (no `if __name__ == "__main__"` needed, notebooks work), and no state leaks from run
to run, so that every executor gives the same answer.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import Any, TypeVar

__all__ = ["WorkerError", "call_all", "usable_cores"]

Argument = TypeVar("Argument")
Value = TypeVar("Value")


class WorkerError(Exception):
    """A worker process ended without an answer."""


def usable_cores() -> int:
    """Return the number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def call_all(
    function: Callable[[Argument], Value], arguments: Sequence[Argument], *, jobs: int
) -> Iterator[tuple[int, Value | Exception]]:
    """Yield (position, value or exception) as calls end: in this process for one job.

    `function` must be importable by name from where it is defined, and its argument and value
    must pickle. Leaving the iterator early, or Ctrl-C, ends the processes.
    """
    if jobs <= 1 or len(arguments) <= 1:
        for position, argument in enumerate(arguments):
            yield position, _try(function, argument)
        return
    running = _Running()
    pool = ThreadPoolExecutor(max_workers=min(jobs, len(arguments)))
    try:
        futures: dict[Future[Value], int] = {
            pool.submit(running.call, function, argument): position
            for position, argument in enumerate(arguments)
        }
        for future in as_completed(futures):
            error = future.exception()
            yield futures[future], error if isinstance(error, Exception) else future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        running.end()
        pool.shutdown(wait=True)


def _try(function: Callable[[Argument], Value], argument: Argument) -> Value | Exception:
    try:
        return function(argument)
    except Exception as error:
        return error


class _Running:
    """The processes that are alive, so that they can be ended together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._ended = False

    def call(self, function: Callable[[Argument], Value], argument: Argument) -> Value:
        """Call a function in a process of its own and wait for its value."""
        request = pickle.dumps((function, argument))
        with self._start() as process:
            try:
                answer = _exchange(process, request)
            finally:
                with self._lock:
                    self._processes.discard(process)
                process.kill()
        if not answer:
            raise WorkerError("the process of a run ended without an answer")
        value: Value | Exception = pickle.loads(answer)
        if isinstance(value, Exception):
            raise value
        return value

    def end(self) -> None:
        """End every process; further calls are refused."""
        with self._lock:
            self._ended = True
            for process in self._processes:
                process.kill()

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-P", "-m", "clustersim.study.worker"]
        with self._lock:
            if self._ended:
                raise WorkerError("the study was ended")
            # A session of its own: Ctrl-C reaches this program alone, which ends its workers.
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                start_new_session=True,
            )
            self._processes.add(process)
        return process


def _exchange(process: subprocess.Popen[bytes], request: bytes) -> bytes:
    """Send a request and return the answer; stdin stays open, its end tells the worker to stop."""
    stdin: Any = process.stdin
    stdout: Any = process.stdout
    try:
        stdin.write(len(request).to_bytes(8, "big") + request)
        stdin.flush()
    except BrokenPipeError:
        return b""
    answer: bytes = stdout.read()
    return answer
