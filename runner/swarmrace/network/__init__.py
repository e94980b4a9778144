"""The race's networks: namespaces, conditions by tc or a relay, counters, and the preflight.

`namespaces` gives each peer its own network on one machine, `conditions` limits its link (there and
in a pod), `counters` reads what went over it, `preflight` measures whether its rates hold. `relay`
delays and loses frames if the kernel has no netem (`frames` holds its sockets), `offload` turns off
the offload that would hide frames from it, and `trial` measures the delayed network before a race.
"""
