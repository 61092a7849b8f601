"""The claims file: every claim of the paper is there once, and whatever is wrong in it is named."""

import re
from pathlib import Path

import pytest
import yaml

from spsn.replication.claim_parts import RULE_KEYS, ClaimsError, read_claims
from spsn.replication.measures import MEASURES
from spsn.replication.tables import read_reported

ROOT = Path(__file__).resolve().parents[2]
CLAIMS = ROOT / "paper" / "claims.yaml"
LIF = "accuracy/lif/augmented"
IDS = [
    "loss-mode", "train-100", "augmentation-gain", "test-above-train", "non-spiking-lowest", "spsn-above-lif",
    "epoch-time", "ten-times-faster", "spike-rate", "rate-floor", "gs-at-25", "regularization-free",
    "best-regularized", "table-2", "near-state-of-the-art", "constant-in-length", "four-thousand",
    "same-label", "sb-vs-gs",
]  # fmt: skip


def test_every_claim_of_the_paper_is_there_exactly_once():
    claims = read_claims(CLAIMS)
    assert [claim.id for claim in claims] == IDS
    assert all(claim.statement and claim.section for claim in claims)


def test_every_rule_is_known_and_used():
    used = {part.rule for claim in read_claims(CLAIMS) for part in claim.parts}
    assert used == set(RULE_KEYS) == set(MEASURES)


def test_claims_and_reported_numbers_agree():
    reported = read_reported(ROOT / "paper" / "reported.csv")
    seen = 0
    for claim in yaml.safe_load(CLAIMS.read_text())["claims"]:
        for part in claim["parts"]:
            numbers = part.get("paper", {})
            sides = [(part.get(k), numbers.get(k)) for k in ("greater", "lesser") if k in numbers]
            if "value" in numbers and "of" in part:
                sides = [(part["of"], list(numbers.values()))]
            for path, (value, *spread) in sides:
                row = reported_row(reported, path)
                if row is not None:
                    seen += 1
                    assert value == row.value, (claim["id"], path)
                    assert not spread or spread[0] == row.spread, (claim["id"], path)
    assert seen > 50


def reported_row(reported, path):
    """The line of reported.csv that a path of the claims file points to, or None."""
    if path.count("/") != 3:
        return None
    experiment, model, condition, column = path.split("/")
    if experiment == "epoch":
        column, condition = "epoch_seconds", "augmented"
    condition = "regularized" if experiment == "regularization" else condition
    rows = reported[
        (reported.quantity == column) & (reported.model == model) & (reported.condition == condition)
    ]
    return rows.iloc[0] if len(rows) else None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ruel": "value"}, "unknown key 'ruel'; did you mean 'rule'"),
        ({"rule": "oredring"}, "unknown rule 'oredring'; did you mean 'ordering'"),
        ({"of": None}, "lacks of"),
        ({"unit": None}, "lacks unit"),
        ({"spreads": None}, "needs a range"),
        ({"relative": 0.1}, "needs a range"),
        ({"paper": {"value": 1}}, "needs a range"),
        ({"paper": {"valeu": 1}}, "unknown key 'valeu'; did you mean 'value'"),
        ({"paper": {"greater": [1]}}, "lacks lesser"),
    ],
)
def test_a_faulty_part_is_named(tmp_path, change, message):
    part = {"label": "it", "rule": "value", "unit": "%", "of": f"{LIF}/test_accuracy", "spreads": 2}
    part |= {"paper": {"value": 80, "spread": 1}} | change
    part = {key: value for key, value in part.items() if value is not None}
    with pytest.raises(ClaimsError, match=re.escape(message)) as caught:
        read_claims(claims_file(tmp_path, [part]))
    assert "claims.yaml: claim 1 (made-up), part 1" in str(caught.value)


def test_a_faulty_file_is_named(tmp_path):
    good = {"label": "it", "rule": "value", "unit": "%", "of": "x", "paper": {"value": 1}, "relative": 1}
    with pytest.raises(ClaimsError, match="did you mean 'statement'"):
        read_claims(claims_file(tmp_path, [good], statment=""))
    with pytest.raises(ClaimsError, match="at least one part"):
        read_claims(claims_file(tmp_path, []))
    for text, message in (("claims: [", "cannot be read"), ("[]", "one key, 'claims'")):
        (tmp_path / "claims.yaml").write_text(text)
        with pytest.raises(ClaimsError, match=message):
            read_claims(tmp_path / "claims.yaml")
    with pytest.raises(ClaimsError, match="cannot be read"):
        read_claims(tmp_path / "absent.yaml")
    path = claims_file(tmp_path, [good])
    both = yaml.safe_load(path.read_text())["claims"] * 2
    path.write_text(yaml.safe_dump({"claims": both}))
    with pytest.raises(ClaimsError, match="more than one claim is called made-up"):
        read_claims(path)


def claims_file(folder, parts, **changes):
    entry = {"id": "made-up", "statement": "made up", "section": "none", "parts": parts} | changes
    path = folder / "claims.yaml"
    path.write_text(yaml.safe_dump({"claims": [entry]}))
    return path
