"""What a peer or the rendezvous needs, imported once before the race's processes are forked."""

import asyncio  # noqa: F401
import contextlib
import importlib

import swarmrace.peer.peer
import swarmrace.rendezvous.server  # noqa: F401
from swarmrace import systems

for _kind in systems.names():
    with contextlib.suppress(Exception):
        _spec = systems.load(_kind)
        _spec.preload()

# What httpx's client imports with its first request: 70 ms of CPU in every peer otherwise.
for _name in (
    "anyio.lowlevel",
    "anyio._backends._asyncio",
    "encodings.latin_1",
    "importlib.resources.readers",
):
    with contextlib.suppress(ImportError):
        importlib.import_module(_name)
