"""What a user writes when there is no headstart: the frozen layers inside the graph, run again in every epoch.

Prints one JSON object with the validation accuracy and the seconds of the whole process.

    python benchmarks/plain_keras.py DATA --backbone mobilenet_0.25 --epochs 5
    python benchmarks/plain_keras.py DATA --backbone inception_v3 --weights none --unfreeze 34

DATA holds train/ and val/. With --unfreeze the last layers of the backbone are trained and BatchNorm stays
frozen. The loader, the preprocessing and the training are Keras' own.
"""

import time

STARTED = time.perf_counter()

import argparse  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
from pathlib import Path  # noqa: E402

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

NETWORKS = {
    "mobilenet_0.25": ("MobileNet", "mobilenet", 224, {"alpha": 0.25}),
    "mobilenet_v2": ("MobileNetV2", "mobilenet_v2", 224, {}),
    "inception_v3": ("InceptionV3", "inception_v3", 299, {}),
    "resnet50": ("ResNet50", "resnet", 224, {}),
}


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--backbone", default="mobilenet_0.25", choices=NETWORKS)
    parser.add_argument("--weights", default="imagenet", choices=["imagenet", "none"])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--unfreeze", type=int, default=0, help="train the last so many layers of the backbone, too")
    arguments = parser.parse_args()
    import keras  # so that --help comes at once

    keras.utils.set_random_seed(0)
    constructor, module, side, options = NETWORKS[arguments.backbone]
    weights = None if arguments.weights == "none" else arguments.weights
    shape = {"image_size": (side, side), "batch_size": 16, "verbose": False}
    train = keras.utils.image_dataset_from_directory(arguments.data / "train", seed=0, **shape)
    val = keras.utils.image_dataset_from_directory(arguments.data / "val", shuffle=False, **shape)

    backbone = getattr(keras.applications, constructor)(
        weights=weights, include_top=False, pooling="avg", input_shape=(side, side, 3), **options
    )
    backbone.trainable = arguments.unfreeze > 0
    for number, layer in enumerate(backbone.layers):
        trained = number >= len(backbone.layers) - arguments.unfreeze
        layer.trainable = trained and not isinstance(layer, keras.layers.BatchNormalization)
    pixels = keras.Input((side, side, 3))
    x = backbone(getattr(keras.applications, module).preprocess_input(pixels), training=False)
    x = keras.layers.Dropout(0.2)(x)
    model = keras.Model(pixels, keras.layers.Dense(len(train.class_names), activation="softmax")(x))
    rate = 1e-3 if arguments.unfreeze else 1e-2
    optimizer = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(train, validation_data=val, epochs=arguments.epochs, verbose=0).history
    print(json.dumps({"accuracy": history["val_accuracy"][-1], "seconds": time.perf_counter() - STARTED}))


if __name__ == "__main__":
    main()
