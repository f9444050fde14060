"""The whole flow, from a folder of pictures to a RUN: read it aloud."""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import keras

from headstart.bundle import Run
from headstart.distributed.processes import ALONE, Team, join
from headstart.distributed.shares import SharedEngine
from headstart.errors import DataError, RecipeError, RunError
from headstart.features.engine import LOCAL, Engine
from headstart.features.store import Store
from headstart.handover import (
    check_models,
    write_history,
    write_metrics,
    write_models,
    write_provenance,
    write_tables,
    write_usual,
)
from headstart.images.dataset import check_shares
from headstart.images.decode import DecodeRecipe
from headstart.images.given import listed, shares_of
from headstart.images.labels import read_labels
from headstart.images.pictures import Listing
from headstart.images.split import Shares
from headstart.models.assemble import Network, build_network
from headstart.models.backbones import Backbone, backbones, find_backbone
from headstart.models.cut import join as join_parts
from headstart.models.imagenet import CLASSES as IMAGENET_CLASSES
from headstart.models.imagenet import imagenet_classifier, imagenet_labels
from headstart.models.standardise import Standardisation
from headstart.progress import waiting
from headstart.recipe import Recipe
from headstart.reporting.report import report_training
from headstart.specs import HeadSpec, parse_head
from headstart.training.calibrating import calibrate
from headstart.training.keeping import Keeper
from headstart.training.session import Cut, Session
from headstart.training.strategies import Outcome, as_saved, prepare, run_strategy
from headstart.workplace import Workplace, check_place, working_in

T = TypeVar("T")


def train(recipe: Recipe, show: bool = False, listing: Listing | None = None, engine: Engine = LOCAL) -> Run:
    """Train a classifier.

    If the same training was interrupted in the same place, it goes on from there. Where the environment says that this
    process is one of several, see `headstart.distributed.processes`, they train together and the first one writes.

    Args:
        recipe: every choice.
        show: whether to draw progress bars on a terminal.
        listing: the pictures, where they have been found already.
        engine: who runs frozen parts over the pictures.

    Returns:
        The RUN that was written.

    Raises:
        InputError: if anything that was given cannot be used; what was computed by then is in the store.
        LostProcessError: if another process of the same training has ended.
        SaidElsewhereError: if another one says what is wrong.
    """
    started, team = time.perf_counter(), join()
    show = show and team.is_first
    with ExitStack() as working:
        with team.together():
            _check(recipe, engine, team)
            listing, shares = listing or _list(recipe), shares_of(recipe)
            check_shares(listing, shares)
            run = _place(recipe) if team.is_first else Path()
            store = Store()
            store.prepare()
            begun = _begin(recipe, listing)
            if team.is_first:
                working.enter_context(working_in(run, recipe))
        place = Workplace(Path(team.of_all(str(run))[0]))
        keras.utils.set_random_seed(recipe.seed)
        session = _open_session(begun, _keeper(begun.recipe, listing, store, show, engine, team), shares, place, team)
        outcome = as_saved(session, run_strategy(session, begun.model, begun.head))
        if recipe.calibrate:
            outcome = replace(outcome, kept=calibrate(session, outcome.kept))
        with team.together(), waiting("writing and checking the run", show):
            if team.is_first:
                _hand_over(recipe, session, outcome, place, started)
    return Run(recipe.out or place.path)


def keep_features(
    recipe: Recipe, show: bool = False, listing: Listing | None = None, engine: Engine = LOCAL
) -> tuple[Session, Cut]:
    """Keep the features that a training with strategy `head` would learn from, and go no further.

    Args:
        recipe: every choice; its strategy is `head`.
        show: whether to draw progress bars on a terminal.
        listing: the pictures, where they have been found already.
        engine: who runs frozen parts over the pictures.

    Returns:
        The pictures on their sides, and where their features are.

    Raises:
        InputError: if anything that was given cannot be used; what was computed by then is in the store.
    """
    recipe.check(backbones())
    listing, shares = listing or _list(recipe), shares_of(recipe)
    check_shares(listing, shares)
    store = Store()
    store.prepare()
    keras.utils.set_random_seed(recipe.seed)
    session = _open_session(_Begun(recipe), _keeper(recipe, listing, store, show, engine), shares, Workplace(Path()))
    prepare(session)
    return session, session.keep(session.for_head())


@dataclass(frozen=True)
class _Begun:
    """What a training begins from: its recipe, and the model of an earlier RUN with what it ends in, if any."""

    recipe: Recipe
    model: keras.Model | None = None
    head: HeadSpec | None = None
    standardisation: Standardisation | None = None


def _check(recipe: Recipe, engine: Engine, team: Team) -> None:
    recipe.check(backbones())
    if team.count > 1 and engine is not LOCAL:
        raise RecipeError(
            [
                f"{team.count} processes extract what they train on themselves; leave the engine out, or train in one "
                "process. What a cluster has extracted before, they find in the store."
            ]
        )
    if keras.config.backend() == "openvino" and not recipe.is_solved:
        raise RecipeError(["Keras cannot train on OpenVINO, only solve a head; unset KERAS_BACKEND."])


def _place(recipe: Recipe) -> Path:
    return check_place(recipe.out or Path(tempfile.mkdtemp(prefix="headstart-")) / "run", recipe.data)


def _list(recipe: Recipe) -> Listing:
    if not recipe.extend_imagenet:
        return listed(recipe)
    folders = listed(replace(recipe, labels=None, group_by=None)).classes
    return listed(recipe, _behind_imagenet(folders, read_labels(recipe.labels) if recipe.labels else None))


def _behind_imagenet(folders: Sequence[str], listed: Sequence[str] | None) -> list[str]:
    """ImageNet's classes and the new ones behind them; a file of labels holds the former first, in their order."""
    old = imagenet_labels() if listed is None else list(listed[:IMAGENET_CLASSES])
    if len(old) < IMAGENET_CLASSES:
        raise DataError(
            f"extend_imagenet takes a file of labels with the {IMAGENET_CLASSES} classes of ImageNet first; "
            f"it has {len(old)} lines. Leave --labels out for Keras' own names."
        )
    known = set(old)
    behind = folders if listed is None else listed[IMAGENET_CLASSES:] or folders
    new = [name for name in behind if name not in known]
    if not new:
        raise DataError("all classes are classes of ImageNet already, so there is nothing to extend it with.")
    return [*old, *new]


def _begin(recipe: Recipe, listing: Listing) -> _Begun:
    """Where a RUN is given to begin from, its network and its head are taken over."""
    if (given := recipe.from_run or recipe.head_from) is None:
        return _Begun(recipe)
    run = Run(given)
    if run.classes != listing.classes and (recipe.from_run or len(run.classes) == len(listing.classes)):
        raise RunError(
            f"{given} tells {_in_brief(run.classes)} apart, and {recipe.data} holds {_in_brief(listing.classes)}. "
            "To train on other classes, leave it out."
        )
    before, head = run.about["recipe"], run.about["head"]
    taken: dict[str, Any] = {"head": head, "output": run.about["output"]}
    if recipe.from_run is not None:
        taken |= {name: before[name] for name in ("backbone", "tap", "include_top", "fit", "standardise")}
        taken |= {"weights": "none", "image_size": run.decode_recipe.height}
    _refuse_others(recipe, given, taken)
    whole = replace(recipe, **taken)
    whole.check(backbones())
    known = run.about["standardised"] if recipe.from_run is not None else None
    standardisation = None if known is None else Standardisation(tuple(known["mean"]), tuple(known["std"]))
    return _Begun(whole, run.model, parse_head(head), standardisation)


def _in_brief(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _refuse_others(recipe: Recipe, given: str, taken: Mapping[str, Any]) -> None:
    """What is taken over from a RUN cannot be chosen, too, unless it is the same."""
    asked = {name: getattr(recipe, name) for name in taken}
    others = [name for name, value in asked.items() if value not in (taken[name], getattr(Recipe, name))]
    if others:
        raise RecipeError(
            [f"{name} {asked[name]!r} is not that of {given}, {taken[name]!r}; leave it out." for name in others]
        )


def _keeper(recipe: Recipe, listing: Listing, store: Store, show: bool, engine: Engine, team: Team = ALONE) -> Keeper:
    size = recipe.image_size or max(find_backbone(name).size for name in recipe.backbones)
    shared = engine if team.count == 1 else SharedEngine(team)
    return Keeper(recipe, listing, DecodeRecipe(size, size, recipe.fit), store, show, shared)


def _open_session(begun: _Begun, keeper: Keeper, shares: Shares, place: Workplace, team: Team = ALONE) -> Session:
    recipe, size, show = begun.recipe, keeper.decode.height, keeper.show
    chosen = [find_backbone(name) for name in recipe.backbones]
    extended = None
    with waiting(f"preparing {recipe.backbone}", show):
        if recipe.extend_imagenet:
            network, kernel, bias = _built(lambda: imagenet_classifier(chosen[0], recipe.weights, size), recipe, team)
            extended = (kernel, bias)
            networks = [network]
        else:
            networks = _built(lambda: [_network(backbone, recipe, size) for backbone in chosen], recipe, team)
    histories: dict[str, Sequence[dict[str, Any]]] = {}

    def write_down(stage: str, rows: list[dict[str, Any]]) -> None:
        histories[stage] = rows
        write_history(place.path, histories)

    classes = len(keeper.listing.classes)
    return Session(
        recipe,
        keeper,
        shares,
        networks,
        classes,
        place.path,
        show,
        write_down,
        extended,
        begun.standardisation,
        team=team,
    )


def _built(build: Callable[[], T], recipe: Recipe, team: Team) -> T:
    """What is built of weights that may have to be fetched first, which Keras does not do for two at once."""
    if recipe.weights == "imagenet":
        return team.in_turn(build)
    with team.together():
        return build()


def _network(backbone: Backbone, recipe: Recipe, size: int) -> Network:
    weights = "none" if recipe.strategy == "scratch" else recipe.weights
    return build_network(backbone, weights, size, recipe.tap, recipe.include_top)


def _hand_over(recipe: Recipe, session: Session, outcome: Outcome, place: Workplace, started: float) -> None:
    data, kept, decode = session.data, outcome.kept, session.keeper.decode
    assert data is not None
    interrupted = any(stage.interrupted for stage in outcome.stages)
    left_out = [*session.keeper.listing.skipped, *session.left_out]
    with place.new_run(finished=not interrupted) as folder:
        model = join_parts(kept.cut.parts, name=f"headstart_{recipe.backbone.replace(',', '_')}")
        write_models(folder, model, kept.cut)
        checked = check_models(folder, data.side("val"), kept.probabilities["val"], decode, kept.cut)
        write_tables(folder, data, outcome, left_out)
        write_usual(folder, session, kept.cut)
        write_provenance(folder, session, outcome)
        counts = {
            "pictures": len(data.examples) + len(left_out),
            "extracted": session.keeper.extracted,
            "reused": session.keeper.reused,
            "quarantined": len(left_out),
        }
        cost = {
            "seconds": time.perf_counter() - started,
            "precision": kept.cut.frozen.runtime.identity.precision,
            "run": recipe.out or str(place.path),
        }
        write_metrics(folder, session.recipe, model, data, outcome, counts | checked | cost)
        report_training(folder, recipe.out or str(place.path))
