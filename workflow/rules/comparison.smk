# Beyond the paper: the report with part II.

FULL_REPORT = result(manifest.FULL_REPORT)


rule full_provenance:
    input:
        results_of(manifest.report_files(SETTINGS) + manifest.comparison_files(SETTINGS)),
        REPORT_TEXT,
    output:
        result(manifest.FULL_PROVENANCE),
    log:
        f"{RESULTS}/logs/full_provenance.log",
    localrule: True
    conda:
        f"../../{ENVIRONMENT}"
    params:
        settings=SETTINGS_FILE,
        identity=SETTINGS_IDENTITY,
        command=commands("comparison"),
        results=results_folder,
    shell:
        "spsn provenance --with-comparison --settings {params.settings} --results {params.results}"
        " --command {params.command:q} --out {output} > {log} 2>&1"


rule full_report:
    input:
        REPORT_RESTS_ON,
        COMPARED,
        METHOD_COSTS,
        [results_of(notebook.files) for notebook in manifest.COMPARISON_NOTEBOOKS],
        result(manifest.FULL_PROVENANCE),
        "paper/comparison.tex",
        source="paper/report.tex",
        code=REPLICATION,
    output:
        pdf=in_report(FULL_REPORT, "Report"),
        digests=f"{FULL_REPORT}.sha256",
        macros=result(manifest.FULL_MACROS),
    log:
        f"{RESULTS}/logs/full_report.log",
    localrule: True
    conda:
        f"../../{ENVIRONMENT}"
    params:
        settings=SETTINGS_FILE,
        identity=SETTINGS_IDENTITY,
        results=results_folder,
    shell:
        "spsn report --with-comparison --settings {params.settings} --results {params.results}"
        " --source {input.source} --out {output.pdf} > {log} 2>&1"


rule comparison:
    input:
        BEHIND_REPORT,
        results_of(manifest.comparison_files(SETTINGS)),
        rules.full_report.output,


localrules:
    comparison,
