"""Networks of our own: namespaces, conditions by tc, interface counters, and the preflight.

`namespaces` gives each peer a network of its own on one machine, `conditions` limits its link
(there and in a pod), `counters` reads what went over it, `preflight` measures the rate that holds.
"""
