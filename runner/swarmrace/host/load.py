"""What else ran on the machine while a run was raced.

Taken from the kernel's counters, so that nothing is sampled during the race: CPU time of the whole
machine (/proc/stat, in ticks of 10 ms) and, if the kernel has it, pressure (/proc/pressure/cpu: the
time in which some task waited for a CPU; the kernel's psi.rst).
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path

from swarmrace.recording.records import Load

_TICKS = os.sysconf("SC_CLK_TCK")
_STAT, _PRESSURE = Path("/proc/stat"), Path("/proc/pressure/cpu")
_BUSY = (0, 1, 2, 7)
"""Columns user, nice, system, steal. Interrupts are excluded: those of the race's own packets are
charged to no process."""


class LoadMeter:
    """Measures the machine's load from its creation until `stop`."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._busy, self._cpus = _busy_seconds()
        self._pressure = _pressure_seconds()

    def stop(self) -> Load | None:
        """Return what was measured, or None if the kernel has no such counters."""
        busy, _ = _busy_seconds()
        if busy is None or self._busy is None:
            return None
        before, pressure = self._pressure, _pressure_seconds()
        return Load(
            seconds=time.monotonic() - self._began,
            cpus=self._cpus,
            busy_cpu_seconds=max(0.0, busy - self._busy),
            pressure_seconds=None if before is None or pressure is None else pressure - before,
        )


def _busy_seconds() -> tuple[float | None, int]:
    """Return the machine's busy CPU seconds since boot, and its number of CPUs."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = _STAT.read_text().splitlines()
        ticks = [int(field) for field in lines[0].split()[1:]]
        cpus = sum(bool(re.match(r"cpu\d", line)) for line in lines)
        return sum(ticks[column] for column in _BUSY if column < len(ticks)) / _TICKS, cpus
    return None, 0


def _pressure_seconds() -> float | None:
    with contextlib.suppress(OSError, ValueError):
        found = re.search(r"^some .*total=(\d+)", _PRESSURE.read_text(), re.MULTILINE)
        return int(found[1]) / 1e6 if found else None
    return None
