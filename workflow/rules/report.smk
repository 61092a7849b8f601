# The LaTeX report, and Snakemake's own report after a successful run.


rule provenance:
    input:
        [str(path) for path in layout.all_records(SETTINGS)],
        data=f"{RESULTS}/data.json",
        settings=SETTINGS_FILE,
    output:
        f"{RESULTS}/provenance.json",
    log:
        f"{RESULTS}/logs/provenance.log",
    conda:
        f"../../{ENVIRONMENT}"
    params:
        command=verbatim(COMMAND),
        results=results_folder,
    shell:
        "spsn provenance --settings {input.settings} --results {params.results} --command {params.command:q}"
        " --out {output} > {log} 2>&1"


rule report:
    input:
        FIGURES,
        TABLES,
        TIMINGS,
        ROBUSTNESS,
        RUNS,
        GOLDEN,
        f"{RESULTS}/data.json",
        f"{RESULTS}/provenance.json",
        "paper/golden.tex",
        "paper/references.bib",
        settings=SETTINGS_FILE,
        source="paper/report.tex",
        code=REPLICATION,
    output:
        report(f"{RESULTS}/report/report.pdf", caption="../report/report.rst", category="Report"),
    log:
        f"{RESULTS}/logs/report.log",
    conda:
        f"../../{ENVIRONMENT}"
    params:
        results=results_folder,
    shell:
        "spsn report --settings {input.settings} --results {params.results} --source {input.source} --out {output}"
        " > {log} 2>&1"
