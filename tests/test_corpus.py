"""The files that `make fuzz` starts from and those that it found: each is taken or refused in words."""

from pathlib import Path

import pytest
from readers import READERS, outcome
from support import ROOT

CORPUS = ROOT / "tests" / "corpus"
FILES = sorted(path.relative_to(CORPUS) for path in CORPUS.glob("*/*"))


@pytest.mark.parametrize("name", FILES, ids=str)
def test_a_file_of_the_corpus_is_taken_or_refused(name: Path, tmp_path):
    said = outcome(READERS[name.parts[0]], (CORPUS / name).read_bytes(), tmp_path)
    assert (said == "taken") == name.stem.startswith("sound"), said


def test_every_reader_has_a_sound_file_to_start_from():
    assert {name.parts[0] for name in FILES if name.stem == "sound"} == set(READERS)
