"""swarmrace races Codex (Logos Storage) against BitTorrent, byte by byte."""

__version__ = "0.1.0"
