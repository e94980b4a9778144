"""The rendezvous: BitTorrent tracker, board, barriers, start signal and results intake in one.

`client.RendezvousClient` is a peer's side, `server.Rendezvous` and `server.serve` the other.
API reference: docs/rendezvous.md.
"""
