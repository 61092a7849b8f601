# One notebook a figure or table, of the report and of the comparison, executed by papermill.

NOTEBOOKS = manifest.notebooks(SETTINGS)
TABLES = results_of(manifest.made(NOTEBOOKS, tables=True))
FIGURES = results_of(manifest.made(NOTEBOOKS, tables=False))
REPLICATION = sources.modules("replication") + sources.files(sources.RECORDS)

# A notebook is executed by this environment's kernel, leaves nothing in the home folder and makes PDFs without a date.
RUN_NOTEBOOK = (
    "(export JUPYTER_PREFER_ENV_PATH=1 IPYTHONDIR=$(mktemp -d) SOURCE_DATE_EPOCH=0 &&"
    " trap 'rm -rf \"$IPYTHONDIR\"' EXIT &&"
    " spsn notebook {input.notebook} --results {params.results} --out {output.notebook}) > {log} 2>&1"
)

for notebook in (*NOTEBOOKS, *manifest.COMPARISON_NOTEBOOKS):

    rule:
        name:
            notebook.name
        input:
            results_of(notebook.reads),
            notebook.paper,
            DATA_FACTS,
            notebook=f"notebooks/{notebook.name}.ipynb",
            code=REPLICATION,
        output:
            *shown(notebook),
            notebook=result(notebook.executed),
        log:
            f"{RESULTS}/logs/{notebook.name}.log",
        benchmark:
            f"{RESULTS}/benchmarks/{notebook.name}.tsv"
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
