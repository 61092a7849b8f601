"""What a verification found: mismatches by file, what was checked, what was not and why, and what helps."""

from collections import Counter
from dataclasses import dataclass, field

MOST = 5  # lines about one file


@dataclass
class Findings:
    """Collects mismatches; `checked` counts by kind, `left_out` says what was not compared, and `remedies`,
    in sentences, what to do.
    """

    checked: Counter = field(default_factory=Counter)
    left_out: list[str] = field(default_factory=list)
    remedies: list[str] = field(default_factory=list)
    _by_file: dict[str, list[str]] = field(default_factory=dict)

    def add(self, name: str, *texts: str) -> None:
        """Mismatches of the file `name`, if there are any."""
        if texts:
            self._by_file.setdefault(name, []).extend(texts)

    def about(self, name: str) -> bool:
        """Whether anything is wrong with the file `name`."""
        return name in self._by_file

    @property
    def texts(self) -> set[str]:
        """What is said of any file."""
        return {text for texts in self._by_file.values() for text in texts}

    @property
    def mismatches(self) -> int:
        """How many there are, those that `lines` leaves out too."""
        return sum(map(len, self._by_file.values()))

    @property
    def lines(self) -> list[str]:
        """One line a mismatch, `MOST` a file, nothing in them that a terminal would obey."""
        lines = []
        for name, texts in self._by_file.items():
            lines += [f"{name}: {text}" for text in texts[:MOST]]
            if len(texts) > MOST:
                lines.append(f"{name}: and {len(texts) - MOST} more")
        return list(map(plain, lines))

    @property
    def summary(self) -> str:
        """What was checked, in one sentence, and after it the remedies."""
        checked = ", ".join(f"{count} {kind}" for kind, count in self.checked.items() if count)
        found = {0: "all agrees", 1: "1 mismatch"}.get(self.mismatches, f"{self.mismatches} mismatches")
        left = f"; not compared: {'; '.join(self.left_out)}" if self.left_out else ""
        helps = f". {' '.join(self.remedies)}" if self.remedies else ""
        return plain(f"{found}; checked {checked or 'nothing'}{left}{helps}")


def plain(text: str) -> str:
    """The text on one line, control characters replaced."""
    return "".join(sign if sign.isprintable() else "?" for sign in " ".join(text.split()))
