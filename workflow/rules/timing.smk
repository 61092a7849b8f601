# The timing study owns the machine while it measures: all cores and every GPU.

TIMINGS = [result(manifest.EPOCH), result(manifest.LENGTH)]
METHOD_COSTS = result(manifest.COSTS)

accuracy_step = SETTINGS.experiments.accuracy.network.time_step
timing_resources = {"gpu": all_gpus(), "mem_mb": 16000, "runtime": minutes(720)}
timing_settings = to_mapping(SETTINGS)["experiments"]["timing"]
accuracy_settings = to_mapping(SETTINGS)["experiments"]["accuracy"]
comparison_settings = to_mapping(SETTINGS)["experiments"]["comparison"]


rule time_epoch:
    input:
        train=str(layout.store_file(SETTINGS, "train", accuracy_step)),
        code=sources.files(sources.TIMING),
    output:
        TIMINGS[0],
    log:
        f"{RESULTS}/logs/time_epoch.log",
    benchmark:
        f"{RESULTS}/benchmarks/time_epoch.tsv"
    conda:
        f"../../{ENVIRONMENT}"
    threads: all_cores(on_cluster=SETTINGS.execution.threads)
    resources:
        **timing_resources,
    params:
        settings=SETTINGS_FILE,
        identity=json.dumps(
            [
                timing_settings["epoch"],
                accuracy_settings["network"],
                accuracy_settings["training"],
                to_mapping(SETTINGS)["augmentation"],
                SETTINGS.execution.threads,
            ]
        ),
    shell:
        "exec spsn time-epoch --settings {params.settings} --train {input.train} --out {output} > {log} 2>&1"


rule time_lengths:
    input:
        code=sources.files(sources.TIMING),
    output:
        TIMINGS[1],
    log:
        f"{RESULTS}/logs/time_lengths.log",
    benchmark:
        f"{RESULTS}/benchmarks/time_lengths.tsv"
    conda:
        f"../../{ENVIRONMENT}"
    threads: all_cores(on_cluster=SETTINGS.execution.threads)
    resources:
        **timing_resources,
    params:
        settings=SETTINGS_FILE,
        identity=json.dumps(
            [timing_settings["sequence_length"], to_mapping(SETTINGS)["network"], SETTINGS.execution.threads]
        ),
    shell:
        "exec spsn time-lengths --settings {params.settings} --out {output} > {log} 2>&1"


rule time_methods:
    input:
        code=sources.files(sources.COMPARISON_TIMING),
    output:
        METHOD_COSTS,
    log:
        f"{RESULTS}/logs/time_methods.log",
    benchmark:
        f"{RESULTS}/benchmarks/time_methods.tsv"
    conda:
        f"../../{ENVIRONMENT}"
    threads: all_cores(on_cluster=SETTINGS.execution.threads)
    resources:
        **timing_resources,
    params:
        settings=SETTINGS_FILE,
        identity=json.dumps(
            [
                *(comparison_settings[key] for key in ("timing", "network", "tau_final")),
                SETTINGS.execution.threads,
            ]
        ),
    shell:
        "exec spsn time-methods --settings {params.settings} --out {output} > {log} 2>&1"
