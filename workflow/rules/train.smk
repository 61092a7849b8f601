# One job trains one block and declares one record (and the weights) per run. Checkpoints are no outputs: they survive a failed
# job, and the next one goes on from them. Only the parameters of the block itself retrain it.

for block in grid.blocks(SETTINGS) + grid.comparison_blocks(SETTINGS):

    rule:
        name:
            f"train_{block.job}"
        input:
            train=str(layout.store_file(SETTINGS, "train", block.network.time_step)),
            test=str(layout.store_file(SETTINGS, "test", block.network.time_step)),
            code=sources.files(sources.TRAINING),
        output:
            records=[str(path) for path in layout.record_files(SETTINGS, block)],
            weights=[str(path) for path in layout.record_files(SETTINGS, block, (".safetensors",))],
        log:
            f"{RESULTS}/logs/train_{block.job}.log",
        benchmark:
            f"{RESULTS}/benchmarks/train_{block.job}.tsv"
        priority: expected_effort(block)
        conda:
            f"../../{ENVIRONMENT}"
        threads: SETTINGS.execution.threads
        resources:
            gpu=GPU,
            mem_mb=8000,
            runtime=minutes(720),
        params:
            settings=SETTINGS_FILE,
            block=block.name,
            seeds=f"{block.seeds[0]}-{block.seeds[-1]}",
            identity=verbatim(block_identity(block)),
            results=results_folder,
        shell:
            "exec spsn train --settings {params.settings} --block {params.block} --seeds {params.seeds}"
            " --train {input.train} --test {input.test} --results {params.results} > {log} 2>&1"
