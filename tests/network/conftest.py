from __future__ import annotations

import pytest

from swarmrace.network import namespaces


@pytest.fixture(scope="session")
def permitted() -> None:
    """Skip if namespaces can't be created, with the reason that `doctor` gives."""
    refused = namespaces.refusals()
    if refused:
        pytest.skip("; ".join(refused))


@pytest.fixture
def network(permitted: None):
    """Return a hub and three peers."""
    with namespaces.PeerNetwork(3) as made:
        yield made
