"""headstart train"""

import logging
import shlex
from pathlib import Path
from typing import Any

import click

from headstart.beginning import start
from headstart.cli.options import (
    as_shares,
    choice,
    engine_options,
    fit_option,
    image_size_option,
    labels_options,
    open_engine,
    precision_option,
    shares_options,
    split_option,
    standardise_option,
    tap_options,
    value,
    weights_option,
)
from headstart.cli.output import INTERRUPTED, json_option, print_figures, print_json, print_table, say
from headstart.distributed.processes import asked_for, speaks
from headstart.errors import RecipeError
from headstart.loading import load_keras
from headstart.recipe import (
    DEFAULT_UNFREEZE,
    BatchNorm,
    ClassWeights,
    Loss,
    MixedPrecision,
    Optimizer,
    Output,
    Recipe,
    Strategy,
)
from headstart.run_files import STAGES
from headstart.specs import UNFREEZE_FORMS


@click.command()
@click.argument("data", required=False)
@click.option("--out", "-o", metavar="RUN", help="Folder to create for the result.")
@click.option(
    "--resume", metavar="RUN", help="Go on with the training that was interrupted in RUN; takes no other choices."
)
@value("backbone", str, "NAME", "See `headstart backbones`.")
@click.option("--ensemble", metavar="A,B", help="Several backbones whose features are fused; instead of --backbone.")
@weights_option
@tap_options
@click.option("--extend-imagenet", is_flag=True, help="Put the new classes behind ImageNet's 1,000.")
@choice(
    "strategy",
    Strategy,
    "head: a new head on the frozen backbone. finetune: head and unfrozen layers. scratch: everything from random "
    "weights. auto: the head, then fine-tuning from there, and the better of the two.",
)
@value("unfreeze", str, "SPEC", f"Layers that are trained: {UNFREEZE_FORMS}.", DEFAULT_UNFREEZE)
@choice(
    "batchnorm",
    BatchNorm,
    "frozen: on its moving statistics. adapt: these re-estimated once. follow: trained where its layers are. "
    "trainable: all of it, which leaves hardly anything to keep.",
)
@value("head", str, "SPEC", "auto, linear, kernel[:UNITS], or layers as flatten,dense:400,dropout:0.2 or conv:1280.")
@choice("output", Output, "sigmoid is one unit for two classes.")
@choice("loss", Loss, "auto is sparse for softmax, binary for sigmoid.")
@click.option("--from", "from_run", metavar="RUN", help="Train the model of a finished RUN further.")
@click.option("--head-from", metavar="RUN", help="Graft the head of a finished RUN onto the fresh network, by name.")
@labels_options
@shares_options
@split_option
@click.option(
    "--folds", type=int, metavar="K", help="Train once for each of K folds; --out is the folder for the RUNs."
)
@value("fold", str, "I/K", "Take the Ith of K folds for validation.", "a share")
@value("epochs", int, "N", "At most so many; a solved head has none.")
@value("batch-size", int, "N", "Pictures per step.")
@choice("optimizer", Optimizer, "amsgrad is Adam with that option; sgd has Nesterov momentum.")
@value("learning-rate", float, "RATE", "Where it begins after the warm-up.", "by strategy and optimizer")
@value("schedule", str, "SPEC", "constant, cosine, or decay:RATE (divided by 1 + RATE x steps).")
@value("warmup", float, "EPOCHS", "Epochs in which the learning rate rises, at most half of them.", "1 with cosine")
@value("weight-decay", float, "RATE", "Decoupled for adamw.", "0.05 for adamw")
@value("layer-decay", float, "FACTOR", "The learning rate of each block is that of the next one times this.")
@value("label-smoothing", float, "SHARE", "From 0 to below 1.")
@choice("class-weights", ClassWeights, "balanced: by the inverse of how many pictures a class has.")
@value("patience", int, "EPOCHS", "Epochs without a better validation loss before training stops.")
@choice("mixed-precision", MixedPrecision, "16 bits in the trainable part; auto does so on accelerators.")
@value("augment", str, "none|views=K|stream|auto", "Random views: K kept ones, or fresh ones in every epoch.")
@value(
    "augmentations",
    str,
    "LIST",
    "Of flip, vflip, crop:AREA, rotate:DEGREES, colour:STRENGTH, randaugment:N, mixup:ALPHA, cutmix:ALPHA.",
)
@value("tensorboard", str, "FOLDER", "For TensorBoard's logs.", "RUN/tensorboard")
@image_size_option
@fit_option
@standardise_option
@value("seed", int, "N", "The same seed, the same result.")
@precision_option
@click.option("--strict", is_flag=True, help="Refuse files that cannot be decoded instead of leaving them out.")
@engine_options
@click.option("--calibrate", is_flag=True, help="Make the model say how sure it can be, by the validation pictures.")
@json_option
def train(
    data: str | None,
    out: str | None,
    resume: str | None,
    val: str,
    test: str | None,
    ensemble: str | None,
    folds: int | None,
    engine: str,
    address: str | None,
    workers: int | None,
    as_json: bool,
    **choices: Any,
) -> None:
    """Train a classifier on DATA and write it to RUN.

    DATA holds one folder of pictures for each class, or train and val (or test) folders of such folders; it may be a
    zip, or a folder with a zip for each class, or a CSV file with columns path, label and perhaps split; or in object
    storage, as s3://bucket/folder. What was interrupted goes on when the same command is given again, or with --resume
    RUN.
    """
    import headstart

    context = click.get_current_context()
    if not speaks():
        logging.getLogger("headstart").setLevel(logging.ERROR)
    chosen = context.with_resource(open_engine(engine, address, workers))
    if resume is not None:
        _refuse_company(context)
        run = headstart.resume(resume, engine=chosen, progress=not as_json)
    else:
        if data is None or out is None:
            raise click.UsageError("Missing DATA or --out RUN.", context)
        if ensemble is not None:
            if context.get_parameter_source("backbone") != click.core.ParameterSource.DEFAULT:
                raise click.UsageError("--ensemble names all backbones; leave --backbone out.", context)
            choices["backbone"] = ensemble
        choices |= as_shares(val, test)
        # Random weights are drawn otherwise on each backend of Keras; they come from the same whatever the strategy.
        recipe = Recipe(data, out, **choices)
        trains = not (recipe.is_solved and recipe.weights == "imagenet")
        if folds is not None:
            if asked_for().count > 1:
                raise RecipeError(["folds are trained one after the other; several processes train one: --fold I/K."])
            load_keras("training", trains)
            found = headstart.cross_validate(data, folds, out=out, engine=chosen, progress=not as_json, **choices)
            print_json(found.metrics) if as_json else print_folds(found.metrics)
            return
        run = start(recipe, not as_json, trains, chosen)
    if speaks():
        print_json(run.metrics) if as_json else print_result(run.metrics)
    if run.metrics["interrupted"]:
        context.exit(INTERRUPTED)


def _refuse_company(context: click.Context) -> None:
    """The recipe of an interrupted training is the one that it began with."""
    given = [
        f"--{name.replace('_', '-')}"
        for name in context.params
        if name not in ("resume", "engine", "address", "workers", "as_json")
        and context.get_parameter_source(name) != click.core.ParameterSource.DEFAULT
    ]
    if given:
        listed = ", ".join("DATA" if name == "--data" else name for name in given)
        raise RecipeError([f"--resume goes on with the choices the training began with; leave {listed} out."])


def print_result(metrics: dict[str, Any]) -> None:
    """What a person wants to know after a training."""
    _print_stages(metrics)
    print_figures(metrics, "validation")
    if metrics["chosen_on_these_pictures"]:
        say("Chosen on these pictures (when to stop, what to keep), so the figures flatter the model a little.")
    if "temperature" in metrics:
        say(
            "Calibrated on these pictures with a temperature of {}: calibration error {} before, {} on held-out folds.",
            *(
                f"{metrics[name]:.3f}"
                for name in ("temperature", "calibration_error_without", "calibration_error_held_out")
            ),
        )
    if "accuracy_f32" in metrics:
        say("Computed in bf16; model.keras in f32: accuracy {}.", f"{metrics['accuracy_f32']:.4f}")
    if "accuracy_bf16" in metrics:
        say("Features were computed in bf16; the figures are those of the model in f32, as it is saved.")
    if "test" in metrics:
        print_figures(metrics["test"], "test, on which nothing was chosen")
    counts = (f"{metrics[name]:,}" for name in ("pictures", "extracted", "reused"))
    say(
        "{} pictures: {} passes through the frozen part, {} kept from before; {} s in all.",
        *counts,
        f"{metrics['seconds']:.1f}",
    )
    run = metrics["run"]
    if metrics["quarantined"]:
        audit = f"headstart audit {shlex.quote(metrics['data'])}"
        left_out = f"{metrics['quarantined']:,}"
        say("[yellow]{} files were left out[/]; {}/quarantine.csv says why, `{}` more.", left_out, run, audit)
    if metrics["interrupted"]:
        say(
            "[yellow]Interrupted[/]: this is the best so far. Go on with:\n  headstart train --resume {}",
            shlex.quote(run),
        )
    page = ", with report.html to look at" if (Path(run) / "report.html").exists() else ""
    say("Written to [bold]{}[/]{}. Next:\n  headstart predict {} PICTURE", run, page, shlex.quote(run))


def print_folds(metrics: dict[str, Any]) -> None:
    """What a person wants to know after a cross-validation."""
    columns = list(metrics["folds"][0])
    rows = [list(fold.values()) for fold in metrics["folds"]]
    figures = columns[2:]
    for name in ("mean", "std"):
        rows.append(
            [{"mean": "mean", "std": "standard deviation"}[name], None, *(metrics[f"{f}_{name}"] for f in figures)]
        )
    print_table(None, [column.replace("_", " ") for column in columns], [[str(row[0]), *row[1:]] for row in rows])
    say(
        "[bold]{} pictures, each held out once[/]: accuracy [bold]{}[/], loss {}",
        f"{metrics['n']:,}",
        f"{metrics['accuracy']:.4f}",
        f"{metrics['loss']:.4f}",
    )
    say("Written to [bold]{}[/]: a RUN for each fold, and predictions.csv with every picture.", metrics["run"])


def _print_stages(metrics: dict[str, Any]) -> None:
    """Head and fine-tuned model side by side, where there are both."""
    stages = metrics["stages"]
    if len(stages) < 2:
        return
    sides = [side for side in ("val", "test") if side in next(iter(stages.values()))]
    rows = [
        (
            STAGES[name] + (" (kept)" if name == metrics["kept"] else ""),
            *(stage[side][figure] for side in sides for figure in ("accuracy", "loss")),
            f"{stage['seconds']:.1f}",
        )
        for name, stage in stages.items()
    ]
    columns = [f"{side} {figure}" for side in sides for figure in ("accuracy", "loss")]
    print_table(None, ("", *columns, "seconds"), rows)
    found = metrics["gain"]
    say(
        "Fine-tuning changes validation accuracy by {} (95 % interval {} to {}: {} pictures gained, {} lost).",
        *(f"{found[name]:+.4f}" for name in ("accuracy", "low", "high")),
        *(found[name] for name in ("gained", "lost")),
    )
