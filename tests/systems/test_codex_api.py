"""A node's invalid answer is its refusal, never a defect of swarmrace (which would excuse it)."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from swarmrace.errors import Reason, TransferError
from swarmrace.systems.codex.api import Api


@pytest.mark.parametrize(
    "answer",
    [
        "no JSON",
        "[]",
        "{}",
        '{"manifest": null}',
        '{"manifest": {"datasetSize": "x", "blockSize": 65536}}',
        '{"manifest": {"datasetSize": 100, "blockSize": 0}}',
    ],
)
def test_a_fetch_answered_without_a_manifest_is_refused(answer):
    async def main():
        api = Api("http://node", "storage")
        await api.close()
        api._client = httpx.AsyncClient(
            base_url=api.url,
            transport=httpx.MockTransport(lambda request: httpx.Response(200, text=answer)),
        )
        try:
            await api.fetch("zDv")
        finally:
            await api.close()

    with pytest.raises(TransferError) as failed:
        asyncio.run(main())
    assert failed.value.reason is Reason.REFUSED
    assert "expected a manifest" in failed.value.detail
