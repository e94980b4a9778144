"""Who is to blame for a failure: the entrant, or the machine it raced on.

An entrant that filled the disk beyond what it declares to need (`needs`) has failed. If it stayed
within that, other programs filled the disk or it is too small. Memory is judged alike: whether the
kernel kills a program (`memory_kills`) or refuses an allocation, what the program held is compared
with what it declares. A run that the machine failed is missing, never slow.
"""

from __future__ import annotations

import contextlib
import errno
import resource
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from swarmrace.errors import KilledForMemoryError, Reason
from swarmrace.host import infrastructure
from swarmrace.host.wall_clock import WallClock
from swarmrace.plan import needs
from swarmrace.recording.records import Failure
from swarmrace.scenario.scenario import Scenario
from swarmrace.units import format_size

_SLACK = 1.05
_SLACK_BYTES = 8_000_000
"""A peer's logs and metadata, on top of what it declares to need."""
_BYTES_PER_FILE = 16_384
_FILES = 2_000
"""Number of files that any peer may have. A node may store each block in its own file."""
_DISK_FULL_UNREPORTED = frozenset(
    {Reason.STALL, Reason.TIMEOUT, Reason.NODE_DIED, Reason.REFUSED, Reason.INTERNAL}
)
"""How a program fails that doesn't report a full disk."""
_MEMORY_SLACK = 1.5


@dataclass(frozen=True, slots=True)
class DeclaredNeeds:
    """What an entrant declares that one of its peers needs; failures are judged against it.

    Args:
        scenario: what is raced.
        entrant: the entrant's name.
        folder: this peer's work folder; those of the entrant's other peers are beside it.
        seeder: whether this peer seeds in the current run.
        wall_clock: has watched this machine's clock since the run began, or None.
    """

    scenario: Scenario
    entrant: str
    folder: Path
    seeder: bool
    wall_clock: WallClock | None = None

    def blame(self, failure: Failure, error: BaseException | None) -> Failure:
        """Return `failure`, or the one to record instead because the machine is to blame.

        Args:
            failure: as the peer would record it.
            error: the exception behind it, if any.
        """
        if failure.reason in (Reason.INFRASTRUCTURE, Reason.WRONG_BYTES):
            return failure
        if isinstance(error, KilledForMemoryError):
            reason, detail = self.killed_for_memory(error.detail, error.used_bytes)
            return Failure(reason=reason, stage=failure.stage, detail=detail)
        detail = self._machine_fault(failure, error) or self._clock_fault(failure)
        if not detail:
            return failure
        return Failure(reason=Reason.INFRASTRUCTURE, stage=failure.stage, detail=detail)

    def _clock_fault(self, failure: Failure) -> str:
        """Return how the machine's clock was set while a transfer hung, or nothing."""
        if self.wall_clock is None or failure.reason not in (Reason.STALL, Reason.TIMEOUT):
            return ""
        stepped = self.wall_clock.stepped
        return f"{stepped}; {failure.reason}: {failure.detail}" if stepped else ""

    def killed_for_memory(self, how: str, used_bytes: int | None) -> tuple[Reason, str]:
        """Return the reason of a failure in which the kernel killed a program of this peer for
        memory, and one line of detail.

        Args:
            how: how the program ended.
            used_bytes: what it held. If unknown (None), the entrant isn't blamed: nothing shows
                that it held more than it declares to need.
        """
        allowed = self._allowed_memory()
        declared = f"the {format_size(allowed)} that {self.entrant} declares to need for each peer"
        if used_bytes is not None and used_bytes > allowed:
            return Reason.OUT_OF_MEMORY, f"{how}, more than {declared}"
        known = f"{how}, within {declared}" if used_bytes is not None else how
        todo = "race fewer peers, end what else uses memory, or raise the limit"
        return Reason.INFRASTRUCTURE, f"{known}; {todo}"

    def _machine_fault(self, failure: Failure, error: BaseException | None) -> str:
        """Return what the machine did to cause the failure, or nothing."""
        number = infrastructure.number_of(error) if error is not None else None
        if number is not None and number in infrastructure.BROKEN:
            return infrastructure.describe(number, self.folder)
        if number is not None and number in infrastructure.SCARCE:
            return self._scarcity_fault(number)
        if not self.folder.is_dir():
            return infrastructure.disk_trouble(self.folder)
        if number in infrastructure.FULL or failure.reason is Reason.DISK_FULL:
            return self._full_disk_fault(number)
        unreported = failure.reason in _DISK_FULL_UNREPORTED
        if unreported and infrastructure.disk_trouble(self.folder):
            return self._full_disk_fault(None)
        return ""

    def _full_disk_fault(self, number: int | None) -> str:
        """Return why the entrant didn't fill the disk, or nothing if it did."""
        folders = self._folders()
        used_bytes, files = self._used(folders)
        allowed = self._allowed_bytes(len(folders))
        allowed_files = len(folders) * _FILES + allowed // _BYTES_PER_FILE
        try:
            free_bytes, free_files = infrastructure.free(self.folder)
        except OSError as error:
            return infrastructure.describe(error.errno or 0, self.folder)
        if free_files == 0:
            if files > allowed_files:
                return ""
            return (
                f"{self.folder}: no inodes left; {self.entrant} has only {files} files there, so "
                "other programs used them up; remove files, or give another folder (--work-dir)"
            )
        if used_bytes > allowed:
            return ""
        known_to_be_full = number is not None or free_bytes < infrastructure.FULL_BYTES
        if not known_to_be_full and free_bytes > allowed - used_bytes:
            return ""  # there is room for all it declares: it reached a limit of its own
        what = infrastructure.describe(number, self.folder).partition("; ")[0] if number else ""
        return (
            f"{what or f'{self.folder}: no space left'} ({format_size(free_bytes)} free); "
            f"{self.entrant} uses {format_size(used_bytes)} there of the {format_size(allowed)} "
            "that it declares to need, so other programs filled it or it is too small; make room, "
            "or give another folder (--work-dir)"
        )

    def _scarcity_fault(self, number: int) -> str:
        """Return why the entrant didn't use up files or memory, or nothing if it did."""
        needed = needs.open_files(self.scenario, namespaces=False)
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if number == errno.EMFILE and soft >= needed:
            return ""  # it opened more than any peer of this race should
        if number == errno.ENOMEM and self._memory_bytes() > self._allowed_memory():
            return ""
        return infrastructure.describe(number)

    def _folders(self) -> list[Path]:
        """Return the entrant's work folders on this peer's file system, this peer's among them."""
        found, device = {self.folder}, self.folder.stat().st_dev
        for path in self.folder.parent.glob(f"{self.entrant}-*"):
            with contextlib.suppress(OSError):
                if path.name.rpartition("-")[2].isdigit() and path.stat().st_dev == device:
                    found.add(path)
        return sorted(found)

    def _used(self, folders: Iterable[Path]) -> tuple[int, int]:
        size = files = 0
        for folder in folders:
            found, kept = infrastructure.used(folder), infrastructure.used(folder / "kept")
            size += found[0] - kept[0]  # the runner's copy of its results isn't the entrant's
            files += found[1] - kept[1]
        return size, files

    def _allowed_bytes(self, peers: int) -> int:
        race, options = self.scenario.race, self.scenario.entrants[self.entrant]
        figures = needs.needs_of(options)
        if peers == race.swarm_size:
            copies = race.seeders * figures.seeder_copies + race.leechers * figures.leecher_copies
        else:
            copies = peers * (figures.seeder_copies if self.seeder else figures.leecher_copies)
        return round(copies * race.file_size * _SLACK) + peers * _SLACK_BYTES

    def _memory_bytes(self) -> int:
        return int(psutil.Process().memory_info().rss)

    def _allowed_memory(self) -> float:
        race, options = self.scenario.race, self.scenario.entrants[self.entrant]
        figures = needs.needs_of(options)
        return _MEMORY_SLACK * (figures.memory_bytes + figures.memory_share * race.file_size)
