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
    """Peer indexes in the order of publishing; the first publishes alone."""
    payload_seed: str
    """Seed of the payload: different in every run, for every entrant and in every cell of a
    matrix, so that a node that keeps running never meets the same content again."""
    size_bytes: int

    @property
    def is_trial(self) -> bool:
        """Whether this is the trial of a program (see `plan.trials`), which moves no payload."""
        return self.index < 0

    def role(self, peer: int) -> str:
        """Return `seeder` or `leecher`."""
        return "seeder" if peer in self.seeders else "leecher"
