"""docs/faults.md and these tests tell of the same faults."""

import ast
import json
import re
from collections import Counter

from support import ROOT

TABLE = ROOT / "docs" / "faults.md"
ROW = re.compile(r"^\|.*\| `(test_\w+\.py|tests/[\w/]+\.py)::(test_\w+)` \|$", re.MULTILINE)


def read_tests(path) -> dict[str, str]:
    """Names and docstrings of a file's tests."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    functions = [node for node in body if isinstance(node, ast.FunctionDef)]
    return {node.name: ast.get_docstring(node) or "" for node in functions if node.name.startswith("test_")}


def injected() -> dict[tuple[str, str], str]:
    """Every fault's file and test, with what it says of itself."""
    files = [path for path in (ROOT / "tests" / "faults").glob("test_*.py") if path.name != "test_table.py"]
    return {(path.name, name): text for path in files for name, text in read_tests(path).items()}


def test_every_fault_is_in_the_table_and_every_row_is_a_test():
    rows = ROW.findall(TABLE.read_text(encoding="utf-8"))
    assert max(Counter(rows).values()) == 1
    assert {row for row in rows if "/" not in row[0]} == set(injected())
    others = [row for row in rows if "/" in row[0]]
    assert others and all(name in read_tests(ROOT / file) for file, name in others)


def test_the_counts_are_those_of_the_tests():
    tried = len(injected())
    assert f"Faults tried: {tried}. Survived: {tried}. Lost: 0." in TABLE.read_text(encoding="utf-8")
    assert tried >= 25


def test_every_fault_says_what_is_promised_and_what_was_seen():
    for name, text in injected().items():
        assert text.startswith("Promised: ") and " Seen: " in " ".join(text.split()), name


def test_the_killed_demo_is_told_as_its_record_has_it():
    record = json.loads((ROOT / "benchmarks/records/cpu-killed-demo.json").read_text())
    text = (ROOT / "docs/faults.md").read_text()
    assert record["different"] == [] and len(record["kills"]) >= 5
    assert f"Commit {record['git_commit'][:7]}, killed {len(record['kills'])} times" in text
    for kind, count in record["same"].items():
        assert f"| {kind} | {count} |" in text
