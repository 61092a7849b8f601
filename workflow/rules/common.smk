# What several phases share: what a job needs of a machine, what a block is, how results are named.

Heard = namedtuple("Heard", "tables identity options")

# The configurations laid over the paper's, which Snakefile itself names.
CONFIG_FILES = [
    shlex.quote(os.path.relpath(path)) for path in workflow.configfiles if str(path) != "config/paper.yaml"
]
CONFIG_VALUES = [
    shlex.quote(f"{key}={json.dumps(value)}") for key, value in workflow.config_settings.config.items()
]
CONFIG_OPTION = (f" --configfile {' '.join(CONFIG_FILES)}" if CONFIG_FILES else "") + (
    f" --config {' '.join(CONFIG_VALUES)}" if CONFIG_VALUES else ""
)
SENT = f"{RESULTS}/logs/sent.txt"  # the calls that sent jobs to other machines

# Snakemake's own report can only be made once everything stands; failing it must not fail what is done.
HTML_REPORT = (
    f"snakemake --cores 1 --nolock --quiet all --report {RESULTS}/report/report.html"
    f"{CONFIG_OPTION} > {RESULTS}/logs/report_html.log 2>&1"
    f" || echo 'report.html could not be made; see {RESULTS}/logs/report_html.log'"
)


def data_note(settings):
    """What the captions say of data that are not the whole of SHD."""
    if settings.is_shd:
        return ""
    name = re.sub(r"([^A-Za-z0-9\s])", r"\\\1", settings.dataset_name)  # captions are reStructuredText
    data = "a part of SHD" if settings.is_part_of_shd else f"{name}, not SHD"
    return f"Data: {data}; not comparable with the paper."


# Jobs are sent to other machines, as a number of --jobs says, or this is such a job, which reads the workflow anew.
ON_CLUSTER = workflow.remote_exec or workflow.nodes is not None


def wants_gpu():
    """1 where a job is to hold a GPU: always on a cluster unless the CPU is asked for, here only if there is one."""
    if SETTINGS.execution.device == "cpu":
        return 0
    if SETTINGS.execution.device == "cuda" or ON_CLUSTER:
        return 1
    return 1 if shutil.which("nvidia-smi") else 0


GPU = wants_gpu()


def all_gpus():
    """Every GPU that this workflow may give away: who holds them all is alone with them. A cluster's are not all here."""
    limits = workflow.global_resources
    return (limits["gpu"].value if "gpu" in limits and not ON_CLUSTER else 1) if GPU else 0


def all_cores(on_cluster):
    """Every core of this machine; of another machine, which nobody knows yet, so many."""
    here = workflow.resource_settings.cores or os.cpu_count()  # `snakemake --unlock` needs not name any
    return on_cluster if ON_CLUSTER else here


def minutes(first):
    """The time limit of a job: the next attempt of one that ran out of time gets more."""
    return lambda wildcards, attempt: first * attempt


def results_folder(wildcards):
    """The folder results/<name>, for commands that take it whole."""
    return RESULTS


def expected_effort(block):
    """What takes longest comes first, so that all end together; a loop in autograd's graph takes longest of all."""
    loops = TRAITS[block.model].fused == "none" and not TRAITS[block.model].parallel
    return len(block.seeds) * block.training.epochs * (10 if loops else 1)


# All of the configuration as a parameter. The file that holds it is no job's input: the call writes it before its first job
# (`onstart`). Snakemake does not look at what comes after a job that will run, `ancient` or not, so that settings that a job
# makes, or did not finish making, would hide from the blocks that they have changed or are missing.
SETTINGS_IDENTITY = hashlib.sha256(json.dumps(to_mapping(SETTINGS)).encode()).hexdigest()


def block_identity(block):
    """All of the configuration that determines the block's runs, for Snakemake to notice a change."""
    run = grid.run_settings(SETTINGS, block, 0, classes=0, train_digest="", test_digest="")
    return json.dumps(vars(run), sort_keys=True)


def heard(settings):
    """What `spsn hear` is told of the recordings that are the data; None where the data are spikes already."""
    if settings.dataset == "fsdd":
        folder, labels = str(layout.FSDD / "recordings"), str(layout.FSDD / "labels.csv")
        words = [folder, f"--labels={labels}", "--no-trim", "--classes", *fsdd.CLASS_NAMES]
        words += ["--source", f"{labels}.source.json"]
        return Heard([folder, labels, f"{labels}.source.json"], "", shlex.join(words))
    if not isinstance(settings.dataset, DatasetAudio):
        return None
    own = settings.dataset
    words = [os.path.expanduser(own.audio), f"--labels={own.labels}", "--seed", str(own.seed)]
    words += [] if own.trim else ["--no-trim"]
    words += ["--test-speakers", *own.test_speakers] if own.test_speakers else []
    table = listings.table_path(own.audio, own.labels)
    return Heard([str(table)] if table else [], folder_identity(own.audio), shlex.join(words))


def hearing_memory(wildcards, threads):
    """Each process that hears keeps tables of the membrane, up to 0.7 GB of them for sounds of five seconds."""
    return 1000 + 700 * threads


def folder_identity(folder):
    """Names, sizes and times of all recordings below a folder, as a digest, for Snakemake to notice a change."""
    folder = os.path.expanduser(folder)
    paths = sorted(listings.audio_files(folder)) if os.path.isdir(folder) else []
    states = [os.stat(os.path.join(folder, path)) for path in paths]
    found = [(path, state.st_size, state.st_mtime_ns) for path, state in zip(paths, states, strict=True)]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


def verbatim(value):
    """A parameter in which braces are no wildcards."""
    return lambda wildcards: value


def untriggering(value):
    """A parameter whose change does nothing again: what is derived from a job's outputs is no reason for Snakemake."""
    return lambda wildcards, output: value


def options_of_call():
    """What made results by this call. Of the executor Snakemake knows when it works, not while it reads these rules."""
    if workflow.local_exec:
        return f"{calls.HERE}{CONFIG_OPTION}"
    executor = workflow.executor_plugin.name
    return calls.sent(executor, workflow.nodes, sys.argv[1:]) + CONFIG_OPTION


def commands(target=""):
    """A parameter that does nothing again: the commands that made the results, this call's and those that sent jobs away."""
    return lambda wildcards, output: calls.commands(options_of_call(), calls.remembered(SENT), target)


def result(name):
    """A result from the working folder."""
    return f"{RESULTS}/{name}"


def results_of(names):
    """Results that jobs make: all but the settings."""
    return [result(name) for name in names if name != manifest.SETTINGS]


def in_report(path, category):
    """An output that Snakemake's report shows, with the caption of its name."""
    name = os.path.splitext(os.path.basename(path))[0]
    return report(path, caption=f"../report/{name}.rst", category=category)


def shown(notebook):
    """What a notebook makes, as outputs: the form that Snakemake's report shows, and the one that the LaTeX report takes."""
    category = "Tables" if notebook.is_table else "Figures"
    if notebook in manifest.COMPARISON_NOTEBOOKS:
        category = "Comparison"
    paths = results_of(notebook.files)
    return [in_report(path, category) if path.endswith((".png", ".csv")) else path for path in paths]
