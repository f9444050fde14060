r"""Notebook 002, experiment 2: bottleneck features of InceptionV3, on them dropout and one sigmoid unit, Adadelta.

    headstart train DATA --out RUN --backbone inception_v3 --strategy head --head dropout:0.2 \
        --output sigmoid --schedule constant --optimizer adadelta --batch-size 16 --patience 20 \
        --augment none --label-smoothing 0 --fit stretch --epochs 5

The notebook exports the features by hand, 5 epochs in some ten seconds on 20,000 pictures, and comes to a validation
loss of 0.0229 and 99.4 % right. That is what headstart does always.

Measured with MobileNet without its last block in the place of InceptionV3, with the ImageNet weights that were at
hand, kept features of 800 + 300 cats and dogs, two cores: 0.9567 in 7 s; expected is 0.93 to 0.98.

    python examples/notebook_002_experiment_2.py CATS_DOGS RUN --backbone mobilenet --weights PARTIAL \
        --tap conv_pw_12_relu
"""

from choices import choices

import headstart

RECIPE = {
    "backbone": "inception_v3",
    "strategy": "head",
    "head": "dropout:0.2",
    "output": "sigmoid",
    "schedule": "constant",
    "optimizer": "adadelta",
    "batch_size": 16,
    "patience": 20,
    "augment": "none",
    "label_smoothing": 0.0,
    "fit": "stretch",
    "epochs": 5,
}

if __name__ == "__main__":
    run = headstart.train(**choices(__doc__, RECIPE))
    print(f"accuracy {run.metrics['accuracy']:.4f}")
