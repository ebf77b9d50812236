"""The page in a browser: it opens without a network, and its tables sort and filter."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess

import pytest
from asked import answer
from PIL import Image

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OFFLINE = ("--headless", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND")
# Clicks, keys and words in the table of the ranking; what comes of them replaces the page.
PROBE = """
const box = document.querySelector("#table-ranking"), heads = [...box.querySelectorAll("th")], said = {};
const place = head => heads.findIndex(one => one.textContent.trim().startsWith(head));
const rows = () => [...box.querySelector("tbody").rows];
const values = head => rows().filter(row => !row.hidden).map(row => row.cells[place(head)].dataset.v);
const control = head => heads[place(head)].firstElementChild;
const press = (head, key) => control(head).dispatchEvent(new KeyboardEvent("keydown", {key}));
control("Brier score").click();
said.ascending = [heads[place("Brier score")].getAttribute("aria-sort"), values("Brier score")];
control("Brier score").click();
said.descending = [heads[place("Brier score")].getAttribute("aria-sort"), values("Brier score")];
press("Place by the rule", "Enter");
said.places = [heads[place("Brier score")].getAttribute("aria-sort"), values("Place by the rule")];
press("Place by the rule", " ");
said.last = values("Place by the rule");
const filter = box.querySelector("input");
filter.value = "xgboost";
filter.dispatchEvent(new Event("input"));
said.filtered = [box.querySelector("[role=status]").textContent, values("Brier score").length];
said.focusable = heads.every(head => head.firstElementChild.tabIndex === 0);
said.loaded = performance.getEntriesByType("resource").filter(one => !one.name.startsWith("data:")).length;
document.body.innerHTML = "<pre></pre>";
document.querySelector("pre").textContent = JSON.stringify(said);
"""


@pytest.fixture(scope="module")
def benchmark(report_db):
    return answer(report_db)


@pytest.fixture(scope="module")
def page(report):
    return (report / "benchmark_report.html").read_text()


@pytest.mark.skipif(BROWSER is None, reason="no browser on this machine")
def test_tables_sort_by_click_and_key_and_filter(benchmark, page, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(page.replace("</body>", f"<script>{PROBE}</script></body>"))
    command = [BROWSER, *OFFLINE, f"--user-data-dir={tmp_path / 'browser'}", "--dump-dom", path.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    said = json.loads(re.search(r"<pre>(.*?)</pre>", shown)[1])
    rows = benchmark.part("leaderboard").table("ranking").rows
    brier = [f"{value:.7g}" for value in sorted(rows["brier"])]
    assert said["ascending"] == ["ascending", brier]
    assert said["descending"] == ["descending", brier[::-1]]
    places = [str(place) for place in range(1, 35)]
    unplaced = [""] * (len(rows) - 34)
    assert said["places"] == ["none", [*places, *unplaced]]
    assert said["last"] == [*places[::-1], *unplaced]
    xgboost = int((rows["classifier"] == "XGBoost").sum())
    assert said["filtered"] == [f"{xgboost} of {len(rows)} rows (filter: xgboost)", xgboost]
    assert said["focusable"] and said["loaded"] == 0


def test_numbers_sort_by_their_value_and_missing_ones_have_none(benchmark, page):
    table = page.split('id="table-ranking"')[1].split("</section>")[0]
    keys = [float(key) for key in re.findall(r'data-v="([^"]+)"', table)]
    assert table.count("data-v=") > len(keys) > 34 * 8
    assert table.count("<tr>") == 1 + len(benchmark.part("leaderboard").table("ranking").rows)
    assert table.count('aria-sort="none"') == table.count('tabindex="0"') == table.count("<th ")


def test_pictures_are_whole(benchmark, page):
    pictures = re.findall(r'<img src="data:image/png;base64,([^"]+)" alt="[^"]+">', page)
    assert len(pictures) == sum(len(part.pictures) for part in benchmark.parts)
    for data in pictures:
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            image.verify()
            assert min(image.size) > 100


def test_each_part_is_reached_from_the_contents(benchmark, page):
    for part in benchmark.parts:
        assert f'href="#{part.name}"' in page and f'<section id="{part.name}">' in page
    assert len(re.findall(r'id="([^"]+)"', page)) == len(set(re.findall(r'id="([^"]+)"', page)))
