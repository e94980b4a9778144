"""The page in Debian's Chromium, with a real race of 64 synthetic peers an entrant behind it.

`quick` goes first, with a leecher that refuses; in `slow` one leecher stands still at 50 % until
the test interrupts the race, so the page can be looked at for as long as that takes.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import threading
from pathlib import Path

import pytest

import racing
from meeting import RACE_ID, info, scenario
from patience import PATIENCE_SECONDS
from swarmrace.clock import SystemClock
from swarmrace.errors import Reason
from swarmrace.recording.records import Failure
from swarmrace.rendezvous.client.client import RendezvousClient
from swarmrace.rendezvous.server import ServerConfig, listening

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (make test)")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None,
    reason="NOT TESTED: the live page, for want of chromium (apt install chromium)",
)
PEERS = 64
PATIENCE_MS = 1000 * PATIENCE_SECONDS
NAME = "<img src=x onerror=alert(1)>"
"""Of the scenario file, and so of the race."""
ENTRANTS = {
    "quick": {"kind": "synthetic", "curve": [[0, 0], [1, 1]], "faults": {9: "refused"}},
    "slow": {"kind": "synthetic", "curve": [[0, 0], [15, 1]], "faults": {7: "stall"}},
}


@pytest.fixture(scope="module")
def race(tmp_path_factory):
    """A race whose second run is on, and the address of its page."""
    folder = tmp_path_factory.mktemp("watched")
    made = racing.scenario_file(
        folder,
        ENTRANTS,
        swarmSize=PEERS,
        fileSize="1MB",
        order="sequential",
        timeouts={"stallSeconds": 1800, "transferSeconds": 3600, "heartbeatSeconds": 600},
    )
    named = made.rename(folder / f"{NAME}.yaml")
    with racing.race(folder, named, "--watch") as running:
        running.url = racing.wait_for(
            lambda: running.output().partition("live page: ")[2].split("\n")[0], "the address"
        )
        yield running


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], timeout=PATIENCE_MS
        )
        yield found
        found.close()


@pytest.fixture
def visit(browser):
    """Return what opens a page; what it says on its console or asks of others fails the test."""
    said: list[str] = []
    pages = []

    def opened(url: str, width: int = 1280, scheme: str = "light"):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        origin = "/".join([*url.split("/")[:3], ""])
        page.on(
            "request",
            lambda request: request.url.startswith((origin, "data:")) or said.append(request.url),
        )
        page.goto(url)
        pages.append(page)
        return page

    opened.may_lose_its_server = False
    yield opened
    for page in pages:
        page.close()
    if opened.may_lose_its_server:  # then the browser itself notes each connection that failed
        said[:] = [each for each in said if "net::ERR_" not in each]
    assert said == []


@pytest.fixture
def watched(visit, race):
    """Return what opens the page of the race, once its second run is on and only waits for the
    leecher that stands still."""

    def opened(**options):
        page = visit(race.url, **options)
        wanted = f"{PEERS - 2} of {PEERS - 1} leechers done"
        page.locator("#entrants details:nth-child(2) .note", has_text=wanted).wait_for()
        return page

    return opened


def bars(page, entrant: int):
    return page.locator(f"#entrants details:nth-child({entrant}) .bars button")


def texts(page, entrant: int) -> list[str]:
    return page.locator(f"#entrants details:nth-child({entrant}) .what").all_text_contents()


def test_every_peer_has_a_bar_and_the_one_that_stands_still_shows(watched):
    page = watched()
    slow = texts(page, 2)
    assert len(slow) == PEERS
    assert slow.count("done") == PEERS - 2
    assert slow[0] == "seeds"
    page.locator("#entrants details:nth-child(2) .what", has_text="50 %").wait_for()
    assert texts(page, 2)[7] == "50 %"
    width = bars(page, 2).nth(7).locator(".fill").evaluate("each => each.style.width")
    assert width == "50%"


def test_the_entrant_that_waits_shows_its_last_run_with_its_failure(watched):
    page = watched()
    quick = texts(page, 1)
    assert len(quick) == PEERS
    assert quick[0] == "seeded"
    assert quick[9] == "failed 0 %"
    assert all(text.endswith(" s") for text in quick[1:9])
    rows = page.locator("#failed li").all_inner_texts()
    assert rows == ["refused 000-quick, peer 9, in race: fetch: programmed to refuse"]


def test_run_k_of_n_time_left_and_results_so_far(watched):
    page = watched()
    assert page.locator("#run-line").inner_text().startswith("Run 2 of 2: slow, race, ")
    line = page.locator("#race-line").inner_text()
    assert line.startswith("1 of 2 runs closed; ")
    # The leecher that stands still makes its run longer than the plan expects, sooner or later.
    assert re.search(r" so far, (about \d+ (s|min) left|longer than expected)\. ", line)
    cells = page.locator("#totals tbody tr").first.locator("th, td").all_inner_texts()
    assert cells[:4] == ["quick", "1 of 1", "0", f"{PEERS - 2} of {PEERS - 1}"]
    assert float(cells[4].removesuffix(" s")) >= 1
    assert page.locator("#link.live").inner_text().startswith("Live")


def test_curves_of_all_leechers_and_of_the_run_before(watched):
    page = watched()
    assert page.locator("#chart .thin").count() == PEERS - 1
    assert page.locator("#chart .median").count() == 1
    label = page.locator("#chart").get_attribute("aria-label")
    assert "leechers hold 50 % to 100 %" in label
    assert "median leecher of run 000-quick" in label


def test_who_comes_late_sees_the_curves_from_the_start(watched):
    page = watched()
    points = page.locator("#chart .thin").nth(20).get_attribute("d").count("L")
    assert points >= 2


def test_a_name_that_is_markup_is_text(watched):
    page = watched()
    assert page.locator("h1").inner_text() == NAME
    assert page.locator("img").count() == 0


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_screen(watched, width, request):
    page = watched(width=width)
    page.locator("#all-runs summary").click()
    page.locator("#entrants details:nth-child(1) > summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    heights = page.evaluate(
        "[...document.querySelectorAll('.bars button')].map(each => each.offsetHeight)"
    )
    assert min(heights) >= 24
    if folder := request.config.getoption("--basetemp"):
        page.screenshot(path=Path(folder) / f"live-{width}.png", full_page=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_serious(watched, scheme, width):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="NOT TESTED: needs axe-playwright-python"
    )
    page = watched(scheme=scheme, width=width)
    page.locator("#all-runs summary").click()
    page.locator("#entrants details:nth-child(1) > summary").click()
    found = axe.Axe().run(page).response["violations"]
    serious = [
        (each["id"], [node["html"][:120] for node in each["nodes"]][:3])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_from_peer_to_peer_by_keyboard(watched):
    page = watched()
    focused = "document.activeElement.querySelector('.who').textContent"
    page.locator("#entrants details:nth-child(2) > summary").focus()
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "0"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(focused) == "2"
    page.keyboard.press("ArrowDown")
    below = int(page.evaluate(focused))
    assert below > 3
    page.keyboard.press("End")
    assert page.evaluate(focused) == str(PEERS - 1)
    page.keyboard.press("ArrowRight")
    assert page.evaluate(focused) == str(PEERS - 1)
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    button = bars(page, 2).nth(1)
    assert button.get_attribute("aria-pressed") == "true"
    assert page.locator("#chart .marked").get_attribute("data-peer") == "1"
    page.wait_for_timeout(2500)  # events go on to come
    assert page.evaluate(focused) == "1"
    assert button.get_attribute("aria-pressed") == "true"
    page.keyboard.press("Space")
    assert page.locator("#chart .marked").count() == 0


def test_what_a_person_has_closed_stays_closed(watched):
    page = watched()
    box = page.locator("#entrants details:nth-child(2)")
    assert box.get_attribute("open") is not None
    box.locator("summary").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_timeout(2500)
    assert box.get_attribute("open") is None


class Tracker:
    """A tracker in a thread, on one port, that the test ends and starts again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, 0
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def start(self) -> None:
        self._call(self._start())

    def end(self) -> None:
        self._call(self._end())

    def fail(self, detail: str) -> None:
        self._call(self._fail(detail))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def _call(self, work) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_SECONDS)

    async def _start(self) -> None:
        config = ServerConfig(
            scenario(), RACE_ID, self.folder, host="127.0.0.1", port=self.port, token="secret"
        )
        self._serving = listening(config)
        self.port = (await self._serving.__aenter__()).port

    async def _end(self) -> None:
        await self._serving.__aexit__(None, None, None)

    async def _fail(self, detail: str) -> None:
        for peer in range(3):
            client = RendezvousClient(
                self.url.rstrip("/"), RACE_ID, "a", peer, SystemClock(), token="secret"
            )
            await client.hello(info("a", peer))
            if peer == 2:
                why = Failure(reason=Reason.REFUSED, stage="<b>prepare</b>", detail=detail)
                await client.arrive("000-a", "prepared", why)
            await client.aclose()


@pytest.fixture
def tracker(tmp_path):
    made = Tracker(tmp_path)
    made.start()
    yield made
    made.end()


def test_what_a_peer_writes_is_text(tracker, visit):
    page = visit(tracker.url + "live")
    assert page.url.endswith(f"/{RACE_ID}/live/")
    tracker.fail("<script>alert(1)</script><img src=x onerror=alert(2)>&amp;\n\ndata: {}")
    row = page.locator("#failed li")
    row.wait_for()
    assert row.inner_text() == (
        "refused 000-a, peer 2, in <b>prepare</b>: "
        "<script>alert(1)</script><img src=x onerror=alert(2)>&amp; data: {}"
    )
    assert page.locator("main script, main img, main b").count() == 0


def test_a_page_that_lost_its_tracker_says_so_and_comes_back(tracker, visit):
    visit.may_lose_its_server = True
    page = visit(tracker.url + "live")
    page.wait_for_selector("#link.live")
    line = page.locator("#race-line").inner_text()
    tracker.end()
    page.wait_for_selector("#link.lost")
    assert page.locator("#link").inner_text().startswith("Lost the tracker at ")
    assert page.locator("#race-line").inner_text().split(";")[0] == line.split(";")[0]
    tracker.start()
    page.wait_for_selector("#link.live")


def test_without_script_the_page_says_what_is_missing(browser, tracker):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(tracker.url + "live")
    assert "needs JavaScript" in page.locator("main").inner_text()
    context.close()


def test_at_its_end_the_page_says_so_and_keeps_the_last_state(watched, visit, race):
    """The last test of this race, which it ends."""
    visit.may_lose_its_server = True
    page = watched()
    race.process.send_signal(signal.SIGINT)
    page.locator("#link", has_text="swarmrace ended at").wait_for()
    assert page.locator("#run-line").inner_text() == "The race was interrupted."
    assert page.locator("#failed li").first.inner_text().startswith("interrupted 001-slow")
    assert race.end() == 130
    page.wait_for_timeout(3000)  # the page goes on trying to come back
    assert page.locator("#link").inner_text().startswith("swarmrace ended at")
    assert "Traceback" not in race.output()
    race.wait_until_nothing_is_left()
