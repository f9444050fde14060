"""Every choice of one training, in one value that is checked at once."""

import math
import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, fields
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, get_args

from headstart.errors import RecipeError, nearest
from headstart.objects.addresses import as_path, is_address
from headstart.specs import (
    MIXING,
    parse_augment,
    parse_fold,
    parse_group_pattern,
    parse_head,
    parse_label_pattern,
    parse_ops,
    parse_schedule,
    parse_unfreeze,
)

Fit = Literal["crop", "stretch"]
PrecisionChoice = Literal["auto", "f32", "bf16"]
Strategy = Literal["auto", "head", "finetune", "scratch"]
BatchNorm = Literal["frozen", "adapt", "follow", "trainable"]
Output = Literal["softmax", "sigmoid"]
Loss = Literal["auto", "sparse", "categorical", "binary"]
Optimizer = Literal["adamw", "adam", "amsgrad", "sgd", "adadelta"]
ClassWeights = Literal["none", "balanced"]
MixedPrecision = Literal["auto", "on", "off"]

DEFAULT_UNFREEZE = "top:80%"
"""What is trained where a backbone is fine-tuned and nobody said how much of it."""

LEARNING_RATES: dict[str, dict[Optimizer, float]] = {
    "head": {"adamw": 1e-3, "adam": 1e-3, "amsgrad": 1e-3, "sgd": 1e-2, "adadelta": 1.0},
    "finetune": {"adamw": 3e-4, "adam": 1e-4, "amsgrad": 1e-4, "sgd": 1e-3, "adadelta": 0.1},
    "scratch": {"adamw": 1e-3, "adam": 1e-3, "amsgrad": 1e-3, "sgd": 5e-2, "adadelta": 1.0},
}
"""Where the learning rate begins when nobody says: by what is trained, and by optimizer."""

_CHOICES: dict[str, Any] = {
    "strategy": Strategy,
    "batchnorm": BatchNorm,
    "output": Output,
    "loss": Loss,
    "optimizer": Optimizer,
    "class_weights": ClassWeights,
    "mixed_precision": MixedPrecision,
    "fit": Fit,
    "precision": PrecisionChoice,
}
_PARSED: dict[str, Callable[[str], Any]] = {
    "head": parse_head,
    "augment": parse_augment,
    "augmentations": parse_ops,
    "schedule": parse_schedule,
    "unfreeze": parse_unfreeze,
    "label_pattern": parse_label_pattern,
    "group_by": parse_group_pattern,
    "fold": parse_fold,
}
PATHS = ("data", "out", "weights", "val", "test", "labels", "from_run", "head_from", "tensorboard", "split")
"""The choices that are, or may be, the path of a file or folder."""

_OPTIONAL = (
    *("out", "image_size", "unfreeze", "tap", "test", "labels", "from_run", "head_from", "learning_rate"),
    *("tensorboard", "warmup", "weight_decay", "label_pattern", "group_by", "fold", "split"),
)


@dataclass(frozen=True)
class Recipe:
    """What to train, on what, and how.

    Attributes:
        data: folder of class folders, or of `train` and `val` folders of class folders; a zip of these; or a table,
            see `headstart.images.tables`.
        out: the RUN folder to create; None to keep the result in a temporary folder.
        backbone: name in the registry, as `mobilenet_v2`, or several with commas between, whose features are fused.
        weights: `imagenet`, `none` for random ones, or the path of a file.
        tap: name or number of the layer whose output the head takes; negative numbers count from the end; None for
            the backbone's last one.
        include_top: build the backbone with its own classifier, so that `tap` may be one of the layers there; without
            `tap` it is the last but one.
        extend_imagenet: put the new classes behind ImageNet's 1,000 and start from the backbone's own classifier.
        strategy: `head` trains a new head on the frozen backbone; `finetune` trains the head and what is unfrozen;
            `scratch` trains everything from random weights; `auto` solves the head, fine-tunes from there and keeps
            what is better on the validation pictures.
        unfreeze: which layers of the backbone are trained, see `headstart.specs.parse_unfreeze`; None for what the
            strategy usually does.
        batchnorm: `frozen` runs BatchNormalization on its moving statistics; `adapt` re-estimates these on the training
            pictures first; `follow` trains it where its neighbours are trained; `trainable` trains all of it, so that
            hardly anything of the network can be kept.
        head: see `headstart.specs.HeadSpec`.
        output: `softmax`, or one `sigmoid` unit for two classes.
        loss: `auto` is sparse for softmax and binary for sigmoid.
        from_run: a RUN whose whole model is trained further.
        head_from: a RUN whose head is grafted by name onto the freshly built network.
        labels: a file with one class name per line; None for the names of the folders.
        label_pattern: how the label stands in the names of the files, see `headstart.specs.parse_label_pattern`; None
            where folders or a table say it.
        group_by: how the group stands in the names of the files, see `headstart.specs.parse_group_pattern`. Pictures of
            one group are split to one side; None where there are no groups, or a table has a column for them.
        val: share of pictures kept aside for validation, above 0 and below 1, or the path of a folder of class
            folders. Not used where the data has a folder for validation, unless it is a path.
        test: share of pictures, or a folder of them, on which nothing is chosen; None for none but those of a test
            folder in the data.
        fold: `2/5` takes the second of five folds for validation instead of the share `val`; None for no folds.
        split: `splits.csv` of an earlier RUN; a picture of the same content goes where it was. None for a new split.
        epochs: at most so many, where epochs are run; a solved head has none.
        batch_size: pictures per step.
        optimizer: which one; `amsgrad` is Adam with that option, `sgd` has Nesterov momentum of 0.9.
        learning_rate: where it begins after the warm-up; None for what suits strategy and optimizer.
        schedule: `constant`, `cosine` or `decay:RATE`.
        warmup: epochs in which the learning rate rises from nothing; None for one where the schedule is cosine.
        weight_decay: decoupled in AdamW; None for 0.05 there and none with the others.
        layer_decay: the learning rate of each block is that of the next one times this; 1 for the same everywhere.
        label_smoothing: from 0 to below 1.
        class_weights: `balanced` weighs classes by the inverse of how many pictures they have.
        patience: epochs without a better validation loss after which training stops.
        mixed_precision: whether the trainable part computes in 16 bits; `auto` does so on accelerators.
        augment: `none`, `views=K`, `stream`, or `auto`, see `headstart.specs.Views`.
        augmentations: which random changes, see `headstart.specs.Op`.
        tensorboard: folder for TensorBoard's logs; None for one in RUN.
        image_size: rows and columns in pixels; None for the backbone's native size.
        fit: `crop` keeps the aspect ratio and cuts the centre, `stretch` keeps everything and distorts it.
        standardise: shift and stretch each channel so that the training pictures have the mean and spread that networks
            are used to, see `headstart.models.standardise`.
        seed: for the split, random weights and the order of training; the same seed gives the same result.
        precision: of the frozen part: `f32`, `bf16`, or `auto`, which takes bf16 on an accelerator, and on a processor
            only if it changes hardly anything.
        strict: refuse files that cannot be decoded instead of leaving them out.
        calibrate: divide the logits of the finished model by the temperature that suits the validation pictures, so
            that it is as often right as it says.
    """

    data: str
    out: str | None = None
    backbone: str = "mobilenet_v2"
    weights: str = "imagenet"
    tap: str | None = None
    include_top: bool = False
    extend_imagenet: bool = False
    strategy: Strategy = "auto"
    unfreeze: str | None = None
    batchnorm: BatchNorm = "frozen"
    head: str = "auto"
    output: Output = "softmax"
    loss: Loss = "auto"
    from_run: str | None = None
    head_from: str | None = None
    labels: str | None = None
    label_pattern: str | None = None
    group_by: str | None = None
    val: float | str = 0.2
    test: float | str | None = None
    fold: str | None = None
    split: str | None = None
    epochs: int = 20
    batch_size: int = 32
    optimizer: Optimizer = "adamw"
    learning_rate: float | None = None
    schedule: str = "cosine"
    warmup: float | None = None
    weight_decay: float | None = None
    layer_decay: float = 1.0
    label_smoothing: float = 0.1
    class_weights: ClassWeights = "none"
    patience: int = 5
    mixed_precision: MixedPrecision = "auto"
    augment: str = "auto"
    augmentations: str = "flip,crop"
    tensorboard: str | None = None
    image_size: int | None = None
    fit: Fit = "crop"
    standardise: bool = False
    seed: int = 0
    precision: PrecisionChoice = "auto"
    strict: bool = False
    calibrate: bool = False

    def __post_init__(self) -> None:
        # Whoever writes Python gives paths and numbers of many kinds; below here there are strings, ints and floats.
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in PATHS and isinstance(value, os.PathLike):
                object.__setattr__(self, field.name, str(as_path(value)) if is_address(value) else os.fspath(value))
            elif field.name == "tap" and isinstance(value, Integral):
                object.__setattr__(self, field.name, str(int(value)))
            elif _is_whole(field.type) and isinstance(value, Integral) and not isinstance(value, bool):
                object.__setattr__(self, field.name, int(value))
            elif _is_number(field.name, field.type) and isinstance(value, Real) and not isinstance(value, bool):
                object.__setattr__(self, field.name, float(value))
        problems = list(self._wrong_types())
        if problems:
            raise RecipeError(problems)

    @property
    def backbones(self) -> tuple[str, ...]:
        """The names of the backbones; several are fused."""
        return tuple(name.strip() for name in self.backbone.split(","))

    @property
    def is_solved(self) -> bool:
        """Whether nothing is trained by gradients: a solved head on a backbone that is taken as it is."""
        try:
            return self.strategy == "head" and self.batchnorm == "frozen" and parse_head(self.head).is_solved
        except ValueError:  # of a head that is none, which `check` says
            return False

    def check(self, backbones: Collection[str]) -> None:
        """Refuse a recipe that cannot be carried out, with everything that is wrong with it at once.

        Args:
            backbones: the names in the registry.

        Raises:
            RecipeError: with one sentence for each problem.
        """
        if problems := self.problems(backbones):
            raise RecipeError(problems)

    def problems(self, backbones: Collection[str] | None = None) -> list[str]:
        """What is wrong, one sentence each.

        Args:
            backbones: the names in the registry; None leaves backbones alone, whose names only Keras knows.
        """
        problems = [*self._wrong_names(backbones), *self._wrong_texts(), *self._wrong_numbers()]
        return problems or list(self._contradictions())

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain values, for bundles."""
        return asdict(self)

    def _wrong_types(self) -> Iterator[str]:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.name in _OPTIONAL:
                continue
            kinds, wanted = _wanted(field.name, field.type)
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                yield f"{field.name} is {value!r}; {wanted} is needed."

    def _wrong_names(self, backbones: Collection[str] | None) -> Iterator[str]:
        for name in self.backbones:
            if backbones is not None and name not in backbones:
                yield f"unknown backbone {name!r}; {nearest(name, backbones)}"
        if len(set(self.backbones)) < len(self.backbones):
            yield f"backbone {self.backbone!r} names one twice."
        for name, valid in _CHOICES.items():
            value = getattr(self, name)
            if value not in get_args(valid):
                yield f"unknown {name} {value!r}; {nearest(str(value), get_args(valid))}"
        if self.weights not in ("imagenet", "none") and not Path(self.weights).exists():
            yield f"weights {self.weights!r} is no file; besides a file there are imagenet and none."

    def _wrong_texts(self) -> Iterator[str]:
        for name, parse in _PARSED.items():
            value = getattr(self, name)
            if value is None:
                continue
            try:
                parse(value)
            except ValueError as error:
                yield str(error)
        for name in PATHS:
            if getattr(self, name) == "":
                yield f"{name} is empty; a path is needed."

    def _wrong_numbers(self) -> Iterator[str]:
        for name in ("val", "test"):
            value = getattr(self, name)
            if isinstance(value, float) and not 0 < value < 1:
                yield f"{name} is {value:g}; as a share it lies above 0 and below 1."
        if (
            self.fold is None
            and isinstance(self.val, float)
            and isinstance(self.test, float)
            and self.val + self.test >= 1
        ):
            yield f"val and test are {self.val:g} and {self.test:g}; together they must leave something to learn from."
        for name in ("epochs", "batch_size", "patience", "image_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                yield f"{name} is {value}; at least 1 is needed."
        if not 0 <= self.seed < 2**32:
            yield f"seed is {self.seed}; it lies from 0 to {2**32 - 1}."
        yield from self._wrong_rates()

    def _wrong_rates(self) -> Iterator[str]:
        for name, limit in (("warmup", math.inf), ("weight_decay", 1.0), ("label_smoothing", 1.0)):
            value = getattr(self, name)
            if value is not None and not 0 <= value < limit:
                yield f"{name} is {value:g}; it lies from 0 to below {limit:g}."
        if not 0 < self.layer_decay <= 1:
            yield f"layer_decay is {self.layer_decay:g}; it lies above 0 and up to 1."
        if self.learning_rate is not None and not 0 < self.learning_rate < math.inf:
            yield f"learning_rate is {self.learning_rate:g}; it lies above 0."

    def _contradictions(self) -> Iterator[str]:
        """What is well said, but does not go together."""
        yield from self._against_strategy()
        yield from self._against_beginning()
        yield from self._against_head()
        if self.fold is not None and self.val != Recipe.val:
            yield f"fold {self.fold} says which pictures are for validation; leave val {self.val} out."
        if self.split is not None and (self.fold is not None or isinstance(self.val, str)):
            yield f"split {self.split} says which pictures are for validation; leave fold and a val folder out."
        if parse_schedule(self.schedule).kind == "decay" and self.warmup:
            yield "warmup goes with schedules constant and cosine; decay falls from the first step on."

    def _against_strategy(self) -> Iterator[str]:
        backbone_alone = self.unfreeze == "none" and self.batchnorm != "trainable"
        if self.strategy == "scratch" and self.weights not in (Recipe.weights, "none"):
            yield "strategy scratch begins with random weights; leave --weights out."
        if self.strategy == "head" and self.unfreeze not in (None, "none"):
            yield f"strategy head trains nothing of the backbone; unfreeze {self.unfreeze!r} needs finetune or auto."
        if self.strategy == "head" and self.batchnorm in ("follow", "trainable"):
            yield f"strategy head runs the backbone once; BatchNorm {self.batchnorm} is for finetune and auto."
        if self.strategy == "scratch" and self.unfreeze not in (None, "all"):
            yield f"strategy scratch trains everything; leave unfreeze {self.unfreeze!r} out."
        if self.strategy in ("finetune", "auto") and backbone_alone:
            yield f"unfreeze none leaves strategy {self.strategy} no layer of the backbone to train; that is head."

    def _against_beginning(self) -> Iterator[str]:
        if self.from_run is not None and self.head_from is not None:
            yield "from_run takes the head along; leave head_from out."
        if self.from_run is not None and self.strategy != "finetune":
            yield f"from_run is where strategy finetune begins; strategy {self.strategy} makes its own head."
        if self.from_run is not None and self.batchnorm == "adapt":
            yield "from_run takes the statistics of BatchNorm along; batchnorm adapt would estimate them for nothing."
        if self.head_from is not None and self.strategy != "finetune":
            yield f"head_from is where strategy finetune begins; strategy {self.strategy} makes its own head."

    def _against_head(self) -> Iterator[str]:
        head, ops, views = parse_head(self.head), parse_ops(self.augmentations), parse_augment(self.augment)
        solved = self.strategy == "head" and head.is_solved
        if self.output == "sigmoid" and self.loss in ("sparse", "categorical"):
            yield f"loss {self.loss} is for softmax; one sigmoid unit takes the binary loss."
        if self.extend_imagenet and (self.strategy != "head" or self.weights == "none" or len(self.backbones) > 1):
            yield "extend_imagenet starts from one backbone's own pretrained classifier, with strategy head."
        if self.extend_imagenet and (self.output != "softmax" or head.kind == "layers" or self.tap is not None):
            yield "extend_imagenet extends the backbone's own classifier: softmax, without layers before it or a tap."
        if self.output == "sigmoid" and any(op.kind in MIXING for op in ops):
            yield "mixup and cutmix take softmax; leave them out with one sigmoid unit."
        if solved and any(op.kind in MIXING for op in ops):
            yield "mixup and cutmix are for heads that are fitted; a solved one takes pictures as they are."
        if solved and (self.class_weights != "none" or self.loss not in ("auto", Recipe.loss)):
            yield f"class_weights and loss are for what is fitted; head {self.head} is solved by least squares."
        if solved and views.mode in ("views", "stream"):
            yield f"augment {self.augment} is for what is fitted; head {self.head} takes pictures as they are."


def _is_whole(annotation: Any) -> bool:
    return annotation in (int, int | None)


def _is_number(name: str, annotation: Any) -> bool:
    return annotation in (float, float | None) or name in ("val", "test")


def _wanted(name: str, annotation: Any) -> tuple[tuple[type, ...], str]:
    if _is_whole(annotation):
        return (int,), "a whole number" + (" or None" if name in _OPTIONAL else "")
    if annotation is bool:
        return (bool,), "True or False"
    if name in ("val", "test"):
        return (float, str), "a share or a folder"
    if annotation in (float, float | None):
        return (float,), "a number"
    return (str,), "a path" if name in ("data", "out") else "a text"


def parse_share(text: str) -> float | str:
    """A share if it reads as a number, else a path."""
    try:
        return float(text)
    except ValueError:
        return text
