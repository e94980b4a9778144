"""Values that only a cluster needs. They stand under each chart's key and never change a race id
by themselves; the laptop checks and ignores them."""

from __future__ import annotations

from swarmrace.model import Model


class TrackerValues(Model):
    """Values of the `tracker` chart."""


class BitTorrentValues(Model):
    """Values of the `bittorrent` chart."""


class CodexValues(Model):
    """Values of the `codex` chart."""


class HttpValues(Model):
    """Values of the `http` chart."""


class MonitoringValues(Model):
    """Values of the `monitoring` chart."""
