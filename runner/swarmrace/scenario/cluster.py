"""Values that only a cluster needs; the laptop checks and ignores them.

What peers' pods are made of stands under `global`: a sub-chart sees only its own key and `global`,
the race id is a hash that covers every entrant's pod template, and every chart must come to the
same id by itself. It also gives all entrants the same resources by construction. Under a chart's
own key stands what changes no peer's pod.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from swarmrace.model import Flag, Model, NoText, in_yaml
from swarmrace.units import Size

TRACKER_PORT = 8080
METRICS_PORT = 9200
NODE_API_PORT = 8080
NODE_DISCOVERY_PORT = 8090
NODE_LISTEN_PORT = 8070
NODE_QUOTA_BYTES = 20 * 1024**3
"""A node's own quota since v0.2."""
USER_ID = 65_532
MIB = 1024**2
MOST_CORES = 9_999_999


def parse_cpu(value: object) -> int:
    """Return an amount of CPU in thousandths of a core, as Kubernetes writes it: `500m`, `2`, 0.5.

    Raises:
        ValueError: not an amount of CPU.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MOST_CORES:
        return int(Decimal(repr(value)) * 1000)
    if isinstance(value, str) and value.removesuffix("m").isascii():
        number = value.removesuffix("m")
        if number.isdigit() and len(number) <= 7:
            return int(number) * (1 if value.endswith("m") else 1000)
    raise ValueError(f"found {in_yaml(value)}, expected cores such as 2, 0.5 or 500m")


Cpu = Annotated[
    int,
    BeforeValidator(parse_cpu),
    PlainSerializer(lambda v: f"{v}m", return_type=str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": MOST_CORES},
                {"type": "string", "pattern": "^[0-9]{1,7}m?$"},
            ],
            "description": "cores, or thousandths of one: 2, 0.5, 500m",
        }
    ),
]
"""Thousandths of a core; input as Kubernetes writes it."""

Percent = Annotated[int, Field(ge=1, le=99), NoText]
Port = Annotated[int, Field(ge=1, le=65_535), NoText]
Labels = dict[str, str]
Free = dict[str, Any]
"""An object of Kubernetes' own, handed on as it is."""


class Image(Model):
    """The runner's image: tracker, peers and verdict are one."""

    repository: Annotated[str, Field(min_length=1)] = "localhost/swarmrace"
    """Without the tag; there is no public image: build it and load it or push it to yours."""
    tag: str = ""
    """The version of swarmrace when empty."""
    digest: Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")] = ""
    """`sha256:…`; then the tag only tells people."""
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When nodes fetch it."""
    pull_secrets: list[str] = []
    """Names of Secrets for the registries of all images."""


class Token(Model):
    """The token that guards the intake of results."""

    existing_secret: str = ""
    """A Secret of yours; when empty the chart makes one with a random token and keeps it."""
    key: Annotated[str, Field(min_length=1)] = "token"
    """Its key that holds the token."""


class Amounts(Model):
    """CPU and memory of a pod, summed over its containers. 0 means: not set."""

    cpu: Cpu = 0
    memory: Size = 0


class Resources(Model):
    """What a pod asks for and what it is limited to."""

    requests: Amounts = Amounts(cpu="20m", memory=128 * MIB)
    limits: Amounts = Amounts(cpu="2", memory=1024 * MIB)


class PeerStorage(Model):
    """Where a peer's payload lies."""

    kind: Literal["emptyDir", "persistentVolumeClaim"] = "emptyDir"
    """`persistentVolumeClaim` makes one for each pod, which goes with the pod."""
    size: Annotated[Size, Field(gt=0)] | None = None
    """2.25 times the file size and 256 MiB when absent; ephemeral-storage is set to it as well."""
    storage_class_name: str = ""
    """Of the claim; the cluster's default when empty."""


class Spread(Model):
    """How the peers of one entrant spread over the nodes (a topology spread constraint)."""

    topology_key: Annotated[str, Field(min_length=1)] = "kubernetes.io/hostname"
    """Label of the nodes over which to spread."""
    max_skew: Annotated[int, Field(ge=1, le=2**31 - 1), NoText] = 1
    """Most that two of them may differ by."""
    when_unsatisfiable: Literal["ScheduleAnyway", "DoNotSchedule"] = "ScheduleAnyway"
    """Whether a peer that would break it starts all the same."""
    one_per_node: Flag = False
    """Hard anti-affinity: no two peers of an entrant on one node; with `sameNodes` one of each."""
    same_nodes: Flag = True
    """Hard affinity: peer k of every entrant on one node, so that all race on the same machines. A
    node then needs room for one peer of each."""


ANNOTATED_BURST_BYTES = 512 * MIB
"""containerd and CRI-O give the bandwidth plugin a burst of 2^32 - 1 bits."""


class Peers(Model):
    """The pods of all peers, of every entrant alike."""

    resources: Resources = Resources()
    """Of one peer, split over its containers: equal sums for all entrants."""
    storage: PeerStorage = PeerStorage()
    spread: Spread = Spread()
    conditions: Literal["tc", "cni", "kubeOvn"] = "tc"
    """How rates are applied: `tc` in an init container (the one that needs NET_ADMIN and root),
    `cni` by the bandwidth plugin's annotations, `kubeOvn` by Kube-OVN's. The last two have large
    bursts, know rates alone, and are ignored without their plugin: the preflight measures."""
    burst: Annotated[Size, Field(gt=0)] | None = None
    """Most that what limits the rates may let pass at once before it limits: the preflight moves so
    much before it measures. When absent what is known: tc's own, 512MiB with the annotations."""
    node_selector: Labels = {}
    """Labels a node must have."""
    tolerations: list[Free] = []
    """Taints of nodes that don't matter, as Kubernetes has them."""
    affinity: Free = {}
    """Node affinity, pod affinity and pod anti-affinity as Kubernetes has them."""
    priority_class_name: str = ""
    """Name of a PriorityClass."""
    labels: Labels = {}
    """Further labels of the pods."""
    annotations: Labels = {}
    """Further annotations of the pods."""


class Family(Model):
    """What tells one family of Codex nodes from another."""

    image: Annotated[str, Field(min_length=1)]
    """Name with tag or digest."""
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When nodes fetch it."""
    command: Annotated[list[str], Field(min_length=1)]
    """The image's entrypoint and the node's program."""
    alone: str = ""
    """The argument for a node that has none to join yet."""
    nat: str = "extip:$(POD_IP)"
    """Its option `nat`: the pod's own address. Codex v0.1.9 takes a bare one, `$(POD_IP)`."""
    environment_prefix: Annotated[str, Field(pattern=r"^[A-Z]+_$")]
    """Of the environment variables that are its options."""
    metrics_port: Port = 8008
    """Where it serves its own metrics."""


class CodexFamily(Family):
    """Codex up to 0.2."""

    image: Annotated[str, Field(min_length=1)] = "codexstorage/nim-codex:0.2.5"
    command: Annotated[list[str], Field(min_length=1)] = ["/docker-entrypoint.sh", "codex"]
    environment_prefix: Annotated[str, Field(pattern=r"^[A-Z]+_$")] = "CODEX_"


class StorageFamily(Family):
    """Logos Storage, as Codex is called since 2026."""

    image: Annotated[str, Field(min_length=1)] = "logosstorage/logos-storage-nim:latest"
    command: Annotated[list[str], Field(min_length=1)] = ["/docker-entrypoint.sh", "storage"]
    alone: str = "--no-bootstrap-node"
    environment_prefix: Annotated[str, Field(pattern=r"^[A-Z]+_$")] = "STORAGE_"


class Families(Model):
    """The families of Codex nodes that an entrant's `family` chooses from."""

    codex: CodexFamily = CodexFamily()
    storage: StorageFamily = StorageFamily()


class CodexNode(Model):
    """The nodes of all Codex entrants."""

    families: Families = Families()
    """By an entrant's `family`; `auto` is `codex` here. Pin images by digest."""
    node_percent: Percent = 75
    """The node's share of a peer's resources; the runner beside it has the rest."""


class EntrantChartValues(Model):
    """What a chart of entrants has under its own key: nothing that changes a pod."""

    annotations: Labels = {}
    """Annotations of the Jobs and Services (for Argo CD's sync options, say)."""


class BitTorrentValues(EntrantChartValues):
    """Values of the `bittorrent` chart."""


class CodexValues(EntrantChartValues):
    """Values of the `codex` chart."""


class HttpValues(EntrantChartValues):
    """Values of the `http` chart."""


class TrackerStorage(Model):
    """Where the tracker keeps its state and the results."""

    kind: Literal["persistentVolumeClaim", "emptyDir"] = "persistentVolumeClaim"
    """With `emptyDir` a deleted tracker pod loses all results."""
    size: Annotated[Size, Field(gt=0)] = 4096 * MIB
    """Refused when the results may come to more. A claim can't shrink: keep it over races."""
    storage_class_name: str = ""
    """The cluster's default when empty."""


class TrackerValues(Model):
    """Values of the `tracker` chart."""

    resources: Resources = Resources(
        requests=Amounts(cpu="50m", memory=128 * MIB), limits=Amounts(memory=1024 * MIB)
    )
    storage: TrackerStorage = TrackerStorage()
    node_selector: Labels = {}
    """Labels a node must have."""
    tolerations: list[Free] = []
    """Taints of nodes that don't matter, as Kubernetes has them."""
    affinity: Free = {}
    """Node affinity, pod affinity and pod anti-affinity as Kubernetes has them."""
    priority_class_name: str = ""
    """Name of a PriorityClass."""
    annotations: Labels = {}
    """Annotations of the Deployment."""


class VerdictValues(Model):
    """The Job that waits for all results and prints the verdict in its log."""

    enabled: Flag = True
    """Whether it is part of the release."""


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
