"""A run: one transfer of one payload by one entrant's swarm."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Run:
    """One transfer of one payload by one entrant's swarm."""

    index: int
    """Position in the race, from 0."""
    id: str
    """`000-bittorrent`: position and entrant."""
    entrant: str
    repetition: int
    """The block it belongs to, from 0."""
    seeders: tuple[int, ...]
    """Peer indexes in the order of their publishing; the first publishes alone."""
    payload_seed: str
    """Seed of the payload: fresh in every run, the same for no two entrants or cells of a matrix:
    a node that runs on must not meet a content again."""
    size_bytes: int

    @property
    def is_trial(self) -> bool:
        """Whether this is the trial of a program (see `plan.trials`): it moves no payload."""
        return self.index < 0

    def role(self, peer: int) -> str:
        """Return `seeder` or `leecher`."""
        return "seeder" if peer in self.seeders else "leecher"
