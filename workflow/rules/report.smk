# The LaTeX report, and Snakemake's own report after a successful run.

REPORT = result(manifest.REPORT)
REPORT_TEXT = [f"paper/{name}" for name in digests.TEXT]
REPORT_RESTS_ON = [
    *(*FIGURES, *TABLES, *TIMINGS, *ROBUSTNESS, RUNS, *GOLDEN, DATA_FACTS),
    *("paper/golden.tex", "paper/references.bib"),
]
# All that stands behind the report, not the last of it alone: what somebody deleted is made again.
BEHIND_REPORT = results_of(manifest.report_files(SETTINGS)) + [result(manifest.PROVENANCE)]


rule provenance:
    input:
        results_of(manifest.report_files(SETTINGS)),
        REPORT_TEXT,
    output:
        result(manifest.PROVENANCE),
    log:
        f"{RESULTS}/logs/provenance.log",
    localrule: True
    conda:
        f"../../{ENVIRONMENT}"
    params:
        settings=SETTINGS_FILE,
        identity=SETTINGS_IDENTITY,
        command=commands(),
        results=results_folder,
    shell:
        "spsn provenance --settings {params.settings} --results {params.results} --command {params.command:q}"
        " --out {output} > {log} 2>&1"


rule report:
    input:
        REPORT_RESTS_ON,
        result(manifest.PROVENANCE),
        source="paper/report.tex",
        code=REPLICATION,
    output:
        pdf=in_report(REPORT, "Report"),
        digests=f"{REPORT}.sha256",
        macros=result(manifest.MACROS),
    log:
        f"{RESULTS}/logs/report.log",
    localrule: True
    conda:
        f"../../{ENVIRONMENT}"
    params:
        settings=SETTINGS_FILE,
        identity=SETTINGS_IDENTITY,
        results=results_folder,
    shell:
        "spsn report --settings {params.settings} --results {params.results} --source {input.source} --out {output.pdf}"
        " > {log} 2>&1"
