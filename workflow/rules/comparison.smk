# Beyond the paper: the comparison's runs collected, a table and three figures of it, and the report with part II.

COMPARED = f"{RESULTS}/tables/comparison_runs.csv"
METHOD_COSTS = f"{RESULTS}/timing/methods.csv"
COMPARISON_CODE = REPLICATION + sources.files(("methods.py",))
FULL_REPORT = f"{RESULTS}/report/full_report.pdf"
COMPARISON_COMMAND = f"snakemake --cores all comparison{CONFIG_OPTION}"

# notebook: (what it reads, what it makes)
COMPARISON_NOTEBOOKS = {
    "comparison_table": ([COMPARED, METHOD_COSTS], ["tables/comparison.csv", "tables/comparison.tex"]),
    **{
        f"comparison_{name}": ([reads], [f"figures/comparison_{name}.png", f"figures/comparison_{name}.pdf"])
        for name, reads in (("accuracy", COMPARED), ("cost", METHOD_COSTS), ("controls", COMPARED))
    },
}


rule collect_comparison:
    input:
        [str(path) for path in layout.comparison_records(SETTINGS)],
        code=sources.files(("replication/run_table.py", "records.py")),
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


for notebook, (reads, makes) in COMPARISON_NOTEBOOKS.items():

    rule:
        name:
            notebook
        input:
            reads,
            f"{RESULTS}/data.json",
            settings=ancient(SETTINGS_FILE),
            notebook=f"notebooks/{notebook}.ipynb",
            code=COMPARISON_CODE,
        output:
            report(f"{RESULTS}/{makes[0]}", caption=f"../report/{notebook}.rst", category="Comparison"),
            f"{RESULTS}/{makes[1]}",
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
        [
            f"{RESULTS}/{name}"
            for name in manifest.report_files(SETTINGS) + manifest.comparison_files(SETTINGS)
        ],
        REPORT_TEXT,
        settings=ancient(SETTINGS_FILE),
    output:
        f"{RESULTS}/report/full_provenance.json",
    log:
        f"{RESULTS}/logs/full_provenance.log",
    localrule: True
    conda:
        f"../../{ENVIRONMENT}"
    params:
        identity=SETTINGS_IDENTITY,
        command=verbatim(COMPARISON_COMMAND),
        results=results_folder,
    shell:
        "spsn provenance --with-comparison --settings {input.settings} --results {params.results}"
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
        [f"{RESULTS}/{path}" for _, makes in COMPARISON_NOTEBOOKS.values() for path in makes],
        f"{RESULTS}/data.json",
        f"{RESULTS}/report/full_provenance.json",
        "paper/golden.tex",
        "paper/comparison.tex",
        "paper/references.bib",
        settings=ancient(SETTINGS_FILE),
        source="paper/report.tex",
        code=COMPARISON_CODE,
    output:
        pdf=report(FULL_REPORT, caption="../report/full_report.rst", category="Report"),
        digests=f"{FULL_REPORT}.sha256",
    log:
        f"{RESULTS}/logs/full_report.log",
    localrule: True
    conda:
        f"../../{ENVIRONMENT}"
    params:
        identity=SETTINGS_IDENTITY,
        results=results_folder,
    shell:
        "spsn report --with-comparison --settings {input.settings} --results {params.results}"
        " --source {input.source} --out {output.pdf} > {log} 2>&1"


rule comparison:
    input:
        FULL_REPORT,


localrules:
    comparison,
