"""The Dockerfile's targets: what each contains, without building it."""

from __future__ import annotations

import re

import pytest

from paths import ROOT

STAGE = re.compile(r"FROM (\S+)(?: AS (\S+))?")


def stages() -> dict[str, list[str]]:
    """Return the instructions of each stage by its name, `FROM` first; the last one is `last`."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    found: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if begun := STAGE.fullmatch(line.strip()):
            name = begun[2] or "last"
            found[name] = []
        if name and line.strip() and not line.lstrip().startswith("#"):
            found[name].append(line.strip())
    return found


def whole(name: str) -> str:
    """Return everything that gets into a stage's image: its instructions, those of the stages that
    it is based on, and those of the stages that it copies from."""
    found = stages()
    if name not in found:
        return ""
    base = STAGE.match(found[name][0])[1]  # type: ignore[index]
    copied = re.findall(r"--from=(\S+)", "\n".join(found[name]))
    return "\n".join([*map(whole, [base, *copied]), *found[name]])


def locked(name: str) -> set[str]:
    """Return the names of the packages in a file of locked versions."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))


def test_the_peers_image_has_nothing_of_the_report():
    assert list(stages())[-1] == "last", "what a build without --target builds"
    assert "requirements/runtime.txt" in whole("last")
    assert "requirements/report.txt" not in whole("last")
    assert locked("report") - locked("runtime") == {"jinja2", "markupsafe", "pyarrow"}


@pytest.mark.parametrize("target", ["report", "sweep"])
def test_a_target_has_the_peers_image_and_the_report(target):
    text = whole(target)
    assert "requirements/report.txt" in text
    assert all(line in text for line in stages()["runtime"])
    assert ("helm package" in text) == (target == "sweep")


def test_every_target_that_the_docs_name_exists():
    named = set()
    for path in [ROOT / "Dockerfile", *ROOT.glob("docs/*.md"), *ROOT.glob("charts/*/README.md")]:
        text = path.read_text()
        named |= set(re.findall(r"--target (\w+)|target `(\w+)`", text))
    targets = {each for pair in named for each in pair if each}
    assert targets >= {"report", "sweep"}
    assert targets <= set(stages())
