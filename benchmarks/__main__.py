"""`python -m benchmarks`: see `benchmarks.report`."""

from benchmarks.report import main

main()
