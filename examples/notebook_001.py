r"""Notebook 001: MobileNetV2 with its top, one sigmoid unit on `layers[-2]`, trained from layer 113 on.

    headstart train DATA --out RUN --backbone mobilenet_v2 --include-top --strategy finetune \
        --unfreeze from:113 --batchnorm follow --head linear --output sigmoid --optimizer adam \
        --learning-rate 0.001 --schedule constant --epochs 20 --patience 20 --batch-size 8 --augment none \
        --label-smoothing 0 --fit stretch --tensorboard logs/MobileNetV2-transferlearning

Layer 113 is `block_12_project`; the sum behind it joins two tensors, so two are kept of each picture. The notebook
shows no accuracy: it died of a folder for TensorBoard that could not be made. Here that is found out
before anything is trained. `adam` at Keras' own 0.001 is steep for fine-tuning; the best epoch is kept.

Measured with MobileNet 0.25 with its top in the place of MobileNetV2, 5 epochs, 800 + 300 cats and dogs, two cores:
0.8833 in 30 s; expected is 0.82 to 0.96.

    python examples/notebook_001.py CATS_DOGS RUN --backbone mobilenet_0.25 --weights WITHOUT_TOP \
        --tap dropout --unfreeze from:55 --epochs 5
"""

from choices import choices

import headstart

RECIPE = {
    "backbone": "mobilenet_v2",
    "include_top": True,
    "strategy": "finetune",
    "unfreeze": "from:113",
    "batchnorm": "follow",
    "head": "linear",
    "output": "sigmoid",
    "optimizer": "adam",
    "learning_rate": 0.001,
    "schedule": "constant",
    "epochs": 20,
    "patience": 20,
    "batch_size": 8,
    "augment": "none",
    "label_smoothing": 0.0,
    "fit": "stretch",
    "tensorboard": "logs/MobileNetV2-transferlearning",
}

if __name__ == "__main__":
    run = headstart.train(**choices(__doc__, RECIPE))
    print(f"accuracy {run.metrics['accuracy']:.4f}")
