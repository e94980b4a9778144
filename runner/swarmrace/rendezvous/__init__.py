"""The rendezvous: BitTorrent tracker, board, barriers, start signal and results intake in one.

Peers use `client.client.RendezvousClient`; `server.serve` runs the server. API reference:
docs/rendezvous.md.
"""
