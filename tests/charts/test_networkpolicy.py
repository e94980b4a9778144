"""Who reaches whom by the rendered NetworkPolicies, which the test cluster doesn't enforce."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple

from test_umbrella import ALL, pod_specs, values

from helm_charts import Render, Rendered

MONITORED = {
    "enabled": True,
    "from": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
    "push": {"url": "http://10.1.2.3:8428/base"},
}
OWN = {"name": "own"}
"""The labels of the release's namespace."""


class Party(NamedTuple):
    """A sender or receiver: a pod in a namespace, or an address outside the cluster."""

    labels: Mapping[str, str] | None = None
    """Of a pod; None outside the cluster."""
    namespace: Mapping[str, str] = OWN
    """Labels of a pod's namespace."""
    address: str = ""
    ports: Mapping[str, int] = {}
    """A pod's ports by name."""


OUTSIDE = Party(address="203.0.113.7")
NEIGHBOUR = Party(labels={"app": "x"})
"""In the release's own namespace."""
SWEEP = Party(labels={"app.kubernetes.io/component": "sweep"})
"""A step of the chart `sweep` in the same namespace."""
STRANGER = Party(labels={"app": "x"}, namespace={"name": "other"})
SCRAPER = Party(labels={"app": "prometheus"}, namespace={"name": "monitoring"})
DNS = Party(labels={"k8s-app": "kube-dns"}, namespace={"name": "kube-system"})


class Network:
    """Who reaches whom by the rendered NetworkPolicies, by the API reference: a policy that selects
    a pod denies what it doesn't allow."""

    def __init__(self, rendered: Rendered) -> None:
        self.policies = [p["spec"] for p in rendered.of("NetworkPolicy")]
        self.pods = {
            metadata["labels"]["app.kubernetes.io/component"]: Party(
                labels=metadata["labels"], ports=_ports_of(spec)
            )
            for _, metadata, spec in pod_specs(rendered)
        }

    def reaches(self, source: Party, target: Party, port: int, protocol: str = "TCP") -> bool:
        """Whether packets may leave `source` and may enter `target`."""
        asked = (port, protocol, target.ports)
        return self._side("Egress", "egress", "to", source, target, asked) and self._side(
            "Ingress", "ingress", "from", target, source, asked
        )

    def _side(
        self, kind: str, rules: str, peers: str, pod: Party, other: Party, asked: Any
    ) -> bool:
        if pod.labels is None or pod.namespace != OWN:
            return True  # not ours to restrict
        mine = [
            p
            for p in self.policies
            if kind in p["policyTypes"] and _selects(p["podSelector"], pod.labels)
        ]
        return not mine or any(
            _admits(rule.get(peers), other) and _port(rule.get("ports"), *asked)
            for policy in mine
            for rule in policy.get(rules, [])
        )


def _ports_of(spec: dict[str, Any]) -> dict[str, int]:
    containers = [*spec.get("initContainers", []), *spec["containers"]]
    ports = [port for container in containers for port in container.get("ports", [])]
    return {port["name"]: port["containerPort"] for port in ports}


def _admits(allowed: list[dict[str, Any]] | None, other: Party) -> bool:
    """Whether a rule's `from` or `to` allows a party; an empty one allows everyone."""
    return not allowed or any(_names(entry, other) for entry in allowed)


def _names(entry: dict[str, Any], other: Party) -> bool:
    if "ipBlock" in entry:
        block, address = entry["ipBlock"], other.address
        return bool(address) and (
            ip_address(address) in ip_network(block["cidr"])
            and not any(ip_address(address) in ip_network(net) for net in block.get("except", []))
        )
    if other.labels is None:
        return False
    where = entry.get("namespaceSelector", {"matchLabels": OWN})
    return _selects(where, other.namespace) and _selects(entry.get("podSelector", {}), other.labels)


def _selects(selector: dict[str, Any], labels: Mapping[str, str]) -> bool:
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    return all(
        labels.get(e["key"]) in e["values"] and e["operator"] == "In"
        for e in selector.get("matchExpressions", [])
    )


def _port(ports: Any, port: int, protocol: str, names: Mapping[str, int]) -> bool:
    """Whether a rule's ports include one; a name is a port of the receiving pod."""
    return not ports or any(
        names.get(p["port"], p["port"]) == port and p["protocol"] == protocol for p in ports
    )


def test_the_check_itself_sees_whom_a_policy_names() -> None:
    entry = {"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}
    assert [_names(entry, who) for who in (SCRAPER, STRANGER, NEIGHBOUR, OUTSIDE)] == [
        True, False, False, False,
    ]  # fmt: skip
    assert [_names({"podSelector": {}}, who) for who in (NEIGHBOUR, STRANGER, OUTSIDE)] == [
        True, False, False,
    ]  # fmt: skip
    block = {"ipBlock": {"cidr": "203.0.113.0/24", "except": ["203.0.113.128/25"]}}
    addresses = ("203.0.113.7", "203.0.113.200", "10.0.0.1")
    assert [_names(block, Party(address=a)) for a in addresses] == [True, False, False]
    assert not _names(block, NEIGHBOUR)
    rule = [{"port": "metrics", "protocol": "TCP"}]
    assert _port(rule, 9200, "TCP", {"metrics": 9200})
    assert not _port(rule, 9201, "TCP", {"metrics": 9200})
    assert not _port(rule, 9200, "TCP", {})


def test_who_may_talk_to_whom(render: Render) -> None:
    network = Network(render(values(ALL)))
    peer, tracker, verdict = (network.pods[n] for n in ("peer", "tracker", "verdict"))
    others = (OUTSIDE, NEIGHBOUR, STRANGER, SCRAPER)
    assert network.reaches(peer, peer, 12345)
    assert network.reaches(peer, peer, 8090, "UDP")
    assert network.reaches(peer, tracker, 8080)
    assert network.reaches(verdict, tracker, 8080)
    assert network.reaches(network.pods["test"], tracker, 8080)
    assert network.reaches(SWEEP, tracker, 8080)
    assert not network.reaches(SWEEP._replace(namespace=STRANGER.namespace), tracker, 8080)
    assert not network.reaches(SWEEP, peer, 9200)
    for source in (peer, verdict):
        for answerer in (DNS, OUTSIDE):
            assert network.reaches(source, answerer, 53, "UDP")
            assert network.reaches(source, answerer, 53, "TCP")
        for port in (80, 443, 8080, 9200):
            assert not any(network.reaches(source, other, port) for other in others)
    assert not network.reaches(tracker, DNS, 53, "UDP")
    assert not network.reaches(tracker, peer, 8080)
    assert not network.reaches(verdict, peer, 9200)
    assert not network.reaches(peer, tracker, 22)
    for target in (peer, tracker, verdict):
        for port in (8080, 9200, 8008, 53):
            assert not any(network.reaches(other, target, port) for other in others)


def test_peers_of_another_race_or_release_are_strangers(render: Render) -> None:
    network = Network(render(values(ALL)))
    for other in (render(values(ALL, {"attempt": 2})), render(values(ALL), release="other")):
        foreign = Network(other).pods["peer"]
        assert not network.reaches(foreign, network.pods["tracker"], 8080)
        assert not network.reaches(foreign, network.pods["peer"], 1234)


def test_scrapes_come_from_the_named_scrapers(render: Render) -> None:
    network = Network(render(values(ALL, monitoring=MONITORED)))
    peer = network.pods["peer"]
    assert peer.ports["metrics"] == 9200
    assert network.reaches(SCRAPER, peer, 9200)
    assert not network.reaches(SCRAPER, peer, 8008), "a scrape would count as the node's traffic"
    assert not network.reaches(SCRAPER, peer, 12345)
    assert not network.reaches(SCRAPER, network.pods["tracker"], 8080)
    for other in (STRANGER, NEIGHBOUR, OUTSIDE):
        assert not network.reaches(other, peer, 9200)
    anybody = Network(render(values(ALL, monitoring={"enabled": True})))
    assert anybody.reaches(STRANGER, anybody.pods["peer"], 9200)
    assert not anybody.reaches(OUTSIDE, anybody.pods["peer"], 9200)


def test_pushes_go_to_the_named_destinations(render: Render) -> None:
    network = Network(render(values(ALL, monitoring=MONITORED)))
    peer, there = network.pods["peer"], Party(address="10.1.2.3")
    assert network.reaches(peer, there, 8428)
    assert not network.reaches(peer, there, 443)
    assert not network.reaches(peer, OUTSIDE, 8428)
    assert not network.reaches(peer, STRANGER, 8428)
    assert not network.reaches(network.pods["verdict"], there, 8428)
    to = [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]
    named = {**MONITORED, "push": {"url": "https://vm.example", "to": to}}
    network = Network(render(values(ALL, monitoring=named)))
    assert network.reaches(network.pods["peer"], SCRAPER, 443)
    assert not network.reaches(network.pods["peer"], STRANGER, 443)
    assert not network.reaches(network.pods["peer"], OUTSIDE, 443)
    nowhere = {**MONITORED, "push": {"url": "https://vm.example"}}
    network = Network(render(values(ALL, monitoring=nowhere)))
    for anywhere in (STRANGER, OUTSIDE):
        assert network.reaches(network.pods["peer"], anywhere, 443), "a policy knows no host names"
        assert not network.reaches(network.pods["peer"], anywhere, 80)
