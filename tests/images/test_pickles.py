"""Pickles of arrays are read, and whatever else a pickle could do is not done."""

import os
import pickle
import pickletools
import subprocess
import sys
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headstart.errors import DataError
from headstart.images.archives import ArchiveError
from headstart.images.pickles import run_pickle
from headstart.images.places import is_folder, read_file
from headstart.images.sources import list_labelled

MEN = np.random.default_rng(0).integers(0, 256, (5, 8, 9, 3), np.uint8)
WOMEN = np.random.default_rng(1).integers(0, 256, (4, 8, 9, 3), np.uint8)
PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)


def written(path: Path, content: object, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_dict_of_arrays_is_a_folder_of_classes(tmp_path, protocol):
    data = written(tmp_path / "man_or_woman.pickle", {"men": MEN, "women": WOMEN}, protocol)
    listing = list_labelled(data)
    assert listing.classes == ("men", "women")
    read = [read_file(picture.path) for picture in listing.pictures]
    assert read == [b"P6\n9 8\n255\n" + pixels.tobytes() for pixels in (*MEN, *WOMEN)]


@pytest.mark.parametrize("content", [{"men": list(MEN), "women": list(WOMEN)}, OrderedDict(men=MEN, women=WOMEN)])
def test_lists_and_ordered_dicts_will_do(tmp_path, content):
    assert len(list_labelled(written(tmp_path / "some.pkl", content)).pictures) == 9


def test_dicts_in_dicts_are_folders_in_folders(tmp_path):
    data = written(tmp_path / "some.pkl", {"train": {"men": MEN, "women": WOMEN}, "val": {"men": MEN, "women": WOMEN}})
    listing = list_labelled(data)
    assert [len(listing.on(side)) for side in ("train", "val")] == [9, 9]


def test_names_that_no_file_could_have_are_refused(tmp_path):
    for name in ("a\ud800", "b\0"):
        with pytest.raises(DataError, match="which no folder could be called"):
            list_labelled(written(tmp_path / "some.pkl", {name: MEN, "women": WOMEN}))
    with pytest.raises(DataError, match="holds texts that are none|holds no numbers or texts"):
        list_labelled(written(tmp_path / "x.pkl", {"x": MEN, "y": [["a"], ["b", "c"], [], [], []]}))


def test_pictures_and_labels_as_keras_loads_them(tmp_path):
    both, labels = np.concatenate([MEN, WOMEN]), np.array([0] * 5 + [1] * 4)
    data = written(tmp_path / "some.pkl", ((both, labels), (both, labels)))
    listing = list_labelled(data)
    assert [len(listing.on(side)) for side in ("train", "val")] == [9, 9]
    data = written(tmp_path / "others.pkl", {"x": both, "y": [str(label) for label in labels]})
    assert list_labelled(data).classes == ("0", "1")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(max_size=300),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(values, st.sampled_from(PROTOCOLS))
def test_plain_values_come_out_as_python_itself_reads_them(value, protocol):
    assert run_pickle(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", ["u1", "<i2", ">i4", "<f4", ">f8", "?", "<U3", "S4", "<f2"])
def test_arrays_come_out_as_numpy_reads_them(protocol, kind):
    array = np.arange(24).reshape(2, 3, 4).astype(kind)
    for stored in (array, np.asfortranarray(array), array[:, ::2], array[0, 0, 0]):
        found = run_pickle(pickle.dumps(stored, protocol))
        assert np.array_equal(found, stored)
        assert np.asarray(found).dtype == stored.dtype


class Call:
    """Pickled, it is a call of a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "function", [os.system, os.remove, eval, exec, subprocess.check_call, getattr, __import__, open, np.load, np.save]
)
def test_a_pickle_that_calls_anything_is_refused_and_nothing_is_called(tmp_path, monkeypatch, protocol, function):
    bait = tmp_path / "bait"
    bait.write_text("still here")
    data = written(tmp_path / "evil.pickle", {"men": MEN, "women": Call(function, str(bait))}, protocol)
    with pytest.raises(DataError, match=r"evil\.pickle is a pickle that asks for .*, so it is not read"):
        list_labelled(data)
    assert bait.read_text() == "still here"
    assert sorted(os.listdir(tmp_path)) == ["bait", "evil.pickle"]


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02cos\nsystem\n(S'touch pwned'\ntR.",
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.",
        b"\x80\x02(S'id'\nios\nsystem\n.",  # INST
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R}U\x03__x\x4b\x01sb.",
        b"\x80\x02cnumpy\nndarray\n)\x81.",  # NEWOBJ of an allowed name
        b"\x80\x04P0\n.",  # a persistent id
        b"\x80\x02\x82\x01.",  # an extension
        b"\x80\x05\x97.",  # a buffer from elsewhere
        b"\x80\x02cnumpy\nndarray\n(K\x01tR.",
    ],
)
def test_instructions_that_no_array_needs_are_refused(content):
    with pytest.raises(ArchiveError):
        run_pickle(content)


def test_an_array_that_claims_to_be_huge_takes_no_memory():
    honest = pickle.dumps(np.zeros(7, np.uint8), 2)
    assert b"K\x07" in honest
    with pytest.raises(ArchiveError, match=r"an array of \[2147483647\] uint8 with 7 bytes"):
        run_pickle(honest.replace(b"K\x07", b"J\xff\xff\xff\x7f"))


def test_billions_of_items_described_in_a_few_bytes_take_no_time():
    laughs: list = ["ha"] * 1000
    for _ in range(20):
        laughs = [laughs] * 1000
    assert len(run_pickle(pickle.dumps({"men": laughs}))["men"]) == 1000


def test_millions_of_arrays_described_in_a_few_bytes_are_refused(tmp_path):
    laughs: dict = {"ha": MEN}
    for _ in range(5):
        laughs = {str(number): laughs for number in range(1000)}
    with pytest.raises(DataError, match="a pickle with more than 10,000 arrays|without an array of pictures"):
        list_labelled(written(tmp_path / "some.pkl", laughs))
    laughs = {str(number): {str(other): MEN for other in range(200)} for number in range(200)}
    with pytest.raises(DataError, match="a pickle with more than 10,000 arrays"):
        list_labelled(written(tmp_path / "some.pkl", laughs))


def test_containers_nested_without_end_are_no_trouble():
    depth = 100_000
    assert run_pickle(b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b".") is not None


def test_a_pickle_of_something_else_says_what_is_needed(tmp_path):
    with pytest.raises(DataError) as caught:
        list_labelled(written(tmp_path / "some.pkl", [1, 2, 3]))
    assert str(caught.value) == (
        f"{tmp_path}/some.pkl is a pickle of a list; one of a dict, {{'cat': array, 'dog': array}}, or of (pictures, "
        "labels) is needed."
    )


def test_what_only_looks_like_a_pickle_is_refused_in_one_line(tmp_path):
    (tmp_path / "some.pkl").write_bytes(b"\x80\x04hello.")
    assert is_folder_refused(tmp_path / "some.pkl")


def is_folder_refused(path: Path) -> bool:
    try:
        is_folder(path)
    except ArchiveError as error:
        return str(error).startswith("not a pickle that can be read")
    return False


GENUINE = pickle.dumps({"men": MEN[:1, :2, :2], "women": list(WOMEN[:2, :2, :2]), "y": np.array(["a", "b"])}, 4)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(GENUINE) - 1), st.integers(0, 255)), max_size=6))
def test_damaged_pickles_give_values_or_one_error(changes):
    content = bytearray(GENUINE)
    for place, value in changes:
        content[place] = value
    with suppress(ArchiveError):
        run_pickle(bytes(content))


def test_arrays_stay_in_their_file(tmp_path):
    """A pickle far larger than what may be in memory: only the pictures that are asked for are."""
    big = tmp_path / "big.pickle"
    rows = 3000
    with open(big, "wb") as file:
        pickle.dump({"men": np.zeros((rows, 256, 256, 3), np.uint8), "women": WOMEN}, file, protocol=4)
    code = (
        "import sys, resource; from headstart.images.sources import list_labelled;"
        "from headstart.images.places import read_file; import cv2, numpy;"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        f"listing = list_labelled({str(big)!r}); read_file(listing.pictures[-5].path);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 60_000, "kB; the file has 590,000"


def test_every_instruction_is_known_to_be_harmless_or_is_refused():
    """A new protocol of Python brings new instructions: these must be refused until somebody has looked at them."""
    dangerous = {"REDUCE", "BUILD", "GLOBAL", "STACK_GLOBAL"}
    refused = {"INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "NEXT_BUFFER"}
    names = {opcode.name for opcode in pickletools.opcodes}
    assert dangerous | refused <= names
    assert len(names) == 68, "look at the new ones"
