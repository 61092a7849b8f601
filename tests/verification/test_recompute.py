"""The steps of a verification: none of the report's figures and tables is left out."""

from dataclasses import replace

from spsn import manifest
from spsn.replication.typesetting import FULL_REPORT, REPORT
from spsn.verification.recompute import steps


def test_everything_that_a_notebook_makes_is_made_again(settings):
    authors = replace(settings, golden=replace(settings.golden, weights="fetch"))
    again = [name for step in steps(authors, comparison=True) for name in step.makes]
    made = [name for notebook in manifest.BY_RESULT.values() for name in notebook.files]
    assert sorted(again) == sorted([*made, REPORT.macros, FULL_REPORT.macros])
