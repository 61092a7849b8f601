# From records to figures and tables: collect, repeat, illustrate, then one papermill-executed notebook per figure or table.

RUNS = f"{RESULTS}/tables/runs.csv"
REPORTED = "paper/reported.csv"
ROBUSTNESS = [f"{RESULTS}/robustness/trials.csv", f"{RESULTS}/robustness/test_set.csv"]
TIMINGS = [f"{RESULTS}/timing/epoch.csv", f"{RESULTS}/timing/sequence_length.csv"]

REPLICATION = sources.modules("replication") + sources.files(sources.RECORDS)
GOLDEN = [f"{RESULTS}/golden/passes.csv", f"{RESULTS}/golden/about.json"] if SETTINGS.golden.weights else []
FIGURE_NAMES = ["figure_data", *(f"figure{number}" for number in range(1, 7))]
TABLE_NAMES = ["table_data", *(["table_golden"] if GOLDEN else []), "table1", "table2", "claims"]
SHOWN = (".png", ".csv")  # the forms that Snakemake's report shows; the LaTeX report takes the others
CAPTIONS = {
    name: {"caption": f"../report/{name}.rst", "category": "Figures" if name in FIGURE_NAMES else "Tables"}
    for name in FIGURE_NAMES + TABLE_NAMES
}

# notebook: (what it reads, what it makes)
NOTEBOOKS = {
    "figure_data": ([SAMPLES, RASTERS, "paper/shd_published.csv"], "figure_data"),
    "table_data": ([SAMPLES, "paper/shd_published.csv"], "table_data"),
    "figure1_neurons": ([f"{RESULTS}/illustration/neurons.csv"], "figure1"),
    "figure2_loss_modes": ([RUNS, REPORTED], "figure2"),
    "figure3_models": ([RUNS, REPORTED, TIMINGS[0]], "figure3"),
    "figure4_regularization": ([RUNS, REPORTED], "figure4"),
    "figure5_sequence_length": ([TIMINGS[1], REPORTED], "figure5"),
    "figure6_robustness": (ROBUSTNESS, "figure6"),
    "table1_parameters": ([], "table1"),
    "table2_accuracy": ([RUNS, REPORTED], "table2"),
    "claims": ([RUNS, REPORTED, "paper/claims.yaml", *TIMINGS, *ROBUSTNESS], "claims"),
}
if GOLDEN:
    NOTEBOOKS["table_golden"] = ([*GOLDEN, "paper/golden.csv"], "table_golden")

FIGURES = [path for name in FIGURE_NAMES for path in made_by(name)]
TABLES = [path for name in TABLE_NAMES for path in made_by(name)]


rule collect:
    input:
        [str(path) for path in layout.all_records(SETTINGS)],
        code=sources.files(("replication/run_table.py", "records.py")),
    output:
        report(RUNS, caption="../report/runs.rst", category="Tables"),
    log:
        f"{RESULTS}/logs/collect.log",
    benchmark:
        f"{RESULTS}/benchmarks/collect.tsv"
    localrule: True
    conda:
        f"../../{ENVIRONMENT}"
    params:
        records=lambda wildcards, input: [path for path in input if path.endswith(".json")],
    shell:
        "spsn collect {params.records} --out {output} > {log} 2>&1"


rule robustness:
    input:
        settings=ancient(SETTINGS_FILE),
        test=str(layout.store_file(SETTINGS, "test", SETTINGS.experiments.accuracy.network.time_step)),
        runs=[str(path) for path in layout.robustness_runs(SETTINGS)],
        code=sources.files(sources.ROBUSTNESS),
    output:
        trials=ROBUSTNESS[0],
        test_set=ROBUSTNESS[1],
    log:
        f"{RESULTS}/logs/robustness.log",
    benchmark:
        f"{RESULTS}/benchmarks/robustness.tsv"
    conda:
        f"../../{ENVIRONMENT}"
    threads: SETTINGS.execution.threads
    resources:
        gpu=GPU,
        mem_mb=8000,
        runtime=minutes(240),
    params:
        identity=json.dumps(to_mapping(SETTINGS)["experiments"]["robustness"]),
        results=results_folder,
    shell:
        "exec spsn robustness --settings {input.settings} --test {input.test} --results {params.results}"
        " --out-trials {output.trials} --out-test-set {output.test_set} > {log} 2>&1"


if GOLDEN:

    rule golden:
        input:
            settings=ancient(SETTINGS_FILE),
            weights=WEIGHTS,
            test=str(layout.golden_store(SETTINGS)),
            code=sources.files(sources.GOLDEN),
        output:
            passes=GOLDEN[0],
            about=GOLDEN[1],
        log:
            f"{RESULTS}/logs/golden.log",
        benchmark:
            f"{RESULTS}/benchmarks/golden.tsv"
        conda:
            f"../../{ENVIRONMENT}"
        threads: SETTINGS.execution.threads
        resources:
            gpu=GPU,
            mem_mb=8000,
            runtime=minutes(240),
        params:
            identity=verbatim(
                json.dumps([SETTINGS.golden.trials, SETTINGS.dataset_name, SETTINGS.is_part_of_shd])
            ),
        shell:
            "exec spsn golden --settings {input.settings} --weights {input.weights} --test {input.test}"
            " --out-passes {output.passes} --out-about {output.about} > {log} 2>&1"


rule illustrate:
    input:
        settings=ancient(SETTINGS_FILE),
        code=sources.files(sources.ILLUSTRATION),
    output:
        f"{RESULTS}/illustration/neurons.csv",
    log:
        f"{RESULTS}/logs/illustrate.log",
    benchmark:
        f"{RESULTS}/benchmarks/illustrate.tsv"
    localrule: True
    conda:
        f"../../{ENVIRONMENT}"
    params:
        identity=json.dumps(to_mapping(SETTINGS)["network"]),
    shell:
        "spsn illustrate --settings {input.settings} --out {output} > {log} 2>&1"


for notebook, (reads, makes) in NOTEBOOKS.items():

    rule:
        name:
            notebook
        input:
            reads,
            f"{RESULTS}/data.json",
            settings=ancient(SETTINGS_FILE),
            notebook=f"notebooks/{notebook}.ipynb",
            code=REPLICATION,
        output:
            *[report(path, **CAPTIONS[makes]) for path in made_by(makes) if path.endswith(SHOWN)],
            *[path for path in made_by(makes) if not path.endswith(SHOWN)],
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
