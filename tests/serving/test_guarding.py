"""Who comes in, and what every answer carries."""

import pytest

from headstart.serving.guard import LOOPBACK, POLICY, Access
from headstart.serving.limits import Limits
from tests.serving.conftest import client_of, picture

KEY = {"Authorization": "Bearer open sesame"}
CLOSED = ("/api/models", "/metrics", "/openapi.json", "/v2", "/v2/models/colours", "/nothing")
OPEN = ("/", "/static/page.css", "/healthz", "/readyz", "/v2/health/live", "/v2/health/ready")


@pytest.fixture(scope="module")
def locked(run_folder):
    with client_of(run_folder, access=Access(token="open sesame")) as client:
        yield client


@pytest.fixture(scope="module")
def at_home(run_folder):
    with client_of(run_folder, access=Access(hosts=LOOPBACK | {"cats.example"})) as client:
        yield client


@pytest.mark.parametrize("path", CLOSED)
def test_without_the_token_nobody_comes_in(locked, path):
    for headers in (
        {},
        {"Authorization": "Bearer open"},
        {"Authorization": "Basic open sesame"},
        {"Authorization": ""},
    ):
        answer = locked.get(path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.json() == {"error": "a token is needed: Authorization: Bearer TOKEN."}


def test_with_the_token_one_comes_in(locked):
    assert locked.get("/api/models", headers=KEY).status_code == 200
    assert locked.post("/api/predict", content=picture(), headers=KEY).status_code == 200
    assert locked.post("/api/predict", content=picture()).status_code == 401


@pytest.mark.parametrize("path", OPEN)
def test_health_and_the_page_need_no_token(locked, path):
    assert locked.get(path).status_code == 200


def test_a_path_that_only_begins_like_an_open_one_needs_the_token(locked):
    assert locked.get("/healthz/../metrics").status_code == 401
    assert locked.get("/healthz2").status_code == 401


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000", "cats.example"])
def test_it_answers_to_its_own_names(at_home, host):
    assert at_home.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "", "[evil]"])
def test_it_does_not_answer_to_a_name_that_somebody_else_has_given_it(at_home, host):
    answer = at_home.get("/healthz", headers={"Host": host})
    assert answer.status_code == 400
    assert "does not answer to the name" in answer.json()["error"]


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost.evil.example", "http://localhost:1"]
)
def test_another_sites_page_may_not_send_anything(at_home, origin):
    for path in ("/api/predict", "/api/models/colours/reload"):
        answer = at_home.post(path, content=picture(), headers={"Origin": origin, "Host": "localhost:8000"})
        assert answer.status_code == 403
        assert answer.json() == {"error": "another site's page may not send anything here."}


@pytest.mark.parametrize("origin", ["http://localhost:8000", "https://cats.example"])
def test_its_own_page_may(at_home, origin):
    headers = {"Origin": origin, "Host": "localhost:8000"}
    assert at_home.post("/api/predict", content=picture(), headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/", "/static/page.js", "/api/models", "/nothing", "/healthz"])
def test_every_answer_forbids_browsers_what_the_page_does_not_need(client, path):
    headers = client.get(path).headers
    assert headers["Content-Security-Policy"] == POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Access-Control-Allow-Origin" not in headers
    assert "Server" not in headers


def test_what_is_not_there_is_said_in_the_same_form(client):
    assert client.get("/nothing").json() == {
        "error": "there is nothing at this path; /openapi.json says what there is."
    }
    answer = client.get("/api/predict")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert answer.json() == {"error": "this path does not take that method."}


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/%2e%2e%2fapp.py", "/static//etc/passwd", "/static/no.js"]
)
def test_no_path_leads_out_of_the_page(client, path):
    assert client.get(path).status_code == 404


def test_metrics_count_requests_and_pictures(client):
    before = client.get("/metrics").text
    client.post("/api/predict", content=picture())
    after = client.get("/metrics").text
    line = 'headstart_requests_total{method="POST",route="/api/predict",status="200"}'
    assert _value(after, line) == _value(before, line) + 1
    assert 'headstart_pictures_total{model="colours",outcome="answered"}' in after
    assert "headstart_batch_pictures_bucket" in after
    assert "process_resident_memory_bytes" in after


def test_metrics_have_no_more_labels_than_there_are_routes(client):
    for number in range(50):
        client.get(f"/api/nothing/{number}")
        client.request(f"BREW{number}", "/")
    text = client.get("/metrics").text
    assert "nothing" not in text
    assert "BREW" not in text


def _value(text: str, line: str) -> float:
    return next((float(one.rpartition(" ")[2]) for one in text.splitlines() if one.startswith(line)), 0.0)


def test_a_fault_of_the_server_is_said_in_one_line_without_details(run_folder, monkeypatch):
    from headstart.serving import said

    def broken(*arguments):
        raise ZeroDivisionError("secret")

    with client_of(run_folder) as client:
        monkeypatch.setattr(said, "of_model", broken)
        answer = client.get("/api/models")
    assert answer.status_code == 500
    assert answer.json() == {"error": "this is a fault of the server; its log says more."}


def test_requests_are_logged_where_that_is_asked_for(run_folder, caplog):
    with client_of(run_folder, access=Access(log_requests=True)) as client:
        client.get("/healthz?token=secret")
    (line,) = [record.getMessage() for record in caplog.records if record.name == "headstart.serving.guard"]
    assert line.startswith("testclient GET /healthz 200 ")
    assert "secret" not in line


def test_nothing_is_logged_otherwise(run_folder, caplog):
    with client_of(run_folder, limits=Limits()) as client:
        client.get("/healthz")
    assert not [record for record in caplog.records if record.name.startswith("headstart")]
