"""Pictures in, predictions out: each form of request gives what the RUN itself says."""

import base64
import io

import cv2
import numpy as np
import pytest
from PIL import Image

from headstart.bundle import Run
from headstart.images.decode import decode
from tests.serving.conftest import CLASSES, SIDE, client_of, picture, write_run


def raw(client, content: bytes, query: str = "", kind: str = "image/png"):
    return client.post(f"/api/predict{query}", content=content, headers={"Content-Type": kind})


def form(client, *contents: bytes, query: str = "", field: str = "pictures"):
    files = [(field, (f"{number}.png", content, "image/png")) for number, content in enumerate(contents)]
    return client.post(f"/api/predict{query}", files=files)


def in_json(client, *contents: bytes, query: str = ""):
    given = {"pictures": [base64.b64encode(content).decode() for content in contents]}
    return client.post(f"/api/predict{query}", json=given)


@pytest.mark.parametrize("hue", range(3))
@pytest.mark.parametrize("send", [raw, form, in_json])
def test_each_form_of_request_is_answered_with_what_the_run_itself_says(client, run_folder, send, hue):
    content = picture(hue)
    run = Run(run_folder)
    expected = run.answers(decode(content, run.decode_recipe)[None])
    (said,) = send(client, content).json()["predictions"]
    assert said["label"] == CLASSES[hue]
    assert said["probability"] == pytest.approx(float(expected.probabilities.max()), abs=1e-6)
    assert [choice["label"] for choice in said["top"]] == [CLASSES[i] for i in np.argsort(-expected.probabilities[0])]
    assert said["familiarity"] == pytest.approx(float(expected.shares[0]))
    assert said["unlike"] is False
    assert said["abstained"] is False
    assert said["heatmap"] is None


def test_many_pictures_are_answered_in_the_order_in_which_they_came(client):
    hues = [number % 3 for number in range(40)]
    answer = form(client, *(picture(hue, seed=number) for number, hue in enumerate(hues))).json()
    assert answer["model"] == "colours"
    assert [said["label"] for said in answer["predictions"]] == [CLASSES[hue] for hue in hues]
    assert [said["name"] for said in answer["predictions"]] == [f"{number}.png" for number in range(40)]


def test_a_file_that_is_no_picture_gives_its_reason_and_the_others_are_answered(client):
    answer = form(client, picture(0), b"no picture", picture(2))
    assert answer.status_code == 200
    first, second, third = answer.json()["predictions"]
    assert (first["label"], third["label"]) == ("red", "blue")
    assert second == {"name": "1.png", "error": "not a picture in a known format"}


def test_where_no_picture_can_be_decoded_the_answer_is_422_with_the_reason(client):
    assert raw(client, b"no picture").status_code == 422
    assert raw(client, b"no picture").json() == {
        "error": "the picture cannot be decoded: not a picture in a known format"
    }
    assert form(client, b"a", b"b").json() == {
        "error": "none of the 2 pictures can be decoded; 0.png: not a picture in a known format"
    }


def test_top_says_how_many_classes_are_named(client):
    assert len(raw(client, picture(), "?top=2").json()["predictions"][0]["top"]) == 2
    assert len(raw(client, picture(), "?top=99").json()["predictions"][0]["top"]) == 3


def test_a_picture_unlike_the_training_data_is_said_to_be_so(client):
    grey = Image.new("RGB", (40, 40), (128, 128, 128))
    file = io.BytesIO()
    grey.save(file, "PNG")
    (said,) = raw(client, file.getvalue()).json()["predictions"]
    assert said["unlike"] is True
    assert said["familiarity"] < 0.05


def test_it_abstains_where_it_is_less_sure_than_the_wished_precision_needs(client, run_folder):
    threshold = Run(run_folder).abstain_for(1.0).threshold
    almost_grey = np.full((SIDE, SIDE, 3), (130, 120, 120), np.uint8)
    content = cv2.imencode(".png", almost_grey[:, :, ::-1])[1].tobytes()
    (said,) = raw(client, content, "?min_precision=1").json()["predictions"]
    assert threshold == pytest.approx(0.75)
    assert said["probability"] < threshold
    assert said["abstained"] is True
    (sure,) = raw(client, picture(0), "?min_precision=1").json()["predictions"]
    assert sure["abstained"] is False


def test_a_heat_map_is_a_png_of_what_the_network_has_seen(client):
    for query in ("?heatmap=true", "?heatmap=true&label=blue"):
        (said,) = raw(client, picture(0), query).json()["predictions"]
        head, _, data = said["heatmap"].partition(",")
        assert head == "data:image/png;base64"
        drawn = Image.open(io.BytesIO(base64.b64decode(data)))
        assert drawn.size == (SIDE, SIDE)


def test_heat_lies_where_the_class_is(client):
    half = np.full((SIDE, SIDE, 3), (60, 60, 60), np.uint8)
    half[:, SIDE // 2 :, 0] = 250
    content = cv2.imencode(".png", half[:, :, ::-1])[1].tobytes()
    (said,) = raw(client, content, "?heatmap=1&label=red").json()["predictions"]
    drawn = np.asarray(Image.open(io.BytesIO(base64.b64decode(said["heatmap"].partition(",")[2]))), int)
    assert drawn[:, SIDE // 2 + 4 :].sum() > 2 * drawn[:, : SIDE // 2 - 4].sum()


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("?top=0", "the query cannot be used: Expected `int` >= 1 - at `$.top`. It may say: "),
        ("?top=two", "the query cannot be used: Expected `int`, got `str` - at `$.top`. It may say: "),
        ("?tops=2", "the query cannot be used: Object contains unknown field `tops`. It may say: "),
        ("?min_precision=2", "the query cannot be used: Expected `float` <= 1.0 - at `$.min_precision`. It may say: "),
        (
            "?min_precision=nan",
            "the query cannot be used: Expected `float` >= 0.0 - at `$.min_precision`. It may say: ",
        ),
    ],
)
def test_a_query_that_cannot_be_used_says_why(client, query, error):
    answer = raw(client, picture(), query)
    assert answer.status_code == 400
    assert answer.json() == {"error": f"{error}top, heatmap, min_precision, label."}


def test_a_class_that_is_not_there_is_refused_with_the_nearest_one(client):
    answer = raw(client, picture(), "?heatmap=true&label=greem")
    assert answer.status_code == 400
    assert answer.json() == {"error": "colours knows no class 'greem'; did you mean green?"}


def test_a_model_that_is_not_there_is_refused_with_the_nearest_one(client):
    answer = client.post("/api/models/colour/predict", content=picture())
    assert answer.status_code == 404
    assert answer.json() == {"error": "there is no model 'colour'; did you mean colours?"}


@pytest.mark.parametrize(
    ("kind", "body", "status", "error"),
    [
        ("text/plain", b"x", 415, "a body of the type 'text/plain' is not read. Send one picture as image/* or "
         "application/octet-stream, several as multipart/form-data, or JSON."),
        ("image/png", b"", 400, "there is no picture in the body; those in a form are files called 'pictures'."),
        ("application/json", b'{"pictures": []}', 400,
         "there is no picture in the body; those in a form are files called 'pictures'."),
        ("application/json", b'{"pictures": ["#"]}', 400, "the JSON cannot be used: Invalid base64 encoded string - at "
         '`$.pictures[0]`. Wanted is {"pictures": ["<base64>", ...]}.'),
        ("application/json", b"[" * 100_000, 400, None),
        ("multipart/form-data", b"x", 400, "the form says no boundary in its Content-Type."),
        ("multipart/form-data; boundary=b", b"x", 400, None),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="pictures"\r\n\r\nx', 400,
         "the form is damaged: it ends before its last boundary."),
    ],
)  # fmt: skip
def test_a_body_that_is_not_what_it_says_is_refused(client, kind, body, status, error):
    answer = raw(client, body, kind=kind)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert error is None or answer.json()["error"] == error


def test_other_fields_of_a_form_are_passed_over(client):
    files = [("note", (None, b"hello")), ("pictures", ("../../etc/passwd", picture(1), "image/png"))]
    (said,) = client.post("/api/predict", files=files).json()["predictions"]
    assert (said["name"], said["label"]) == ("../../etc/passwd", "green")


def test_models_are_described_with_what_they_can_do(client):
    assert client.get("/api/models").json() == {
        "models": [
            {
                "name": "colours",
                "classes": ["red", "green", "blue"],
                "height": SIDE,
                "width": SIDE,
                "knows_unlike": True,
                "abstains": True,
                "heatmaps": True,
                "accuracy": 0.75,
                "backbone": "colours",
                "ready": True,
            }
        ],
        "limits": {"body_bytes": 20_000_000, "pixels": 50_000_000, "pictures": 64},
    }


def test_a_precision_that_is_no_number_is_refused(client):
    assert raw(client, picture(), "?min_precision=nan").status_code in (400, 422)


def test_classes_whose_folders_have_names_that_are_no_text_are_answered_all_the_same(tmp_path):
    odd = write_run(tmp_path / "odd", classes=("caf\udce9", '"><script>', "blue"))
    asked = {"inputs": [{"name": "pictures", "datatype": "BYTES", "shape": [1]}]}
    with client_of(odd) as client:
        for path in ("/api/models", "/openapi.json", "/v2/models/odd"):
            assert client.get(path).status_code == 200
        (first,) = raw(client, picture(0)).json()["predictions"]
        (second,) = raw(client, picture(1)).json()["predictions"]
        asked["inputs"][0]["data"] = [base64.b64encode(picture(0)).decode()]
        outputs = client.post("/v2/models/odd/infer", json=asked).json()["outputs"]
    assert (first["label"], second["label"]) == ("caf\udce9", '"><script>')
    assert outputs[1]["data"] == ["caf?"]
