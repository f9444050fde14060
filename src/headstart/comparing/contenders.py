"""Backbones in a race: opened one at a time, run over ever more pictures, judged, and measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import keras
import numpy as np

from headstart.comparing.costs import Cost, measure_speed
from headstart.comparing.entries import Entry
from headstart.comparing.judging import JUDGING_STEPS, Trial, Verdict
from headstart.errors import RecipeError, WeightsError
from headstart.features.engine import LOCAL, Engine
from headstart.features.extract import Extraction
from headstart.features.store import Store
from headstart.images.pictures import Listing
from headstart.models.backbones import find_backbone
from headstart.progress import bar, waiting
from headstart.recipe import Recipe
from headstart.training.frozen_backbone import freeze_backbone, read_vectors


@dataclass
class Computed:
    """What one backbone gives for the pictures that it has been run on so far.

    Attributes:
        kept: where that is.
        width: how many values there are for each picture.
        cost: of running it.
        extracted: pictures that went through it; the others were in the store.
    """

    kept: Extraction
    width: int
    cost: Cost
    extracted: int


@dataclass
class Workshop:
    """Runs backbones over pictures. One network at a time is in memory, however many are compared.

    Attributes:
        recipe: what all have in common: how pictures are read, precision, seed.
        listing: the pictures.
        store: where features are kept.
        show: whether to draw progress bars.
        engine: who runs backbones over many pictures.
        computed: what there is by now.
        left_out: the reason for each entry that cannot be compared.
    """

    recipe: Recipe
    listing: Listing
    store: Store
    show: bool
    engine: Engine = LOCAL
    computed: dict[Entry, Computed] = field(default_factory=dict)
    left_out: dict[Entry, str] = field(default_factory=dict)

    def run(self, entry: Entry, paths: Sequence[str]) -> bool:
        """Make sure that the features of pictures are there; False where the backbone cannot be had.

        Raises:
            StorageError: if the store cannot be written.
            DataError: if no picture can be decoded.
        """
        keras.utils.set_random_seed(self.recipe.seed)  # random weights are those that a training would draw
        recipe = replace(self.recipe, backbone=entry.backbone, weights=entry.weights, image_size=entry.size)
        try:
            backbone = freeze_backbone(recipe, self.listing, self.store, self.show, self.engine)
        except (WeightsError, RecipeError) as error:
            self.left_out[entry] = " ".join(str(error).split())
            return False
        kept = backbone.keep(paths)
        before = self.computed.get(entry)
        if before is None:
            runtime, batch = backbone.frozen.runtime, backbone.frozen.runtime.batch
            with waiting(f"measuring {entry}", self.show):
                speed = measure_speed(runtime.load(), backbone.keeper.decode.height, batch)
            cost = Cost(speed, int(backbone.network.model.count_params()))
            self.computed[entry] = Computed(kept, backbone.width, cost, kept.extracted)
        else:
            self.computed[entry] = replace(before, kept=kept, extracted=before.extracted + kept.extracted)
        return True

    def size_of(self, entry: Entry) -> int:
        """Rows and columns of the pictures that an entry takes."""
        return entry.size or self.native_size_of(entry)

    def native_size_of(self, entry: Entry) -> int:
        """Rows and columns of the pictures that its backbone was trained on."""
        return find_backbone(entry.backbone).size

    def at_size(self, entry: Entry, size: int) -> Entry:
        """The same backbone for pictures of another size."""
        return replace(entry, size=None if size == self.native_size_of(entry) else size)


@dataclass
class Contender:
    """One backbone in the race, or two whose features are put side by side.

    Attributes:
        members: the backbones.
        cost: of running them.
        verdict: on the pictures of the last round that it took part in.
        beaten_by: who put it out, as it was then; None while it can win.
    """

    members: tuple[Entry, ...]
    cost: Cost
    verdict: Verdict
    beaten_by: "Contender | None" = None

    @property
    def name(self) -> str:
        """What a person calls it."""
        return " + ".join(map(str, self.members))

    @property
    def is_ensemble(self) -> bool:
        """Whether there are two backbones in it."""
        return len(self.members) > 1


def judged(members: tuple[Entry, ...], computed: Mapping[Entry, Computed], trial: Trial, show: bool) -> Contender:
    """Let backbones whose features are there be judged."""
    parts = [computed[member] for member in members]
    cost = parts[0].cost if len(parts) == 1 else parts[0].cost.beside(parts[1].cost)
    features = [read_vectors(part.kept, trial.paths, part.width) for part in parts]
    with bar(f"judging {' + '.join(map(str, members))}", JUDGING_STEPS, "fits", show) as advance:
        return Contender(members, cost, trial.judge(features, advance))


def decoded_by_all(computed: Sequence[Computed], paths: Sequence[str]) -> np.ndarray:
    """Integer, the places of the pictures that all backbones have features of."""
    everywhere = [part.kept.digests for part in computed]
    return np.array([row for row, path in enumerate(paths) if all(path in kept for kept in everywhere)], int)
