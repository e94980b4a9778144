"""The page in a real browser: Debian's Chromium, driven by Playwright and checked by axe-core."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from made_matrices import SIX, cell
from made_results import INF
from swarmrace.report.command import report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
playwright = pytest.importorskip("playwright.sync_api", reason="NOT TESTED: needs playwright")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="NOT TESTED: the page needs chromium (apt install chromium)"
)

OPEN = "#cell-4x1-10MB"


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    top = tmp_path_factory.mktemp("page")
    for size, seeders, factor in ((2, 1, 0.5), (4, 1, 2.0), (8, 1, 3.0), (8, 4, 1.0)):
        slow = [factor * value for value in SIX]
        failing = [*slow[:5], [*([factor] * (size - seeders - 1)), INF]]
        cell(
            top / "results" / f"{size}x{seeders}",
            {"a": failing if size == 8 else slow, "b": SIX},
            swarmSize=size,
            seeders=seeders,
        )
    report([top / "results"], top / "out", accept=("furps",))
    return top / "out" / "report.html"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def visit(browser, written):
    """Return a function that opens the page. A console message or a request fails the test."""
    events: list[str] = []
    pages = []

    def open_page(width: int = 1280, scheme: str = "light", anchor: str = ""):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.on("console", lambda message: events.append(message.text))
        page.on("pageerror", lambda error: events.append(str(error)))
        page.on(
            "request",
            lambda request: request.url.startswith("file:") or events.append(request.url),
        )
        page.goto(written.as_uri() + anchor)
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert events == []


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_screen(visit, width):
    page = visit(width, anchor=OPEN)
    page.wait_for_selector(f"{OPEN} .drill svg")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator("section").count() >= 8


def test_a_link_in_the_matrix_opens_its_cell(visit):
    page = visit()
    assert page.locator("details.cell[open]").count() == 0
    page.locator('#matrix a[href="#cell-4x1-10MB"]').first.click()
    page.wait_for_selector("details.cell[open]")
    assert page.locator("details.cell[open] .name").inner_text() == "4x1-10MB"


def test_tables_sort_by_keyboard(visit):
    page = visit()
    table = page.locator("#tables table").first
    head = table.locator("thead th").nth(0)
    head.locator("button").focus()
    names = "#tables table >> nth=0 >> tbody tr th:first-child"

    def shown():
        return page.locator(names).all_inner_texts()

    before = shown()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    rising = shown()
    page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") == "descending"
    assert shown() == rising[::-1]
    assert sorted(before) == sorted(rising)


def test_numbers_sort_by_value_and_failed_runs_last(visit):
    page = visit(anchor="#cell-8x1-10MB")
    cell_ = page.locator("#cell-8x1-10MB")
    table = cell_.locator("table.sortable").last
    heads = table.locator("thead th").all_inner_texts()
    at = heads.index("last leecher")
    table.locator("thead th").nth(at).locator("button").click()
    column = table.locator(f"tbody tr td:nth-child({at + 1})").all_inner_texts()
    assert column[-1] == "failed"
    seconds = [float(text.split()[0]) * (1e-3 if "ms" in text else 1) for text in column[:-1]]
    assert seconds == sorted(seconds)


def test_drill_down_to_a_peer_by_keyboard(visit):
    page = visit()
    page.locator(f"{OPEN} > summary").focus()
    page.keyboard.press("Enter")
    choice = page.wait_for_selector(f"{OPEN} .drill select")
    runs = choice.evaluate("each => [...each.options].map(o => o.text)")
    assert len(runs) == 12
    choice.focus()
    page.keyboard.press("ArrowDown")
    drill = page.locator(f"{OPEN} .drill")
    assert drill.locator("tbody tr").count() == 3
    label = drill.locator("svg").get_attribute("aria-label")
    assert label == f"Curves of 3 leechers of {runs[1].split()[0]}, arrival"
    button = drill.locator("tbody button").first
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    assert drill.locator("path.on").count() == 1
    assert drill.locator("path.dim").count() == 2
    assert drill.locator("[aria-live]").inner_text().startswith("peer ")
    page.keyboard.press("Enter")
    assert drill.locator("path.on, path.dim").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit, scheme):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="NOT TESTED: needs axe-playwright-python"
    )
    page = visit(scheme=scheme, anchor="#cell-8x1-10MB")
    page.wait_for_selector("#cell-8x1-10MB .drill svg")
    found = axe.Axe().run(page).response["violations"]
    serious = [
        (each["id"], [node["html"][:120] for node in each["nodes"]][:3])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_a_print_is_light_and_shows_everything(visit):
    page = visit(scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details.cell[open]").count() == 0
    assert len(page.pdf()) > 10_000


def test_text_and_figures_need_no_script(browser, written):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(written.as_uri())
    assert page.locator("svg.fig").count() >= 15
    page.locator("details.cell > summary").first.click()
    assert page.locator("details.cell[open] table").first.is_visible()
    context.close()
