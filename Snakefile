"""The replication of arXiv 2306.12666 from raw data to PDF.

snakemake --cores all                                       the paper, into results/paper/
snakemake --cores all --configfile config/demo.yaml         the demo laid over it, into results/demo/
snakemake --cores 1 data | train | timing | figures | report      a part of it
snakemake --cores all comparison                            beyond the paper: the report with other methods
"""

import hashlib
import json
import os
import re
import shlex
import shutil
import sys
from collections import namedtuple

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.utils import min_version, validate

from spsn import calls, grid, layout, manifest, preemption, sources
from spsn.data import fsdd, listings
from spsn.errors import SettingsError, SpsnError
from spsn.methods import TRAITS
from spsn.replication import digests
from spsn.settings import DatasetAudio, DatasetFiles, from_mapping, renew, to_mapping

min_version("9.0")


configfile: "config/paper.yaml"


if not os.path.exists("config/paper.yaml"):
    sys.exit(f"spsn: {os.getcwd()} is not this project's folder: run there, or name it with --directory")
try:
    SETTINGS = from_mapping(config)
    layout.check_given(SETTINGS)
except SettingsError as error:
    laid_over = dict.fromkeys(
        ["config/paper.yaml", *(os.path.relpath(path) for path in workflow.configfiles)]
    )
    given = [*laid_over, "--config"] if workflow.config_settings.config else laid_over
    sys.exit(f"spsn: {error} (read from {', '.join(given)})")
validate(config, "workflow/schemas/config.schema.json")


RESULTS = str(layout.results(SETTINGS))
SETTINGS_FILE = f"{RESULTS}/{manifest.SETTINGS}"
ENVIRONMENT = "environment.yml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/timing.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/notebooks.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/comparison.smk"


config["data_note"] = data_note(SETTINGS)  # for the captions of Snakemake's own report


rule all:
    default_target: True
    input:
        BEHIND_REPORT,
        rules.report.output,


rule data:
    input:
        STORES["train"],
        STORES["test"],
        DATA_FACTS,
        WEIGHTS,


rule train:
    input:
        [str(path) for path in layout.all_records(SETTINGS)],


rule timing:
    input:
        TIMINGS,


rule figures:
    input:
        FIGURES,
        TABLES,


localrules:
    all,
    data,
    train,
    timing,
    figures,


onstart:
    try:
        if renew(SETTINGS, SETTINGS_FILE):
            logger.warning(
                f"{RESULTS} was made with another configuration: what depends on the difference is made again, in place"
                " of what is there. To keep both, give this configuration a name of its own."
            )
        if not workflow.local_exec:
            calls.remember(options_of_call(), SENT)
            if workflow.executor_plugin.name == "slurm" and not workflow.executor_settings.no_requeue:
                preemption.watch(workflow.executor_settings.init_seconds_before_status_checks)
    except SpsnError as error:
        raise WorkflowError(str(error)) from None


onsuccess:
    if os.path.exists(REPORT):
        shell("{HTML_REPORT}")  # not to be formatted itself: it may hold braces
        logger.info(f"The report is {REPORT}")
