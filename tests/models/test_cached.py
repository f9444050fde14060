"""Which weights are on this machine is seen without building a network."""

import pytest

from headstart.errors import WeightsError
from headstart.models.backbones import backbones, find_backbone
from headstart.models.cached import split_by_cached, weights_file
from headstart.models.weights import build_with_weights

ONE_OF_EACH_FAMILY = (
    *("mobilenet", "mobilenet_0.25", "mobilenet_0.5", "mobilenet_0.75", "mobilenet_v2", "mobilenet_v2_0.35"),
    *("mobilenet_v2_1.4", "mobilenet_v3_small", "mobilenet_v3_small_0.75", "mobilenet_v3_large", "efficientnet_b0"),
    *("efficientnet_v2_b0", "efficientnet_v2_s", "convnext_tiny", "nasnet_mobile", "resnet50", "resnet50_v2"),
    *("densenet121", "vgg16", "xception", "inception_v3", "inception_resnet_v2"),
)


def test_every_backbone_but_the_packaged_one_has_a_file_of_its_own():
    files = [weights_file(backbone) for backbone in backbones().values()]
    assert files.count(None) == 1
    assert len(set(files)) == len(files)


def test_what_lies_in_keras_home_is_here_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert [backbone.name for backbone in split_by_cached(backbones().values())[0]] == ["nano"]
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mobilenet_2_5_224_tf_no_top.h5").touch()
    (tmp_path / "models" / "mobilenet_2_5_224_tf.h5").touch()
    here, missing = split_by_cached(backbones().values())
    assert [backbone.name for backbone in here] == ["mobilenet_0.25", "nano"]
    assert len(here) + len(missing) == len(backbones())


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE_OF_EACH_FAMILY)
def test_a_file_is_called_what_keras_asks_for(name, tmp_path, monkeypatch):
    from keras.src.utils import file_utils

    asked = []

    def offline(fname, origin, **others):
        asked.append(fname)
        raise Exception(f"URL fetch failure on {origin}: no network")

    monkeypatch.setattr(file_utils, "get_file", offline)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(WeightsError):
        build_with_weights(find_backbone(name), None, "imagenet")
    assert asked == [weights_file(find_backbone(name))]
