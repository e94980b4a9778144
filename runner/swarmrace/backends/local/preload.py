"""Imports what peers and the rendezvous need, once, before the race's processes are forked.

What is missing here costs every peer of every race, so `test_processes` races and finds out what
they import after the fork.
"""

import asyncio
import contextlib
import gc
import importlib
import importlib.util
import os
import sys
from pathlib import Path

from swarmrace import systems
from swarmrace.backends.local import first_use
from swarmrace.host import machine

for _name in (
    "swarmrace.backends.local.processes",
    "swarmrace.network.namespaces",
    "swarmrace.network.relay",
    "swarmrace.network.wire_samples",
    "swarmrace.peer.peer",
    "swarmrace.rendezvous.server",
    "swarmrace.verdict.stopping",
):
    importlib.import_module(_name)

for _kind in systems.names():
    with contextlib.suppress(Exception):
        _spec = systems.load(_kind)
        _spec.preload()

# Kept, so that no peer reads them again. The commit is that of the code imported here.
machine.versions(systems.packages(systems.names()))
machine.machine(Path("/"))
os.environ.setdefault(machine.COMMIT_VARIABLE, machine.commit())

# Imported by libraries when they are first used.
for _name in (
    "anyio.lowlevel",
    "anyio._backends._asyncio",
    "encodings.idna",
    "encodings.latin_1",
    "importlib.resources.readers",
    "numpy.ma",
    "pyroute2.ethtool.ioctl",
    "uvicorn.lifespan.off",
    "uvloop",
):
    with contextlib.suppress(ImportError):
        importlib.import_module(_name)

# httpcore imports it for every request. Where it isn't installed, each try searches the whole path,
# 1 ms of CPU; None says at once that it is absent.
if importlib.util.find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # type: ignore[assignment]

with contextlib.suppress(Exception):
    asyncio.run(first_use.request())

# Collections in a child must not touch all that was imported here: each page touched is copied.
gc.collect()
gc.freeze()
