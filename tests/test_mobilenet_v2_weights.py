"""`tools/mobilenet_v2_weights.py` on a package that is made up: what it reads is what was packed there."""

import base64
import io
import runpy
import tarfile
from pathlib import Path

import numpy as np
import pytest

TOOL = runpy.run_path(str(Path(__file__).parents[1] / "tools" / "mobilenet_v2_weights.py"))

MANIFEST = (
    "module.exports={weightsManifest:[{weights:["
    '{name:"Conv1/kernel",shape:[3,3,3,32],dtype:"float32",quantization:{min:-.5,scale:25e-4,dtype:"uint8"}},'
    '{name:"a/depthwise_kernel",shape:[2],dtype:"float32",quantization:{min:-0,scale:1,dtype:"uint8"}}]}]}'
)


def pack(file: Path, content: np.ndarray) -> Path:
    """The package with so many bytes of weights."""
    shard = f'module.exports="{base64.b64encode(content.tobytes()).decode()}"'
    with tarfile.open(file, "w:gz") as package:
        for name, text in (("model", MANIFEST), ("group1-shard1of1", shard)):
            member = tarfile.TarInfo(f"package/dist/models/mobilenet_v2/{name}.min.js")
            member.size = len(text)
            package.addfile(member, io.BytesIO(text.encode()))
    return file


def test_weights_are_read_by_keras_names_and_put_back_into_their_ranges(tmp_path):
    content = np.random.default_rng(0).integers(0, 256, 3 * 3 * 3 * 32 + 2, np.uint8)
    weights = TOOL["read"](pack(tmp_path / "a.tgz", content))
    assert set(weights) == {"Conv1/kernel", "a/kernel"}
    np.testing.assert_allclose(weights["Conv1/kernel"].ravel(), content[:-2] * 0.0025 - 0.5, atol=1e-6)
    np.testing.assert_array_equal(weights["a/kernel"], content[-2:])


def test_bytes_without_a_name_are_refused(tmp_path):
    with pytest.raises(SystemExit, match="holds 900 bytes of weights, and 866 of them have names"):
        TOOL["read"](pack(tmp_path / "a.tgz", np.zeros(900, np.uint8)))


def test_the_first_layer_gives_the_same_of_pixels_from_minus_one_to_one():
    chance = np.random.default_rng(0)
    weights = {"Conv1/kernel": chance.normal(size=(3, 3, 3, 32)), "bn_Conv1/moving_mean": chance.normal(size=32)}
    pixels = chance.uniform(size=(3, 3, 3))

    def centred(pixels):
        return np.tensordot(pixels, weights["Conv1/kernel"], 3) - weights["bn_Conv1/moving_mean"]

    before = centred(pixels)
    TOOL["for_minus_one_to_one"](weights)
    np.testing.assert_allclose(centred(2 * pixels - 1), before)
