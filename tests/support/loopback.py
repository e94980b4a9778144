"""Loopback addresses of one's own, a board in memory and runs, as the contract suite has them."""

from swarmrace.contract.loopback import MemoryBoard, make_run, new_address

__all__ = ["MemoryBoard", "make_run", "new_address"]
