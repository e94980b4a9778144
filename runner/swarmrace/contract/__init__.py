"""The contract of a system as checks: real swarms of any kind, and what they leave behind.

Each check drives whole peers in one process through an order of calls that a race may make
(`checks.CHECKS`); it returns, or raises a `ContractError` that says what was expected and found.
"""
