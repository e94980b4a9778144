#!/bin/sh
# As in the node's image: prepare the environment, then run the given command.
exec python3 -m codex_double.entrypoint "$@"
