"""The sidecar that the charts have values for: kubo's image, and the command that sets it up for a
run."""

from __future__ import annotations

from swarmrace.systems.parts import SidecarDefaults

SETUP = (
    'set -e; [ -e "$IPFS_PATH/config" ] || ipfs init; '
    'for each do case $each in --*) ;; *) ipfs config --json "${each%%=*}" "${each#*=}";; esac; '
    'done; for each do shift; case $each in --*) set -- "$@" "$each";; esac; done; '
    'exec ipfs daemon "$@"'
)
"""Creates a repository unless there is one, applies the settings among the arguments (`NAME=JSON`),
and starts the daemon with the options among them (`--…`). POSIX sh in one line, because it is
recorded as the node's command. The image needs `ipfs`."""

SIDECARS = {
    "ipfs": SidecarDefaults(
        about="IPFS by kubo.",
        image="ipfs/kubo:v0.43.1",
        command=("/bin/sh", "-c", SETUP, "kubo"),
        env={"IPFS_PATH": "/work/node", "IPFS_TELEMETRY": "off"},
    ),
}
