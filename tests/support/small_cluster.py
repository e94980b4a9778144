"""A stand-in for helm, kubectl and the cluster behind them, for tests of what drives them.

Its state is one JSON file. It holds one release: `helm install` refuses while anything of another
one is left, as Kubernetes does, and the refusal is recorded. Each step takes the time that the
state's `pace` says, so that a test can kill the driver in the middle of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
HOME = "SMALL_CLUSTER"
OBJECTS = ("job.batch/verdict", "job.batch/peers", "pod/tracker", "persistentvolumeclaim/tracker")
PACE = {"install": 0.0, "race": 0.3, "fetch": 0.0, "uninstall": 0.0, "ending": 0.3}


class SmallCluster:
    """The cluster as a test sees it.

    Args:
        folder: for its programs and its state.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        programs = folder / "bin"
        programs.mkdir(parents=True)
        for name in ("helm", "kubectl"):
            program = programs / name
            program.write_text(
                f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(HERE)!r})\n"
                f"import small_cluster\nsmall_cluster.main({name!r}, sys.argv[1:])\n"
            )
            program.chmod(0o755)
        self.environment = {HOME: str(folder), "PATH": f"{programs}:{os.environ['PATH']}"}
        with state_in(folder) as state:
            state |= {"release": None, "objects": {}, "lease": None, "version": 1}
            state |= {"faults": [], "log": [], "pace": dict(PACE)}

    def read(self) -> dict[str, Any]:
        """Return the state."""
        with state_in(self.folder) as state:
            return dict(state)

    def set(self, **changes: Any) -> None:
        """Change the state."""
        with state_in(self.folder) as state:
            state |= changes

    def pace(self, **seconds: float) -> None:
        """Change how long steps take."""
        with state_in(self.folder) as state:
            state["pace"] = PACE | seconds

    def log(self) -> list[str]:
        """Return which steps began and ended, such as `install` and `installed`."""
        return self.read()["log"]

    def left(self) -> list[str]:
        """Return what is left on the cluster, the lease included."""
        found = self.read()
        return [*_alive(found), *(["lease"] if found["lease"] else [])]


@contextlib.contextmanager
def state_in(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the state under a lock; it is stored if the block doesn't raise."""
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        file = folder / "state.json"
        state = json.loads(file.read_bytes()) if file.exists() else {}
        before = json.dumps(state)
        yield state
        after = json.dumps(state)
        if after != before:
            part = folder / "state.part"
            part.write_text(after)
            part.rename(file)


def _alive(state: dict[str, Any]) -> list[str]:
    now = time.time()
    return [name for name, end in state["objects"].items() if end is None or end > now]


def main(program: str, arguments: list[str]) -> None:
    """Do what helm or kubectl would do."""
    home = Path(os.environ[HOME])
    plain, options = [], {}
    words = iter(arguments)
    for word in words:
        if word in ("--namespace", "--context", "--kube-context", "-l", "-o", "-c"):
            options[word] = next(words)
        elif word == "-f":
            options.setdefault("-f", next(words))
        elif word == "--":
            break
        else:
            plain.append(word)
    sys.exit((_helm if program == "helm" else _kubectl)(home, plain, options) or 0)


def _helm(home: Path, words: list[str], options: dict[str, str]) -> int:
    if words[0] == "template":
        print(_rendered(options["-f"]))
        return 0
    if words[0] == "uninstall":
        _step(home, "uninstall")
        with state_in(home) as state:
            end = time.time() + state["pace"]["ending"]
            state["objects"] = {name: state["objects"][name] or end for name in _alive(state)}
            state["release"] = None
            state["log"].append("uninstalled")
        return 0
    with state_in(home) as state:
        if left := _alive(state):
            state["faults"].append(f"installed beside {left}")
            print(f"Error: {left[0]} already exists", file=sys.stderr)
            return 1
        mark = time.time()
        values = yaml.safe_load(Path(options["-f"]).read_text())
        state["release"] = {"mark": mark, "values": values}
        state["objects"] = dict.fromkeys(OBJECTS[:2])
    _step(home, "install")
    with state_in(home) as state:
        if (state["release"] or {}).get("mark") != mark:
            state["faults"].append("an install went on after the release was uninstalled")
        state["objects"] |= dict.fromkeys(OBJECTS[2:])
        state["ready"] = time.time() + state["pace"]["race"]
        state["log"].append("installed")
    return 0


def _step(home: Path, name: str) -> None:
    with state_in(home) as state:
        state["log"].append(name)
        seconds = state["pace"][name]
    time.sleep(seconds)


def _rendered(file: str) -> str:
    entrants = yaml.safe_load(Path(file).read_text())["global"]["entrants"]
    jobs = []
    for name in entrants:
        env = [{"name": "SWARMRACE_ENTRANT", "value": name}]
        pod = {"containers": [{"name": "runner", "image": "lab/runner:1", "env": env}]}
        jobs.append({"kind": "Job", "spec": {"template": {"spec": pod}}})
    return yaml.safe_dump_all(jobs)


def _kubectl(home: Path, words: list[str], options: dict[str, str]) -> int:
    if "--watch" in words:
        return _watch(home)
    if words[0] == "exec":
        _step(home, "fetch")
        return _archive(home)
    with state_in(home) as state:
        if words[0] in ("create", "replace"):
            return _write_lease(state, words[0], json.load(sys.stdin))
        if words[:2] == ["delete", "lease"]:
            state["lease"] = None
            return 0
        if words[1] == "lease":
            print(json.dumps(state["lease"]) if state["lease"] else "")
        elif options.get("-o") == "name":
            print("\n".join(_alive(state)))
        elif words[1] == "jobs,pods":
            print(json.dumps({"items": [_verdict(state)] if OBJECTS[0] in _alive(state) else []}))
        elif words[1] == "pods":
            tracker = {"metadata": {"name": "tracker"}, "status": {"phase": "Running"}}
            ready = "tracker" in options["-l"] and OBJECTS[2] in _alive(state)
            print(json.dumps({"items": [tracker] if ready else []}))
        elif words[1] != "--raw":
            print(f"error: {words}", file=sys.stderr)
            return 1
    return 0


def _verdict(state: dict[str, Any]) -> dict[str, Any]:
    done = time.time() > state.get("ready", 1e18) and OBJECTS[2] in state["objects"]
    conditions = [{"type": "Complete", "status": "True"}] if done else []
    return {"kind": "Job", "status": {"conditions": conditions}}


def _write_lease(state: dict[str, Any], verb: str, lease: dict[str, Any]) -> int:
    if verb == "create" and state["lease"]:
        print("Error from server (AlreadyExists): it exists", file=sys.stderr)
        return 1
    version = str(state["version"])
    if verb == "replace" and lease["metadata"].get("resourceVersion") != version:
        print("Error from server (Conflict): it has been modified", file=sys.stderr)
        return 1
    state["version"] += 1
    lease["metadata"]["resourceVersion"] = str(state["version"])
    state["lease"] = lease
    return 0


def _watch(home: Path) -> int:
    seen = -1
    while True:
        with state_in(home) as state:
            now = len(_alive(state)) + 100 * (time.time() > state.get("ready", 1e18))
        if now != seen:
            print("changed", flush=True)
        seen = now
        time.sleep(0.05)


def _archive(home: Path) -> int:
    from made_sweeps import write_results
    from swarmrace.backends.kubernetes.fetch import archive
    from swarmrace.plan.trials import program_ids
    from swarmrace.recording.records import Trial
    from swarmrace.scenario.loading import parse

    with state_in(home) as state:
        release = state["release"]
    if release is None:
        print("error: pod not found", file=sys.stderr)
        return 1
    scenario = parse({"global": release["values"]["global"]})
    tried = program_ids(scenario) if _holds_trials(release) else {}
    trials = {
        name: Trial(outcome="started", tried=name, program=each) for name, each in tried.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        write_results(Path(folder), scenario, backend="kubernetes", trials=trials)
        archive(Path(folder), sys.stdout.buffer)
    return 0


def _holds_trials(release: dict[str, Any]) -> bool:
    env = (release["values"].get("tracker") or {}).get("extraEnv") or []
    return {"name": "SWARMRACE_TRIAL", "value": "false"} not in env
