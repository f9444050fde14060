r"""Notebook 002, fine-tuning, scenario 1: the model of experiment 1 trained further, with its last 34 layers.

    headstart train DATA --out RUN --from EXPERIMENT_1 --strategy finetune --unfreeze last:34 \
        --batchnorm follow --schedule decay:1e-6 --optimizer sgd --learning-rate 0.001 --batch-size 16 \
        --patience 20 --augment none --label-smoothing 0 --epochs 5

Network, head and decoding are those of the RUN that `--from` names; a run of `notebook_002_experiment_1.py`.

Measured with MobileNet without its last block in the place of InceptionV3, with the ImageNet weights that were at
hand, 800 + 300 cats and dogs, two cores: 0.9733 in 57 s; expected is 0.95 to 0.99.

    python examples/notebook_002_scenario_1.py CATS_DOGS RUN --from EXPERIMENT_1
"""

from choices import choices

import headstart

RECIPE = {
    "from_run": "EXPERIMENT_1",
    "strategy": "finetune",
    "unfreeze": "last:34",
    "batchnorm": "follow",
    "schedule": "decay:1e-6",
    "optimizer": "sgd",
    "learning_rate": 0.001,
    "batch_size": 16,
    "patience": 20,
    "augment": "none",
    "label_smoothing": 0.0,
    "epochs": 5,
}

if __name__ == "__main__":
    run = headstart.train(**choices(__doc__, RECIPE))
    print(f"accuracy {run.metrics['accuracy']:.4f}")
