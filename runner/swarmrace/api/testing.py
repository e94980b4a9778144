"""The contract suite, for the tests of a third party's system. Part of `swarmrace.api`.

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
    def test_it_keeps_the_contract(check, tmp_path):
        check.run(Subject("tcp", names_content=False), tmp_path)

No test runner is needed: `run_contract` returns what is wrong.
"""

from swarmrace.contract.checks import CHECKS, Check, run_contract
from swarmrace.contract.expect import ContractError
from swarmrace.contract.swarm import Subject

__all__ = ["CHECKS", "Check", "ContractError", "Subject", "run_contract"]
