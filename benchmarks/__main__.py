"""`python -m benchmarks`: see `benchmarks.all`."""

from benchmarks.all import main

main()
