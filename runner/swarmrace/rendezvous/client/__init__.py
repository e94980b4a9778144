"""The peers' side of the rendezvous."""
