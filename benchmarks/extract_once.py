"""Extraction alone, as a process of its own: what `memory.py` and `incremental.py` measure.

    python benchmarks/extract_once.py DATA [--backbone nano] [--weights imagenet]

Makes sure that the store (HEADSTART_STORE) has the features of every picture, as a training with a solved head would,
and trains nothing. Prints one JSON object: pictures extracted and reused.
"""

import argparse
import json


def main() -> None:
    """Extract and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("data")
    options.add_argument("--backbone", default="nano")
    options.add_argument("--weights", default="imagenet", help="imagenet, none or a file")
    arguments = options.parse_args()
    from headstart.images.sources import list_labelled
    from headstart.loading import load_keras

    listing = list_labelled(arguments.data)
    load_keras("a benchmark", trains=arguments.weights == "none")
    from headstart.features.store import Store
    from headstart.images.decode import DecodeRecipe
    from headstart.models.assemble import assemble, build_network
    from headstart.models.backbones import find_backbone
    from headstart.models.cut import split
    from headstart.models.freeze import Freezer
    from headstart.recipe import Recipe
    from headstart.specs import HeadSpec
    from headstart.training.keeping import Keeper

    backbone = find_backbone(arguments.backbone)
    recipe = Recipe(arguments.data, backbone=arguments.backbone, weights=arguments.weights)
    network = build_network(backbone, arguments.weights, backbone.size)
    Freezer(network.model).apply(len(network.model.layers), "frozen")
    model = assemble([network], backbone.size, HeadSpec("linear"), len(listing.classes))
    decode = DecodeRecipe(backbone.size, backbone.size, recipe.fit)
    keeper = Keeper(recipe, listing, decode, Store(), show=False)
    kept = keeper.keep(keeper.freeze(split(model)))
    print(json.dumps({"extracted": kept.extracted, "reused": kept.reused}))


if __name__ == "__main__":
    main()
