"""The public API for third-party systems: import from here and from `swarmrace.api.testing`.

These names keep their meaning as long as `API_VERSION` is the same; everything else in swarmrace
may change with any version. New names, and new fields with a default, may be added without a new
version. docs/adding-a-system.md shows how they are used; each docstring has the details.
"""

from swarmrace.clock import Clock
from swarmrace.errors import Fault, Reason, TransferError
from swarmrace.model import Flag, NoText
from swarmrace.recording.arrivals import ByteLog
from swarmrace.recording.payload import file_sha256
from swarmrace.recording.samples import SampledLog
from swarmrace.recording.stamped_reads import StampedReads, enable_receive_stamps
from swarmrace.systems.abc import (
    Board,
    Context,
    Counters,
    Digest,
    Meanings,
    Observes,
    Published,
    Record,
    Reference,
    System,
)
from swarmrace.systems.child import Child, ChildEndedError, FreePorts, free_ports
from swarmrace.systems.options import EntrantOptions, Profile
from swarmrace.systems.parts import (
    CrossFault,
    Identity,
    Needs,
    NetworkRules,
    PodRules,
    RaceShape,
    Settings,
    Standing,
)
from swarmrace.systems.run import Run
from swarmrace.systems.sidecar import Sidecar, Status, Supervisor, beside
from swarmrace.systems.spec import API_VERSION, SystemSpec
from swarmrace.units import Size, format_size

__all__ = [
    "API_VERSION",
    "Board",
    "ByteLog",
    "Child",
    "ChildEndedError",
    "Clock",
    "Context",
    "Counters",
    "CrossFault",
    "Digest",
    "EntrantOptions",
    "Fault",
    "Flag",
    "FreePorts",
    "Identity",
    "Meanings",
    "Needs",
    "NetworkRules",
    "NoText",
    "Observes",
    "PodRules",
    "Profile",
    "Published",
    "RaceShape",
    "Reason",
    "Record",
    "Reference",
    "Run",
    "SampledLog",
    "Settings",
    "Sidecar",
    "Size",
    "StampedReads",
    "Standing",
    "Status",
    "Supervisor",
    "System",
    "SystemSpec",
    "TransferError",
    "beside",
    "enable_receive_stamps",
    "file_sha256",
    "format_size",
    "free_ports",
]
