"""`python -m swarmrace`."""

from swarmrace.cli import main

main(prog_name="swarmrace")
