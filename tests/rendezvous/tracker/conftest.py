from __future__ import annotations

import pytest

from announcing import Time
from swarmrace.rendezvous.tracker.announces import Tracker
from swarmrace.rendezvous.tracker.swarms import Swarms


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def tracker(time):
    return Tracker(Swarms(time, expire_seconds=60), interval_seconds=30, min_interval_seconds=2)
