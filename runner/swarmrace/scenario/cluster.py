"""Values that only a cluster needs; a laptop checks and ignores them.

The charts place these values mostly unchanged. Whatever the peers' pods depend on is under
`global`: a sub-chart sees only its own key and `global`, and the release's hash covers every
entrant's pod template. A chart's own key holds only values that change no peer's pod.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from swarmrace.model import Flag, Model, NoText, in_yaml
from swarmrace.units import Size

TRACKER_PORT = 8080
METRICS_PORT = 9200
USER_ID = 65_532
MIB = 1024**2

_QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"
_MAX_QUANTITY = 2**63 - 1


def parse_quantity(value: object) -> int | float | str:
    """Return a Kubernetes quantity (`500m`, `2`, `0.5`, `128Mi`) unchanged.

    Raises:
        ValueError: not a quantity.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and 0 <= value <= _MAX_QUANTITY:  # type: ignore[operator]
        return value  # type: ignore[return-value]
    if isinstance(value, str) and re.fullmatch(_QUANTITY[1:-1], value):
        return value
    raise ValueError(f"found {in_yaml(value)}, expected a quantity such as 500m, 2, 0.5 or 128Mi")


Quantity = Annotated[
    int | float | str,
    BeforeValidator(parse_quantity),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": _MAX_QUANTITY},
                {"type": "string", "pattern": _QUANTITY},
            ],
            "description": "a Kubernetes quantity: 500m, 2, 0.5, 128Mi",
        }
    ),
]
Port = Annotated[int, Field(ge=1, le=65_535), NoText]
Labels = dict[str, str]
Free = dict[str, Any]
"""A Kubernetes object, passed on unchanged."""
PullPolicy = Literal["Always", "IfNotPresent", "Never"]


class Image(Model):
    """The runner's image, which tracker, peers and verdict share."""

    repository: Annotated[str, Field(min_length=1)] = "localhost/swarmrace"
    """Repository without the tag. There is no public image: build it, then load or push it."""
    tag: str = ""
    """Tag; swarmrace's version if empty."""
    digest: Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")] = ""
    """`sha256:…`; the tag is then only informative."""
    pull_policy: PullPolicy = "IfNotPresent"
    """Image pull policy."""
    pull_secrets: list[str] = []
    """Names of image pull secrets, for the registries of all images."""


class Token(Model):
    """The token that guards the tracker: it is needed to upload results."""

    existing_secret: str = ""
    """Name of your own Secret. If empty, the chart creates one with a random token and keeps it."""
    key: Annotated[str, Field(min_length=1)] = "token"
    """Key of the token in the Secret."""


class Resources(Model):
    """A container's requests and limits, as in a pod's spec."""

    requests: dict[str, Quantity] = {}
    """Requests of the container."""
    limits: dict[str, Quantity] = {}
    """Limits of the container."""


def resources_of(cpu: str, memory: str, cpu_limit: str, memory_limit: str) -> Resources:
    """Return requests and limits; an empty CPU limit sets none."""
    limits: dict[str, Any] = {"cpu": cpu_limit} if cpu_limit else {}
    return Resources(
        requests={"cpu": cpu, "memory": memory}, limits={**limits, "memory": memory_limit}
    )


_POD_SECURITY: Free = {
    "runAsNonRoot": True,
    "runAsUser": USER_ID,
    "runAsGroup": USER_ID,
    "fsGroup": USER_ID,
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}
SECURITY: Free = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
_SHAPE_SECURITY: Free = {
    **SECURITY,
    "runAsUser": 0,
    "runAsNonRoot": False,
    "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]},
}


class Pod(Model):
    """Values that every pod has."""

    resources: Resources = Resources()
    """Requests and limits."""
    pod_security_context: Free = _POD_SECURITY
    """Security context of the pod; `null` sets none (OpenShift then assigns a UID)."""
    security_context: Free = SECURITY
    """Security context of the container; `null` sets none."""
    service_account_name: str = ""
    """Name of an existing ServiceAccount; its token is never mounted."""
    node_selector: Labels = {}
    """Node selector."""
    tolerations: list[Free] = []
    """Pod tolerations."""
    affinity: Free = {}
    """Node affinity, pod affinity and pod anti-affinity."""
    priority_class_name: str = ""
    """Name of a PriorityClass."""
    labels: Labels = {}
    """Additional labels."""
    annotations: Labels = {}
    """Additional annotations."""
    extra_env: list[Free] = []
    """Additional environment variables."""
    extra_volumes: list[Free] = []
    """Additional volumes of the pod."""
    extra_volume_mounts: list[Free] = []
    """Additional volume mounts of the container."""


class PeerStorage(Model):
    """The volume for a peer's payload."""

    kind: Literal["emptyDir", "persistentVolumeClaim"] = "emptyDir"
    """`persistentVolumeClaim` creates a claim for each pod, deleted with the pod."""
    size: Annotated[Size, Field(gt=0)] | None = None
    """2.25 times the file size plus 256 MiB if absent. Ephemeral storage gets the same size."""
    storage_class_name: str = ""
    """Storage class of the claim; the cluster's default if empty."""


class Spread(Model):
    """How the peers of an entrant spread over the nodes (a topology spread constraint)."""

    topology_key: Annotated[str, Field(min_length=1)] = "kubernetes.io/hostname"
    """Node label over whose values to spread."""
    max_skew: Annotated[int, Field(ge=1, le=2**31 - 1), NoText] = 1
    """Maximum difference between the numbers of peers on two of them."""
    when_unsatisfiable: Literal["ScheduleAnyway", "DoNotSchedule"] = "ScheduleAnyway"
    """Whether to start a peer that would exceed it."""
    one_per_node: Flag = False
    """Require pod anti-affinity: no two peers of an entrant on a node (with `sameNodes`: one of
    each entrant)."""
    same_nodes: Flag = True
    """Require pod affinity: peer k of every entrant on the same node, so that all race on the same
    machines. A node then needs room for one peer of each entrant."""


ANNOTATED_BURST_BYTES = 512 * MIB
"""containerd and CRI-O give the bandwidth plugin a burst of 2^32 - 1 bits."""


class Peers(Pod):
    """The pods of all peers, the same for every entrant."""

    resources: Resources = resources_of("20m", "128Mi", "2", "1Gi")
    """Resources of a peer whose runner is its only container. For a node beside its runner, see
    `global.sidecars`; let both add up to these, so that all entrants have equal resources (each
    peer reads its limits at run time, and the verdict flags a difference)."""
    storage: PeerStorage = PeerStorage()
    spread: Spread = Spread()
    conditions: Literal["tc", "cni", "kubeOvn"] = "tc"
    """How rates are applied: `tc` in an init container (the only one that needs NET_ADMIN and
    root), `cni` by the bandwidth plugin's annotations, `kubeOvn` by Kube-OVN's. The last two have
    large bursts, set only rates, and do nothing without their plugin: the preflight measures the
    rates."""
    burst: Annotated[Size, Field(gt=0)] | None = None
    """Burst size of the rate limiter, in bytes. The preflight moves this many bytes before it
    measures. If absent: tc's own, or 512MiB with the annotations."""
    active_deadline_seconds: Annotated[int, Field(ge=1, le=2**31 - 1), NoText] | None = None
    """After how long Kubernetes ends a peer's Job. If absent: well above the sum of the race's
    timeouts."""
    shape_security_context: Free = _SHAPE_SECURITY
    """Security context of the init container that runs tc."""
    labels: Labels = {}
    """Additional labels of the pods."""
    annotations: Labels = {}
    """Additional annotations of the pods."""


class SwarmValues(Model):
    """Values of the `swarm` chart."""

    labels: Labels = {}
    """Additional labels of the Jobs and Services."""
    annotations: Labels = {}
    """Annotations of the Jobs and Services (Argo CD's sync options, for example)."""


class TrackerStorage(Model):
    """The volume for the tracker's state and the results."""

    kind: Literal["persistentVolumeClaim", "emptyDir"] = "persistentVolumeClaim"
    """With `emptyDir`, a deleted tracker pod loses all results."""
    size: Annotated[Size, Field(gt=0)] = 4096 * MIB
    """Size of the volume; refused if the results may need more. A claim can't shrink, so keep the
    size from race to race."""
    storage_class_name: str = ""
    """Storage class of the claim; the cluster's default if empty."""


class TrackerValues(Pod):
    """Values of the `tracker` chart."""

    resources: Resources = resources_of("50m", "128Mi", "", "1Gi")
    storage: TrackerStorage = TrackerStorage()
    labels: Labels = {}
    """Additional labels of the Deployment and its pod."""
    annotations: Labels = {}
    """Annotations of the Deployment, its pod and its claim."""


class VerdictValues(Pod):
    """The Job that waits for all results and prints the verdict to its log. It is scheduled like
    the tracker, unless it has values of its own."""

    enabled: Flag = True
    """Whether the Job is part of the release."""
    resources: Resources = resources_of("10m", "128Mi", "1", "1Gi")


class JudgeValues(Pod):
    """The hook that checks new values before an upgrade changes anything. It is scheduled like the
    tracker, unless it has values of its own."""

    enabled: Flag = True
    """Whether the hook is part of the release."""
    resources: Resources = resources_of("10m", "64Mi", "1", "256Mi")


class TestValues(Pod):
    """The pod of `helm test`. It is scheduled like the tracker, unless it has values of its own."""

    __test__ = False
    resources: Resources = resources_of("10m", "64Mi", "1", "256Mi")


class NetworkPolicyValues(Model):
    """NetworkPolicies."""

    enabled: Flag = True
    """Whether a NetworkPolicy allows only traffic between the release's peers, tracker and verdict,
    and to DNS, scrapers and the push address."""


class Toggle(Model):
    """An optional part."""

    enabled: Flag = True
    """Whether it is created."""
    labels: Labels = {}
    """Labels by which the operator or the sidecar finds it."""


class Rules(Toggle):
    """Recording rules (a PrometheusRule, or a VMRule with `vmPodScrape`)."""

    enabled: Flag = False
    """Whether to create them."""


class Dashboard(Toggle):
    """The Grafana dashboard, as a ConfigMap: one for each release, which opens at its race."""

    labels: Labels = {"grafana_dashboard": "1"}
    """Labels by which Grafana's sidecar finds it."""


class Push(Model):
    """Where peers push their whole arrival curves after each run."""

    url: Annotated[str, Field(pattern=r"^(https?://[^/@\s]+(/\S*)?)?$")] = ""
    """Base URL of a server that accepts VictoriaMetrics' text import format; nothing is sent if
    empty. A URL with a password is refused, because this one is in a ConfigMap: put it into your
    own Secret, `RELEASE-push`, under the key `SWARMRACE_PUSH_URL`, and the URL without it here."""
    to: list[Free] = []
    """Destinations for the NetworkPolicy (`namespaceSelector`, `ipBlock`…) if the URL has a host
    name; if empty, any destination on that port."""
    port: Port | None = None
    """Destination port for the NetworkPolicy; the URL's if absent. Most networks apply the policy
    after a Service's translation: for a Service, give the pods' own port (for example 8428 behind a
    Service's port 80)."""


class MonitoringValues(Model):
    """Values of the `monitoring` chart. None of them changes a race or a peer's pod."""

    enabled: Flag = False
    """Whether to install the monitoring chart."""
    scrape: Literal["none", "annotations", "podMonitor", "serviceMonitor", "vmPodScrape"] = (
        "annotations"
    )
    """How the scraper finds the peers. `annotations` are on a separate Service."""
    interval_seconds: Annotated[int, Field(ge=1, le=120), NoText] = 2
    """Interval between two scrapes, and the dashboard's resolution. With `annotations`, the scraper
    sets its own interval: give the same here."""
    labels: Labels = {}
    """Labels by which the operator finds the PodMonitor, ServiceMonitor or VMPodScrape."""
    from_: Annotated[list[Free], Field(alias="from")] = [{"namespaceSelector": {}}]
    """Who may scrape, for the NetworkPolicy; by default any pod of the cluster."""
    linger_seconds: Annotated[float, Field(ge=0, le=600), NoText] = 70
    """Maximum time that a finished peer waits for two complete scrapes, at least 5 s apart. At
    least two intervals and 5 s, or 0 to wait for none."""
    push: Push = Push()
    rules: Rules = Rules()
    dashboard: Dashboard = Dashboard()
