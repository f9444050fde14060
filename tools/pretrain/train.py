"""Step 3: train nano to see what the teacher sees, and the labels.

    python tools/pretrain/train.py WORK --out NAME [--epochs 16] [--batch 256] [--rate 2e-3]

Three losses on the same crops that the teacher saw, flipped at random: the teacher's pooled features (mean squared
error), its feature map, cell by cell, and the labels. After every epoch WORK/NAME gets `student_N.keras`, from which it
goes on when the command is given again, and `nano.safetensors` for the package.
"""

import argparse
import json
import math
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault(
    "TF_ENABLE_ONEDNN_OPTS", "1"
)  # off by default on processors without AVX-512, and faster there too

import keras
import numpy as np
from common import VALIDATION, boxes, crop

from headstart.models.nano import Nano, preprocess_input, save_weights


class Batches(keras.utils.PyDataset):
    """One epoch: each picture once, in the view that is its turn."""

    def __init__(self, work: Path, epoch: int, batch: int, side: int, views: int):
        super().__init__(workers=1, max_queue_size=8)
        self.pictures = np.load(work / "train_pictures.npy", mmap_mode="r")
        self.labels = np.load(work / "train_labels.npy")
        self.pooled = [np.load(work / f"pooled_{view}.npy", mmap_mode="r") for view in range(views)]
        self.maps = [np.load(work / f"maps_{view}.npy", mmap_mode="r") for view in range(views)]
        self.boxes = [boxes(view, len(self.pictures), self.pictures.shape[1]) for view in range(views)]
        random = np.random.default_rng([23, epoch])
        self.order = random.permutation(len(self.pictures))
        # Every picture shows all of its views in turn, beginning with another one each.
        self.views = (np.arange(len(self.pictures)) + epoch) % views
        self.flipped = random.random(len(self.pictures)) < 0.5
        self.batch, self.side = batch, side

    def __len__(self) -> int:
        """Whole batches only."""
        return len(self.pictures) // self.batch

    def __getitem__(self, number: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Pixels, and what the teacher and the labels say of them."""
        chosen = self.order[number * self.batch : (number + 1) * self.batch]
        pixels = np.stack([crop(self.pictures[i], self.boxes[self.views[i]][i], self.side) for i in chosen])
        maps = np.stack([self.maps[self.views[i]][i] for i in chosen])
        flipped = self.flipped[chosen]
        pixels[flipped], maps[flipped] = pixels[flipped, :, ::-1], maps[flipped, :, ::-1]
        pooled = np.stack([self.pooled[self.views[i]][i] for i in chosen])
        return pixels, {"pooled": pooled, "map": maps, "label": self.labels[chosen]}


def build_student(rows: int, components: int, width: int, classes: int) -> keras.Model:
    """The network between pixels and what it is taught."""
    pixels = keras.Input((None, None, 3), name="pixels")
    nano = Nano(weights=None, input_shape=(None, None, 3))
    features = nano(preprocess_input(pixels))
    vector = keras.layers.GlobalAveragePooling2D()(features)
    cells = keras.ops.image.resize(features, (rows, rows))
    outputs = {
        "pooled": keras.layers.Dense(width, name="pooled")(vector),
        "map": keras.layers.Conv2D(components, 1, name="map")(cells),
        "label": keras.layers.Dense(classes, name="label")(vector),
    }
    return keras.Model(pixels, outputs)


def compiled(student: keras.Model, arguments: argparse.Namespace, steps: int) -> keras.Model:
    """With AdamW, one epoch of warm-up and a cosine to nothing."""
    total = steps * arguments.epochs
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, total - steps, warmup_target=arguments.rate, warmup_steps=steps
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=arguments.decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    student.compile(
        optimizer,
        loss={
            "pooled": "mean_squared_error",
            "map": "mean_squared_error",
            "label": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        },
        loss_weights={"pooled": 1.0, "map": arguments.map_weight, "label": arguments.label_weight},
        metrics={"label": "accuracy"},
    )
    return student


def side_of(epoch: int, epochs: int) -> int:
    """Small pictures first: half the work, and sharp where crops are shrunk (Tan and Le, arXiv 2104.00298)."""
    return 48 if epoch < math.floor(epochs * 0.4) else 64


def validate(student: keras.Model, work: Path, limit: int = 2000) -> float:
    """The share of whole validation pictures that the label head gets right."""
    pictures = np.load(work / "val_pictures.npy", mmap_mode="r")
    labels = np.load(work / "val_labels.npy")
    chosen = np.random.default_rng(0).permutation(len(labels))[:limit]
    places = boxes(VALIDATION, len(pictures), pictures.shape[1])
    pixels = np.stack([crop(pictures[i], places[i], pictures.shape[1]) for i in chosen])
    found = student.predict(pixels, batch_size=250, verbose=0)["label"].argmax(1)
    return float(np.mean(found == labels[chosen]))


def main() -> None:
    """Train what is left to train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--out", required=True)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--decay", type=float, default=0.05)
    parser.add_argument("--map-weight", type=float, default=1.0)
    parser.add_argument("--label-weight", type=float, default=0.2)
    arguments = parser.parse_args()
    keras.utils.set_random_seed(0)
    folder = arguments.work / arguments.out
    folder.mkdir(parents=True, exist_ok=True)
    views = len(list(arguments.work.glob("pooled_*.npy")))
    history = folder / "history.jsonl"
    done = len(history.read_text().splitlines()) if history.exists() else 0
    shape = np.load(arguments.work / "maps_0.npy", mmap_mode="r").shape
    width = np.load(arguments.work / "pooled_0.npy", mmap_mode="r").shape[1]
    if done:
        student = keras.models.load_model(folder / f"student_{done}.keras")
    else:
        whole = Batches(arguments.work, 0, arguments.batch, 64, views)
        classes = int(whole.labels.max()) + 1
        student = compiled(build_student(shape[1], shape[3], width, classes), arguments, len(whole))
    for epoch in range(done, arguments.epochs):
        batches = Batches(arguments.work, epoch, arguments.batch, side_of(epoch, arguments.epochs), views)
        fitted = student.fit(batches, initial_epoch=epoch, epochs=epoch + 1, verbose=1)
        student.save(folder / f"student_{epoch + 1}.keras")
        (folder / f"student_{epoch}.keras").unlink(missing_ok=True)
        row = {name: round(values[0], 5) for name, values in fitted.history.items()}
        row |= {"epoch": epoch + 1, "val_accuracy": validate(student, arguments.work)}
        with history.open("a") as stream:
            stream.write(json.dumps(row) + "\n")
        print(row, flush=True)
        save_weights(student.get_layer("nano"), folder / "nano.safetensors")


if __name__ == "__main__":
    main()
