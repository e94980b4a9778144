"""The contract suite, for the tests of third-party systems. Part of `swarmrace.api`.

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
    def test_contract(check, tmp_path):
        check.run(Subject("tcp", names_content=False), tmp_path)

It also works without a test runner: `run_contract` returns the violations.
"""

from swarmrace.contract.checks import CHECKS, Check, run_contract
from swarmrace.contract.expect import ContractError
from swarmrace.contract.swarm import Subject

__all__ = ["CHECKS", "Check", "ContractError", "Subject", "run_contract"]
