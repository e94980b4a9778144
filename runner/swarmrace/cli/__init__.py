"""The command line: commands, what they print, and `swarmrace doctor`."""
