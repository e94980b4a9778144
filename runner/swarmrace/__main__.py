"""`python -m swarmrace`."""

from swarmrace.cli.main import main

main(prog_name="swarmrace")
