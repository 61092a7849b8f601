"""The table of the golden check: the authors' networks here beside what the authors report of them.

On SHD a network without noise agrees when its hits are within 2 of the published ones (sums in another order
can turn an answer that hangs on the last bit) and, if it spikes, each layer's rate is within 0.01 spikes per
ms of the published one, which has two decimals. Of a network that fires at random the authors report one
pass; n passes here, of mean m and standard deviation s, hold one more pass of the same law with 99 %
probability (t of n - 1 degrees of freedom) within

    m -+ t sqrt(1 + 1/n) s

so that all six such files of a right program agree with a probability of about 94 %. On other data nothing is
published to agree with. What can be said there is how much better than by guessing the first pass is, best
guessing being the commonest class every time: the binomial tail, as if the samples were independent.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from spsn.errors import RecordError
from spsn.manifest import ABOUT, PASSES
from spsn.replication import latex
from spsn.replication.making import make_command, read_json
from spsn.replication.run_table import read_csv
from spsn.replication.style import model_look
from spsn.replication.table_files import read_table, write_table
from spsn.replication.text import ABSENT, cell, number_text

RATES = ("spikes_per_ms_1", "spikes_per_ms_2", "spikes_per_ms_3")
COLUMNS = ("file", "model", "condition", "trial", "hits", "samples", *RATES)
RANDOM = ("spsn-sb", "spsn-gs")  # fire at random; the other networks have no noise
BATCH = 64  # samples that the authors padded together
LEVEL = 0.99
HITS_TOLERANCE = 2
RATE_TOLERANCE = 0.01
FAR = 1e-3  # a tail below this is called far above chance
AGREES, DIFFERS, UNDECIDED, NOT_COMPARABLE = "agrees", "differs", "undecided", "not comparable"
PUBLISHED_COLUMNS = ("file", "model", "condition", "hits", "total", *RATES)
TABLE_COLUMNS = ("file", "model", "condition", "passes", "samples", "hits", "sd", "low", "high", "share",
                 "published_hits", "published_share", "verdict", "reason", "chance", "p_value",
                 *RATES, *(f"published_{rate}" for rate in RATES))  # fmt: skip


def write_golden_table(results: str | Path, published: str | Path) -> pd.DataFrame:
    """Write `tables/table_golden.csv` and `.tex` below `results` from `golden/`; return the table."""
    about, passes = read_golden(results)
    table = golden_table(passes, about, read_published(published))
    write_table(results, "table_golden", table, to_tex(table, about))
    return table


def read_golden(folder: str | Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """What `golden/about.json` says, and the passes of `golden/passes.csv`: none where `made` is false.

    Raises RecordError where one is absent or damaged.
    """
    folder = Path(folder)
    about = read_json(folder, ABOUT)
    try:
        made = bool(about["made"])
    except KeyError as error:
        raise RecordError(
            f"{folder / ABOUT}: cannot be read ({error!r}); make it again with {make_command(folder, PASSES)}"
        ) from error
    if made or not (folder / PASSES).is_file():
        return about, read_table(folder, PASSES, COLUMNS)
    return about, pd.DataFrame(columns=list(COLUMNS))


def read_published(path: str | Path) -> pd.DataFrame:
    """What the authors report of each file (`paper/golden.csv`). Raises RecordError."""
    return read_csv(path, PUBLISHED_COLUMNS, how="a fresh copy of the repository")


def golden_table(passes: pd.DataFrame, about: Mapping[str, Any], published: pd.DataFrame) -> pd.DataFrame:
    """One line a file, columns `TABLE_COLUMNS`; hits of one pass, of several their mean, sd and interval.

    `share` and `published_share` are hits over samples (0-1), `chance` the share of the commonest class or
    1/20, `p_value` the probability of so many hits by guessing, rates spikes per ms.
    """
    theirs = published.set_index("file")
    rows = [_line(name, own, about, theirs.loc[name]) for name, own in passes.groupby("file", sort=False)]
    return pd.DataFrame(rows, columns=list(TABLE_COLUMNS))


def _line(name: str, own: pd.DataFrame, about: Mapping[str, Any], theirs: pd.Series) -> dict[str, Any]:
    samples, hits = int(own.samples.iloc[0]), own.hits.to_numpy(float)
    sd, low, high = _spread(hits)
    chance = max(1 / 20, float(about["commonest_class"]))
    row = {
        "file": name,
        "model": own.model.iloc[0],
        "condition": own.condition.iloc[0],
        "passes": len(own),
        "samples": samples,
        "hits": float(hits.mean()),
        **{"sd": sd, "low": low, "high": high},
        "share": float(hits.mean() / samples),
        "published_hits": int(theirs.hits),
        "published_share": float(theirs.hits / theirs.total),
        "chance": chance,
        "p_value": float(stats.binom.sf(hits[0] - 1, samples, chance)),
        **{rate: float(own[rate].mean()) for rate in RATES},
        **{f"published_{rate}": float(theirs[rate]) for rate in RATES},
    }
    reason = _obstacle(row, about, int(theirs.total))
    verdict, reason = (NOT_COMPARABLE, reason) if reason else _verdict(row)
    return row | {"verdict": verdict, "reason": reason}


def _spread(hits: np.ndarray) -> tuple[float, float, float]:
    """Standard deviation of the passes and the interval that holds one more of them; NaN for one pass."""
    if len(hits) < 2:
        return np.nan, np.nan, np.nan
    sd = float(hits.std(ddof=1))
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(hits) - 1)) * sd * np.sqrt(1 + 1 / len(hits))
    return sd, float(hits.mean() - half), float(hits.mean() + half)


def _obstacle(row: Mapping[str, Any], about: Mapping[str, Any], total: int) -> str:
    """Why there is nothing published to hold this against; empty on SHD's whole test file."""
    if not about["is_shd"]:
        return f"the data are {about['dataset']}, not the whole of SHD"
    if row["samples"] != total:
        return f"{row['samples']} samples, not the {total} of SHD's test file"
    return "" if about["batch_size"] == BATCH else f"batches of {about['batch_size']}, not of {BATCH}"


def _verdict(row: Mapping[str, Any]) -> tuple[str, str]:
    """Whether what the authors report could be this network's, and why not."""
    expected, hits = row["published_hits"], row["hits"]
    if row["model"] in RANDOM:
        if not np.isfinite(row["sd"]):
            return UNDECIDED, "one pass does not show how much passes vary"
        inside = row["low"] <= expected <= row["high"]
        return (AGREES, "") if inside else (DIFFERS, f"{expected} lies outside the interval")
    faults = [f"{hits:.0f} hits instead of {expected}"] if abs(hits - expected) > HITS_TOLERANCE else []
    for rate in RATES:
        wanted = row[f"published_{rate}"]
        if np.isfinite(wanted) and not abs(row[rate] - wanted) <= RATE_TOLERANCE:
            faults.append(f"layer {rate[-1]} spikes {row[rate]:.2f} instead of {wanted:.2f} times per ms")
    return (DIFFERS, "; ".join(faults)) if faults else (AGREES, "")


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """The table for the eye: hits and verdicts on SHD, shares and chance on other data; rates on both."""
    shown = {
        "model": [model_look(model).label for model in table.model],
        "training": [_training(condition) for condition in table.condition],
    }
    if (table.verdict == NOT_COMPARABLE).all():
        shown |= {
            "authors, on SHD": [_percent(share) for share in table.published_share],
            "here": [_percent(share) for share in table.share],
            "by chance": [_tail(p) for p in table.p_value],
        }
    else:
        shown |= {
            "authors' hits": table.published_hits.astype(str),
            "hits here": [_hits(row) for row in table.itertuples()],
            "interval (99 %)": [_interval(row) for row in table.itertuples()],
            "verdict": table.verdict,
        }
    shown["authors' spikes/ms"] = [_rates(row, "published_") for row in table.itertuples()]
    return pd.DataFrame(shown | {"spikes/ms here": [_rates(row) for row in table.itertuples()]})


def to_tex(table: pd.DataFrame, about: Mapping[str, Any]) -> str:
    """A booktabs table, as `readable`, with the reasons of what differs below; why, where there is none."""
    if table.empty:
        return f"\\noindent The check was not made: {cell(about['reason'])}.\\par\n"
    shown = readable(table)
    body = latex.tabular(
        f"@{{}}ll{'r' * (len(shown.columns) - 2)}@{{}}",
        [latex.stacked(*map(cell, name.split(" ", 1))) if " " in name else cell(name) for name in shown],
        [[cell(value) for value in line] for line in shown.itertuples(index=False)],
    )
    noted = table[(table.reason != "") & (table.verdict != NOT_COMPARABLE)]
    below = "\\\\\n".join(
        cell(f"{model_look(row.model).label}, {_training(row.condition)}: {row.reason}.")
        for row in noted.itertuples()
    )
    return (
        "{\\footnotesize\\setlength{\\tabcolsep}{4pt}%\n"
        f"{body}\\par\\smallskip\n\\noindent\\parbox{{\\linewidth}}{{\\raggedright {below}}}}}\n"
    )


def _training(condition: str) -> str:
    name, _, threshold = condition.partition("-")
    return f"{name.replace('z', 's')} ({float(threshold):g})" if threshold else name


def _percent(share: float) -> str:
    return f"{number_text(100 * share, '', 1)} %"


def _hits(row: Any) -> str:
    return f"{row.hits:.1f} ± {row.sd:.1f}" if np.isfinite(row.sd) else f"{row.hits:.0f}"


def _interval(row: Any) -> str:
    return f"{row.low:.0f} to {row.high:.0f}" if np.isfinite(row.low) else ABSENT


def _tail(p: float) -> str:
    """A probability; of a small one its power of ten alone matters."""
    if p >= FAR:
        return f"{p:.3f}"
    return "< 1e−9" if p < 1e-9 else f"{p:.0e}".replace("e-0", "e−")


def _rates(row: Any, prefix: str = "") -> str:
    rates = [getattr(row, f"{prefix}{rate}") for rate in RATES]
    return " / ".join(f"{rate:#.3g}" for rate in rates) if np.isfinite(rates).all() else ABSENT
