"""What a peer or the rendezvous needs, imported once before the race's processes are forked."""

import asyncio  # noqa: F401
import contextlib

import swarmrace.peer.peer
import swarmrace.rendezvous.server  # noqa: F401
from swarmrace import systems

for _kind in systems.names():
    with contextlib.suppress(Exception):
        _spec = systems.load(_kind)
        _spec.preload()
