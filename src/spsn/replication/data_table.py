"""The table of the data: every file and speaker, a total, and beside them what is published of SHD.

The published values stand in `paper/shd_published.csv`, each with its source. A line of the table that comes
from there has no entry where nothing is published.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from spsn.errors import RecordError
from spsn.manifest import BY_RESULT, PUBLISHED
from spsn.replication import latex
from spsn.replication.run_table import read_csv
from spsn.replication.table_files import read_table, write_table
from spsn.replication.text import cell, counted, number_text, spread_text

TABLE, _ = BY_RESULT["table_data"].files
PUBLISHED_COLUMNS = ("quantity", "split", "value", "approximate", "unit", "source")
SAMPLE_COLUMNS = ("split", "label", "speaker", "spikes", "duration_s", "active_channels")
HERE, SHD = "here", "SHD as published"
BOTH = "both"
FILES = {"train": "Training file", "test": "Test file", BOTH: "Both files"}
MAX_SPEAKERS = 16  # on paper; the CSV file has them all
COLUMNS = (
    *("origin", "file", "speaker", "in_training", "samples", "spikes_mean", "spikes_sd", "duration_mean_s"),
    *("duration_max_s", "active_channels_mean", "speakers", "classes", "channels", "approximate", "source"),
)
_HEAD = (
    r" & \textbf{samples} & \textbf{spikes a sample} & \multicolumn{2}{c}{\textbf{last spike (s)}}",
    r" & \textbf{active} \\ \cmidrule(lr){4-5}",
    r" & & mean $\pm$ sd & mean & longest & \textbf{channels} \\",
)


def read_published(path: str | Path = PUBLISHED) -> pd.DataFrame:
    """SHD's published values, columns `PUBLISHED_COLUMNS`. Raises `RecordError`."""
    return read_csv(path, PUBLISHED_COLUMNS, how="a fresh copy of the repository")


def read_table_data(results: str | Path) -> pd.DataFrame:
    """Read `tables/table_data.csv` below `results` as `data_table` made it. Raises `RecordError`."""
    text = ("speaker", "approximate", "in_training")
    table = read_table(results, TABLE, COLUMNS, dtype=dict.fromkeys(text, str))
    return table.fillna(dict.fromkeys(text, ""))


def published_value(published: pd.DataFrame, quantity: str, split: str = BOTH) -> tuple[float, bool] | None:
    """The value of a quantity and whether it is approximate; None where none is published."""
    rows = published[(published.quantity == quantity) & (published.split == split)]
    return None if rows.empty else (float(rows.value.iloc[0]), rows.approximate.iloc[0] == "yes")


def unseen_speakers(samples: pd.DataFrame) -> list[int]:
    """The speakers that the test file alone has, ascending."""
    heard = {split: set(samples.speaker[samples.split == split]) for split in ("train", "test")}
    return sorted(heard["test"] - heard["train"])


def shown_speakers(samples: pd.DataFrame) -> list[int]:
    """The speakers that paper has room for, ascending: of many the `MAX_SPEAKERS` with the most samples."""
    return _with_most(samples.groupby("speaker").size())


def data_table(samples: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Columns `COLUMNS`; a line a file and speaker; an empty speaker is a whole file, `both` the two files.

    `samples` is `data/samples.csv`, `published` is `read_published`'s. Durations (time of the last spike) in
    s, spikes a sample as mean and standard deviation; `in_training` says whether the training file has the
    speaker; `approximate` names the columns that are published as about so much.
    """
    unseen, rows = unseen_speakers(samples), []
    for split in ("train", "test"):
        own = samples[samples.split == split]
        for speaker, of_speaker in own.groupby("speaker"):
            mark = {"speaker": str(speaker), "in_training": "no" if speaker in unseen else "yes"}
            rows.append({"origin": HERE, "file": split, **mark, **_statistics(of_speaker)})
        rows.append({"origin": HERE, "file": split, **_statistics(own)})
    rows.append({"origin": HERE, "file": BOTH, **_statistics(samples)})
    rows += _published_rows(published)
    return pd.DataFrame(rows, columns=COLUMNS).fillna({"speaker": "", "in_training": "", "approximate": ""})


def table_row(table: pd.DataFrame, origin: str, file: str) -> Any:
    """The line of a whole file (or of `both`), as a named tuple. Raises `RecordError` where there is none."""
    rows = table[(table.origin == origin) & (table.file == file) & (table.speaker == "")]
    if rows.empty:
        raise RecordError(f"{TABLE}: has no line {origin!r}, {file!r}; run snakemake again")
    return next(rows.itertuples())


def to_tex(table: pd.DataFrame) -> str:
    """A booktabs table: a block a file, a line a speaker, SHD's values last."""
    here, shd = table[table.origin == HERE], table[table.origin == SHD]
    speakers = here[here.speaker != ""]
    shown = _with_most(speakers.astype({"speaker": int}).groupby("speaker").samples.sum())
    lines: list[str] = []
    for file in ("train", "test"):
        of_file = here[here.file == file]
        lines.append(_across(rf"\emph{{{FILES[file]}}}"))
        lines += [_line(_speaker(r), r) for r in of_file[of_file.speaker.isin(map(str, shown))].itertuples()]
        lines += [_line(f"all: {_kinds(r)}", r) for r in of_file[of_file.speaker == ""].itertuples()]
        lines.append(r"\addlinespace[3pt]")
    lines += [_line(f"both files: {_kinds(r)}", r) for r in here[here.file == BOTH].itertuples()]
    lines += [r"\midrule", _across(rf"\emph{{{cell(SHD)}}}")]
    lines += [_line(_shd_file(r, shd), r) for r in shd[shd.speaker == ""].itertuples()]
    notes = _notes(here, speakers.speaker.nunique() - len(shown))
    below = rf"\par\smallskip\noindent\parbox{{\linewidth}}{{\raggedright {notes}}}" if notes else ""
    return f"{{\\footnotesize\n{_tabular(lines)}{below}}}\n"


def write_table_data(results: str | Path, samples: pd.DataFrame, published: pd.DataFrame) -> None:
    """Write `tables/table_data.csv` and `.tex` below `results`."""
    table = data_table(samples, published)
    write_table(results, "table_data", table, to_tex(table))


def _with_most(samples: pd.Series) -> list[int]:
    """The `MAX_SPEAKERS` with the most samples, ascending; of equals the first."""
    ranked = sorted(samples.items(), key=lambda item: (-item[1], item[0]))
    return sorted(speaker for speaker, _ in ranked[:MAX_SPEAKERS])


def _statistics(samples: pd.DataFrame) -> dict[str, Any]:
    return {
        "samples": len(samples),
        "spikes_mean": samples.spikes.mean(),
        "spikes_sd": samples.spikes.std(ddof=1),
        "duration_mean_s": samples.duration_s.mean(),
        "duration_max_s": samples.duration_s.max(),
        "active_channels_mean": samples.active_channels.mean(),
        "speakers": samples.speaker.nunique(),
        "classes": samples.label.nunique(),
    }


def _published_rows(published: pd.DataFrame) -> list[dict[str, Any]]:
    """A line a file, one for both, and one for each speaker that is known to be in the test file alone."""
    columns = {
        "samples": "samples", "spikes per sample": "spikes_mean", "longest sample": "duration_max_s",
        "speakers": "speakers", "classes": "classes", "channels": "channels",
    }  # fmt: skip
    rows = []
    for file in FILES:
        own = published[(published.split == file) & published.quantity.isin(list(columns))]
        about = [columns[quantity] for quantity in own.quantity[own.approximate == "yes"]]
        row = {columns[r.quantity]: r.value for r in own.itertuples()}
        rows.append({"origin": SHD, "file": file, **row, "approximate": " ".join(about)})
        rows[-1]["source"] = "; ".join(dict.fromkeys(own.source))
    for r in published[published.quantity == "speaker not in training"].itertuples():
        mark = {"speaker": f"{r.value:g}", "in_training": "no", "source": r.source}
        rows.append({"origin": SHD, "file": r.split, **mark})
    return rows


def _line(name: str, row: Any) -> str:
    """One line of numbers; what is published as about so much says so."""
    numbers = {
        "samples": number_text(row.samples, "", 0),
        "spikes_mean": spread_text(row.spikes_mean, row.spikes_sd, "", 0),
        "duration_mean_s": number_text(row.duration_mean_s, "s"),
        "duration_max_s": number_text(row.duration_max_s, "s"),
        "active_channels_mean": number_text(row.active_channels_mean, "", 0),
    }
    about = row.approximate.split()
    if row.channels == row.channels:  # published is how many there are, not how many are active
        numbers["active_channels_mean"] = f"of {row.channels:g}"
    return latex.row(name, *(cell("about " * (key in about) + text) for key, text in numbers.items()))


def _speaker(row: Any) -> str:
    dagger = r"\,\textdagger" if row.in_training == "no" else ""
    return rf"\quad speaker {cell(row.speaker)}{dagger}"


def _kinds(row: Any) -> str:
    return (
        f"{counted(int(row.speakers), 'speaker')}, {int(row.classes)} class{'' if row.classes == 1 else 'es'}"
    )


def _shd_file(row: Any, shd: pd.DataFrame) -> str:
    """What a line of SHD is about, with the speakers that its file alone has."""
    if row.file == BOTH:
        return rf"\quad both files: {_kinds(row)}"
    own = shd.speaker[(shd.file == row.file) & (shd.speaker != "")]
    alone = f", the only one with speakers {latex.listed(map(cell, own))}" if len(own) else ""
    return rf"\quad {FILES[row.file].lower()}{alone}"


def _notes(here: pd.DataFrame, hidden: int) -> str:
    notes = [r"\textdagger{} not in the training file."] if (here.in_training == "no").any() else []
    if hidden:
        be = "is" if hidden == 1 else "are"
        notes.append(f"{counted(hidden, 'further speaker')} {be} listed in {latex.code('table_data.csv')}.")
    return " ".join(notes)


def _across(text: str) -> str:
    return rf"\multicolumn{{6}}{{@{{}}l@{{}}}}{{{text}}} \\"


def _tabular(lines: Iterable[str]) -> str:
    parts = (r"\begin{tabular}{@{}lrrrrr@{}}", r"\toprule", *_HEAD, r"\midrule", *lines, r"\bottomrule")
    return "\n".join((*parts, r"\end{tabular}"))
