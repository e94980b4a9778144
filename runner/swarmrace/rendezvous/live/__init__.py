"""The live page: what it shows of a running race, and how that reaches the viewers.

`Live` looks at the conductor once a second and never changes it. Peers do nothing for it: it reads
only their heartbeats, barriers and results. See docs/live-page.md.
"""
