"""Processes that answer question after question, for studies of many short runs.

As those of `executor` they are fresh interpreters, so that nothing depends on how the calling program was
started; unlike those they keep what they have built (a topology, routes) from one question to the next.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from queue import SimpleQueue
from types import TracebackType
from typing import Any, BinaryIO, Generic, Self, TypeVar

from clustersim.study.executor import WorkerError

__all__ = ["Servers", "serve"]

Setting = TypeVar("Setting")
Question = TypeVar("Question")
Answer = TypeVar("Answer")

_LENGTH_BYTES = 8


class Servers(Generic[Setting, Question, Answer]):
    """Answers questions in several processes at once, or in this one; a context manager.

    Parameters
    ----------
    make
        Makes what answers from `setting`, once per process; importable by name.
    setting
        Pickles, as do questions and answers.
    jobs
        Processes; 1 answers in this process.
    """

    def __init__(
        self, make: Callable[[Setting], Callable[[Question], Answer]], setting: Setting, *, jobs: int
    ) -> None:
        self._make, self._setting, self._jobs = make, setting, max(1, jobs)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._idle: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        self._own: Callable[[Question], Answer] | None = None

    def __enter__(self) -> Self:
        if self._jobs == 1:
            self._own = self._make(self._setting)
            return self
        for _ in range(self._jobs):
            process = _start()
            self._processes.append(process)
            _write(process.stdin, pickle.dumps((self._make, self._setting)))
            self._idle.put(process)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        for process in self._processes:
            process.communicate()

    def ask(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer]]:
        """Yield position and answer as they come; an exception of a question is raised here.

        Raises
        ------
        WorkerError
            If a process ends without an answer.
        """
        if self._own is not None:
            own = self._own
            yield from ((position, own(question)) for position, question in enumerate(questions))
            return
        with ThreadPoolExecutor(max_workers=self._jobs) as pool:
            futures: dict[Future[Answer], int] = {
                pool.submit(self._answer, question): position for position, question in enumerate(questions)
            }
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            except BaseException:  # left early: nobody waits for the answers that are due
                for future in futures:
                    future.cancel()
                self._end()
                raise

    def _end(self) -> None:
        for process in self._processes:
            process.kill()

    def _answer(self, question: Question) -> Answer:
        process = self._idle.get()
        try:
            _write(process.stdin, pickle.dumps(question))
            answer = _read(process.stdout)
        finally:
            self._idle.put(process)
        if answer is None:
            raise WorkerError("a process of the study ended without an answer (out of memory?)")
        value: Answer | Exception = pickle.loads(answer)
        if isinstance(value, Exception):
            raise value
        return value


def serve() -> None:
    """Answer questions on stdin until it ends."""
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # what a model prints must not get between
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    first = _read(questions)
    if first is None:
        return
    own: Callable[[Any], Any] | None = None
    make, setting = pickle.loads(first)
    while (question := _read(questions)) is not None:
        value: Any
        try:
            own = own or make(setting)
            value = own(pickle.loads(question))
        except Exception as error:
            value = RuntimeError(f"{type(error).__name__}: {error}")
        _write(answers, pickle.dumps(value))


def _start() -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-P", "-c", "from clustersim.study.servers import serve; serve()"]
    # A session of its own: Ctrl-C reaches this program alone, which ends its servers.
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True
    )


def _write(stream: Any, message: bytes) -> None:
    try:
        stream.write(len(message).to_bytes(_LENGTH_BYTES, "big") + message)
        stream.flush()
    except BrokenPipeError:
        pass  # the reader is gone; reading its answer says so


def _read(stream: Any) -> bytes | None:
    """Read one message; None at the end."""
    reader: BinaryIO = stream
    head = reader.read(_LENGTH_BYTES)
    if len(head) < _LENGTH_BYTES:
        return None
    length = int.from_bytes(head, "big")
    message = reader.read(length)
    return message if len(message) == length else None
