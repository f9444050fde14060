"""Throw bytes at everything that reads files from outside, and see that it refuses them as it says it does.

    python tools/fuzz.py [TARGET ...] [--inputs 10000] [--seed 0] [--memory 3000] [--failures fuzz-failures]

The targets are those of `TARGETS`. Each runs in a process of its own, so that a crash of a decoder is seen and memory
can be bounded. An input that ends in another exception than its target may raise, kills the process, or takes longer
than `SLOWEST` is written to the folder of failures, and the exit code is 1.

What is thrown are real files of every kind with bits flipped, cut off, spliced, blocks repeated, and integers set to
extremes; a test with hypothesis, `tests/test_fuzz.py`, adds what has structure.
"""

import argparse
import io
import json
import multiprocessing
import os
import pickle
import resource
import sys
import tempfile
import time
import traceback
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from headstart.bundle import Run
from headstart.errors import HeadstartError
from headstart.features.keys import file_digest
from headstart.features.stat_cache import StatCache
from headstart.features.store import Space
from headstart.images.decode import DecodeRecipe, UndecodableError, decode
from headstart.images.labels import read_labels
from headstart.images.places import read_file
from headstart.images.sources import list_any, list_labelled
from headstart.run_files import FORMAT
from headstart.workplace import unfinished

SLOWEST = 10.0
"""Seconds that one input may take."""

Use = Callable[[bytes, Path], None]

_RECIPE = DecodeRecipe(24, 32)
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
_PIECES = (b"\0", b"\xff", b'"', b",", b"\n", b"\r", b"[" * 5000, b"9" * 400, b"-1", b"NaN", b"null", b"\xed\xa0\x80")


@dataclass(frozen=True)
class Target:
    """Something that reads bytes.

    Attributes:
        seeds: makes the files that inputs are made from.
        use: reads an input; a folder of its own is there for it.
        expected: what it may raise.
        repair: makes checksums right again, without which most inputs would stop there.
    """

    seeds: Callable[[], list[bytes]]
    use: Use
    expected: tuple[type[Exception], ...]
    repair: Callable[[bytes], bytes] | None = None


@dataclass
class Report:
    """What became of the inputs of one target."""

    inputs: int = 0
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    failures: list[str] = field(default_factory=list)


def pictures() -> list[bytes]:
    """A picture in every format and mode that is read."""
    size = (20, 16)
    grey = Image.linear_gradient("L").resize(size)
    colour = Image.merge("RGB", (grey, grey.rotate(180), grey.transpose(Image.Transpose.FLIP_LEFT_RIGHT)))
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = Image.fromarray(np.arange(320, dtype=np.uint16).reshape(16, 20) * 200)
    plain = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "ICO")
    forms: list[tuple[Image.Image, str, dict[str, Any]]] = [
        *((colour, form, {}) for form in plain),
        (colour, "JPEG", {"progressive": True, "exif": exif}),
        (colour.convert("CMYK"), "JPEG", {}),
        (grey, "JPEG", {"restart_marker_blocks": 1}),
        *((colour.convert(mode), "PNG", {"exif": exif}) for mode in ("RGBA", "P", "LA", "1")),
        (colour, "PNG", {"save_all": True, "append_images": [grey.convert("RGB")]}),
        (deep, "PNG", {}),
        (colour, "WEBP", {"lossless": True, "exif": exif}),
        (colour, "WEBP", {"save_all": True, "append_images": [colour.rotate(90)]}),
        (colour, "GIF", {"save_all": True, "append_images": [colour.rotate(90)], "comment": b"c" * 300}),
        *((colour, "TIFF", {"compression": name}) for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")),
        (grey.convert("1"), "TIFF", {"compression": "group4"}),
        (deep, "TIFF", {}),
        *((grey.convert(mode), "TIFF", {}) for mode in ("F", "I")),
        (colour.convert("LAB"), "TIFF", {}),
        *((colour.convert(mode), "BMP", {}) for mode in ("P", "1", "RGBA")),
        (grey.convert("F"), "PPM", {}),
        (grey, "JPEG2000", {"irreversible": True}),
    ]  # fmt: skip
    found = []
    for image, form, options in forms:
        buffer = io.BytesIO()
        image.save(buffer, form, **options)
        found.append(buffer.getvalue())
    with suppress(ImportError):
        import pillow_heif

        buffer = io.BytesIO()
        pillow_heif.from_pillow(colour.resize((64, 64))).save(buffer)
        found.append(buffer.getvalue())
    return [*found, b"P3 3 2 255\n255 0 0 0 255 0 0 0 255\n255 255 0 255 255 255 0 0 0\n"]


def zips() -> list[bytes]:
    """Zips of class folders, packed in every way."""
    found = []
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", kind) as archive:
            for name in ("a/1.png", "a/2.png", "b/1.png", "b/2.png", "../out.png"):
                archive.writestr(name, name.encode() * 20)
        found.append(buffer.getvalue())
    return found


def tables() -> list[bytes]:
    """Tables of pictures, of several dialects."""
    rows = "".join(f"{label}/{n}.png,{label},{side},p{n}\n" for label in "ab" for n in range(4) for side in ("train",))
    text = "path,label,split,group\n" + rows + '"a/quo""ted, 1.png",a,val,\n'
    return [
        text.encode(),
        text.replace(",", ";").encode(),
        text.encode("utf-8-sig"),
        text.replace("\n", "\r\n").encode(),
    ]


def pickles() -> list[bytes]:
    """Pickled arrays in every protocol that is read, as dicts and as pairs."""
    colours, labels = np.arange(96, dtype=np.uint8).reshape(2, 4, 4, 3), np.array(["a", "b"])
    contents = ({"men": colours, "women": list(colours)}, (colours, [0, 1]), ((colours, labels), (colours, labels)))
    return [pickle.dumps(content, protocol) for content in contents for protocol in range(2, 6)]


def arrays() -> list[bytes]:
    """Files of arrays of the other kinds, with and without labels."""
    colours, labels = np.arange(96, dtype=np.uint8).reshape(2, 4, 4, 3), np.array([0, 1])
    named: list[dict[str, np.ndarray]] = [
        {"cat": colours, "dog": colours},
        {"x_train": colours / 255, "y_train": labels, "class_names": np.array(["cat", "dog"])},
    ]
    found = []
    for save in (np.savez, np.savez_compressed):
        for content in named:
            buffer = io.BytesIO()
            save(buffer, **content)
            found.append(buffer.getvalue())
    buffer = io.BytesIO()
    np.save(buffer, colours)
    return [*found, buffer.getvalue()]


def parquets() -> list[bytes]:
    """A table of pictures as Parquet."""
    import pyarrow
    from pyarrow import parquet

    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table({"path": list("abcdef"), "label": list("xyxyxy")}), buffer)
    return [buffer.getvalue()]


def label_files() -> list[bytes]:
    """Lists of classes."""
    return ["cat\ndog\n\n größe \n猫\n".encode(), b"\xef\xbb\xbfa\r\nb\r\nc", b"a\n" * 2]


def stat_caches() -> list[bytes]:
    """A file of digests by path."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cache"
        StatCache(path).remember({f"/somewhere/{n}.png": ((n, 0, 0, n), "ab" * 20) for n in range(20)})
        return [path.read_bytes()]


def shards() -> list[bytes]:
    """A shard of the store."""
    with tempfile.TemporaryDirectory() as folder:
        space = Space(Path(folder))
        space.append([bytes([n] * 20).hex() for n in range(5)], [np.ones((5, 3), np.float32)])
        return [file.read_bytes() for file in Path(folder).glob("*.safetensors")]


def reader(name: str) -> Use:
    """Lists what is labelled in a file of that name, and reads every picture of it."""

    def use(data: bytes, folder: Path) -> None:
        (folder / name).write_bytes(data)
        for picture in list_labelled(folder / name).pictures:
            with suppress(OSError):
                read_file(picture.path)

    return use


def read_arrays(data: bytes, folder: Path) -> None:
    """List a file of arrays and read every picture of it."""
    path = folder / "x"
    path.write_bytes(data)
    for picture in list_any([path]):
        with suppress(OSError):
            read_file(picture.path)


def read_label_file(data: bytes, folder: Path) -> None:
    """Read a list of classes."""
    path = folder / "labels.txt"
    path.write_bytes(data)
    read_labels(path)


def read_stat_cache(data: bytes, folder: Path) -> None:
    """Look files up, and remember one; whatever the cache holds, that is never an error."""
    _empty(folder)  # of what SQLite keeps beside it
    path = folder / "cache"
    path.write_bytes(data)
    cache = StatCache(path)
    cache.lookup([str(path)])
    cache.remember({str(path): ((1, 0, 0, 1), "ab" * 20)})


def read_shard(data: bytes, folder: Path) -> None:
    """Open a shard and read what is whole of it; what is damaged is said in the log and forgotten."""
    _empty(folder)
    (folder / "x.safetensors").write_bytes(data)
    space = Space(folder).refresh()
    space.discard_damaged()
    keys = list(space._where)
    if keys:
        space.read(keys)


def _empty(folder: Path) -> None:
    for old in folder.iterdir():
        old.unlink()


class RunFiles:
    """A RUN of a tiny classifier, one of whose files is what is thrown.

    Its digests are made right again, as somebody who means harm would do.
    """

    ABOUT: dict[str, Any] = {  # noqa: RUF012 never changed
        "format": FORMAT,
        "classes": ["cat", "dog", "größe"],
        "decode": {"height": 4, "width": 4, "fit": "crop"},
        "precision": "f32",
        "output": "softmax",
        "head": "linear",
        "runtime": {"name": "openvino", "version": "1", "precision": "f32"},
        "recipe": {},
    }
    METRICS = json.dumps({"accuracy": 0.5, "loss": 1e-3, "per_class": {"cat": {"n": 3}}}).encode()
    SPLITS = b"path,label,side,digest\na/1.png,a,train,abcd\n'=b,b,val,ef\n"
    UNFINISHED = json.dumps({"data": "data", "backbone": "nano", "epochs": 3, "val": 0.2, "seed": 0}).encode()

    def about(self, digests: dict[str, str] | None = None) -> bytes:
        """What is in `bundle.json`."""
        found = digests or {"model.keras": "0" * 40, "runtime/trainable.xml": "0" * 40}
        return json.dumps({**self.ABOUT, "digests": found}, indent=1).encode()

    def load(self, data: bytes, folder: Path) -> None:
        """Open a RUN whose `bundle.json` is thrown."""
        (folder / "bundle.json").write_bytes(data)
        Run(folder)

    def metrics(self, data: bytes, folder: Path) -> None:
        """Open a RUN and read its other tables, which are thrown."""
        (folder / "bundle.json").write_bytes(self.about())
        (folder / "metrics.json").write_bytes(data)
        (folder / "splits.csv").write_bytes(data)
        (folder / "training").mkdir(exist_ok=True)
        (folder / "training" / "recipe.json").write_bytes(data)
        run = Run(folder)
        for use in (lambda: run.metrics, run.trained_on, lambda: unfinished(folder)):
            with suppress(HeadstartError):
                use()

    def graph(self) -> bytes:
        """The classifier in OpenVINO's form, as the text that describes it."""
        import openvino
        from openvino import opset13 as ops

        pixels = ops.parameter([-1, 4, 4, 3], np.float32, name="pixels")
        means = ops.reduce_mean(pixels, np.array([1, 2]), False)
        model = openvino.Model([ops.softmax(means, 1)], [pixels], "tiny")
        with tempfile.TemporaryDirectory() as folder:
            openvino.save_model(model, Path(folder) / "x.xml", compress_to_fp16=False)
            self.weights = (Path(folder) / "x.bin").read_bytes()
            return (Path(folder) / "x.xml").read_bytes()

    def run(self, data: bytes, folder: Path) -> None:
        """Classify with a model that is thrown."""
        if not hasattr(self, "weights"):
            self.graph()
        (folder / "runtime").mkdir(exist_ok=True)
        (folder / "runtime" / "trainable.xml").write_bytes(data)
        (folder / "runtime" / "trainable.bin").write_bytes(self.weights)
        names = ("runtime/trainable.xml", "runtime/trainable.bin")
        digests = {"model.keras": "0" * 40, **{name: file_digest(folder / name) for name in names}}
        (folder / "bundle.json").write_bytes(self.about(digests))
        Run(folder).probabilities(np.zeros((1, 4, 4, 3), np.uint8))


def right_checksums(data: bytes) -> bytes:
    """A PNG whose chunks have the checksums that they should have; anything else as it is."""
    if not data.startswith(b"\x89PNG"):
        return data
    fixed, place = bytearray(data), 8
    while place + 12 <= len(data):
        stop = place + 8 + int.from_bytes(data[place : place + 4], "big")
        if stop + 4 > len(data):
            break
        fixed[stop : stop + 4] = zlib.crc32(data[place + 4 : stop]).to_bytes(4, "big")
        place = stop + 4
    return bytes(fixed)


_RUN = RunFiles()
TARGETS: dict[str, Target] = {
    "decode": Target(
        pictures, lambda data, folder: void(decode(data, _RECIPE)), (UndecodableError,), repair=right_checksums
    ),
    "zip": Target(zips, reader("x.zip"), (HeadstartError,)),
    "table": Target(tables, reader("x.csv"), (HeadstartError,)),
    "pickle": Target(pickles, read_arrays, (HeadstartError,)),
    "arrays": Target(arrays, read_arrays, (HeadstartError,)),
    "parquet": Target(parquets, reader("x.parquet"), (HeadstartError,)),
    "labels": Target(label_files, read_label_file, (HeadstartError,)),
    "bundle": Target(lambda: [_RUN.about()], _RUN.load, (HeadstartError,)),
    "run": Target(lambda: [_RUN.METRICS, _RUN.SPLITS, _RUN.UNFINISHED], _RUN.metrics, (HeadstartError,)),
    "graph": Target(lambda: [_RUN.graph()], _RUN.run, (HeadstartError,)),
    "stat cache": Target(stat_caches, read_stat_cache, ()),
    "store": Target(shards, read_shard, ()),
}


def void(_: object) -> None:
    """Make nothing of a result."""


def mutated(seeds: Sequence[bytes], chance: Random) -> bytes:
    """One of the seeds, changed in a few places."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        if data:
            chance.choice(_CHANGES)(data, seeds, chance)
    return bytes(data)


def _flip(data: bytearray, seeds: Sequence[bytes], chance: Random) -> None:
    data[_place(data, chance)] ^= 1 << chance.randrange(8)


def _set(data: bytearray, seeds: Sequence[bytes], chance: Random) -> None:
    data[_place(data, chance)] = chance.randrange(256)


def _extreme(data: bytearray, seeds: Sequence[bytes], chance: Random) -> None:
    width = chance.choice((1, 2, 4, 8))
    value = (chance.choice(_EXTREMES) + chance.choice((-1, 0, 0, 1))) % (1 << 8 * width)
    place = _place(data, chance)
    data[place : place + width] = value.to_bytes(width, chance.choice(("little", "big")))


def _cut(data: bytearray, seeds: Sequence[bytes], chance: Random) -> None:
    del data[chance.randrange(len(data)) :]


def _splice(data: bytearray, seeds: Sequence[bytes], chance: Random) -> None:
    other = chance.choice(seeds)
    data[_place(data, chance) :] = other[chance.randrange(len(other)) :]


def _repeat(data: bytearray, seeds: Sequence[bytes], chance: Random) -> None:
    place, size = _place(data, chance), chance.choice((1, 4, 12, 64))
    data[place:place] = data[place : place + size] * chance.choice((1, 2, 50))


def _remove(data: bytearray, seeds: Sequence[bytes], chance: Random) -> None:
    place = _place(data, chance)
    del data[place : place + chance.choice((1, 4, 12, 64))]


def _insert(data: bytearray, seeds: Sequence[bytes], chance: Random) -> None:
    place = _place(data, chance)
    data[place:place] = chance.choice(
        (b"\0", b"\xff", b'"', b",", b"\n", b"[" * 5000, b"9" * 400, b"-1", b"NaN", b"\xed\xa0\x80")
    )


def _place(data: bytearray, chance: Random) -> int:
    """Anywhere, but more often near the beginning, where headers are."""
    return chance.randrange(min(len(data), chance.choice((32, 128, len(data)))))


_CHANGES = (_flip, _flip, _set, _set, _extreme, _extreme, _extreme, _cut, _splice, _repeat, _remove, _insert)


def work(pipe: Connection, name: str, seed: int, first: int, last: int, memory: int) -> None:
    """Throw inputs at a target; tells before each one which it is, and afterwards what became of it."""
    target = TARGETS[name]
    seeds = target.seeds()
    if memory:
        resource.setrlimit(resource.RLIMIT_AS, (memory << 20, memory << 20))
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, last):
            data = input_of(target, seeds, seed, number)
            pipe.send(("begin", number, data))
            started = time.perf_counter()
            verdict, details = _try(target, data, Path(folder))
            pipe.send((verdict, details, time.perf_counter() - started))
    pipe.send(("end", "", 0.0))


def input_of(target: Target, seeds: Sequence[bytes], seed: int, number: int) -> bytes:
    """The same bytes for the same seed and number."""
    chance = Random(f"{seed}:{number}")
    data = mutated(seeds, chance)
    return target.repair(data) if target.repair and chance.random() < 0.7 else data


def _try(target: Target, data: bytes, folder: Path) -> tuple[str, str]:
    try:
        target.use(data, folder)
    except target.expected as error:
        if isinstance(error.__cause__, MemoryError):
            return "failed", f"it wanted more memory than there is: {error}"
        if "\n" in str(error):
            return "failed", f"a message that is not one line: {error!r}"
        return "refused", type(error).__name__
    except BaseException:
        return "failed", traceback.format_exc()
    return "accepted", ""


def fuzz(name: str, inputs: int, seed: int, memory: int, failures: Path) -> Report:
    """Throw inputs at a target in a process of its own, another one after each crash."""
    report = Report()
    while report.inputs < inputs and len(report.failures) < 20:
        _attend(report, name, inputs, seed, memory, failures)
    return report


def _attend(report: Report, name: str, inputs: int, seed: int, memory: int, failures: Path) -> None:
    """Listen to one process until it ends, however it does."""
    here, there = multiprocessing.Pipe(duplex=False)
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=work, args=(there, name, seed, report.inputs, inputs, memory))
    process.start()
    there.close()
    data, begun = b"", False
    try:
        while here.poll(60 if not begun else 6 * SLOWEST):
            kind, *rest = here.recv()
            if kind == "end":
                return
            if kind == "begin":
                begun, data = True, rest[1]
                report.inputs += 1
                continue
            _count(report, kind, rest[0], rest[1], data, name, failures)
        _fail(report, "it hangs", data, name, failures)
    except EOFError:
        process.join(10)
        _fail(report, f"the process ended with {process.exitcode}", data, name, failures)
    finally:
        process.kill()
        process.join()


def _count(report: Report, kind: str, details: str, seconds: float, data: bytes, name: str, failures: Path) -> None:
    report.slowest = max(report.slowest, seconds)
    if kind == "accepted":
        report.accepted += 1
    elif kind == "refused":
        report.refused[details] += 1
    else:
        _fail(report, details, data, name, failures)
    if seconds > SLOWEST:
        _fail(report, f"it took {seconds:.1f} s", data, name, failures)


def _fail(report: Report, why: str, data: bytes, name: str, failures: Path) -> None:
    failures.mkdir(parents=True, exist_ok=True)
    path = failures / f"{name.replace(' ', '-')}-{report.inputs}.bin"
    path.write_bytes(data)
    report.failures.append(f"{name}, input {report.inputs - 1}, kept as {path}: {why}")


def main() -> int:
    """Throw, and print a table of what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all if none is given")
    parser.add_argument("--inputs", type=int, default=10_000, help="for each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory", type=int, default=3000, help="address space of the process in MiB; 0: no bound")
    parser.add_argument("--failures", type=Path, default=Path("fuzz-failures"), help="folder for inputs that failed")
    given = parser.parse_args()
    unknown = set(given.targets) - set(TARGETS)
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    print(f"{'target':<12}{'inputs':>9}{'accepted':>10}{'slowest s':>11}  refused by")
    failures = []
    for name in given.targets or TARGETS:
        report = fuzz(name, given.inputs, given.seed, given.memory, given.failures)
        refused = ", ".join(f"{kind} {count:,}" for kind, count in report.refused.most_common())
        print(
            f"{name:<12}{report.inputs:>9,}{report.accepted:>10,}{report.slowest:>11.2f}  {refused or '-'}", flush=True
        )
        failures += report.failures
    for failure in failures:
        print(f"\n{failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
