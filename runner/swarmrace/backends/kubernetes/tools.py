"""Runs helm and kubectl, and waits out a cluster that is away."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence

from swarmrace.errors import InfrastructureError, UnavailableError

PATIENCE_SECONDS = 1800.0
"""How long a cluster may be away before a race on it is given up."""
_PAUSE_SECONDS = 3.0
_AWAY = re.compile(
    r"connection refused|connection reset|unable to connect|i/o timeout|tls handshake|no route to "
    r"host|unexpected EOF|: EOF|deadline exceeded|currently unable|etcdserver|connection lost|dial "
    r"tcp|cluster unreachable|request canceled|too many requests|service unavailable|timed out",
    re.IGNORECASE,
)


class Tools:
    """helm and kubectl in one namespace.

    Args:
        namespace: Kubernetes namespace; the context's own when absent.
        context: kubeconfig context; the current one when absent.
        say: called with a line when the cluster goes away, and when it is back.
        helm: whether helm is needed as well.

    Raises:
        UnavailableError: one of the programs isn't on PATH.
    """

    def __init__(
        self,
        namespace: str | None,
        context: str | None,
        say: Callable[[str], None],
        *,
        helm: bool = True,
    ) -> None:
        programs = {"helm": "helm.sh"} if helm else {}
        for name, where in {**programs, "kubectl": "kubernetes.io/docs/tasks"}.items():
            if shutil.which(name) is None:
                raise UnavailableError(f"{name}: not found on PATH; install it ({where})")
        self.namespace, self.context = namespace, context
        self._say = say

    def helm(self, *arguments: str, patience_seconds: float = 0.0) -> str:
        """Run helm and return what it prints; see `_call`."""
        place = ["--namespace", self.namespace] if self.namespace else []
        place += ["--kube-context", self.context] if self.context else []
        return self._call(["helm", *arguments, *place], "", patience_seconds)

    def kubectl(
        self, *arguments: str, given: str = "", patience_seconds: float = PATIENCE_SECONDS
    ) -> str:
        """Run kubectl, with `given` as its input, and return what it prints; see `_call`."""
        return self._call(self.kubectl_command(*arguments), given, patience_seconds)

    def kubectl_command(self, *arguments: str) -> list[str]:
        """Return the command that runs kubectl in this namespace and context."""
        place = ["--namespace", self.namespace] if self.namespace else []
        place += ["--context", self.context] if self.context else []
        return ["kubectl", *place, *arguments]

    def await_cluster(self) -> None:
        """Return once the cluster's API answers.

        Raises:
            InfrastructureError: it is away for longer than `PATIENCE_SECONDS`.
        """
        self.kubectl("get", "--raw", "/readyz")

    def _call(self, command: Sequence[str], given: str, patience_seconds: float) -> str:
        """Run a command; while the cluster is away, again and again.

        Raises:
            InfrastructureError: the cluster was away for longer than `patience_seconds`.
            UnavailableError: it answers, and the command fails.
        """
        deadline, away = time.monotonic() + patience_seconds, False
        while True:
            done = subprocess.run(
                command,
                input=given,
                capture_output=True,
                text=True,
                check=False,
                start_new_session=True,  # so that Ctrl-C leaves nothing half done
            )
            if done.returncode == 0:
                if away:
                    self._say("the cluster answers again")
                return done.stdout
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            why = lines[-1].strip() if lines else f"exit code {done.returncode}"
            head = " ".join(command[:3])
            if not is_away(done.stderr):
                raise UnavailableError(f"{head} …: {why}")
            if time.monotonic() > deadline:
                raise InfrastructureError(f"{head} …: the cluster can't be reached: {why}")
            if not away:
                self._say(f"the cluster can't be reached ({why}): waiting for it")
                away = True
            time.sleep(_PAUSE_SECONDS)


def is_away(text: str) -> bool:
    """Return whether an error of helm or kubectl says that the cluster can't be reached."""
    return _AWAY.search(text) is not None
