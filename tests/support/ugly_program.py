"""An `exec` program that copies a file whose path is its reference, and has one bad habit.

python ugly_program.py HABIT
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

HABIT = sys.argv[1] if len(sys.argv) > 1 else "none"
asked = 0
"""The `id` of the request that is being answered."""
payload = Path()
"""What was published."""


def say(event: str, **more: object) -> None:
    if event in ("done", "failed") and HABIT != "leaves ids out":
        more = {"id": asked, **more}
    sys.stdout.write(json.dumps({"event": event, **more}) + "\n")
    sys.stdout.flush()


def raw(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.flush()


def wait_for_ever() -> None:
    while True:
        time.sleep(1)


def prepare(request: dict) -> None:
    if HABIT == "exits at once":
        print("no licence found", file=sys.stderr)
        sys.exit(3)
    if HABIT == "never prepares":
        say("trouble", text="the lock is held")
        wait_for_ever()
    if HABIT == "ignores sigterm":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say("done", version=f"ugly {HABIT}")


def publish(request: dict) -> None:
    global payload
    path = payload = Path(request["path"])
    if HABIT == "publishes late":
        select.select([sys.stdin], [], [])  # until the next request is there
    if HABIT == "changes the payload":
        path.write_bytes(bytes(path.stat().st_size))
    if HABIT == "no reference":
        say("done")
    elif HABIT == "a long reference":
        say("done", reference={"path": "x" * 3000})
    elif HABIT == "no number":
        raw(b'{"event": "done", "reference": {"path": NaN}}\n')
    else:
        say("done", reference={"path": str(path)})


def fetch(request: dict) -> None:
    data = Path(request["references"][0]["path"]).read_bytes()
    size, path = request["sizeBytes"], Path(request["path"])
    half = size // 2
    say("discovered")
    say("arrived", offset=0, length=half)
    if HABIT == "dies":
        print("segmentation fault, they say", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    if HABIT == "exits 0":
        sys.exit(0)
    if HABIT == "exits in a line":
        raw(b'{"event": "arr')
        sys.exit(1)
    if HABIT == "hangs":
        wait_for_ever()
    if HABIT == "ignores sigterm":
        wait_for_ever()
    if HABIT == "closes its output":
        os.close(1)
        wait_for_ever()
    if HABIT == "leaves a child":
        subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL)
        os.kill(os.getpid(), signal.SIGKILL)
    ugly = {
        "rubbish": b"Downloading 50%\n",
        "noise": bytes(range(256)) * 8 + b"\n",
        "a line of 10 MB": b'{"event": "note", "text": "' + b"x" * 10_000_000 + b'"}\n',
        "10 MB without end": b"x" * 10_000_000,
        "unknown event": b'{"event": "finished"}\n',
        "unknown key": b'{"event": "arrived", "offset": 0, "length": 1, "of": 2}\n',
        "beyond the end": json.dumps({"event": "arrived", "offset": size, "length": 1}).encode()
        + b"\n",
        "negative": b'{"event": "arrived", "offset": -1, "length": 1}\n',
        "empty": b'{"event": "arrived", "offset": 0, "length": 0}\n',
        "huge": b'{"event": "arrived", "offset": 9223372036854775807, "length": 9}\n',
        "progress": b'{"event": "progress", "bytes": 1}\n',
        "a gap": json.dumps({"event": "arrived", "offset": size - 1, "length": 1}).encode() + b"\n",
    }.get(HABIT)
    if ugly is not None:
        raw(ugly)
        wait_for_ever()
    if HABIT == "too early":
        path.write_bytes(data[:half])
        say("done")
        return
    if HABIT == "writes on":
        path.write_bytes(data[:half] + bytes(size - half))
        say("arrived", offset=half, length=size - half)
        say("done")
        while not path.with_name("write on").exists():
            time.sleep(0.01)
        path.write_bytes(data)
        return
    if HABIT == "another file":
        path.with_name("elsewhere").write_bytes(data)
    elif HABIT == "wrong bytes":
        path.write_bytes(bytes(size))
    else:
        path.write_bytes(data)
    if HABIT == "says it failed":
        say("failed", reason="disk full", detail="no room for\nthe last block")
        return
    if HABIT != "keeps quiet":
        say("arrived", offset=half, length=size - half)
    say("done")
    if HABIT == "says done twice":
        say("done")
    if HABIT == "talks on":
        say("arrived", offset=0, length=1)


def remove(request: dict) -> None:
    if HABIT == "never removes":
        wait_for_ever()
    if HABIT == "says done again later":
        raw(json.dumps({"event": "done", "id": asked - 1}).encode() + b"\n")
        wait_for_ever()
    if HABIT == "publishes late":
        time.sleep(0.2)
        payload.with_name("removed").touch()
    say("done")


def main() -> None:
    global asked
    if HABIT == "never listens":
        wait_for_ever()
    for line in sys.stdin:
        request = json.loads(line)
        asked = request["id"]
        if request["verb"] == "close":
            if HABIT == "ignores close":
                wait_for_ever()
            return
        globals()[request["verb"]](request)


if __name__ == "__main__":
    main()
