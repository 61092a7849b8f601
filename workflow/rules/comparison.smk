# Beyond the paper: the comparison's runs collected, a table and three figures of it, and the report with part II.

COMPARED = result(manifest.COMPARED)
METHOD_COSTS = result(manifest.COSTS)
FULL_REPORT = f"{RESULTS}/report/full_report.pdf"

# notebook: what it reads
COMPARISON_READS = {
    "comparison_table": [COMPARED, METHOD_COSTS],
    "comparison_accuracy": [COMPARED],
    "comparison_cost": [METHOD_COSTS],
    "comparison_controls": [COMPARED],
}


rule collect_comparison:
    input:
        [str(path) for path in layout.comparison_records(SETTINGS)],
        code=sources.files(sources.COLLECTING),
    output:
        report(COMPARED, caption="../report/comparison_runs.rst", category="Comparison"),
    log:
        f"{RESULTS}/logs/collect_comparison.log",
    benchmark:
        f"{RESULTS}/benchmarks/collect_comparison.tsv"
    localrule: True
    conda:
        f"../../{ENVIRONMENT}"
    params:
        records=lambda wildcards, input: [path for path in input if path.endswith(".json")],
    shell:
        "spsn collect {params.records} --out {output} > {log} 2>&1"


for notebook, makes in manifest.COMPARISON_NOTEBOOKS.items():

    rule:
        name:
            notebook
        input:
            COMPARISON_READS[notebook],
            DATA_FACTS,
            notebook=f"notebooks/{notebook}.ipynb",
            code=REPLICATION,
        output:
            *shown(makes, "Comparison", caption=notebook),
            notebook=f"{RESULTS}/notebooks/{notebook}.ipynb",
        log:
            f"{RESULTS}/logs/{notebook}.log",
        benchmark:
            f"{RESULTS}/benchmarks/{notebook}.tsv"
        localrule: True
        conda:
            f"../../{ENVIRONMENT}"
        resources:
            mem_mb=2000,
        params:
            identity=SETTINGS_IDENTITY,
            results=results_folder,
        shell:
            RUN_NOTEBOOK


rule full_provenance:
    input:
        results_of(manifest.report_files(SETTINGS) + manifest.comparison_files(SETTINGS)),
        REPORT_TEXT,
    output:
        f"{RESULTS}/report/full_provenance.json",
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
        FIGURES,
        TABLES,
        TIMINGS,
        ROBUSTNESS,
        RUNS,
        GOLDEN,
        COMPARED,
        METHOD_COSTS,
        [path for name in manifest.COMPARISON_NOTEBOOKS.values() for path in made_by(name)],
        DATA_FACTS,
        f"{RESULTS}/report/full_provenance.json",
        "paper/golden.tex",
        "paper/comparison.tex",
        "paper/references.bib",
        source="paper/report.tex",
        code=REPLICATION,
    output:
        pdf=report(FULL_REPORT, caption="../report/full_report.rst", category="Report"),
        digests=f"{FULL_REPORT}.sha256",
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
        FULL_REPORT,


localrules:
    comparison,
