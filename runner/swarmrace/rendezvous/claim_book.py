"""How runs and trials went under an earlier rendezvous, as their peers report it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from swarmrace.rendezvous.messages import Claim


class ClaimBook:
    """Claims by run. Of two claims about a run the one with more weight counts."""

    def __init__(self) -> None:
        self._claims: dict[str, Claim] = {}

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._claims

    def record(self, claims: Mapping[str, Claim], settled: Callable[[str], bool]) -> bool:
        """Record claims about runs that aren't `settled` here; return whether any was new."""
        known = dict(self._claims)
        for run_id, claim in claims.items():
            old = known.get(run_id)
            if not settled(run_id):
                known[run_id] = claim if old is None or claim.weight > old.weight else old
        changed, self._claims = known != self._claims, known
        return changed

    def about(self, run_ids: Iterable[str]) -> list[tuple[str, Claim]]:
        """Return the claims about these runs, in their order."""
        return [(name, self._claims[name]) for name in run_ids if name in self._claims]

    def settle(self, run_id: str) -> None:
        """Forget a claim, because the run's record is on disk now."""
        del self._claims[run_id]

    def to_state(self) -> dict[str, Any]:
        """Return what a restarted rendezvous needs to know."""
        return {name: claim.model_dump() for name, claim in self._claims.items()}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Restore what `to_state` returned."""
        self._claims = {name: Claim.model_validate(claim) for name, claim in state.items()}
