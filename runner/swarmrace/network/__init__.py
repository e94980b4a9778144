"""Networks of our own: namespaces, conditions by tc or a relay, counters, and the preflight.

`namespaces` gives each peer a network of its own on one machine, `conditions` limits its link
(there and in a pod), `counters` reads what went over it, `preflight` measures the rate that holds.
`relay` delays and loses frames where the kernel has no netem (`frames` are its sockets), `offload`
turns off what would hide frames from it, and `trial` measures what it does before a race.
"""
