"""Values that only a cluster needs; the laptop checks and ignores them.

The charts place these values, mostly as they are. What peers' pods are made of is under `global`:
a sub-chart sees only its own key and `global`, and the release's hash covers every entrant's pod
template. Under a chart's own key is what changes no peer's pod.
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
    """Return an amount as Kubernetes writes it (`500m`, `2`, `0.5`, `128Mi`), unchanged.

    Raises:
        ValueError: not such an amount.
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
            "description": "a quantity as Kubernetes writes it: 500m, 2, 0.5, 128Mi",
        }
    ),
]
Port = Annotated[int, Field(ge=1, le=65_535), NoText]
Labels = dict[str, str]
Free = dict[str, Any]
"""An object of Kubernetes' own, passed on as it is."""
PullPolicy = Literal["Always", "IfNotPresent", "Never"]


class Image(Model):
    """The runner's image: tracker, peers and verdict are one."""

    repository: Annotated[str, Field(min_length=1)] = "localhost/swarmrace"
    """Without the tag. There is no public image: build it, and load it or push it."""
    tag: str = ""
    """swarmrace's version if empty."""
    digest: Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")] = ""
    """`sha256:…`; the tag is then only for people to read."""
    pull_policy: PullPolicy = "IfNotPresent"
    """Image pull policy."""
    pull_secrets: list[str] = []
    """Names of Secrets for the registries of all images."""


class Token(Model):
    """The token that guards the intake of results."""

    existing_secret: str = ""
    """Name of your own Secret; if empty the chart makes one with a random token and keeps it."""
    key: Annotated[str, Field(min_length=1)] = "token"
    """The Secret's key that holds the token."""


class Resources(Model):
    """What a container requests and what it is limited to, as in a pod's spec."""

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
    """What can be said of any pod."""

    resources: Resources = Resources()
    """Requests and limits."""
    pod_security_context: Free = _POD_SECURITY
    """The pod's security context; `null` sets none (OpenShift gives each pod a UID of its own)."""
    security_context: Free = SECURITY
    """The container's security context; `null` sets none."""
    service_account_name: str = ""
    """Name of a ServiceAccount; its token is never mounted."""
    node_selector: Labels = {}
    """Labels a node must have."""
    tolerations: list[Free] = []
    """Pod tolerations."""
    affinity: Free = {}
    """Node affinity, pod affinity and pod anti-affinity."""
    priority_class_name: str = ""
    """Name of a PriorityClass."""
    labels: Labels = {}
    """Further labels."""
    annotations: Labels = {}
    """Further annotations."""
    extra_env: list[Free] = []
    """Further environment variables."""
    extra_volumes: list[Free] = []
    """Further volumes of the pod."""
    extra_volume_mounts: list[Free] = []
    """Further mounts of the container."""


class PeerStorage(Model):
    """Where a peer's payload is."""

    kind: Literal["emptyDir", "persistentVolumeClaim"] = "emptyDir"
    """`persistentVolumeClaim` makes one for each pod, which goes with the pod."""
    size: Annotated[Size, Field(gt=0)] | None = None
    """2.25 times the file size plus 256 MiB if absent. Ephemeral storage is set to it as well."""
    storage_class_name: str = ""
    """Storage class of the claim; the cluster's default if empty."""


class Spread(Model):
    """How the peers of one entrant spread over the nodes (a topology spread constraint)."""

    topology_key: Annotated[str, Field(min_length=1)] = "kubernetes.io/hostname"
    """Label of the nodes over which to spread."""
    max_skew: Annotated[int, Field(ge=1, le=2**31 - 1), NoText] = 1
    """Maximum difference between two of them."""
    when_unsatisfiable: Literal["ScheduleAnyway", "DoNotSchedule"] = "ScheduleAnyway"
    """Whether a peer that would break it starts anyway."""
    one_per_node: Flag = False
    """Hard anti-affinity: no two peers of an entrant on one node; with `sameNodes` one of each."""
    same_nodes: Flag = True
    """Hard affinity: peer k of every entrant on one node, so that all race on the same machines. A
    node then needs room for one peer of each."""


ANNOTATED_BURST_BYTES = 512 * MIB
"""containerd and CRI-O give the bandwidth plugin a burst of 2^32 - 1 bits."""


class Peers(Pod):
    """The pods of all peers, of every entrant alike."""

    resources: Resources = resources_of("20m", "128Mi", "2", "1Gi")
    """Of a peer whose runner is its only container. With a node beside it, `global.sidecars` has
    the node's and the runner's; let them add up to these, so that all entrants have equal resources
    (each peer reads its limits at run time; the verdict flags a difference)."""
    storage: PeerStorage = PeerStorage()
    spread: Spread = Spread()
    conditions: Literal["tc", "cni", "kubeOvn"] = "tc"
    """How rates are applied: `tc` in an init container (the only one that needs NET_ADMIN and
    root), `cni` by the bandwidth plugin's annotations, `kubeOvn` by Kube-OVN's. The last two have
    large bursts, set rates only, and are ignored without their plugin: the preflight measures."""
    burst: Annotated[Size, Field(gt=0)] | None = None
    """Burst size of the rate limiter, in bytes: the preflight moves this much before it measures.
    If absent tc's own, 512MiB with the annotations."""
    active_deadline_seconds: Annotated[int, Field(ge=1, le=2**31 - 1), NoText] | None = None
    """When Kubernetes ends a peer's Job; if absent well above what the race's timeouts add up
    to."""
    shape_security_context: Free = _SHAPE_SECURITY
    """Security context of the init container that runs tc."""
    labels: Labels = {}
    """Further labels of the pods."""
    annotations: Labels = {}
    """Further annotations of the pods."""


class SwarmValues(Model):
    """Values of the `swarm` chart."""

    labels: Labels = {}
    """Further labels of the Jobs and Services."""
    annotations: Labels = {}
    """Annotations of the Jobs and Services (for Argo CD's sync options, say)."""


class TrackerStorage(Model):
    """Where the tracker keeps its state and the results."""

    kind: Literal["persistentVolumeClaim", "emptyDir"] = "persistentVolumeClaim"
    """With `emptyDir` a deleted tracker pod loses all results."""
    size: Annotated[Size, Field(gt=0)] = 4096 * MIB
    """Refused if the results may come to more. A claim can't shrink: keep it over races."""
    storage_class_name: str = ""
    """Storage class of the claim; the cluster's default if empty."""


class TrackerValues(Pod):
    """Values of the `tracker` chart."""

    resources: Resources = resources_of("50m", "128Mi", "", "1Gi")
    storage: TrackerStorage = TrackerStorage()
    labels: Labels = {}
    """Further labels of the Deployment and its pod."""
    annotations: Labels = {}
    """Annotations of the Deployment and its pod."""


class VerdictValues(Pod):
    """The Job that waits for all results and prints the verdict in its log. It goes where the
    tracker goes, unless it has values of its own."""

    enabled: Flag = True
    """Whether it is part of the release."""
    resources: Resources = resources_of("10m", "128Mi", "1", "1Gi")


class JudgeValues(Pod):
    """The hook that judges new values before an upgrade touches anything. It goes where the tracker
    goes, unless it has values of its own."""

    enabled: Flag = True
    """Whether it is part of the release."""
    resources: Resources = resources_of("10m", "64Mi", "1", "256Mi")


class TestValues(Pod):
    """The pod of `helm test`. It goes where the tracker goes, unless it has values of its own."""

    __test__ = False
    resources: Resources = resources_of("10m", "64Mi", "1", "256Mi")


class NetworkPolicyValues(Model):
    """Who may talk to whom."""

    enabled: Flag = True
    """Peers of the release, tracker, DNS, scrapes, the push address, verdict; nothing else."""


class Toggle(Model):
    """A part that can be left out."""

    enabled: Flag = True
    """Whether it is made."""
    labels: Labels = {}
    """Labels by which the operator or the sidecar finds it."""


class Dashboard(Toggle):
    """The Grafana dashboard, as a ConfigMap: one for each release, opening at its race."""

    labels: Labels = {"grafana_dashboard": "1"}
    """Labels by which Grafana's sidecar finds it."""


class Push(Model):
    """Where peers send the whole arrival curve after each run."""

    url: Annotated[str, Field(pattern=r"^(https?://[^/@\s]+(/\S*)?)?$")] = ""
    """Base address that takes VictoriaMetrics' text import format; nothing is sent when empty. It
    lies in a ConfigMap, so one with a password is refused: put that into a Secret of yours,
    `RELEASE-push`, under the key `SWARMRACE_PUSH_URL`, and the address without it here."""
    to: list[Free] = []
    """Destinations for the NetworkPolicy (`namespaceSelector`, `ipBlock`…) where the address has a
    name; when empty, that port anywhere."""
    port: Port | None = None
    """Their port for the NetworkPolicy; the address's when absent. Most networks judge what a
    Service has translated: behind one it is the pods' own port (8428, say, where the Service has
    80)."""


class MonitoringValues(Model):
    """Values of the `monitoring` chart. None of them changes the race id or a pod template."""

    enabled: Flag = False
    """Whether the monitoring chart is part of the release."""
    scrape: Literal["none", "annotations", "podMonitor", "serviceMonitor", "vmPodScrape"] = (
        "annotations"
    )
    """How the scraper finds the peers; `annotations` stand on a Service of their own."""
    interval_seconds: Annotated[int, Field(ge=1, le=120), NoText] = 2
    """Between two scrapes; the dashboard is as fine. With `annotations` the scraper has an interval
    of its own: say it here."""
    labels: Labels = {}
    """Labels by which the operator finds PodMonitor, ServiceMonitor or VMPodScrape."""
    from_: Annotated[list[Free], Field(alias="from")] = [{"namespaceSelector": {}}]
    """Who may scrape, for the NetworkPolicy; any pod of the cluster when not said."""
    linger_seconds: Annotated[float, Field(ge=0, le=600), NoText] = 70
    """How long a peer that is done waits at most for two complete answers to a scraper, at least
    5 s apart; no less than two intervals and 5 s, or 0 to wait for none."""
    push: Push = Push()
    rules: Toggle = Toggle(enabled=False)
    """Recording rules (PrometheusRule, or VMRule with `vmPodScrape`)."""
    dashboard: Dashboard = Dashboard()
