# From records to what figures and tables read: collect, repeat, try the authors' weights, illustrate.

RUNS = result(manifest.RUNS)
COMPARED = result(manifest.COMPARED)
ROBUSTNESS = [result(manifest.TRIALS), result(manifest.TEST_SET)]
GOLDEN = [result(manifest.PASSES), result(manifest.ABOUT)] if SETTINGS.golden.weights else []

# rule: the records that it collects, and into which table
COLLECTED = {
    "collect": (layout.all_records(SETTINGS), in_report(RUNS, "Tables")),
    "collect_comparison": (layout.comparison_records(SETTINGS), in_report(COMPARED, "Comparison")),
}

for collects, (records, table) in COLLECTED.items():

    rule:
        name:
            collects
        input:
            [str(path) for path in records],
            code=sources.files(sources.COLLECTING),
        output:
            table,
        log:
            f"{RESULTS}/logs/{collects}.log",
        benchmark:
            f"{RESULTS}/benchmarks/{collects}.tsv"
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
