"""A wall clock that tests can step, for chosen processes only; the machine's stays as it is."""

from __future__ import annotations

import subprocess
from pathlib import Path

# CLOCK_REALTIME, moved by the seconds in the file `$STEP` as soon as that file exists.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long step(void) {
    static volatile long known = 0;
    char text[32] = {0};
    if (known) return known;
    const char *path = getenv("STEP");
    int file = path ? open(path, O_RDONLY) : -1;
    if (file < 0) return 0;
    if (read(file, text, sizeof text - 1) > 0) known = atol(text);
    close(file);
    return known;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME) now->tv_sec += step();
    return result;
}
"""


def steppable_clock(folder: Path) -> dict[str, str]:
    """Build the library; return the environment of a process whose clock jumps by the whole seconds
    written into the file at `$STEP`."""
    source, shim = folder / "shim.c", folder / "shim.so"
    source.write_text(SHIM)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, source], check=True)
    return {"LD_PRELOAD": str(shim), "STEP": str(folder / "step")}
