"""The report in a real browser: it renders, its switches work by mouse and keyboard, it asks for nothing."""

import json
import shutil
from pathlib import Path

import pytest
from report_run import CLASSES, folder_set, run
from tiny import STAGES

webdriver = pytest.importorskip("selenium.webdriver", reason="pip install .[dev] brings selenium")
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

pytestmark = pytest.mark.slow
HOW = "no Chromium with its driver: apt-get update && apt-get install chromium chromium-driver"
WIDE, NARROW = (1400, 900), (390, 844)


@pytest.fixture(scope="module")
def page(tmp_path_factory, tiny_runs) -> Path:
    root = folder_set(tmp_path_factory.mktemp("set") / "set")
    return run(tmp_path_factory.mktemp("run"), root) / "report.html"


@pytest.fixture(scope="module")
def started():
    binary = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))),
        None,
    )
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip(HOW)
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(driver))
    yield browser
    browser.quit()


def resize(browser, width: int, height: int) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


@pytest.fixture
def browser(started, page):
    """The report, freshly loaded in a wide window; after the test nothing has been logged or asked for."""
    started.get("about:blank")
    started.get_log("browser"), started.get_log("performance")
    resize(started, *WIDE)
    started.get(page.as_uri())
    yield started
    assert started.get_log("browser") == [], "messages on the console"
    asked = [json.loads(entry["message"])["message"] for entry in started.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in asked if m["method"] == "Network.requestWillBeSent"]
    assert page.as_uri() in urls, "the log shows requests"
    assert {url for url in urls if not url.startswith("data:")} == {page.as_uri()}


def all_of(browser, query: str) -> list:
    return browser.find_elements(By.CSS_SELECTOR, query)


def one(browser, query: str):
    return browser.find_element(By.CSS_SELECTOR, query)


def seen(browser, query: str) -> int:
    """How many of the elements are displayed."""
    script = (
        "return [...document.querySelectorAll(arguments[0])].filter(e => e.getClientRects().length).length"
    )
    return browser.execute_script(script, query)


def test_it_renders(browser):
    assert one(browser, "h1").text == "tiny run"
    body = one(browser, "body").text
    for text in (
        "Result",
        "difference",
        "mIoU over epochs",
        "What each stage misses",
        CLASSES[1],
        CLASSES[2],
    ):
        assert text in body
    widths = browser.execute_script("return [...document.images].map(i => i.naturalWidth)")
    assert len(widths) > 9 * (5 + 4 * len(STAGES))
    assert min(widths) > 0
    charts = browser.execute_script(
        "return [...document.querySelectorAll('.chart svg')].map(s => s.getBoundingClientRect().height)"
    )
    assert len(charts) >= 4
    assert min(charts) > 150
    grey = browser.execute_script(
        "return getComputedStyle(document.querySelector('.chosen .stack')).backgroundImage"
    )
    assert grey.startswith('url("data:image/jpeg')


# What each switch hides, as a selector inside the image that is shown.
SWITCHES = {
    "show-photo": ".kind-photo",
    "show-label": ".kind-label",
    "show-prediction": ".kind-prediction",
    "show-difference": ".kind-difference",
    "show-again": ".panel.kind-again",
    "show-attention": ".panel.kind-attention",
    "show-missing": ".panel.kind-missing",
    **{f"stage-{k}": f".panel.stage-{k}" for k in range(len(STAGES))},
}


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_every_layer_can_be_switched(browser, name, by):
    layer, others = f".chosen {SWITCHES[name]}", ".chosen .panel"
    box = one(browser, f"#{name}")
    shown, every = seen(browser, layer), seen(browser, others)
    assert shown > 0

    def press() -> None:
        if by == "mouse":
            one(browser, f"label:has(#{name})").click()
        else:
            browser.execute_script("arguments[0].focus()", box)
            box.send_keys(Keys.SPACE)

    press()
    assert seen(browser, layer) == 0
    assert 0 < seen(browser, others) < every, "the other layers stay"
    press()
    assert (seen(browser, layer), seen(browser, others)) == (shown, every)


@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_heat_maps_of_either_network(browser, by):
    arms = {"plain": (1, 0), "rws": (0, 1), "both": (1, 1)}
    each = 2 * len(STAGES)

    def counts() -> tuple[int, int]:
        return tuple(seen(browser, f".chosen .panel.arm-{arm}") // each for arm in ("plain", "rws"))

    assert counts() == arms["rws"]
    browser.execute_script("arguments[0].focus()", one(browser, "#arm-rws"))
    for arm, key in (("both", Keys.ARROW_RIGHT), ("plain", Keys.ARROW_RIGHT), ("rws", Keys.ARROW_RIGHT)):
        if by == "mouse":
            one(browser, f"label:has(#arm-{arm})").click()
        else:
            browser.switch_to.active_element.send_keys(key)
        assert counts() == arms[arm]
    assert "chosen" in one(browser, "#sample-0").get_attribute("class"), (
        "arrows inside a switch step no image"
    )


def test_weak_slices_are_boxes_that_can_be_switched(browser):
    with_boxes = browser.execute_script(
        "return [...document.querySelectorAll('.sample')].findIndex(s => s.querySelector('.boxes'))"
    )
    all_of(browser, ".thumb")[with_boxes].click()
    assert (seen(browser, ".chosen .kind-photo .boxes"), seen(browser, ".chosen .boxes")) == (1, 1)
    one(browser, "label:has(#boxes-all)").click()
    panels = seen(browser, ".chosen .panel:not(.kind-again)")
    assert seen(browser, ".chosen .boxes") == panels > 1, "what was looked again at has its own windows"
    one(browser, "label:has(#boxes-none)").click()
    assert seen(browser, ".chosen .boxes") == 0
    one(browser, "label:has(#boxes-photo)").click()
    box, picture = (
        browser.execute_script("return arguments[0].getBoundingClientRect().toJSON()", one(browser, query))
        for query in (".chosen .boxes rect", ".chosen .kind-photo .stack")
    )
    assert picture["left"] - 3 <= box["left"] < box["right"] <= picture["right"] + 3


def test_the_windows_of_looking_again_are_numbered_and_enlarged_with_their_picture(browser):
    assert seen(browser, ".chosen .kind-again .windows") == seen(browser, ".chosen .panel.kind-again") == 4
    stack = one(browser, ".chosen .panel.kind-again .stack")
    browser.execute_script("arguments[0].focus()", stack)
    stack.send_keys(Keys.ENTER)
    assert one(browser, "#large-title").text.startswith("Looked again, plain: unsure, and the windows")
    assert [text.text for text in all_of(browser, "#large-stack .windows text")] == ["1", "2"]
    picture, window = (
        browser.execute_script("return arguments[0].getBoundingClientRect().toJSON()", one(browser, query))
        for query in ("#large-stack .stack", "#large-stack .windows .line")
    )
    assert window["width"] == pytest.approx(0.7 * picture["width"], rel=0.06)
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)


def chosen(browser) -> list[int]:
    pressed = [thumb.get_attribute("aria-pressed") == "true" for thumb in all_of(browser, ".thumb")]
    shown = [sample.is_displayed() for sample in all_of(browser, ".sample")]
    assert pressed == shown
    return [k for k, there in enumerate(shown) if there]


def test_images_are_stepped_through_by_mouse_and_keyboard(browser):
    number = len(all_of(browser, ".sample"))
    assert number == 9
    assert chosen(browser) == [0]
    one(browser, "body").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert chosen(browser) == [2]
    one(browser, "body").send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert chosen(browser) == [number - 1], "round the end"
    all_of(browser, ".thumb")[3].click()
    assert chosen(browser) == [3]
    browser.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert chosen(browser) == [4]
    assert browser.switch_to.active_element == all_of(browser, ".thumb")[4], "the focus goes along"


def test_a_picture_can_be_enlarged_and_flipped_through(browser):
    stack = one(browser, ".chosen .kind-label .stack")
    browser.execute_script("arguments[0].focus()", stack)
    stack.send_keys(Keys.ENTER)
    dialog = one(browser, "#large")
    assert dialog.is_displayed()
    assert one(browser, "#large-title").text == "Label"
    browser.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert one(browser, "#large-title").text.startswith("Prediction, plain")
    one(browser, "#large-back").click()
    one(browser, "#large-back").click()
    assert one(browser, "#large-title").text.startswith("image")
    large = one(browser, "#large-stack img")
    assert large.size["width"] > 1.5 * stack.size["width"]
    assert chosen(browser) == [0], "the image behind stays"
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not dialog.is_displayed()


def test_the_strength_of_the_colours(browser):
    slider = one(browser, "#strength")
    browser.execute_script("arguments[0].focus()", slider)

    def opacity(kind: str) -> float:
        script = "return getComputedStyle(document.querySelector(arguments[0])).opacity"
        return float(browser.execute_script(script, f".chosen .kind-{kind} .stack img"))

    assert opacity("label") == pytest.approx(0.8)
    slider.send_keys(Keys.HOME)
    assert (opacity("label"), opacity("photo")) == (0, 1)
    slider.send_keys(Keys.END)
    assert opacity("label") == 1
    assert one(browser, "#strength-value").text == "100 %"


def test_classes_are_sorted(browser):
    head = all_of(browser, "#class-table thead button")[1]

    def column() -> list[float]:
        cells = all_of(browser, "#class-table tbody td:nth-child(2)")
        return [float(cell.get_attribute("data-value")) for cell in cells]

    before = column()
    head.click()
    assert column() == sorted(before)
    assert one(browser, "#class-table th[aria-sort=ascending]").text.startswith("plain")
    head.send_keys(Keys.ENTER)
    assert column() == sorted(before, reverse=True)


def test_focus_can_be_seen(browser):
    one(browser, "body").send_keys(Keys.TAB)
    outline = browser.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_the_page_is_not_wider_than_the_window(browser, size):
    resize(browser, *size)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= size[0]
    assert seen(browser, ".chosen .panel") > 0


def test_without_javascript_everything_is_there(started, page):
    started.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        started.get(page.as_uri())
        samples = all_of(started, ".sample")
        assert len(samples) == 9
        assert all(sample.is_displayed() for sample in samples)
        assert not any(thumb.is_displayed() for thumb in all_of(started, ".thumb"))
        label = one(started, "#sample-4 .kind-label")
        assert label.is_displayed()
        one(started, "label:has(#show-label)").click()
        assert not label.is_displayed(), "the switches are CSS"
    finally:
        started.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
