r"""Notebook 004, method 1: MobileNetV2 frozen, pooled, on it dense layers of 1,024 and 512 units, dropout; flowers.

    headstart train DATA --out RUN --backbone mobilenet_v2 --strategy head \
        --head dense:1024,dense:512,dropout:0.2 --loss categorical --optimizer adam --learning-rate 0.001 \
        --schedule constant --epochs 5 --augment none --label-smoothing 0 --fit stretch

The notebook shows no accuracy.

Measured with MobileNet 0.25 in the place of MobileNetV2, with the ImageNet weights that were at hand, 2,569 + 550
flowers, two cores: 0.8564 in 11 s; expected is 0.82 to 0.89.

    python examples/notebook_004_method_1.py FLOWERS RUN --backbone mobilenet_0.25
"""

from choices import choices

import headstart

RECIPE = {
    "backbone": "mobilenet_v2",
    "strategy": "head",
    "head": "dense:1024,dense:512,dropout:0.2",
    "loss": "categorical",
    "optimizer": "adam",
    "learning_rate": 0.001,
    "schedule": "constant",
    "epochs": 5,
    "augment": "none",
    "label_smoothing": 0.0,
    "fit": "stretch",
}

if __name__ == "__main__":
    run = headstart.train(**choices(__doc__, RECIPE))
    print(f"accuracy {run.metrics['accuracy']:.4f}")
