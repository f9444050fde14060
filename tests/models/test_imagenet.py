"""ImageNet's own classifier and classes."""

import keras
import numpy as np
import pytest

from headstart.errors import WeightsError
from headstart.models.assemble import assemble
from headstart.models.backbones import find_backbone
from headstart.models.imagenet import imagenet_classifier, imagenet_labels
from headstart.specs import parse_head


@pytest.mark.parametrize("name", ["mobilenet_0.25", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0"])
def test_a_linear_head_with_the_classifiers_weights_is_the_network_with_its_top(name, tmp_path):
    backbone = find_backbone(name)
    whole = backbone.build(64, include_top=True)
    whole.save_weights(tmp_path / "top.weights.h5")
    network, kernel, bias = imagenet_classifier(backbone, str(tmp_path / "top.weights.h5"), 64)
    assert kernel.shape == (network.model.output_shape[-1], 1000)
    model = assemble([network], 64, parse_head("linear"), 1000)
    model.get_layer("classifier").set_weights([kernel, bias])
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.float32)
    inputs = keras.Input((64, 64, 3))
    plain = keras.Model(inputs, whole(backbone.preprocess(inputs)))
    np.testing.assert_allclose(model(pixels), plain(pixels), rtol=1e-4, atol=1e-6)


def test_a_file_without_the_classifier_is_refused(tmp_path):
    backbone = find_backbone("mobilenet_0.25")
    file = tmp_path / "no_top.h5"
    backbone.build(32).save(file)
    with pytest.raises(WeightsError) as caught:
        imagenet_classifier(backbone, str(file), 32)
    assert str(caught.value) == (
        f"{file} has no weights for conv_preds, the classifier of mobilenet_0.25. "
        "Give a file of the network with its top, or leave --extend-imagenet out."
    )


def test_class_names_are_in_the_order_of_the_classifier_and_told_apart(monkeypatch):
    def decoded(predictions, top):
        names = ["crane", "tench", *(f"class_{n}" for n in range(2, 999)), "crane"]
        order = np.argsort(-predictions[0])
        return [[(f"n{n:08d}", names[n], predictions[0][n]) for n in order][:top]]

    monkeypatch.setattr(keras.applications.imagenet_utils, "decode_predictions", decoded)
    labels = imagenet_labels()
    assert labels[:3] == ["crane n00000000", "tench", "class_2"]
    assert labels[-1] == "crane n00000999"
    assert len(set(labels)) == 1000


def test_class_names_that_cannot_be_fetched_say_where_to_put_the_file(monkeypatch, tmp_path):
    address = "https://example.org/data/imagenet_class_index.json"

    def offline(*_, **__):
        raise Exception(f"URL fetch failure on {address}: None -- [Errno -2] Name or service not known")

    monkeypatch.setattr(keras.applications.imagenet_utils, "decode_predictions", offline)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(WeightsError) as caught:
        imagenet_labels()
    assert str(caught.value) == (
        "the names of ImageNet's classes are not here and cannot be fetched. Where there is a network, "
        f"download {address} and put it into {tmp_path}/models as imagenet_class_index.json."
    )
