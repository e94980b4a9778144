"""The race on one machine: every peer a process of its own, on an address of its own."""
