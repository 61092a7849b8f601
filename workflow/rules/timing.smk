# The timing study owns the machine while it measures: all cores and every GPU.

accuracy_step = SETTINGS.experiments.accuracy.network.time_step
timing_resources = {
    "gpu": workflow.global_resources.get("gpu", 1) if GPU else 0,
    "mem_mb": 16000,
    "runtime": 720,
}


rule time_epoch:
    input:
        settings=ancient(SETTINGS_FILE),
        train=str(layout.store_file(SETTINGS, "train", accuracy_step)),
        code=sources.files(sources.TIMING),
    output:
        f"{RESULTS}/timing/epoch.csv",
    log:
        f"{RESULTS}/logs/time_epoch.log",
    conda:
        f"../../{ENVIRONMENT}"
    threads: workflow.cores or 1
    resources:
        **timing_resources,
    params:
        identity=json.dumps(
            [
                to_mapping(SETTINGS)["experiments"]["timing"]["epoch"],
                to_mapping(SETTINGS)["experiments"]["accuracy"],
                to_mapping(SETTINGS)["execution"]["threads"],
            ]
        ),
    shell:
        "exec spsn time-epoch --settings {input.settings} --train {input.train} --out {output} > {log} 2>&1"


rule time_lengths:
    input:
        settings=ancient(SETTINGS_FILE),
        code=sources.files(sources.TIMING),
    output:
        f"{RESULTS}/timing/sequence_length.csv",
    log:
        f"{RESULTS}/logs/time_lengths.log",
    conda:
        f"../../{ENVIRONMENT}"
    threads: workflow.cores or 1
    resources:
        **timing_resources,
    params:
        identity=json.dumps(
            [
                to_mapping(SETTINGS)["experiments"]["timing"]["sequence_length"],
                to_mapping(SETTINGS)["network"],
                to_mapping(SETTINGS)["execution"]["threads"],
            ]
        ),
    shell:
        "exec spsn time-lengths --settings {input.settings} --out {output} > {log} 2>&1"
