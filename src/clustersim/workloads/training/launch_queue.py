"""The queue of kernels that a host launches ahead of its GPU."""

from __future__ import annotations

__all__ = ["LaunchQueue"]


class LaunchQueue:
    """Adds up what the host takes to launch kernels, and what the device takes to run them.

    *Equation.* From one time that the host waits for the device to the next, both begin together and the
    host runs ahead: the device is idle for max(0, Σ host - Σ device). Collectives that nothing hides are
    device time.

    **Valid when** the queue is never full (1,024 kernels), and the kernels that take the host long are
    spread over the stretch as those that take the device long.
    **Checked by:** tests/workloads/test_training_host.py.
    """

    __slots__ = ("_device_s", "_host_s")

    def __init__(self) -> None:
        self._host_s = self._device_s = 0.0

    def launch(self, host_s: float, *, device_s: float) -> None:
        """Add kernels."""
        self._host_s += host_s
        self._device_s += device_s

    def drain(self) -> float:
        """Return how long the device was idle since the host waited last, and begin anew."""
        idle_s = max(0.0, self._host_s - self._device_s)
        self._host_s = self._device_s = 0.0
        return idle_s
