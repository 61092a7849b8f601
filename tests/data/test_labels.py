"""Tables and patterns: what they say of recordings, and what is said of them where they are wrong."""

import hashlib
import logging
import os

import pytest

from spsn.data import listings
from spsn.data.labels import read_labels
from spsn.data.listings import audio_files, table_path
from spsn.errors import DataError

TABLE = "file,label,speaker,split\na/x.wav,one,ann,train\na/y.flac,two,bob,train\nz.wav,one,bob,test\n"


@pytest.fixture
def folder(tmp_path):
    """A folder of files; nothing of what is in them matters to the labels."""
    made = tmp_path / "sounds"
    for name in ("a/x.wav", "a/y.flac", "z.wav"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).touch()
    return made


def table(folder, text, encoding="utf-8"):
    path = folder.parent / "labels.csv"
    path.write_bytes(text.encode(encoding))
    return path


def named(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def content(collection):
    return {
        r.name: (collection.class_names[r.label], collection.speaker_names[r.speaker], r.split)
        for r in collection.recordings
    }


EXPECTED = {"a/x": ("one", "ann", "train"), "a/y": ("two", "bob", "train"), "z": ("one", "bob", "test")}

# --- tables ----------------------------------------------------------------------------------------


def test_a_table_says_what_each_file_is(folder):
    collection = read_labels(folder, table(folder, TABLE))
    assert content(collection) == EXPECTED
    assert collection.class_names == ("one", "two") and collection.speaker_names == ("ann", "bob")
    assert {r.path for r in collection.recordings} == {folder / n for n in ("a/x.wav", "a/y.flac", "z.wav")}
    digests = [hashlib.sha256(r.name.encode()).hexdigest() for r in collection.recordings]
    assert digests == sorted(digests)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.replace(",", ";"),
        lambda t: t.replace(",", "\t"),
        lambda t: t.replace("\n", "\r\n"),
        lambda t: "\ufeff" + t,
        lambda t: t.replace("one", '"one"').replace("file", '"File"').replace("a/x", " a/x"),
        lambda t: t.replace("a/x", "./a/x").replace("a/y", r"a\y").replace("train", "Train"),
        lambda t: t.rstrip("\n").replace("\n", "\n\n") + "\n,,,\n",
        lambda t: "\n".join(f"{line},{'remark' if i == 0 else ''}" for i, line in enumerate(t.splitlines())),
    ],
)
def test_tables_as_programs_write_them(folder, change):
    assert content(read_labels(folder, table(folder, change(TABLE)))) == EXPECTED


def test_a_cell_may_hold_what_separates_cells_elsewhere(folder):
    named(folder, "a, b.wav", "ü;.wav")
    text = 'file,label,split\n"a, b.wav","x;y",train\nü;.wav,ß,test\n'
    expected = {"a, b": ("x;y", "unknown", "train"), "ü;": ("ß", "unknown", "test")}
    assert content(read_labels(folder, table(folder, text))) == expected


def test_a_table_may_lie_in_the_folder(folder):
    (folder / "inside.csv").write_text(TABLE)
    assert content(read_labels(folder, "inside.csv")) == EXPECTED


def test_a_table_is_where_its_path_says_or_else_in_the_folder(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("HOME", str(folder.parent))
    (folder / "labels.csv").write_text(TABLE)
    assert table_path("sounds", "labels.csv") == table_path("~/sounds", "labels.csv").relative_to(
        folder.parent
    )
    assert str(table_path(folder, "labels.csv")) == str(folder / "labels.csv")
    outside = table(folder, TABLE)
    assert str(table_path(folder, "labels.csv")) == "labels.csv"
    assert table_path(folder, "~/labels.csv") == outside
    assert table_path(folder, "{label}.csv") is None
    assert str(table_path(folder, "absent.csv")) == "absent.csv"
    assert content(read_labels("~/sounds", "~/labels.csv")).keys() == EXPECTED.keys()


def test_what_is_no_table_is_not_read(folder, monkeypatch):
    with pytest.raises(DataError, match="/dev/zero: a pipe or a device, not a file"):
        read_labels(folder, "/dev/zero")
    os.mkfifo(folder / "pipe")
    with pytest.raises(DataError, match="pipe: a pipe or a device, not a file"):
        read_labels(folder, folder / "pipe")
    with pytest.raises(DataError, match="a folder, not a file"):
        read_labels(folder, folder)
    path = table(folder, TABLE)
    with path.open("ab") as file:
        file.truncate(listings.LARGEST_TABLE + 1)
    with pytest.raises(DataError, match=r"labels\.csv: over LARGEST_TABLE = 64 MiB"):
        read_labels(folder, path)


def test_test_speakers_make_the_split(folder):
    text = "file,label,speaker\na/x.wav,one,ann\na/y.flac,two,bob\nz.wav,one,bob\n"
    collection = read_labels(folder, table(folder, text), test_speakers=["ann"])
    assert [r.split for r in sorted_by_name(collection)] == ["test", "train", "train"]


def sorted_by_name(collection):
    return sorted(collection.recordings, key=lambda recording: recording.name)


@pytest.mark.parametrize(
    ("labels", "order"),
    [
        (("10", "9", "-1"), ("-1", "9", "10")),
        (("10", "9", "x"), ("10", "9", "x")),
        (("b", "a", "B"), ("B", "a", "b")),
        (("9" * 5000, "10", "2"), ("10", "2", "9" * 5000)),
    ],
)
def test_classes_are_ordered_by_number_or_else_alphabet(folder, labels, order):
    rows = zip(("a/x.wav", "a/y.flac", "z.wav"), labels, ("train", "train", "test"), strict=True)
    text = "file,label,split\n" + "".join(",".join(row) + "\n" for row in rows)
    collection = read_labels(folder, table(folder, text))
    assert collection.class_names == order
    assert [order[r.label] for r in sorted_by_name(collection)] == list(labels)


def test_classes_are_in_the_order_given(folder):
    collection = read_labels(folder, table(folder, TABLE), classes=["two", "zero", "one"])
    assert collection.class_names == ("two", "zero", "one")
    assert [r.label for r in sorted_by_name(collection)] == [2, 0, 2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: no columns file and label"),
        ("name,label\nx,y\n", "line 1: no columns file and label in 'name,label'"),
        (TABLE.replace("speaker", "speakers"), "line 1: is the column 'speakers' meant to be 'speaker'"),
        (TABLE.replace("speaker", "label"), "line 1: two columns 'label'"),
        ("file,label,split\n", "lists no recordings"),
        (TABLE.replace("two", ""), "line 3: nothing under 'label'"),
        (TABLE.replace("two,", ""), "line 3: 3 cells under 4 columns"),
        (TABLE.replace("two", "two,2"), "line 3: 5 cells under 4 columns"),
        (TABLE.replace(",two", ',"two'), "line"),
        (TABLE.replace("z.wav", "a/x.wav"), "line 4: a/x.wav is listed already (line 2)"),
        (TABLE.replace("z.wav", "./a/x.wav"), "line 4: a/x.wav is listed already (line 2)"),
        (TABLE.replace("z.wav", "b.wav"), "line 4: there is no file"),
        (TABLE.replace("z.wav", "a"), "line 4: there is no file"),
        (TABLE.replace("z.wav", "."), "line 4: there is no file"),
        (TABLE.replace("z.wav", "/"), "line 4: / leaves the folder"),
        (TABLE.replace("\n", f"{',x' * 2100}\n", 1), "line 1: has 4224 characters, over LONGEST_HEADER"),
        (TABLE.replace("z.wav", "../z.wav"), "line 4: ../z.wav leaves the folder"),
        (TABLE.replace("z.wav", "/etc/z.wav"), "line 4: /etc/z.wav leaves the folder"),
        (TABLE.replace("z.wav", "z\x01.wav"), r"line 4: the name 'z\x01.wav' holds what is no text"),
        (TABLE.replace("test", "validation"), "line 4: 'validation' is neither train nor test"),
        (TABLE.replace("test", "train"), "no recording is in the split 'test'"),
    ],
)  # fmt: skip
def test_a_wrong_table_is_refused_with_its_line(folder, text, said):
    path = table(folder, text)
    with pytest.raises(DataError) as caught:
        read_labels(folder, path)
    assert str(caught.value).startswith(f"{path}: ") and said in str(caught.value)


def test_all_wrong_lines_are_counted(folder):
    text = TABLE + "".join(f"no{i}.wav,one,ann,train\n" for i in range(25))
    with pytest.raises(DataError) as caught:
        read_labels(folder, table(folder, text))
    assert "line 5: " in str(caught.value) and "line 14: " in str(caught.value)
    assert "line 15: " not in str(caught.value) and "and 15 more" in str(caught.value)


def test_other_refusals(folder):
    path = table(folder, TABLE)
    for how, said in (
        (dict(classes=["one"]), "line 3: the label 'two' is none of the classes one"),
        (dict(classes=["one", "two", "one"]), "comes twice"),
        (dict(test_speakers=["ann"]), "says itself what the test file is"),
    ):
        with pytest.raises(DataError, match=said):
            read_labels(folder, path, **how)
    with pytest.raises(DataError, match="not a table in UTF-8"):
        read_labels(folder, table(folder, TABLE.replace("ann", "änn"), "latin-1"))
    with pytest.raises(DataError, match="absent.csv: no such file. Name a table, or a pattern"):
        read_labels(folder, "absent.csv")
    with pytest.raises(DataError, match="absent: no such folder"):
        read_labels(folder / "absent", path)


def test_without_a_split_three_ways_are_told(folder):
    path = table(folder, "file,label,speaker\na/x.wav,one,ann\nz.wav,two,bob\n")
    with pytest.raises(DataError, match=r"column 'split'.*\{split\}.*test_speakers"):
        read_labels(folder, path)
    with pytest.raises(DataError, match="says of nobody but ann, bob; test_speakers has cyd"):
        read_labels(folder, path, test_speakers=["bob", "cyd"])
    with pytest.raises(DataError, match="no recording is in the split 'train'"):
        read_labels(folder, path, test_speakers=["bob", "ann"])
    nobody = table(folder, "file,label\na/x.wav,one\nz.wav,two\n")
    with pytest.raises(DataError, match="does not say who speaks"):
        read_labels(folder, nobody, test_speakers=["ann"])


def test_files_that_differ_by_suffix_alone_are_refused(folder):
    named(folder, "z.flac")
    with pytest.raises(DataError, match=r"line 5: z\.flac has the name of z\.wav \(line 4\)"):
        read_labels(folder, table(folder, TABLE + "z.flac,one,ann,train\n"))


# --- patterns --------------------------------------------------------------------------------------


def test_a_pattern_says_what_each_file_is(tmp_path):
    folder = named(
        tmp_path, "7_ann_0.wav", "10_ann_1.WAV", "7_bob_0.wav", "._7_bob_0.wav", ".cache/x.wav", "readme"
    )
    collection = read_labels(folder, "{label}_{speaker}_{take}.wav", test_speakers=["bob"])
    assert content(collection) == {
        "7_ann_0": ("7", "ann", "train"),
        "10_ann_1": ("10", "ann", "train"),
        "7_bob_0": ("7", "bob", "test"),
    }
    assert collection.class_names == ("7", "10")


def test_a_pattern_may_name_folders_and_split(tmp_path):
    folder = named(tmp_path, "train/up-ann-1.flac", "train/down-ann-1.flac", "test/up-bob-2.flac")
    collection = read_labels(folder, "{split}/{label}-{speaker}-{take}.flac")
    assert content(collection) == {
        "train/up-ann-1": ("up", "ann", "train"),
        "train/down-ann-1": ("down", "ann", "train"),
        "test/up-bob-2": ("up", "bob", "test"),
    }


def test_a_field_may_stand_for_a_suffix_and_a_name_may_come_twice(tmp_path):
    folder = named(tmp_path, "train/up/up+1.flac", "test/up/up+1.wav")
    collection = read_labels(folder, "{split}/{label}/{label}+{take}.{format}")
    assert {r.split for r in collection.recordings} == {"train", "test"}
    with pytest.raises(DataError, match=r"1 of 3 audio files do not fit .*: test/up/down\+2\.wav\."):
        read_labels(named(folder, "test/up/down+2.wav"), "{split}/{label}/{label}+{take}.{format}")


def test_files_that_do_not_fit_are_named_and_counted(tmp_path):
    folder = named(
        tmp_path, "1_ann_1.wav", "2_bob_1.wav", *(f"deep/3_bob_{i}.wav" for i in range(12)), "x.flac"
    )
    with pytest.raises(DataError) as caught:
        read_labels(folder, "{label}_{speaker}_{take}.wav", test_speakers=["bob"])
    assert "13 of 15 audio files do not fit" in str(caught.value)
    assert "deep/3_bob_0.wav" in str(caught.value) and "and 3 more" in str(caught.value)


def test_a_name_that_can_be_read_in_two_ways_is_refused(tmp_path):
    folder = named(tmp_path, "1_ann_1.wav", "1_ann_lee_1.wav")
    with pytest.raises(DataError, match=r"1 of 2 audio files fit in more than one way .*: 1_ann_lee_1\.wav"):
        read_labels(folder, "{label}_{speaker}_{take}.wav", test_speakers=["ann"])


@pytest.mark.parametrize("last", [".wav", "x.wav"], ids=["fits", "does not"])
@pytest.mark.parametrize("fields", [3, 60])
def test_a_name_with_too_many_ways_is_refused_and_not_tried(fields, last, tmp_path):
    """Sixty fields can be found in this name in 10^40 ways."""
    pattern = "_".join(["{label}", *(f"{{part{i}}}" for i in range(fields))]) + ".wav"
    folder = named(tmp_path, "_" * 200 + last, "1_1_1_1.wav")
    with pytest.raises(DataError, match=r"1 of 2 audio files (may fit in too many ways|do not fit)"):
        read_labels(folder, pattern, test_speakers=["ann"])


def test_a_part_may_be_called_by_a_number(tmp_path):
    collection = read_labels(named(tmp_path, "1_a_train.wav", "2_b_test.wav"), "{label}_{1}_{split}.wav")
    assert collection.class_names == ("1", "2")


def test_classes_and_speakers_are_numbered_in_16_bits(folder, monkeypatch):
    monkeypatch.setattr("spsn.data.labels.MAX_NAMES", 2)
    assert content(read_labels(folder, table(folder, TABLE))) == EXPECTED
    for text in (TABLE.replace("bob,train", "cyd,train"), TABLE.replace("one,bob", "three,bob")):
        with pytest.raises(DataError, match=r"names \d classes and \d speakers; there can be MAX_NAMES = 2"):
            read_labels(folder, table(folder, text))


@pytest.mark.parametrize(
    "pattern", ["{speaker}_{take}.wav", "{label}_{}.wav", "{label}_{take.wav", "{label}}.wav"]
)
def test_what_is_no_pattern_is_refused(folder, pattern):
    with pytest.raises(DataError, match="not a pattern of file names"):
        read_labels(folder, pattern, test_speakers=["ann"])


def test_a_folder_without_recordings_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no .wav or .flac file"):
        read_labels(named(tmp_path, "notes.txt"), "{label}_{speaker}.wav", test_speakers=["ann"])


def test_links_are_followed_but_not_for_ever(tmp_path):
    folder, far = tmp_path / "sounds", tmp_path / "far"
    named(folder, "here/1_ann.wav", "here/.#2_ann.wav")
    named(far, "2_bob.wav", "deep/3_bob.flac")
    (folder / "there").symlink_to(far)
    (folder / "4_bob.wav").symlink_to(far / "2_bob.wav")
    (far / "deep" / "around").symlink_to(folder)
    (far / "again").symlink_to(far)
    (folder / "self").symlink_to(folder / "self")
    (folder / "here" / ".#1_ann.wav").symlink_to("somebody@somewhere.1234")
    expected = {"here/1_ann.wav", "there/2_bob.wav", "there/deep/3_bob.flac", "4_bob.wav"}
    assert set(audio_files(folder)) == expected and len(list(audio_files(folder))) == 4
    (folder / "link").symlink_to(far)  # a second way is another recording, as a copy would be
    assert set(audio_files(folder)) == expected | {"link/2_bob.wav", "link/deep/3_bob.flac"}


def test_recordings_in_a_linked_folder_are_read(tmp_path):
    named(tmp_path / "far", "1_0.wav", "2_0.wav")
    folder = named(tmp_path / "sounds", "train/1_0.wav")
    (folder / "test").symlink_to(tmp_path / "far")
    collection = read_labels(folder, "{split}/{label}_{take}.wav")
    assert sorted(r.name for r in collection.recordings) == ["test/1_0", "test/2_0", "train/1_0"]


def test_a_link_to_no_recording_is_refused_and_not_listed(tmp_path):
    folder = named(tmp_path / "sounds", "1_ann.wav", "2_bob.wav")
    (folder / "3_bob.wav").symlink_to(tmp_path / "not-fetched")
    assert set(audio_files(folder)) == {"1_ann.wav", "2_bob.wav"}
    with pytest.raises(DataError, match=r"1 links lead nowhere: 3_bob\.wav"):
        read_labels(folder, "{label}_{speaker}.wav", test_speakers=["bob"])


def test_audio_of_other_kinds_is_told_of(tmp_path, caplog):
    folder = named(tmp_path, "1_ann.wav", "2_bob.flac", "notes.txt", "3_bob.MP3", "deep/4_bob.aiff", ".5.ogg")
    with caplog.at_level(logging.WARNING):
        collection = read_labels(folder, "{label}_{speaker}.{kind}", test_speakers=["bob"])
    assert len(collection.recordings) == 2 and len(caplog.records) == 1
    assert f"{folder}: passed over 2 audio files of other kinds, the first of them 3_bob.MP3" in caplog.text
    for name in ("1_ann.wav", "2_bob.flac"):
        (folder / name).unlink()
    with pytest.raises(DataError, match=r"no .wav or .flac file, but 2 audio files .* 3_bob\.MP3\. Convert"):
        read_labels(folder, "{label}_{speaker}.{kind}", test_speakers=["bob"])


def test_a_folder_that_is_absent_holds_no_audio_files(tmp_path):
    assert list(audio_files(tmp_path / "absent")) == []
    with pytest.raises(DataError, match=r"1_ann\.wav: cannot be read \(Not a directory\)"):
        list(audio_files(named(tmp_path, "1_ann.wav") / "1_ann.wav"))


def test_a_folder_that_cannot_be_read_is_refused(tmp_path):
    named(tmp_path, "1_ann.wav", "2_bob.wav", "closed/3_bob.wav")
    (tmp_path / "closed").chmod(0)
    try:
        if os.access(tmp_path / "closed", os.R_OK):
            pytest.skip("nothing is closed to this user")
        with pytest.raises(DataError, match=r"closed/?: cannot be read \(Permission denied\)"):
            read_labels(tmp_path, "{label}_{speaker}.wav", test_speakers=["bob"])
    finally:
        (tmp_path / "closed").chmod(0o755)


def test_a_file_name_that_is_not_text_is_refused(tmp_path):
    named(tmp_path, "1_ann.wav", "1_bob.wav")
    try:
        open(os.fsencode(tmp_path) + b"/2_\xff.wav", "w").close()
    except OSError:
        pytest.skip("this file system takes text alone")
    with pytest.raises(DataError, match=r"2_\\udcff.wav' holds what is no text"):
        read_labels(tmp_path, "{label}_{speaker}.wav", test_speakers=["bob"])
