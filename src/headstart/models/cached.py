"""Which backbones have their ImageNet weights on this machine, by the names that Keras gives the files."""

import re
from collections.abc import Iterable

from headstart.models.backbones import Backbone
from headstart.models.weights import keras_home

_USUAL = "weights_tf_dim_ordering_tf_kernels"

# A backbone's name without its width, and the file; the first that fits. Source: the modules of keras.applications.
_FILES = (
    (r"mobilenet", "mobilenet_{tenths}_224_tf_no_top.h5"),
    (r"mobilenet_v2", "mobilenet_v2_" + _USUAL + "_{width}_224_no_top.h5"),
    (r"mobilenet_v3_(small|large)", "weights_mobilenet_v3_{part}_224_{width}_float_no_top_v2.h5"),
    (r"efficientnet_(b\d)", "efficientnet{part}_notop.h5"),
    (r"efficientnet_v2_(\w+)", "efficientnetv2-{part}_notop.h5"),
    (r"(convnext_\w+)", "{part}_notop.h5"),
    (r"(nasnet_\w+)", "{part}_no_top.h5"),
    (r"(resnet\d+)_v2", "{part}v2_" + _USUAL + "_notop.h5"),
    (r"(.+)", "{part}_" + _USUAL + "_notop.h5"),
)


def weights_file(backbone: Backbone) -> str | None:
    """The file in `KERAS_HOME/models` with a backbone's ImageNet weights for its native size, without its top.

    None for what comes with headstart.
    """
    if backbone.packaged:
        return None
    width = float(backbone.options.get("alpha", 1.0))
    stem = backbone.name.removesuffix(f"_{width:g}") if "alpha" in backbone.options else backbone.name
    found = ((re.fullmatch(pattern, stem), file) for pattern, file in _FILES)
    match, file = next((match, file) for match, file in found if match)
    tenths = "1_0" if width == 1 else f"{10 * width:.1f}".replace(".", "_")
    return file.format(part=match[match.lastindex or 0], width=width, tenths=tenths)


def split_by_cached(backbones: Iterable[Backbone]) -> tuple[list[Backbone], list[Backbone]]:
    """Those whose pretrained weights are here already, or come with headstart, and the others."""
    folder = keras_home() / "models"
    here: list[Backbone] = []
    missing: list[Backbone] = []
    for backbone in backbones:
        file = weights_file(backbone)
        (here if file is None or (folder / file).is_file() else missing).append(backbone)
    return here, missing
