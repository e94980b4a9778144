"""Segmentation and checksum offload of an interface, by the ethtool ioctl.

Between namespaces the kernel hands on up to 64 KiB as one packet and leaves its checksum to a
network card that doesn't exist. What delays or loses single frames needs them as a wire would carry
them.
"""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
from contextlib import suppress

_SIOCETHTOOL = 0x8946
# <linux/ethtool.h>: checksums last; with scatter-gather they are what segmentation builds on
_SET_TSO, _SET_GSO, _SET_GRO, _SET_TX_CHECKSUM = 0x1F, 0x24, 0x2C, 0x17


def turn_off(interface: str) -> None:
    """Turn off tso, gso, gro and transmit checksums in the calling thread's namespace.

    What a driver can't turn off is left on; `counters.offload` reads what is.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in (_SET_TSO, _SET_GSO, _SET_GRO, _SET_TX_CHECKSUM):
            value = ctypes.create_string_buffer(struct.pack("=II", command, 0))
            request = struct.pack("16sP16x", interface.encode(), ctypes.addressof(value))
            with suppress(OSError):
                fcntl.ioctl(control, _SIOCETHTOOL, request)
