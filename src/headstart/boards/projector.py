"""The embedding projector: the features of a RUN's pictures as points, each with its thumbnail and what is known of it.

What it reads is described in TensorBoard's `plugins/projector/projector_config.proto`.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from headstart.boards.draw import sheet
from headstart.boards.record import Record, Seen
from headstart.evaluation.evaluate import of_both_classes
from headstart.evaluation.unlike import pooled
from headstart.feature_files.of_run import keep_of_run
from headstart.features.extract import load_pictures
from headstart.features.runtime import OpenVINORuntime
from headstart.features.store import Arrays, Store
from headstart.images.decode import DecodeRecipe
from headstart.images.pictures import Quarantined
from headstart.texts import inert, printable

MOST = 2000
"""Pictures in a projector; browsers are slow with more."""

SIDE = 64
"""Rows and columns of a thumbnail; `MOST` of them make a sheet of 2,880, and 8,192 is the most that is drawn."""

_COLUMNS = ("label", "predicted", "side", "path")
_QUALITY = 85


def write_projector(folder: Path, record: Record, store: Store, show: bool = False) -> int:
    """Write the configuration of a projector and what it names.

    Of more than `MOST` pictures those with the smallest digests are taken, which are as good as drawn at random.

    Args:
        folder: where TensorBoard finds events, too.
        record: the pictures.
        store: where features are kept.
        show: whether to draw a progress bar.

    Returns:
        How many pictures there are in it; it is not written for none.

    Raises:
        RunError: if the RUN has no frozen half.
    """
    from google.protobuf import text_format
    from tensorboard.plugins.projector import ProjectorConfig

    there = sorted((picture for picture in record.pictures if picture.path), key=lambda picture: picture.digest)[:MOST]
    kept = keep_of_run(record.run, [str(picture.path) for picture in there], store, show)
    # A file that has another content by now is another picture.
    chosen = [picture for picture in there if kept.digests.get(str(picture.path)) == picture.digest]
    if not chosen:
        return 0
    tensors = kept.read([str(picture.path) for picture in chosen])
    np.savetxt(folder / "features.tsv", pooled(tensors), fmt="%.5g", delimiter="\t")
    _write_metadata(folder / "metadata.tsv", chosen, _predicted(record, chosen, tensors))
    drawn = sheet(thumbnails([str(picture.path) for picture in chosen], SIDE))
    cv2.imwrite(str(folder / "sprite.jpg"), drawn[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    config = ProjectorConfig()
    embedding = config.embeddings.add(tensor_name="features", tensor_path="features.tsv", metadata_path="metadata.tsv")
    embedding.sprite.image_path = "sprite.jpg"
    embedding.sprite.single_image_dim.extend([SIDE, SIDE])
    (folder / "projector_config.pbtxt").write_text(text_format.MessageToString(config), encoding="utf-8")
    return len(chosen)


def thumbnails(paths: Sequence[str], side: int) -> list[np.ndarray]:
    """The middle of pictures, uint8 RGB `(side, side, 3)` each; grey where one cannot be decoded any more."""
    grey = np.full((side, side, 3), 200, np.uint8)
    found = load_pictures(paths, DecodeRecipe(side, side, "crop"))
    return [grey if isinstance(content, Quarantined) else content for _, content in found]


def _predicted(record: Record, pictures: Sequence[Seen], tensors: Arrays) -> list[str]:
    """What the RUN takes pictures for: as it reported, and for training pictures as it says now."""
    runtime = OpenVINORuntime(record.run.runtime_files()[-1], "f32")
    units = runtime(*tensors)[0]
    numbers = (of_both_classes(units) if units.shape[1] == 1 else units).argmax(axis=1)
    return [picture.predicted or record.run.classes[number] for picture, number in zip(pictures, numbers, strict=True)]


def _write_metadata(path: Path, pictures: Sequence[Seen], predicted: Sequence[str]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None)
        rows.writerow(_COLUMNS)
        for picture, name in zip(pictures, predicted, strict=True):
            rows.writerow(printable(str(inert(text))) for text in (picture.label, name, picture.side, picture.name))
