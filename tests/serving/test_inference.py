"""The Open Inference Protocol: what its specification says, and the binary tensors that clients of Triton send."""

import base64
import json
import struct

import numpy as np
import pytest

from headstart.bundle import Run
from headstart.images.decode import decode
from tests.serving.conftest import CLASSES, SIDE, picture

INFER = "/v2/models/colours/infer"
HEADER = "Inference-Header-Content-Length"


@pytest.fixture(scope="module")
def pixels(run_folder) -> np.ndarray:
    recipe = Run(run_folder).decode_recipe
    return np.stack([decode(picture(hue), recipe) for hue in range(3)])


def tensor(name: str, kind: str, shape, data=None, **parameters):
    return {"name": name, "datatype": kind, "shape": list(shape), "data": data, "parameters": parameters}


def outputs(answer) -> dict:
    return {one["name"]: one for one in answer.json()["outputs"]}


def binary(client, asked: dict, rest: bytes):
    said = json.dumps(asked).encode()
    return client.post(INFER, content=said + rest, headers={HEADER: str(len(said))})


def test_server_and_model_say_what_they_are(client):
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    about = {
        "name": "colours",
        "versions": ["1"],
        "platform": "headstart_openvino",
        "inputs": [
            {"name": "pixels", "datatype": "UINT8", "shape": [-1, SIDE, SIDE, 3]},
            {"name": "pictures", "datatype": "BYTES", "shape": [-1]},
        ],
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
            {"name": "labels", "datatype": "BYTES", "shape": [-1]},
            {"name": "familiarity", "datatype": "FP32", "shape": [-1]},
        ],
    }
    for path in ("/v2/models/colours", "/v2/models/colours/versions/1"):
        assert client.get(path).json() == about
        assert client.get(f"{path}/ready").json() == {"name": "colours", "ready": True}
    assert client.get("/v2/models/colours/versions/2").status_code == 404
    assert client.get("/v2/models/other/ready").status_code == 404


@pytest.mark.parametrize("nested", [True, False])
def test_pixels_in_json_give_what_the_run_says(client, run_folder, pixels, nested):
    expected = Run(run_folder).answers(pixels)
    data = pixels.tolist() if nested else pixels.ravel().tolist()
    answer = client.post(INFER, json={"id": "7", "inputs": [tensor("pixels", "UINT8", pixels.shape, data)]})
    said = answer.json()
    assert (said["model_name"], said["model_version"], said["id"]) == ("colours", "1", "7")
    found = outputs(answer)
    assert found["probabilities"]["shape"] == [3, 3]
    np.testing.assert_allclose(np.reshape(found["probabilities"]["data"], (3, 3)), expected.probabilities, atol=1e-6)
    np.testing.assert_allclose(found["familiarity"]["data"], expected.shares, atol=1e-6)
    assert found["labels"]["data"] == list(CLASSES)


def test_pictures_in_json_are_base64(client):
    data = [base64.b64encode(picture(hue)).decode() for hue in (2, 0)]
    answer = client.post(INFER, json={"inputs": [tensor("pictures", "BYTES", [2], data)]})
    assert outputs(answer)["labels"]["data"] == ["blue", "red"]


def test_binary_tensors_come_and_go(client, pixels):
    asked = {
        "inputs": [tensor("pixels", "UINT8", pixels.shape, binary_data_size=pixels.size)],
        "outputs": [
            {"name": "labels", "parameters": {"binary_data": True}},
            {"name": "probabilities", "parameters": {"binary_data": True}},
            {"name": "familiarity"},
        ],
    }
    answer = binary(client, asked, pixels.tobytes())
    end = int(answer.headers[HEADER])
    said = json.loads(answer.content[:end])
    labels, probabilities, familiarity = said["outputs"]
    rest = answer.content[end:]
    names = b"".join(struct.pack("<I", len(name)) + name.encode() for name in CLASSES)
    assert labels["parameters"]["binary_data_size"] == len(names)
    assert rest[: len(names)] == names
    assert probabilities["parameters"]["binary_data_size"] == 3 * 3 * 4
    found = np.frombuffer(rest[len(names) :], "<f4").reshape(3, 3)
    assert found.argmax(1).tolist() == [0, 1, 2]
    assert len(familiarity["data"]) == 3


def test_binary_pictures_are_elements_with_their_lengths(client):
    files = b"".join(struct.pack("<I", len(one)) + one for one in (picture(1), picture(2)))
    asked = {
        "inputs": [tensor("pictures", "BYTES", [2, 1], binary_data_size=len(files))],
        "parameters": {"binary_data_output": True},
        "outputs": [{"name": "labels", "parameters": {"binary_data": False}}],
    }
    answer = binary(client, asked, files)
    assert outputs(answer)["labels"]["data"] == ["green", "blue"]


@pytest.mark.parametrize(
    ("given", "rest", "error"),
    [
        (tensor("pixels", "UINT8", [1, 8, 8, 3], [0]), b"",
         "'pixels' is UINT8 [1, 8, 8, 3], and UINT8 [n, 32, 32, 3] is wanted."),
        (tensor("pixels", "UINT8", [2**40, SIDE, SIDE, 3], [0]), b"",
         f"'pixels' has the shape [{2**40}, 32, 32, 3] and 1 numbers."),
        (tensor("pixels", "UINT8", [1, SIDE, SIDE, 3], [256] * 3072), b"",
         "'pixels' is UINT8: whole numbers from 0 to 255 are wanted."),
        (tensor("pixels", "UINT8", [1, SIDE, SIDE, 3], [0.5] * 3072), b"",
         "'pixels' is UINT8: whole numbers from 0 to 255 are wanted."),
        (tensor("pixels", "UINT8", [1, SIDE, SIDE, 3], [[1], [1, 2]]), b"",
         "'pixels' is UINT8: whole numbers from 0 to 255 are wanted."),
        (tensor("pixels", "UINT8", [1, SIDE, SIDE, 3], binary_data_size=3), b"abc",
         "'pixels' has the shape [1, 32, 32, 3] and 3 numbers."),
        (tensor("pictures", "BYTES", [1], binary_data_size=9), b"abc",
         "'pictures' says a binary_data_size of 9; 3 bytes are left."),
        (tensor("pictures", "BYTES", [1], binary_data_size=3), b"abc", "'pictures' ends within a length."),
        (tensor("pictures", "BYTES", [1], binary_data_size=5), b"\xff\0\0\0a", "'pictures' ends within an element."),
        (tensor("pictures", "BYTES", [2], binary_data_size=5), b"\x01\0\0\0a",
         "'pictures' has the shape [2] and 1 elements."),
        (tensor("pictures", "BYTES", [0], binary_data_size=0), b"", "there is no picture in the request."),
        (tensor("pictures", "BYTES", [1], ["AA=A"]), b"",
         "'pictures' is BYTES in JSON, which is base64 here; this is not."),
        (tensor("pictures", "BYTES", [1], ["QUFB"]), b"more", "4 bytes are behind the last tensor."),
        (tensor("pictures", "UINT8", [1], ["QUFB"]), b"", "'pictures' is UINT8, and BYTES is wanted."),
    ],
)  # fmt: skip
def test_tensors_that_are_not_what_they_say_are_refused(client, given, rest, error):
    answer = binary(client, {"inputs": [given]}, rest)
    assert (answer.status_code, answer.json()) == (400, {"error": error})


def test_a_picture_that_cannot_be_decoded_is_named(client):
    data = [base64.b64encode(one).decode() for one in (picture(), b"no picture")]
    answer = client.post(INFER, json={"inputs": [tensor("pictures", "BYTES", [2], data)]})
    assert answer.status_code == 422
    assert answer.json() == {"error": "picture 1 of 'pictures' cannot be decoded: not a picture in a known format"}


@pytest.mark.parametrize("length", ["-1", "x", "99999", "9" * 40, "1e1"])
def test_a_length_of_the_json_that_cannot_be_is_refused(client, length):
    assert client.post(INFER, content=b"{}", headers={HEADER: length}).status_code == 400


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"inputs": []}', b'{"inputs": [{}]}', b"[" * 99_999, b"\xff"])
def test_json_that_is_something_else_is_refused(client, body):
    answer = client.post(INFER, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("the JSON cannot be used: ")


def test_an_output_that_is_not_there_is_refused(client):
    asked = {"inputs": [tensor("pictures", "BYTES", [1], ["AA=="])], "outputs": [{"name": "label"}]}
    answer = client.post(INFER, json=asked)
    assert answer.json() == {"error": "there is no output 'label'; did you mean labels?"}
