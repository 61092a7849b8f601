"""How columns of numbers and names become text."""

import pandas as pd

from spsn.replication import latex
from spsn.replication.figures.parts import device_name


def spread(values: pd.Series, decimals: int, unit: str = "") -> str:
    """Mean and standard deviation over seeds; one value alone as it is; a dash where there is none."""
    if values.empty:
        return latex.ABSENT
    mean = latex.fixed(float(values.mean()), decimals)
    if len(values) == 1:
        return mean + unit
    return rf"{mean}\,$\pm$\,{latex.fixed(float(values.std(ddof=1)), decimals)}{unit}"


def distinct(values: pd.Series) -> str:
    """The different entries of a column, in order, as a list."""
    return latex.listed(latex.escape(value) for value in sorted(set(values.dropna().astype(str))))


def whole_numbers(values: pd.Series) -> str:
    """The different numbers of a column, rounded, in order, as a list."""
    return latex.listed(latex.integer(value) for value in sorted(set(values.dropna().round())))


def devices(values: pd.Series) -> str:
    """The different devices of a column as a list; `cpu` reads CPU."""
    return distinct(values.dropna().map(device_name))


def counted(count: int, name: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{latex.integer(count)} {name}{'' if count == 1 else 's'}"
