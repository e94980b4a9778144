"""The contract suite's loopback addresses, board in memory and runs."""

from swarmrace.contract.loopback import MemoryBoard, make_run, new_address

__all__ = ["MemoryBoard", "make_run", "new_address"]
