from __future__ import annotations

import pytest

from swarmrace.host.wall_clock import WallClock


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [
        ([0, 0], ""),
        ([0, 0.4, 0.8, 1.2, 1.6], ""),  # slewed, or slept a little
        ([100, -1700, -1700], "set back by 1800.0 s"),
        ([0, 3600, 0], "set forward by 3600.0 s"),  # and back again
        ([0, -2, 7200, 7200], "set forward by 7202.0 s"),
    ],
)
def test_steps_are_detected_and_slewing_is_not_a_step(offsets, expected):
    clock = WallClock(iter([*offsets, offsets[-1]]).__next__)
    for _ in offsets[1:]:
        clock.check()
    found = clock.stepped
    assert expected in found
    assert bool(expected) == bool(found)
