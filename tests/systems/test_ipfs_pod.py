"""A pod's kubo: the chart's own command under the real supervisor, driven by the system."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipfs_swarms import ipfs_swarm, needs_kubo, published, raced
from supervising import ended, start_supervisor
from swarmrace.errors import Reason, TransferError
from swarmrace.systems import load
from swarmrace.systems.child import free_ports
from swarmrace.systems.ipfs.options import IpfsOptions
from swarmrace.systems.ipfs.pod import SupervisedKubo
from swarmrace.systems.ipfs.programs import find_program
from swarmrace.systems.sidecar import Sidecar

pytestmark = needs_kubo
DEFAULTS = load("ipfs").pods.sidecars["ipfs"]


@contextlib.contextmanager
def supervised(folder: Path) -> Iterator[Sidecar]:
    """Run a sidecar as the chart does, but for its data folder; yield where it is."""
    data = folder / "volume/node"
    program = Path(find_program(IpfsOptions()) or "")
    bin_folder = folder / "bin"
    bin_folder.mkdir(parents=True)
    (bin_folder / "ipfs").symlink_to(program)
    environment = {
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "HOME": str(folder),
        **DEFAULTS.env,
        "IPFS_PATH": str(data),
    }
    [port] = free_ports("127.0.0.1", tcp=1).tcp
    process = start_supervisor(
        folder, DEFAULTS.command, data="volume/node", environment=environment
    )
    with ended(process):
        yield Sidecar(f"http://127.0.0.1:{port}", folder / "control", None)


@contextlib.contextmanager
def beside_all(made, folder: Path) -> Iterator[None]:
    """Give each peer of a swarm a sidecar in place of a child."""
    with contextlib.ExitStack() as stack:
        for peer, system in enumerate(made.systems):
            sidecar = stack.enter_context(supervised(folder / f"pod{peer}"))
            system._node = SupervisedKubo(sidecar, system.context, made.options)
        yield


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"profile": "tuned", "gc": True, "settings": {"Internal.Bitswap.TaskWorkerCount": 4}},
    ],
    ids=["stock", "tuned"],
)
def test_kubo_races_cold_run_after_run_in_sidecars(tmp_path, options):
    async def main():
        async with ipfs_swarm(tmp_path / "swarm", 3_000_003, **options) as made:
            with beside_all(made, tmp_path):
                names = set()
                for index in range(2):
                    references, sha256 = await published(made, index)
                    failure, _ = await raced(made, references)
                    assert failure is None
                    leecher = made.systems[1]
                    assert (await leecher.digest()).sha256 == sha256
                    names.add(leecher._identity.id)
                    assert len(leecher.processes()) == 1
                    described = json.loads(json.dumps(leecher.describe()))
                    assert described["version"] == "kubo 0.43.1"
                    assert described["settings"]["command"][0] == "/bin/sh"
                    config = json.loads((tmp_path / "pod1/volume/node/config").read_text())
                    assert '"auto"' not in json.dumps(config)
                    for name, value in described["settings"]["config"].items():
                        found = config
                        for part in name.split("."):
                            found = found[part]
                        assert found == value, name
                    await made.remove()
                    assert not (tmp_path / "pod1/volume/node").exists()
                assert len(names) == 2, "each run has another node"
                await made.close()

    asyncio.run(main())


def test_what_the_node_refuses_is_reported_with_its_words(tmp_path):
    async def main():
        options = {"settings": {"Internal.NoSuchThing": 1}}
        async with ipfs_swarm(tmp_path / "swarm", **options) as made:
            with beside_all(made, tmp_path):
                errors = await asyncio.gather(
                    *(system.prepare(made.run()) for system in made.systems),
                    return_exceptions=True,
                )
                for error in errors:
                    assert isinstance(error, TransferError), error
                    assert error.reason is Reason.REFUSED
                assert "NoSuchThing not found" in errors[0].detail
                await made.close()

    asyncio.run(main())


def test_a_node_that_dies_ends_its_transfer(tmp_path):
    async def main():
        async with ipfs_swarm(tmp_path / "swarm") as made:
            with beside_all(made, tmp_path):
                await published(made)
                unknown = [{"cid": "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"}]
                race = asyncio.create_task(raced(made, unknown))
                await asyncio.sleep(0.2)
                os.kill(made.systems[1].processes()[0], signal.SIGKILL)
                failure, _ = await race
                assert failure.reason is Reason.NODE_DIED, failure
                assert "exit code 137" in failure.detail
                await made.close()

    asyncio.run(main())
