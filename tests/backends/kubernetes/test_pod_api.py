"""The API calls of a sweep's pods, against a fake API that refuses as RBAC does."""

from __future__ import annotations

import base64

import pytest

from fake_cluster_api import cluster_api
from swarmrace.backends.kubernetes.pod_api import PodApi
from swarmrace.errors import UnavailableError

JOB = "/apis/batch/v1/namespaces/races/jobs/lab-verdict"
SCALE = "/apis/apps/v1/namespaces/races/deployments/lab-tracker/scale"
SECRET = "/api/v1/namespaces/races/secrets/lab-token"


@pytest.fixture
def server(tmp_path):
    with cluster_api(tmp_path) as api:
        yield api


@pytest.fixture
def api(server):
    return PodApi(server.account, server.address, patience_seconds=300)


def test_a_jobs_label_is_set_beside_its_others(server, api):
    server.objects[JOB] = {"metadata": {"labels": {"a": "b"}}}
    api.label_job("lab-verdict", {"swarmrace/verdict": "missed"})
    assert api.labels_of_job("lab-verdict") == {"a": "b", "swarmrace/verdict": "missed"}


def test_a_deployment_is_scaled_only_through_its_scale(server, api):
    server.objects[SCALE] = {"spec": {"replicas": 1}}
    api.scale("lab-tracker", 0)
    assert server.objects[SCALE]["spec"] == {"replicas": 0}
    assert server.asked == [("PATCH", SCALE)]


def test_an_empty_secret_is_filled_once(server, api):
    server.objects[SECRET] = {"metadata": {}}
    assert api.fill_secret("lab-token", "token")
    first = server.objects[SECRET]["data"]["token"]
    assert len(base64.b64decode(first)) >= 40
    assert not api.fill_secret("lab-token", "token")
    assert server.objects[SECRET]["data"]["token"] == first


def test_an_unreachable_api_is_retried(server, api):
    server.objects[JOB] = {"metadata": {}}
    server.away = 2
    assert api.labels_of_job("lab-verdict") == {}
    assert len(server.asked) == 3


def test_a_refusal_is_reported_in_the_apis_words(server, api):
    with pytest.raises(UnavailableError, match=r"PATCH /apis/apps/.*: found 403 \(.*is forbidden"):
        api.scale("another", 0)


def test_an_api_that_never_answers_ends_in_one_line(server):
    api = PodApi(server.account, "http://127.0.0.1:1", patience_seconds=0.1)
    with pytest.raises(UnavailableError, match="expected an answer of the cluster's API"):
        api.labels_of_job("lab-verdict")


def test_a_missing_account_is_reported(tmp_path):
    with pytest.raises(UnavailableError, match="found no service account"):
        PodApi(tmp_path / "nothing")
