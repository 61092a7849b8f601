"""Sound files from which the corpus starts: `PYTHONPATH=src:tests python tests/make_corpus.py`."""

import gzip
import io
import math
import shutil
import struct
import tarfile
import tempfile
import wave
import zipfile
from pathlib import Path

import torch
import yaml
from support import ROOT, load_config, make_words, small_run

from spsn.checkpoints import Checkpoint, CheckpointStore, History
from spsn.data.events import EventStore
from spsn.data.shd import write_split
from spsn.files import write_json
from spsn.network import StackedNetwork
from spsn.records import Execution, Result, RunRecord, write_record
from spsn.settings import from_mapping, to_mapping

CORPUS = Path(__file__).parent / "corpus"


def sound(folder: Path) -> dict[str, Path]:
    """A small sound file for every reader, made in `folder`."""
    spikes, run = make_words(3, 2, 0, seconds=0.01), small_run(hidden_layers=1, hidden_size=2, classes=2)
    write_split(folder / "words.h5", spikes)
    EventStore.from_spikes(spikes, 2.0).save(folder / "store")
    weights = {"0.weight": torch.zeros(2, 3), "0.bias": torch.zeros(2)}
    checkpoints = CheckpointStore(folder)
    checkpoints.save(run, Checkpoint(weights, History([1.0], [0.5], [0.1])))
    speakers = {"4": {"hits": 1, "total": 2, "in_training": False}}
    result = Result((1.0,), (0.5,), 1, 2, 0.5, (0.1,), (0, 1), speakers, "ab")
    write_record(
        folder / "record", RunRecord(run, result, Execution((0.1,), 0.1, None, 1, "cpu", {}, {}, None))
    )
    own = StackedNetwork(run, (0,)).run_state(0)
    torch.save(
        {name.replace(".", ".fc."): tensor[..., :1] for name, tensor in own.items()}, folder / "model.pt"
    )
    (folder / "config").write_text(yaml.safe_dump(load_config("paper", "micro")))
    write_json(folder / "settings", to_mapping(from_mapping(load_config("paper", "micro"))))
    (folder / "table").write_text("file,label,speaker,split\na.wav,one,ann,train\nb.wav,two,bob,test\n")
    beep(folder / "recording")
    return {
        **{name: folder / name for name in ("config", "settings", "table", "recording")},
        "hdf5": folder / "words.h5",
        "store": folder / "store",
        "checkpoint": checkpoints._path(run, 1),
        "record": folder / "record",
        "published": folder / "model.pt",
    }


def beep(path: Path) -> None:
    """A twentieth of a second of 400 Hz, 16 bits at 8 kHz."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        tone = (int(9000 * math.sin(2 * math.pi * 400 * i / 8000)) for i in range(400))
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in tone))


def packed(content: bytes) -> dict[str, bytes]:
    """Archives that hold `content`."""
    zipped, tar = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("datasets/shd_test.h5", content)
    with tarfile.open(fileobj=tar, mode="w:gz") as archive:
        member = tarfile.TarInfo("x/recordings/0_a_1.wav")
        member.size = 100
        archive.addfile(member, io.BytesIO(bytes(100)))
    return {"archive/sound.zip": zipped.getvalue(), "archive/sound.gz": gzip.compress(content, mtime=0),
            "tarball/sound.gz": tar.getvalue()}  # fmt: skip


def main() -> None:
    """Write the sound files, and leave what was found alone."""
    with tempfile.TemporaryDirectory() as scratch:
        for reader, path in sound(Path(scratch)).items():
            (CORPUS / reader).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, CORPUS / reader / "sound")
    for name, content in packed(bytes(range(256)) * 4).items():
        (CORPUS / name).parent.mkdir(parents=True, exist_ok=True)
        (CORPUS / name).write_bytes(content)
    (CORPUS / "notebook").mkdir(exist_ok=True)
    shutil.copyfile(ROOT / "notebooks" / "table1_parameters.ipynb", CORPUS / "notebook" / "sound.ipynb")


if __name__ == "__main__":
    main()
