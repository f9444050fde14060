"""The OpenAPI document says what the server does, and the server does what it says."""

import subprocess
import sys
from pathlib import Path

import pytest

from headstart.serving.guard import Access
from tests.serving.conftest import Process, client_of


def test_every_way_in_is_described_and_every_description_leads_somewhere(client):
    document = client.get("/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    for path, operations in document["paths"].items():
        filled = path.replace("{name}", "colours").replace("{version}", "1")
        for method in operations:
            assert client.request(method, filled).status_code not in (404, 405), path
    described = set(document["paths"])
    assert {"/api/predict", "/api/models", "/v2/models/{name}/infer", "/healthz", "/readyz", "/metrics"} <= described


def test_every_reference_leads_to_a_schema(client):
    text = client.get("/openapi.json").text
    known = set(client.get("/openapi.json").json()["components"]["schemas"])
    used = {piece.partition('"')[0] for piece in text.split("#/components/schemas/")[1:]}
    assert used <= known


def test_operations_have_names_of_their_own(client):
    paths = client.get("/openapi.json").json()["paths"]
    names = [one["operationId"] for operations in paths.values() for one in operations.values()]
    assert len(set(names)) == len(names)


def test_a_token_is_described_where_one_is_needed(run_folder):
    key = {"Authorization": "Bearer x"}
    with client_of(run_folder, access=Access(token="x")) as client:
        paths = client.get("/openapi.json", headers=key).json()["paths"]
    assert paths["/api/predict"]["post"]["security"] == [{"bearer": []}]
    assert "401" in paths["/api/predict"]["post"]["responses"]
    assert "security" not in paths["/healthz"]["get"]


def _schemathesis(run_folder: Path, *words: str, token: str = "") -> subprocess.CompletedProcess[str]:
    """Let schemathesis check the document against the server.

    All its checks but one: it makes pictures of random bytes, which no schema can tell from pictures, and expects that
    they are accepted.
    """
    server = Process(run_folder, HEADSTART_TOKEN=token)
    try:
        command = [str(Path(sys.executable).parent / "schemathesis"), "run"]
        command += [f"http://127.0.0.1:{server.port}/openapi.json", "--exclude-checks", "positive_data_acceptance"]
        command += ["-H", f"Authorization: Bearer {token}"] if token else []
        done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=570)
        server.terminate()
        assert server.ended() == (0, "")
        return done
    finally:
        server.kill()


@pytest.mark.slow
def test_the_server_holds_to_its_document_in_short(run_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # it keeps what it has found
    done = _schemathesis(run_folder, "--phases", "coverage")
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("token", ["", "secret"])
def test_the_server_holds_to_its_document(run_folder, tmp_path, monkeypatch, token):
    monkeypatch.chdir(tmp_path)
    done = _schemathesis(run_folder, "-n", "30", token=token)
    assert done.returncode == 0, done.stdout
