"""The contract of a system as checks over real swarms of any kind.

Each check (`checks.CHECKS`) drives whole peers in one process through a sequence of calls that a
race may make. It returns, or raises a `ContractError` that says what was expected and what was
found.
"""
