"""The weights that the authors of arXiv 2306.12666 published: ten files, fetched or taken, verified, read.

They lie in the folder `outputs/` of the authors' repository (github.com/NECOTIS/
Stochastic-Parallelizable-Spiking-Neuron-SPSN), one for each run of seed 0 that they published: PyTorch state
dicts of 700-128-128-128-20 networks in float32, trained on SHD. No licence comes with them: they are fetched
by whoever wants them, and no copy of them is part of this project.

A state dict is read as data alone (no pickled object is ever called) and names its parameters so::

    {0,1,2,3}.fc.{weight,bias}      spiking networks        here: {0,1,2,3}.{weight,bias}
    {0,2,4,6}.{weight,bias}         the non-spiking one, whose odd layers are its rectifiers
"""

import io
import os
import shutil
import struct
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal

import torch
from torch import Tensor

from spsn.data.download import DownloadError, download
from spsn.data.shd import CHANNELS
from spsn.data.unpack import BLOCK, Pieces
from spsn.errors import DataError, RecordError
from spsn.files import check_size, digest, parse_json, read_text, require_file, write_json

BASE = "https://raw.githubusercontent.com/NECOTIS/Stochastic-Parallelizable-Spiking-Neuron-SPSN/main/outputs/"
SIZES = (CHANNELS, 128, 128, 128, 20)  # neurons of the input, the hidden layers and the readout
LARGEST = 256 << 20  # bytes, unpacked: a published file has half a million


@dataclass(frozen=True)
class PublishedFile:
    """A file: its path below the authors' `outputs/`, the SHA-256 of its bytes, what was trained and how."""

    path: str
    sha256: str
    model: Literal["lif", "spsn-sb", "spsn-gs", "non-spiking"]
    condition: str


# As `sha256sum` writes and checks it.
SHA256SUMS = """\
7393f9237bd7386d9e2ac3c0c8c3c054f8744685489b0b9aff745528f7ef190f  basic/model_LIF_1675938986.pt
1ebc5cd96eeb5281a63d4c5037d1c5199fc6b963db7601ceab35e881e9c2c202  basic/model_SPSN-SB_1675889673.pt
48a80ffed2676f6148511ea16061b180e7d87cb0aef02ec92d494ded2625876a  basic/model_SPSN-GS_1675890063.pt
40b4d3bbfcb3023478d03d63e98c0c92288a1fdff935f6892c1b3c29695014b1  basic/model_Non-Spiking_1675888688.pt
11e7ba572af52525142b7816e88f016fc81cd699dd7e789c76749c3fe08a2726  data_aug/model_LIF_1675940888.pt
6571bf0d0c50ed58eaecad6852c10793ae11324af471f2c73e97dd3a1ebc8720  data_aug/model_SPSN-SB_1675890736.pt
2f6425a4f8a5beb82d5908cc54c56b81756593f2223c97e6170e851a4121c095  data_aug/model_SPSN-GS_1675891161.pt
375e886d91fe7864b38d1e643a1e994dce60578e9a3e7778eb3f3369ea545187  data_aug/model_Non-Spiking_1675889858.pt
45a02b01576745e083468e54a83f31ad6ca047a882a9235f80bc194034f55984  regul/model_SPSN-SB_1675890850.pt
dbb0ead5e2baeefb6cead913a47491c76f5362e2ba69a9032d9af5e25a9dbb54  regul/model_SPSN-GS_1675891157.pt
"""
_MODELS = {"LIF": "lif", "SPSN-SB": "spsn-sb", "SPSN-GS": "spsn-gs", "Non-Spiking": "non-spiking"}
_CONDITIONS = {  # by folder and model
    **{("basic", model): "basic" for model in _MODELS.values()},
    **{("data_aug", model): "augmented" for model in _MODELS.values()},
    ("regul", "spsn-sb"): "regularized-0.40",
    ("regul", "spsn-gs"): "regularized-0.10",
}


def _listed(line: str) -> PublishedFile:
    digest, path = line.split()
    model = _MODELS[path.rpartition("model_")[2].partition("_")[0]]
    return PublishedFile(path, digest, model, _CONDITIONS[path.partition("/")[0], model])


FILES = tuple(map(_listed, SHA256SUMS.splitlines()))


def fetch_weights(
    folder: str | os.PathLike, *, base: str = BASE, files: Sequence[PublishedFile] = FILES, **how: Any
) -> list[dict[str, Any]]:
    """Bring the published files that `folder` lacks, each below its own path; return facts of all of them.

    What is there already with the right digest is left as it is: with all of them there, no network is used.
    `base` is the address of the authors' `outputs/`; `how` are keywords of `spsn.data.download.download`.
    Facts: `file`, `url`, `sha256`, `bytes`. Raises DataError (DownloadError) for the first file that cannot
    be had.
    """
    facts = []
    for file in files:
        target, url = Path(folder) / file.path, base + file.path
        if _digest(target) != file.sha256:
            download(url, target, sha256=file.sha256, limit=LARGEST, **how)
        facts.append(_facts(file, target, url))
    return facts


def use_weights(folder: str | os.PathLike, *, files: Sequence[PublishedFile] = FILES) -> list[dict[str, Any]]:
    """Facts, as those of `fetch_weights`, of files that lie below `folder` as in the authors' `outputs/`.

    Raises DataError naming every file that is missing or is not the published one, byte for byte.
    """
    folder = Path(folder).expanduser()
    digests = {file.path: _digest(folder / file.path) for file in files}
    missing = [path for path, digest in digests.items() if digest is None]
    wrong = [file.path for file in files if digests[file.path] not in (None, file.sha256)]
    if missing or wrong:
        kinds = (("is missing", missing), ("is not the published file, by its SHA-256", wrong))
        faults = "; ".join(f"{path} {what}" for what, paths in kinds for path in paths)
        raise DataError(
            f"{folder}: not the authors' published weights: {faults}. "
            f"Fetch them with `spsn published-weights --weights fetch --folder {folder}`"
        )
    return [_facts(file, folder / file.path, (folder / file.path).absolute().as_uri()) for file in files]


def obtain(
    weights: str,
    folder: str | os.PathLike,
    manifest: str | os.PathLike,
    *,
    files: Sequence[PublishedFile] = FILES,
    **how: Any,
) -> bool:
    """Make the published weights available for `golden.weights` of a configuration; return whether they are.

    `weights` is `fetch` (into `folder`, with the keywords of `fetch_weights`) or a folder that holds them.
    `manifest`, JSON, says which folder it is, and each file's facts; or, where fetching failed, the `reason`:
    without a network the check is left out, and the replication goes on. Raises DataError for a folder that
    was named and does not hold what it should: that is for the configuration to put right.
    """
    fetching = weights == "fetch"
    found = {"weights": "fetch" if fetching else "local", "available": True, "reason": None}
    found["folder"] = str(folder if fetching else Path(weights).expanduser())
    try:
        found["files"] = (
            fetch_weights(folder, files=files, **how) if fetching else use_weights(weights, files=files)
        )
    except DownloadError as error:
        found |= {"available": False, "reason": f"{error} (to try again, delete {manifest})", "files": []}
    write_json(manifest, found)
    return found["available"]


def read_manifest(path: str | os.PathLike) -> dict[str, Any]:
    """What `obtain` wrote. Raises RecordError for anything else."""
    try:
        found = parse_json(read_text(path))
        return {key: found[key] for key in ("weights", "available", "reason", "folder", "files")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{path}: does not say where the weights are ({error!r}); make it again") from error


def load_published(path: str | os.PathLike, sizes: Sequence[int] | None = SIZES) -> dict[str, Tensor]:
    """Read a state dict as the authors publish them: `0.weight` (out, in), `0.bias` (out,), `1.weight` ...

    All are float32 and finite. `sizes` are the neurons of the layers, input first; None takes what the file
    has. Raises RecordError, with the file's name, for everything else; nothing in the file is executed.
    """
    path = Path(path)
    try:
        require_file(path, "Name published weights; `spsn published-weights --weights fetch` brings them.")
        state = _read(path)
    except DataError as error:
        raise RecordError(str(error)) from error
    except (OSError, EOFError, RuntimeError, ValueError, TypeError, KeyError, AttributeError, IndexError,
            OverflowError, ImportError, AssertionError, MemoryError, struct.error, UnpicklingError,
            zipfile.BadZipFile) as error:  # fmt: skip
        what = str(error).partition("\n")[0] or type(error).__name__
        raise _unlike(path, f"cannot be read ({what})") from error
    if not isinstance(state, Mapping) or not all(isinstance(key, str) for key in state):
        raise _unlike(path, "holds no parameters by name")
    names = _names(state, len(sizes) - 1 if sizes else max(len(state) // 2, 1))
    missing, further = names.keys() - state.keys(), state.keys() - names.keys()
    if missing or further:
        faults = ("lacks", sorted(missing)), ("also has", sorted(further))
        raise _unlike(path, "; ".join(f"it {what} {', '.join(keys)}" for what, keys in faults if keys))
    for key, name in names.items():
        _check(path, key, state[key], _shape(name, sizes) if sizes else None)
    return {name: state[key].detach().contiguous().clone() for key, name in names.items()}


def _read(path: Path) -> Any:
    """Unpickle data alone."""
    check_size(path, LARGEST)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch says of odd files, this module says itself
        return torch.load(_packed_anew(path), map_location="cpu", weights_only=True)


def _packed_anew(path: Path) -> io.BytesIO:
    """The members of a stranger's archive in one of our own: two readers of one archive may find different
    tables of contents in it, and torch's would unpack what this one has not judged.
    """
    anew = io.BytesIO()
    with path.open("rb") as file, zipfile.ZipFile(Pieces(file)) as archive, zipfile.ZipFile(anew, "w") as own:
        members = archive.infolist()
        size = sum(member.file_size for member in members)
        if size > LARGEST:
            raise ValueError(f"it would unpack to {size} bytes, more than LARGEST = {LARGEST}")
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("its parts are packed, which those of torch's own files are not")
        for member in members:
            with archive.open(member) as source, own.open(member.filename, "w") as target:
                shutil.copyfileobj(source, target, BLOCK)
    anew.seek(0)
    return anew


def _names(state: Mapping[str, Any], layers: int) -> dict[str, str]:
    """The key of each parameter in the authors' form, and its name here."""
    spiking = any(".fc." in key for key in state)
    return {
        f"{layer}.fc.{kind}" if spiking else f"{2 * layer}.{kind}": f"{layer}.{kind}"
        for layer in range(layers)
        for kind in ("weight", "bias")
    }


def _shape(name: str, sizes: Sequence[int]) -> tuple[int, ...]:
    layer, _, kind = name.partition(".")
    fan_in, fan_out = sizes[int(layer)], sizes[int(layer) + 1]
    return (fan_out, fan_in) if kind == "weight" else (fan_out,)


def _check(path: Path, key: str, tensor: Any, shape: tuple[int, ...] | None) -> None:
    """Raise RecordError unless `tensor` holds finite float32 numbers, in this shape where one is given."""
    if not isinstance(tensor, Tensor) or tensor.layout != torch.strided or tensor.device.type != "cpu":
        raise _unlike(path, f"{key} is no plain tensor")
    if tensor.dtype != torch.float32:
        raise _unlike(path, f"{key} is {str(tensor.dtype).removeprefix('torch.')}, not float32")
    if shape is not None and tuple(tensor.shape) != shape:
        raise _unlike(path, f"{key} has the shape {tuple(tensor.shape)}, not {shape}")
    if not 0 < tensor.numel() * 4 <= LARGEST:  # strides of 0 can claim any size
        raise _unlike(path, f"{key} has {tensor.numel()} numbers")
    if not torch.isfinite(tensor).all():
        raise _unlike(path, f"{key} has numbers that are not finite")


def _unlike(path: Path, fault: str) -> RecordError:
    return RecordError(
        f"{path}: is not a state dict as the authors publish them: {fault}. If it should be, fetch it again"
    )


def _digest(path: Path) -> str | None:
    """SHA-256 (hex) of a file; None where there is none that can be read, "" where it is over `LARGEST`."""
    try:
        return digest(path) if path.stat().st_size <= LARGEST else ""
    except OSError:
        return None


def _facts(file: PublishedFile, path: Path, url: str) -> dict[str, Any]:
    return {"file": file.path, "url": url, "sha256": file.sha256, "bytes": path.stat().st_size}
