"""Download of weights from a host on this machine: resumed, verified, complete or not there at all."""

import hashlib
import http.server
import threading
from dataclasses import replace

import pytest
from commands import ROOT, run

from src.networks.fetching import FetchError, fetch
from src.networks.weights import WeightsFile, find_weights
from src.networks.weights_table import methods_by_weights, readme_table

CONTENTS = {"config.json": b"{}", "model.safetensors": bytes(range(256)) * 20_000}


class Host(http.server.BaseHTTPRequestHandler):
    """Serves `CONTENTS` of one repository at one revision; can be told to misbehave."""

    asked: list[str | None] = []  # noqa: RUF012 - of all requests: the class is all a server has
    cut_at: int | None = None
    ranges = True
    spoilt = False

    def do_GET(self):
        prefix, _, name = self.path.rpartition("/")
        type(self).asked.append(self.headers.get("Range"))
        if prefix != "/some/where/resolve/abc" or name not in CONTENTS:
            self.send_error(404)
            return
        body = CONTENTS[name][::-1] if self.spoilt else CONTENTS[name]
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.ranges else 0
        if start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start : self.cut_at] if name == "model.safetensors" else body[start:])

    def log_message(self, *args):
        pass


@pytest.fixture
def host():
    behaviour = type("Behaviour", (Host,), {"asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), behaviour) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        behaviour.address = f"http://127.0.0.1:{server.server_address[1]}"
        yield behaviour
        server.shutdown()
        thread.join()


@pytest.fixture
def weights():
    files = {
        name: WeightsFile(hashlib.sha256(body).hexdigest(), len(body)) for name, body in CONTENTS.items()
    }
    return replace(find_weights("MOMENT-1-small"), repository="some/where", revision="abc", files=files)


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_files_arrive_whole_and_are_not_fetched_twice(host, weights, tmp_path):
    said = []
    fetch(weights, tmp_path / "new", said.append, host.address)
    assert {name: (tmp_path / "new" / name).read_bytes() for name in CONTENTS} == CONTENTS
    assert names(tmp_path / "new") == set(CONTENTS)
    asked = len(host.asked)
    fetch(weights, tmp_path / "new", said.append, host.address)
    assert len(host.asked) == asked
    assert sum("is there already" in line for line in said) == 2


@pytest.mark.parametrize("ranges", [True, False], ids=["the host resumes", "the host starts over"])
def test_an_interrupted_download_is_continued(host, weights, tmp_path, ranges):
    host.cut_at = 1_000_000
    with pytest.raises(FetchError, match="the same command goes on where it stopped"):
        fetch(weights, tmp_path, source=host.address)
    assert names(tmp_path) == {"config.json", ".model.safetensors.part"}
    host.cut_at, host.ranges = None, ranges
    fetch(weights, tmp_path, source=host.address)
    assert host.asked[-1] == "bytes=1000000-"
    assert (tmp_path / "model.safetensors").read_bytes() == CONTENTS["model.safetensors"]


def test_a_download_that_was_complete_but_not_yet_named_is_taken(host, weights, tmp_path):
    (tmp_path / ".model.safetensors.part").write_bytes(CONTENTS["model.safetensors"])
    fetch(weights, tmp_path, source=host.address)
    assert names(tmp_path) == set(CONTENTS)


def test_another_file_than_the_published_one_is_deleted(host, weights, tmp_path):
    host.spoilt = True
    with pytest.raises(FetchError, match=r"not the published file and was deleted: 2 bytes with SHA-256"):
        fetch(weights, tmp_path, source=host.address)
    assert names(tmp_path) == set()


def test_a_file_put_there_by_hand_is_left_alone(host, weights, tmp_path):
    (tmp_path / "config.json").write_bytes(b"mine")
    with pytest.raises(FetchError, match="is not the published file"):
        fetch(weights, tmp_path, source=host.address)
    assert (tmp_path / "config.json").read_bytes() == b"mine"


def test_what_the_host_does_not_have_is_said(host, weights, tmp_path):
    with pytest.raises(FetchError, match="the host answers 404"):
        fetch(replace(weights, revision="abd"), tmp_path, source=host.address)


def test_without_a_network_it_says_what_to_do(weights, tmp_path):
    with pytest.raises(FetchError, match=r"without one, fetch the files on another machine and copy them"):
        fetch(weights, tmp_path, source="http://127.0.0.1:9")


def test_the_command_lists_what_there_is_and_refuses_other_names():
    listed = run("scripts/fetch_weights.py", "--list").stdout
    assert "MOMENT-1-large: MIT; 1390 MB; AutonLab/MOMENT-1-large" in listed
    assert "no weights are called 'MOMENT'" in run("scripts/fetch_weights.py", "MOMENT", expect=2).stderr


def test_the_table_in_the_readme_is_the_generated_one():
    assert readme_table() in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_method_with_a_checkpoint_is_in_the_table():
    methods = methods_by_weights()
    small = {"outlier=MOMENT-gt-finetune", "outlier=MOMENT-gt-zeroshot", "features=embeddings"}
    assert small | {"imputation=MOMENT-finetune", "imputation=MOMENT-zeroshot"} == set(
        methods["MOMENT-1-small"]
    )
