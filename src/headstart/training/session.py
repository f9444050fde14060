"""What the stages of one training have in common, and what each of them leaves."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from headstart.distributed.processes import ALONE, Team
from headstart.errors import WeightsError
from headstart.evaluation.evaluate import of_both_classes
from headstart.features.extract import Extraction
from headstart.features.keys import space_digest
from headstart.features.runtime import KerasRuntime
from headstart.images.dataset import Dataset, Labelled, make_dataset
from headstart.images.pictures import Quarantined, Side
from headstart.images.split import Shares
from headstart.models.assemble import Network, assemble
from headstart.models.cut import Parts, bytes_per_picture, split
from headstart.models.freeze import Freezer, first_trainable
from headstart.models.layers import leaves
from headstart.models.standardise import Standardisation
from headstart.recipe import BatchNorm, Recipe
from headstart.specs import HeadSpec, parse_unfreeze
from headstart.training.adapting import adapt_to
from headstart.training.batches import Batches, Kept
from headstart.training.fit import Places
from headstart.training.keeping import Frozen, Keeper
from headstart.training.standardising import measure
from headstart.workplace import WORK

_JUDGED_BYTES = 4 << 20
"""Of frontier tensors that a model is run on at once: heads on vectors take thousands, and few calls."""


@dataclass
class Session:
    """One training: what it works with.

    Attributes:
        recipe: every choice.
        keeper: runs frozen parts over the pictures.
        shares: how the pictures are divided where no folder does it.
        networks: the backbones.
        classes: how many there are.
        extended: kernel `(width, 1000)` and bias `(1000,)` of the classifier that new classes are put behind; None
            where there is no such.
        folder: where states, checkpoints and logs go.
        show: whether to draw progress bars.
        standardisation: what pixels go through first; None for nothing.
        on_epoch: told, after every epoch, of the stage's name and of all its rows so far.
        data: the pictures on their sides, once it is known which can be decoded.
        left_out: files that cannot be.
        team: the processes that train together; the first one writes.
    """

    recipe: Recipe
    keeper: Keeper
    shares: Shares
    networks: Sequence[Network]
    classes: int
    folder: Path
    show: bool
    on_epoch: Callable[[str, list[dict[str, Any]]], None] = lambda name, rows: None
    extended: tuple[np.ndarray, np.ndarray] | None = None
    standardisation: Standardisation | None = None
    data: Dataset | None = None
    left_out: list[Quarantined] = field(default_factory=list)
    team: Team = ALONE

    def __post_init__(self) -> None:
        self._freezers = [Freezer(network.model) for network in self.networks]

    def standardise(self) -> None:
        """Measure the training pictures, unless it is known already what pixels go through."""
        if self.standardisation is None:
            self.standardisation = measure(self.keeper, self.shares)

    def adapt(self) -> None:
        """Estimate the statistics of BatchNormalization anew on the training pictures."""
        adapt_to(self.assemble(HeadSpec("linear")), self.keeper, self.shares)

    def assemble(self, head: HeadSpec) -> keras.Model:
        """The networks with a new head."""
        size = self.keeper.decode.height
        return assemble(self.networks, size, head, self.classes, self.recipe.output, self.standardisation)

    def draw(self, unfreeze: str, batchnorm: BatchNorm) -> None:
        """Freeze and unfreeze the layers of every network.

        Raises:
            WeightsError: if layers without pretrained weights would be frozen.
        """
        spec = parse_unfreeze(unfreeze)
        for network, freezer in zip(self.networks, self._freezers, strict=True):
            freezer.apply(first_trainable(network.model, spec), batchnorm)
            self._refuse_frozen_chance(network)

    def _refuse_frozen_chance(self, network: Network) -> None:
        """Layers that found no weights may be trained, but not frozen as they are."""
        frozen = [leaf.name for leaf in leaves(network.model) if leaf.name in network.missing and not leaf.trainable]
        if frozen:
            raise WeightsError(
                f"{self.recipe.weights} has no weights for {len(frozen)} layers of {network.backbone.name} that would "
                f"be frozen at random, the first is {frozen[0]}. Give a --tap before it, or train them: --strategy "
                "finetune, --unfreeze from there on, --batchnorm follow."
            )

    def for_head(self) -> Parts:
        """The frozen networks, cut where a solved head begins: what strategy `head` runs over every picture once."""
        self.draw("none", "frozen")
        return split(self.assemble(HeadSpec("linear")))

    def places(self, stage: str) -> Places:
        """Where a stage leaves its traces."""
        logs = Path(self.recipe.tensorboard) if self.recipe.tensorboard else self.folder / "tensorboard"
        return Places(self.folder / WORK / f"{stage}.safetensors", self.folder / "checkpoints" / stage, logs / stage)

    def prepare_places(self, stage: str) -> None:
        """Make sure, before anything is trained, that a stage's traces can be written.

        Raises:
            StorageError: if they cannot.
        """
        with self.team.together():
            if self.team.is_first:
                self.places(stage).prepare()

    def keep(self, parts: Parts) -> "Cut":
        """Keep what the frozen part gives for the centre view of every picture, and split the pictures."""
        frozen = self.keeper.freeze(parts)
        features = self.keeper.keep(frozen)
        if self.data is None:
            self.data = make_dataset(self.keeper.listing, features.digests, self.shares)
            self.left_out = features.quarantined
            self.data.warn(self.recipe.data)
        self.keeper.refuse_changed([example.picture.path for example in self.data.examples], features)
        return Cut(parts, frozen, features)

    def pictures(self) -> str:
        """The digest of the pictures, their labels and sides, in their order."""
        assert self.data is not None, "the pictures are split when the first features are kept"
        rows = [(example.digest, example.picture.label, example.side) for example in self.data.examples]
        return space_digest({"pictures": rows})

    def side(self, side: Side) -> Labelled:
        """The pictures on one side."""
        assert self.data is not None, "the pictures are split when the first features are kept"
        return self.data.side(side)


@dataclass(frozen=True)
class Cut:
    """A model that is cut, with what its frozen part gives.

    Attributes:
        parts: the halves.
        frozen: the frozen one, ready to run.
        features: what it gives for the centre view of every picture.
    """

    parts: Parts
    frozen: Frozen
    features: Extraction

    def probabilities(self, pictures: Labelled, single: bool) -> np.ndarray:
        """What the model says of pictures, float32 `(pictures, classes)`.

        Args:
            pictures: which.
            single: whether it ends in one sigmoid unit.
        """
        most = max(_JUDGED_BYTES // bytes_per_picture(self.frozen.model), 32)
        size = math.ceil(len(pictures.paths) / math.ceil(len(pictures.paths) / most))  # equal ones, hardly padded
        runtime = KerasRuntime(self.parts.trainable, size, few=True)
        batches = Batches(Kept([self.features]), pictures.paths, pictures.labels, size)
        rows = []
        for number in range(len(batches)):
            given = batches[number][0]
            rows.append(runtime(*(given if isinstance(given, tuple) else (given,)))[0])
        return of_both_classes(np.concatenate(rows)) if single else np.concatenate(rows)


@dataclass(frozen=True)
class Stage:
    """What one stage of a training has come to.

    Attributes:
        name: `head`, `finetune` or `scratch`; `start` for a finished model as it was.
        model: the whole classifier.
        cut: its halves as they were trained.
        head: what it ends in, with `auto` resolved.
        weights: of the model at the end of the stage.
        history: one row per epoch, or per choice that was tried where the head was solved.
        chosen_on_val: whether the validation pictures decided anything, so that their figures are not clean.
        interrupted: whether a person stopped it.
        seconds: how long it took, features and all.
        probabilities: what the model says of validation and test pictures, float32 `(pictures, classes)`.
        details: what a person may want to know of how it was done.
    """

    name: str
    model: keras.Model
    cut: Cut
    head: HeadSpec
    weights: list[np.ndarray]
    history: list[dict[str, Any]]
    chosen_on_val: bool
    interrupted: bool
    seconds: float
    probabilities: Mapping[Side, np.ndarray]
    details: dict[str, Any] = field(default_factory=dict)


def finish(session: Session, name: str, model: keras.Model, cut: Cut, head: HeadSpec, **what: Any) -> Stage:
    """A stage that has just been trained, with what it says of the pictures it is judged by."""
    return Stage(name, model, cut, head, model.get_weights(), probabilities=judge(session, cut), **what)


def judge(session: Session, cut: Cut) -> dict[Side, np.ndarray]:
    """What a model says, with the weights it has now, of validation and test pictures."""
    assert session.data is not None
    single, sides = session.recipe.output == "sigmoid", session.data.evaluated_sides
    said = [cut.probabilities(session.side(side), single) for side in sides]
    return dict(zip(sides, session.team.of_first(said), strict=True))  # what follows from it must follow everywhere


def judge_in_f32(session: Session, stage: Stage) -> Stage:
    """The same stage by what its model says in f32, which is how Keras runs the saved model wherever that is.

    An accelerator computes features in bf16: good enough to learn from, and not what a person will be given.
    """
    assert session.data is not None
    frozen = stage.cut.frozen.in_f32()
    paths = [path for side in session.data.evaluated_sides for path in session.side(side).paths]
    features = session.keeper.keep(frozen, paths)
    session.keeper.refuse_changed(paths, features)
    cut = replace(stage.cut, frozen=frozen, features=features)
    return replace(stage, cut=cut, probabilities=judge(session, cut))
