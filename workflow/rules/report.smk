# The LaTeX report, and Snakemake's own report after a successful run.

REPORT_TEXT = [f"paper/{name}" for name in digests.TEXT]


rule provenance:
    input:
        results_of(manifest.report_files(SETTINGS)),
        REPORT_TEXT,
    output:
        f"{RESULTS}/provenance.json",
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
        FIGURES,
        TABLES,
        TIMINGS,
        ROBUSTNESS,
        RUNS,
        GOLDEN,
        DATA_FACTS,
        f"{RESULTS}/provenance.json",
        "paper/golden.tex",
        "paper/references.bib",
        source="paper/report.tex",
        code=REPLICATION,
    output:
        pdf=report(f"{RESULTS}/report/report.pdf", caption="../report/report.rst", category="Report"),
        digests=f"{RESULTS}/report/report.pdf.sha256",
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
