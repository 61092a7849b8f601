"""Settings that say where the spikes come from, how many are used, and what else is tried on them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath as Path

from spsn.errors import SettingsError

FOLDER_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"

# Where SHD is published, and the md5 of its archives: .zip as given by tonic and spikingjelly, .gz by norse.
SHD_SOURCES = ("https://zenkelab.org/datasets/", "https://compneuro.net/datasets/")
SHD_ARCHIVES = {  # in the order in which they are tried
    "shd_train.h5.zip": "f3252aeb598ac776c1b526422d90eecb",
    "shd_train.h5.gz": "d47c9825dee33347913e8ce0f2be08b0",
    "shd_test.h5.zip": "1503a5064faa34311c398fb0a1ed0a6f",
    "shd_test.h5.gz": "3062a80ec0c5719404d5b02e166543b1",
}
SHD_FILES = {  # md5 of what the .gz hold, given by norse; whether the .zip hold the same is not known
    "shd_train.h5": "8e9877c85f29a28dd353ea6a54402667",
    "shd_test.h5": "207ad1295a0ab611e22d1734989c254e",
}
OTHER_ARCHIVES = "files under SHD's names"  # what data are called that come from archives of other md5 sums
FSDD_ARCHIVE = "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz"


@dataclass(frozen=True)
class DatasetFiles:
    """A pair of files in SHD's layout; None as `name` takes that of the training file."""

    train: str
    test: str
    name: str | None = None

    @property
    def title(self) -> str:
        """The name that the records and the report give the data."""
        return self.name or Path(self.train).stem.removesuffix("_train")


@dataclass(frozen=True)
class DatasetAudio:
    """A folder of recordings, what says what each of them is, and how the inner ear hears them.

    `labels` is a CSV file, or a pattern of file names such as `{label}_{speaker}_{take}.wav`; what
    `test_speakers` say is the test file. `trim` takes away silence at both ends.
    """

    audio: str
    labels: str
    name: str | None = None
    test_speakers: tuple[str, ...] | None = None
    trim: bool = True
    seed: int = 0

    @property
    def title(self) -> str:
        """The name that the records and the report give the data."""
        return self.name or Path(self.audio).name or "recordings"


@dataclass(frozen=True)
class ShdArchives:
    """Where SHD is fetched from: addresses of folders, in order, and the md5 of each archive."""

    sources: tuple[str, ...] = SHD_SOURCES
    archives: Mapping[str, str] = field(default_factory=lambda: dict(SHD_ARCHIVES))

    @property
    def published(self) -> bool:
        """Whether these are the archives that SHD is published in, and no others."""
        return self.archives.items() <= SHD_ARCHIVES.items()


@dataclass(frozen=True)
class FsddArchive:
    """Where the Free Spoken Digit Dataset is fetched from; its recordings are checked one by one."""

    archive: str = FSDD_ARCHIVE


@dataclass(frozen=True)
class GoldenCheck:
    """The authors' published weights on the test file: `weights` is `fetch`, or a folder that holds them.

    None leaves the check out. `trials` are the passes of a network that fires at random.
    """

    weights: str | None = None
    trials: int = 10


@dataclass(frozen=True)
class Limit:
    """Use only the first n samples of a split (None: all)."""

    train: int | None = None
    test: int | None = None


@dataclass(frozen=True)
class SyntheticDigits:
    """How many utterances of synthetic speech are made."""

    train: int
    test: int
    seed: int = 0


NAMES = ("shd", "synthetic-digits", "fsdd")  # data that the workflow brings in itself
SHD_TESTS = 2264  # samples of the test file
MAX_TIME_STEP = 0.1  # s; five time constants of the paper's neurons, a tenth of a word


def check_dataset(dataset: str | DatasetFiles | DatasetAudio, shd: ShdArchives) -> None:
    """Raise `SettingsError` for recordings that no file could be named after, and for what is no archive."""
    if not isinstance(dataset, str) and dataset.title.lower() in NAMES:
        raise SettingsError(
            f"configuration: dataset.name must be given, and be another than {', '.join(NAMES)}: these are "
            "what the workflow brings in itself"
        )
    if isinstance(dataset, DatasetAudio) and not re.fullmatch(FOLDER_NAME, dataset.title):
        raise SettingsError(
            f"configuration: dataset.name must be given as letters, digits, '_', '-', '.': the recordings' "
            f"folder is called {dataset.title!r}, which cannot name files"
        )
    for archive, md5 in shd.archives.items():
        named = re.fullmatch(r"shd_(train|test)\.h5\.(zip|gz)", archive)
        if not named or not re.fullmatch(r"[0-9a-f]{32}", md5):
            raise SettingsError(
                f"configuration: shd.archives has {archive!r}: {md5!r}; it must give shd_train.h5 and "
                "shd_test.h5, each with .zip or .gz behind it, md5 sums of 32 hexadecimal digits"
            )


def check_time_step(seconds: float, where: str) -> None:
    """Raise `SettingsError` for a time step (s) so long that milliseconds must have been meant."""
    if seconds > MAX_TIME_STEP:
        raise SettingsError(
            f"{where} must be at most {MAX_TIME_STEP}, not {seconds:g}: a time step is in seconds; write "
            f"{seconds / 1000:g} for {seconds:g} ms"
        )


def known_tests(
    dataset: str | DatasetFiles | DatasetAudio, limit: Limit, digits: SyntheticDigits, shd: ShdArchives
) -> int | None:
    """The most samples that the test split can have as far as the settings tell, or None."""
    made = {"synthetic-digits": digits.test, "shd": SHD_TESTS if shd.published else None}
    counts = limit.test, made.get(dataset) if isinstance(dataset, str) else None
    return min((count for count in counts if count is not None), default=None)
