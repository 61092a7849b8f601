# From nothing to event stores: check the settings, fetch or make the HDF5 files, bin them, describe them.

FILES = {split: str(layout.data_file(SETTINGS, split)) for split in layout.SPLITS}
STEPS = {split: grid.time_steps(SETTINGS, split) for split in layout.SPLITS}
STORES = {
    split: [str(layout.store_file(SETTINGS, split, step)) for step in STEPS[split]] for split in layout.SPLITS
}
GIVEN = isinstance(SETTINGS.dataset, DatasetFiles)
DATA_DIR = f"--data-dir {shlex.quote(SETTINGS.data_dir)}" if SETTINGS.data_dir else ""
WEIGHTS = [result(manifest.WEIGHTS)] if SETTINGS.golden.weights else []
DATA_FACTS = result(manifest.DATA)
SOURCES = [] if GIVEN else [str(layout.source_file(SETTINGS, split)) for split in layout.SPLITS]


# What `onstart` writes, for who names the file: no other job waits for this one.
rule settings:
    output:
        SETTINGS_FILE,
    log:
        f"{RESULTS}/logs/settings.log",
    localrule: True
    run:
        renew(SETTINGS, SETTINGS_FILE)


if SETTINGS.dataset == "shd":

    rule fetch:
        output:
            data="results/data/shd/shd_{split}.h5",
            source="results/data/shd/shd_{split}.h5.source.json",
        log:
            f"{RESULTS}/logs/fetch_{{split}}.log",
        localrule: True
        conda:
            f"../../{ENVIRONMENT}"
        params:
            data_dir=untriggering(DATA_DIR),
            sources=untriggering(SETTINGS.shd.sources),
            archives=[f"{name}={md5}" for name, md5 in SETTINGS.shd.archives.items()],  # others are other data
        shell:
            "spsn fetch --out {output.data} {params.data_dir} --sources {params.sources:q} --archives {params.archives:q}"
            " > {log} 2>&1"


if SETTINGS.dataset == "fsdd":

    rule fetch_fsdd:
        output:
            recordings=directory(str(layout.FSDD / "recordings")),
            labels=str(layout.FSDD / "labels.csv"),
            source=str(layout.FSDD / "labels.csv.source.json"),
        log:
            f"{RESULTS}/logs/fetch_fsdd.log",
        localrule: True
        conda:
            f"../../{ENVIRONMENT}"
        params:
            folder=str(layout.FSDD),
            data_dir=untriggering(DATA_DIR),
            archive=untriggering(SETTINGS.fsdd.archive),
        shell:
            "spsn fetch-fsdd --out {params.folder} {params.data_dir} --archive {params.archive:q} > {log} 2>&1"


HEARD = heard(SETTINGS)
if HEARD:

    rule hear:
        input:
            labels=HEARD.tables,
            code=sources.files(sources.HEARING),
        output:
            data=[FILES["train"], FILES["test"]],
            source=SOURCES,
        log:
            f"{RESULTS}/logs/hear.log",
        benchmark:
            f"{RESULTS}/benchmarks/hear.tsv"
        conda:
            f"../../{ENVIRONMENT}"
        threads: all_cores(on_cluster=8)
        resources:
            mem_mb=hearing_memory,
            runtime=minutes(720),
        params:
            recordings=HEARD.identity,
            options=verbatim(HEARD.options),
        shell:
            "spsn hear {params.options} --out {output.data} --workers {threads} > {log} 2>&1"


if SETTINGS.dataset == "synthetic-digits":

    rule digits:
        input:
            code=sources.files(sources.DIGITS),
        output:
            data=[FILES["train"], FILES["test"]],
            source=SOURCES,
        log:
            f"{RESULTS}/logs/digits.log",
        benchmark:
            f"{RESULTS}/benchmarks/digits.tsv"
        conda:
            f"../../{ENVIRONMENT}"
        threads: all_cores(on_cluster=8)
        resources:
            mem_mb=hearing_memory,
            runtime=minutes(720),
        params:
            train=SETTINGS.synthetic_digits.train,
            test=SETTINGS.synthetic_digits.test,
            seed=SETTINGS.synthetic_digits.seed,
            folder=os.path.dirname(FILES["train"]),
        shell:
            "spsn digits --train {params.train} --test {params.test} --seed {params.seed} --out {params.folder}"
            " --workers {threads} > {log} 2>&1"


for split in layout.SPLITS:
    for step in sorted({*STEPS[split], *grid.comparison_steps(SETTINGS)}):

        rule:
            name:
                f"events_{split}_{1000 * step:g}ms"
            input:
                data=FILES[split],
                code=sources.files(sources.EVENTS),
            output:
                str(layout.store_file(SETTINGS, split, step)),
            log:
                f"{RESULTS}/logs/events_{split}_{1000 * step:g}ms.log",
            benchmark:
                f"{RESULTS}/benchmarks/events_{split}_{1000 * step:g}ms.tsv"
            conda:
                f"../../{ENVIRONMENT}"
            resources:
                mem_mb=4000,
            params:
                step=step,
                limit=f"--limit {limit}" if (limit := getattr(SETTINGS.limit, split)) else "",
            shell:
                "spsn events --data {input.data:q} --time-step {params.step} {params.limit} --out {output} > {log} 2>&1"


if WEIGHTS:

    rule published_weights:
        output:
            WEIGHTS,
        log:
            f"{RESULTS}/logs/published_weights.log",
        localrule: True
        conda:
            f"../../{ENVIRONMENT}"
        params:
            weights=verbatim(SETTINGS.golden.weights),
            folder=str(layout.DATA / "published-weights"),
        shell:
            "spsn published-weights --weights {params.weights:q} --folder {params.folder} --out {output} > {log} 2>&1"


rule describe:
    input:
        code=sources.files(sources.DESCRIPTION),
        source=SOURCES,
        data=FILES.values(),
        train=STORES["train"],
        test=STORES["test"],
    output:
        data=DATA_FACTS,
        samples=result(manifest.SAMPLES),
        rasters=result(manifest.RASTERS),
    log:
        f"{RESULTS}/logs/describe.log",
    benchmark:
        f"{RESULTS}/benchmarks/describe.tsv"
    conda:
        f"../../{ENVIRONMENT}"
    resources:
        mem_mb=4000,
    params:
        settings=SETTINGS_FILE,
        identity=SETTINGS_IDENTITY,
        source=("--source " + " ".join(SOURCES)) if SOURCES else "",
    shell:
        "spsn describe --settings {params.settings} --train {input.train} --test {input.test} {params.source}"
        " --out {output.data} --out-samples {output.samples} --out-rasters {output.rasters} > {log} 2>&1"
