# From records to figures and tables: collect, repeat, illustrate, then one papermill-executed notebook per figure or table.

RUNS = result(manifest.RUNS)
REPORTED = "paper/reported.csv"
ROBUSTNESS = [result(manifest.TRIALS), result(manifest.TEST_SET)]
TIMINGS = [result(manifest.EPOCH), result(manifest.LENGTH)]

REPLICATION = sources.modules("replication") + sources.files(sources.RECORDS)
GOLDEN = [result(manifest.PASSES), result(manifest.ABOUT)] if SETTINGS.golden.weights else []
NOTEBOOKS = manifest.notebooks(SETTINGS)
TABLES = [path for name in NOTEBOOKS.values() if name in manifest.TABLES for path in made_by(name)]
FIGURES = [path for name in NOTEBOOKS.values() if name not in manifest.TABLES for path in made_by(name)]

# notebook: what it reads
READS = {
    "figure_data": [SAMPLES, RASTERS, "paper/shd_published.csv"],
    "table_data": [SAMPLES, "paper/shd_published.csv"],
    "figure1_neurons": [result(manifest.NEURONS)],
    "figure2_loss_modes": [RUNS, REPORTED],
    "figure3_models": [RUNS, REPORTED, TIMINGS[0]],
    "figure4_regularization": [RUNS, REPORTED],
    "figure5_sequence_length": [TIMINGS[1], REPORTED],
    "figure6_robustness": ROBUSTNESS,
    "table1_parameters": [],
    "table2_accuracy": [RUNS, REPORTED],
    "claims": [RUNS, REPORTED, "paper/claims.yaml", *TIMINGS, *ROBUSTNESS],
    "table_golden": [*GOLDEN, "paper/golden.csv"],
}


rule collect:
    input:
        [str(path) for path in layout.all_records(SETTINGS)],
        code=sources.files(sources.COLLECTING),
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
        settings=SETTINGS_FILE,
        identity=json.dumps(to_mapping(SETTINGS)["experiments"]["robustness"]),
        results=results_folder,
    shell:
        "exec spsn robustness --settings {params.settings} --test {input.test} --results {params.results}"
        " --out-trials {output.trials} --out-test-set {output.test_set} > {log} 2>&1"


if GOLDEN:

    rule golden:
        input:
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
            settings=SETTINGS_FILE,
            identity=verbatim(
                json.dumps([SETTINGS.golden.trials, SETTINGS.dataset_name, SETTINGS.is_part_of_shd])
            ),
        shell:
            "exec spsn golden --settings {params.settings} --weights {input.weights} --test {input.test}"
            " --out-passes {output.passes} --out-about {output.about} > {log} 2>&1"


rule illustrate:
    input:
        code=sources.files(sources.ILLUSTRATION),
    output:
        result(manifest.NEURONS),
    log:
        f"{RESULTS}/logs/illustrate.log",
    benchmark:
        f"{RESULTS}/benchmarks/illustrate.tsv"
    localrule: True
    conda:
        f"../../{ENVIRONMENT}"
    params:
        settings=SETTINGS_FILE,
        identity=json.dumps(to_mapping(SETTINGS)["network"]),
    shell:
        "spsn illustrate --settings {params.settings} --out {output} > {log} 2>&1"


for notebook, makes in NOTEBOOKS.items():

    rule:
        name:
            notebook
        input:
            READS[notebook],
            DATA_FACTS,
            notebook=f"notebooks/{notebook}.ipynb",
            code=REPLICATION,
        output:
            *shown(makes, "Tables" if makes in manifest.TABLES else "Figures", caption=makes),
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
