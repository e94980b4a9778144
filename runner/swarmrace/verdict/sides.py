"""The sides of a comparison, and whether and how two of them may be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from swarmrace.recording.records import PeerInfo
from swarmrace.systems.abc import Observes
from swarmrace.systems.doubles import MARK
from swarmrace.systems.options import EntrantOptions
from swarmrace.systems.parts import Standing
from swarmrace.verdict.model import profile_label
from swarmrace.verdict.runs import RunView


@dataclass(frozen=True, slots=True)
class Side:
    """One entrant in a comparison."""

    name: str
    options: EntrantOptions
    observes: Observes
    views: Sequence[RunView]
    infos: Mapping[int, PeerInfo]
    changed: Mapping[str, str] = field(default_factory=dict)
    """Given options that change the program's settings from the profile's: name to value."""
    given: frozenset[str] = frozenset()
    """Names of the given options that set the program's settings, even to the profile's value."""
    comparable_by: str = ""
    """The option that would make its delivery comparable with a stream's."""
    standing: Standing = field(default_factory=Standing)
    """How its kind is compared with others."""
    leechers_serve: bool = True
    """Whether its leechers serve each other."""
    test_double: bool = False
    """Whether its program is a test double."""
    never_started: str = ""
    """Why its program failed its trial; empty if it did not."""

    @property
    def label(self) -> str:
        """Name and profile, with the changed settings."""
        return f"{self.name} ({self._profile}){self._mark}"

    @property
    def owner(self) -> str:
        """Name and profile in the possessive form: `codex's (stock)`."""
        return f"{self.name}'s ({self._profile}){self._mark}"

    @property
    def _profile(self) -> str:
        return profile_label(self.options.profile, self.changed)

    @property
    def _mark(self) -> str:
        return f" {MARK}" if self.test_double else ""


def orient(a: Side, b: Side) -> tuple[Side, Side]:
    """Return the two sides as (entrant, of): the lower rank first (Codex before BitTorrent,
    anything before a baseline); with the same rank, in the order of the scenario."""
    return (b, a) if b.standing.rank < a.standing.rank else (a, b)


def unlike(a: Side, b: Side) -> str:
    """Return why the two profiles are not equal, so that there is no headline; or an empty string.

    Two unchanged sides of one profile are equal. Two of one kind and profile that set the same
    options (uTP on, uTP off) are a deliberate comparison of these options, even if one of them sets
    the profile's own value.
    """
    if a.options.profile != b.options.profile:
        return "profiles differ"
    if a.options.kind == b.options.kind and a.given == b.given:
        return ""
    return "settings were changed" if a.changed or b.changed else ""


def but_for(a: Side, b: Side) -> str:
    """Return the option by which two sides of one profile differ, if it is only one; otherwise an
    empty string."""
    if a.options.profile != b.options.profile or not unlike(a, b):
        return ""
    changed = {**a.changed, **b.changed}
    if a.options.kind == b.options.kind:
        changed = {
            name: ""
            for name in changed
            if a.changed.get(name) != b.changed.get(name) or not changed[name]
        }
    sizes = [_size(side, name) for side in (a, b) for name in side.changed if name in changed]
    return next(iter(changed)) if len(changed) == 1 and max(sizes) == 1 else ""


def _size(side: Side, name: str) -> int:
    """Return the number of settings that an option changes: the entries of a map or list."""
    value = side.options.model_dump(mode="json").get(name)
    return len(value) if isinstance(value, list | dict) else 1


def never(a: Side, b: Side) -> str:
    """Return why the two may not be compared at all, or an empty string."""
    for side in (a, b):
        if side.never_started:
            return f"{side.name} never started"
    for one, other in ((a, b), (b, a)):
        given, sought = one.standing.metadata_given, other.standing.metadata_sought
        if given and sought and one.options.kind != other.options.kind:
            return f"{one.name}'s leechers held {given} beforehand, {other.name}'s only {sought}"
    return ""


def other_nodes(a: Side, b: Side) -> str:
    """Return how the nodes of the two differ, or an empty string.

    In each block that both raced, it compares how many seeders, and how many peers, ran on which
    node; which peer ran where doesn't matter. Unknown nodes are not compared.
    """
    blocks = [{view.record.run.repetition: view for view in side.views} for side in (a, b)]
    for block in sorted(blocks[0].keys() & blocks[1].keys()):
        views = [each[block] for each in blocks]
        if any(view.status == "missing" for view in views):
            continue
        seeding = views[0].record.run.seeders  # the same for both in one block
        for who, peers in (("seeders", [seeding] * 2), ("peers", [a.infos, b.infos])):
            one, other = _nodes(a, peers[0]), _nodes(b, peers[1])
            if all(one) and all(other) and one != other:
                return (
                    f"in block {block} {who} ran on {_counted(one)} for {a.name} and on "
                    f"{_counted(other)} for {b.name}"
                )
    return ""


def _nodes(side: Side, peers: Iterable[int]) -> list[str]:
    return sorted(side.infos[peer].node for peer in peers if peer in side.infos)


def _counted(nodes: Sequence[str]) -> str:
    return ", ".join(f"{n} × {node}" if n > 1 else node for node, n in Counter(nodes).items())


def mark_fault(a: Side, b: Side, kind: str) -> str:
    """Return why curves of one kind may not be compared, or an empty string."""
    for side in (a, b):
        if not getattr(side.observes, kind):
            return f"{side.name} doesn't observe {kind}"
    if kind == "delivery" and a.options.kind != b.options.kind:
        for side, other in ((a, b), (b, a)):
            if not side.observes.in_order:
                how = side.comparable_by and f" ({side.comparable_by} makes it comparable)"
                return (
                    f"{side.name} doesn't fetch in order, so its delivery is not compared with "
                    f"{other.name}'s stream{how}; done (t100) is compared"
                )
    return ""
