"""Whether a file in SHD's layout is one of SHD's own.

Only a digest can say so: the md5 sums that norse publishes (`spsn.dataset_settings.SHD_FILES`) are of what
the .gz archives hold, and nobody says that the .zip archives hold the same bytes. A file of another md5 that
has SHD's numbers of samples and classes, and does not say that something else made it, may therefore be SHD.
"""

from typing import Literal

from spsn.data.checks import SHD_EXPECTED, Expectation
from spsn.dataset_settings import SHD_FILES

Identity = Literal["published", "numbers", "no"]


def shd_identity(
    name: str | None, samples: int | None, classes: int | None, made_by: str | None, md5: str | None
) -> Identity:
    """Say whether a file with this content is SHD's `name`.

    `name`: "shd_train.h5" or "shd_test.h5", or None for either; `samples` and `classes`: how many the file
    holds (None: not known); `made_by`: what it says of its making; `md5` (hex) of its bytes (None: not
    known). Returns "published" for a md5 that is published, "numbers" for another file that has SHD's numbers
    of samples and classes and no `made_by`, else "no". Raises KeyError for another `name`.
    """
    names = SHD_FILES if name is None else (name,)
    if md5 is not None and md5.lower() in {SHD_FILES[one] for one in names}:
        return "published"
    same = Expectation(samples, classes) in [SHD_EXPECTED[one] for one in names]
    return "numbers" if same and made_by is None else "no"
