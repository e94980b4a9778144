from __future__ import annotations

import pytest
import yaml

from swarmrace.backends.kubernetes import yaml_text

AMBIGUOUS = (
    "",
    "null",
    "~",
    "true",
    "yes",
    "off",
    "y",
    "1",
    "1.0",
    "1e3",
    "0x1f",
    "1:30",
    "=",
    "-",
)
PLAIN = ("tuned", "/work/node", "codexstorage/nim-codex")
OTHERS = ("a: b", "$(POD_IP)", "#", "two\nlines", "日本", "long " * 60)


@pytest.mark.parametrize("text", [*AMBIGUOUS, *PLAIN, *OTHERS])
def test_a_string_stays_that_string_in_one_line(text):
    written = yaml_text.scalar(text)
    assert "\n" not in written
    assert yaml.safe_load(f"key: {written}") == {"key": text}
    assert (written[0] in "\"'") == (text not in PLAIN), "other readers have other types"


def test_a_document_has_no_anchors():
    shared = {"a": "on"}
    text = yaml_text.document({"one": shared, "other": shared})
    assert "&" not in text
    assert yaml.safe_load(text) == {"one": shared, "other": shared}
