"""Runs helm and kubectl, and waits for a cluster that can't be reached."""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence

from swarmrace.errors import InfrastructureError, UnavailableError
from swarmrace.host.parent_death import kill_with_parent

PATIENCE_SECONDS = 1800.0
"""How long a cluster may be unreachable before a race on it is given up."""
_PAUSE_SECONDS = 3.0
_UNREACHABLE = re.compile(
    r"connection refused|connection reset|unable to connect|i/o timeout|tls handshake|no route to "
    r"host|unexpected EOF|: EOF|deadline exceeded|currently unable|etcdserver|connection lost|dial "
    r"tcp|cluster unreachable|request canceled|too many requests|service unavailable|timed out",
    re.IGNORECASE,
)


class Tools:
    """helm and kubectl in one namespace.

    Args:
        namespace: Kubernetes namespace; None for the context's own.
        context: kubeconfig context; None for the current one.
        report: called with a line if the cluster can't be reached, and when it answers again.
        helm: whether helm is needed too.

    Raises:
        UnavailableError: one of the programs isn't on PATH.
    """

    def __init__(
        self,
        namespace: str | None,
        context: str | None,
        report: Callable[[str], None],
        *,
        helm: bool = True,
    ) -> None:
        programs = {"helm": "helm.sh"} if helm else {}
        for name, where in {**programs, "kubectl": "kubernetes.io/docs/tasks"}.items():
            if shutil.which(name) is None:
                raise UnavailableError(f"{name}: not found on PATH; install it ({where})")
        self.namespace, self.context = namespace, context
        self._report = report

    def helm(self, *arguments: str, patience_seconds: float = 0.0) -> str:
        """Run helm and return its output; see `_call`."""
        place = ["--namespace", self.namespace] if self.namespace else []
        place += ["--kube-context", self.context] if self.context else []
        return self._call(["helm", *arguments, *place], "", patience_seconds)

    def kubectl(
        self, *arguments: str, stdin: str = "", patience_seconds: float = PATIENCE_SECONDS
    ) -> str:
        """Run kubectl with `stdin` as its input, and return its output; see `_call`."""
        return self._call(self.kubectl_command(*arguments), stdin, patience_seconds)

    def kubectl_command(self, *arguments: str) -> list[str]:
        """Return the command that runs kubectl in this namespace and context."""
        place = ["--namespace", self.namespace] if self.namespace else []
        place += ["--context", self.context] if self.context else []
        return ["kubectl", *place, *arguments]

    @contextlib.contextmanager
    def watched(self, *arguments: str) -> Iterator[Callable[[float], bool]]:
        """Yield a function that waits until what `kubectl get ARGUMENTS` lists may have changed.

        It returns False if nothing changed within the given seconds. Unlike polling, waiting takes
        no CPU time from a race. A watch that can't be kept up reports a change now and then.
        """
        watch = _Watch(self.kubectl_command("get", *arguments, "--watch", "-o", "name"))
        try:
            yield watch.wait
        finally:
            watch.end()

    def await_cluster(self) -> None:
        """Return once the cluster's API answers.

        Raises:
            InfrastructureError: it can't be reached for longer than `PATIENCE_SECONDS`.
        """
        self.kubectl("get", "--raw", "/readyz")

    def _call(self, command: Sequence[str], stdin: str, patience_seconds: float) -> str:
        """Run a command; repeat it as long as the cluster can't be reached.

        Raises:
            InfrastructureError: the cluster can't be reached for longer than `patience_seconds`.
            UnavailableError: the cluster answers, but the command fails.
        """
        deadline, waiting = time.monotonic() + patience_seconds, False
        while True:
            done = subprocess.run(
                command,
                input=stdin,
                capture_output=True,
                text=True,
                check=False,
                start_new_session=True,  # so that Ctrl-C doesn't interrupt it
                # A killed driver's `helm install` must not race the next driver's uninstall.
                preexec_fn=kill_with_parent(),
            )
            if done.returncode == 0:
                if waiting:
                    self._report("the cluster answers again")
                return done.stdout
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            why = lines[-1].strip() if lines else f"exit code {done.returncode}"
            head = " ".join(command[:3])
            if not is_unreachable(done.stderr):
                raise UnavailableError(f"{head} …: {why}")
            if time.monotonic() > deadline:
                raise InfrastructureError(f"{head} …: the cluster can't be reached: {why}")
            if not waiting:
                self._report(f"the cluster can't be reached ({why}): waiting for it")
                waiting = True
            time.sleep(_PAUSE_SECONDS)


class _Watch:
    """A process that writes a line for each change, started again when it ends."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=kill_with_parent(),
        )

    def wait(self, seconds: float) -> bool:
        """Return whether it wrote a line within `seconds`, or ended."""
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], seconds)
        if not readable:
            return False
        if not os.read(self._process.stdout.fileno(), 65_536):
            self.end()
            time.sleep(_PAUSE_SECONDS)
            self._process = self._start()
        return True

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def is_unreachable(text: str) -> bool:
    """Return whether an error of helm or kubectl means that the cluster can't be reached."""
    return _UNREACHABLE.search(text) is not None
