"""The page that shows a run: its text here, and what a person does with it in a real browser."""

from __future__ import annotations

import base64
import json
import re
import tempfile
import unittest
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.samples.report import run
from summon_testcase import SummonMixin, services
from summon_testcase.reports.page import LIMIT, page

from ..needs import needs
from ..places import linux
from ..samples import eventually


def data(html: str) -> Any:
    """The data as a browser reads it: to the next end of a script, whatever that is in."""
    found = re.search('id="data">(.*?)</script', html, re.DOTALL)
    assert found
    return json.loads(found[1])


def service(**more: Any) -> dict[str, Any]:
    return {"id": "s1", "process": "p1", "name": "web", "lives": [], **more}


def life(*parts: tuple[int, str]) -> dict[str, Any]:
    marks = [(float(second), part[0]) for second, part in enumerate(parts)]
    return {"starting": 0.0, "excerpt": parts, "marks": marks}


def ended(outcome: str = "passed", services: tuple[str, ...] = ("s1",)) -> dict[str, Any]:
    facts = {"id": "t1", "process": "p1", "name": "test_it", "began": 1.0, "ended": 2.0}
    return {**facts, "outcome": outcome, "message": "", "services": services}


def test_any_text_comes_back_as_it_was() -> None:
    text = "</script><!--<script>{{script}}&amp;"
    text += "\x00\x1b[31m\x7f\x85\ufeff\ufffe\u2028\ud800é🐘\udcff\r\n"
    html = page({"services": [service(lives=[life((0, text))])], "tests": []})
    html.encode()
    assert data(html)["services"][0]["lives"][0]["excerpt"] == [[0, text]]


def test_the_browser_runs_our_script_only() -> None:
    html = page({})
    assert "default-src 'none'" in html
    assert html.count("sha256-") == 2
    assert "{{" not in html


def test_it_is_never_too_large() -> None:
    lines = "".join(f"{number} wrote a line\n" for number in range(100_000))
    lives = [life((0, lines)), life((0, "a\n"), (2, lines), (2 + len(lines), "the last line\n"))]
    services = [service(id=f"s{number}", lives=lives) for number in range(20)]
    html = page({"services": services, "tests": [ended(), ended("failed", services=("s3",))]})
    assert LIMIT / 5 < len(html.encode()) <= LIMIT
    kept = [[life["excerpt"] for life in service["lives"]] for service in data(html)["services"]]
    assert kept[0][1][-1] == [2 + len(lines), "the last line\n"]
    assert re.match(r"\d+ wrote a line\n", kept[0][1][-2][1])
    cut = data(html)["services"][0]["lives"][1]
    assert cut["shortened"]
    assert cut["marks"] == [[2.0, 2 + len(lines)]]
    assert len(kept[3][0][0][1]) > 5 * len(kept[4][0][0][1]) > 0


def test_tests_that_passed_are_left_out_last() -> None:
    tests = [{**ended(), "name": "test_" + "long" * 50} for _ in range(30_000)]
    html = page({"services": [], "tests": [*tests, ended("error")]})
    assert len(html.encode()) <= LIMIT
    assert data(html)["left_out"] == 30_000
    assert [test[4] for test in data(html)["tests"]] == ["error"]


#: how many pixels have a colour of the page in the lane of the first service that is called so
COLOURED = """
    const [name, colour] = arguments, lanes = document.querySelector("#lanes");
    const label = [...document.querySelectorAll("#labels button")].find(
        (button) => button.textContent.startsWith(name));
    const copy = new OffscreenCanvas(innerWidth, label.offsetHeight);
    const pen = copy.getContext("2d", {willReadFrequently: true});
    pen.drawImage(lanes.querySelector("canvas"), 0, lanes.scrollTop - label.offsetTop);
    const {data} = pen.getImageData(0, 0, copy.width, copy.height);
    pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(`--${colour}`);
    pen.fillRect(0, 0, 1, 1);
    const wanted = pen.getImageData(0, 0, 1, 1).data;
    let found = 0;
    for (let at = 0; at < data.length; at += 4) {
        if ([0, 1, 2, 3].every((part) => Math.abs(data[at + part] - wanted[part]) < 30)) found += 1;
    }
    return found;
"""
#: the ink of a text, and what is behind it
COLOURS = """
    const colour = (text) => text.match(/[\\d.]+/g).map(Number);
    const found = {};
    for (const selector of ["body", "h1", ".facts", "pre.message", "pre.around", ".bad", "#copy",
                            "#list .of", "#legend li", "#chosen a"]) {
        const one = document.querySelector(selector);
        let behind = one;
        while (behind.parentElement && colour(getComputedStyle(behind).backgroundColor)[3] < 1) {
            behind = behind.parentElement;
        }
        found[selector] = [getComputedStyle(one).color, getComputedStyle(behind).backgroundColor]
            .map((text) => colour(text).slice(0, 3));
    }
    return found;
"""
#: what is wider than the window, or the part of the page that it is in
CUT_OFF = """
    const right = (one) => one.getBoundingClientRect().right;
    const kinds = "section, header, button, input, h1, h3, canvas, .log, svg";
    return [...document.querySelectorAll(kinds)]
        .filter((one) => one.checkVisibility() && !one.closest(".scroll"))
        .filter((one) => right(one) > Math.min(innerWidth, right(one.closest("section, body"))) + 1)
        .map((one) => one.outerHTML.slice(0, 200));
"""
#: where in the page an element is, and how it is seen to have the focus
FOCUSED = """
    const now = document.activeElement, style = getComputedStyle(now);
    const place = now.closest("[id]");
    return [place ? place.id : now.tagName, style.outlineStyle !== "none", now.innerText || ""];
"""
#: a red pixel
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def contrast(one: list[float], other: list[float]) -> float:
    """Of two colours, as WCAG defines it: texts need 4.5."""

    def light(colour: list[float]) -> float:
        parts = [part / 255 for part in colour]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05

    return max(light(one), light(other)) / min(light(one), light(other))


@linux
@needs("chromedriver", package="chromium-driver")
class PageTest(SummonMixin, unittest.TestCase):
    """What a person sees and does; nothing may be asked of a network, or fail in the console."""

    driver = services.Chromedriver()
    browser: ClassVar[Any]
    place: ClassVar[Path]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        from selenium import webdriver

        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.place = Path(folder.name)
        (cls.place / "attachments").mkdir()
        (cls.place / "attachments" / "basket.png").write_bytes(PICTURE)
        made_up = {"large": run(), "small": run(12, 7, 1), "untested": run(0, 5, 2)}
        for name, later in {"together": 0.0, "apart": 1.0}.items():
            made_up[name] = run(12, 7, 1)
            (again,) = (one for one in made_up[name]["services"] if one["restarts"])
            again["restarts"][0][0] = again["lives"][0]["died"]["at"] + later
        failed = made_up["untested"]["services"][-1]["lives"][-1]
        failed.update(ready=None, failed=failed["ready"], error="mail is not ready\nbut why")
        cancelled = made_up["untested"]["services"][-2]["lives"][-1]
        cancelled.update(ready=None, failed=cancelled["starting"], error="cancelled")
        made_up["attached"] = run(12, 7, 1)
        (again,) = (one for one in made_up["attached"]["services"] if one["restarts"])
        lives = [{**life, "attached": True} for life in again["lives"]]
        made_up["attached"]["services"].append({**again, "id": "p1.attached", "lives": lives})
        mail = made_up["small"]["services"][2]["lives"][0]
        mail.update(excerpt=[], marks=[], shortened=True)
        for name, made in {**made_up, "empty": {}}.items():
            (cls.place / f"{name}.html").write_text(page(made), encoding="utf-8")
        options = cls.driver.browser_options()
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        cls.browser = webdriver.Remote(cls.driver.url, options=options)
        cls.addClassCleanup(cls.browser.quit)
        everything = ["clipboardReadWrite", "clipboardSanitizedWrite"]
        cls.browser.execute_cdp_cmd("Browser.grantPermissions", {"permissions": everything})

    def tearDown(self) -> None:
        self.assertEqual(self.log("browser"), [])
        messages = [json.loads(entry["message"])["message"] for entry in self.log("performance")]
        asked = {
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        }
        self.assertEqual([url for url in asked if not url.startswith("file:")], [])

    def log(self, kind: str) -> Any:
        return self.browser.execute("getLog", {"type": kind})["value"]

    def open(self, name: str, width: int = 1280, height: int = 800, scheme: str = "light") -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.browser.get("about:blank")  # another #fragment of a page would not load it anew
        self.browser.get((self.place / f"{name}.html").as_uri())
        self.frame()

    def frame(self) -> None:
        """Wait until what has changed is drawn."""
        wait = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))"
        self.browser.execute_async_script(wait)

    def find(self, selector: str) -> Any:
        return self.browser.find_element("css selector", selector)

    def all(self, selector: str) -> list[Any]:
        return self.browser.find_elements("css selector", selector)

    def press(self, *keys: str) -> None:
        from selenium.webdriver import ActionChains

        ActionChains(self.browser, duration=0).send_keys(*keys).perform()

    def chosen(self) -> str:
        # in one step, since the list may be drawn anew between two
        script = "return document.querySelector('#list [aria-selected=true] .name').innerText"
        return str(self.browser.execute_script(script))

    def coloured(self, name: str, colour: str) -> int:
        """How many pixels have a colour in the lane of a service."""
        count = self.browser.execute_script(COLOURED, name, colour)
        assert isinstance(count, int)
        return count

    def shown(self) -> str:
        """The times that the lanes show; empty for all."""
        self.frame()
        return self.find("#shown").text

    def test_what_failed_is_seen_at_once(self) -> None:
        for width, height in (1280, 800), (390, 844):
            with self.subTest(width=width):
                self.open("large", width, height)
                self.assertEqual(self.find("h1").text, "3 of 2,000 tests failed, 1 did not end")
                self.assertIn("gw5 did not end by itself", self.find("#when").text)
                figures = self.find("#figures").text.split("\n")
                self.assertEqual(figures[figures.index("services") - 1], "50")
                self.assertIn("slowest start: worker", figures)
                self.assertEqual(self.chosen(), "test_finds_nothing_83")
                first = self.find("#chosen .log")
                self.assertIn("redis", first.text)
                self.assertIn("was killed by SIGKILL", first.text)
                inside = first.find_element("css selector", ".inside")
                self.assertEqual(inside.text.split("\n")[-1], "1:M # Out of memory")
                self.assertGreater(self.coloured("redis", "dead"), 20)
                self.assertEqual(self.coloured("postgres", "dead"), 0)
                self.assertEqual(len(self.all("#labels .process")), 8)
                self.assertEqual(len(self.all("#labels .service")), 50)

    def test_a_death_and_the_restart_after_it_are_both_seen(self) -> None:
        """Though with restart=True they may be at the same moment: neither hides the other."""
        for scheme in ("light", "dark"):
            with self.subTest(scheme):
                seen = {}
                for name in ("apart", "together"):
                    self.open(name, scheme=scheme)
                    # the lines of the chosen test go through all lanes
                    lines = self.coloured("postgres", "accent")
                    crosses = self.coloured("redis", "dead")
                    seen[name] = crosses, self.coloured("redis", "accent") - lines
                for apart, together in zip(seen["apart"], seen["together"], strict=True):
                    self.assertGreater(apart, 20)
                    self.assertGreater(together, 0.9 * apart)

    def test_what_is_attached_is_counted_once(self) -> None:
        self.open("attached")
        labels = [label.text for label in self.all("#labels .service") if "redis" in label.text]
        self.assertEqual(sorted("attached" in label for label in labels), [False, True])
        figures = self.find("#figures").text.split("\n")
        for name, count in {"services": "7", "death: redis": "1", "restart": "1"}.items():
            self.assertEqual(figures[figures.index(name) - 1], count)

    def test_nothing_is_cut_off(self) -> None:
        for width, height in (1280, 800), (390, 844):
            self.open("large", width, height)
            for tab in self.all("[role=tab]"):
                tab.click()
                with self.subTest(width=width, tab=tab.text):
                    self.assertEqual(self.browser.execute_script(CUT_OFF), [])

    def test_a_test_is_chosen_by_its_name_by_keys_and_in_its_lane(self) -> None:
        from selenium.webdriver import Keys
        from selenium.webdriver.common.actions.action_builder import ActionBuilder

        self.open("large")
        self.find("#find-test").send_keys("nothing_80", Keys.ENTER)
        self.assertEqual(self.chosen(), "test_finds_nothing_803")
        self.press(Keys.ARROW_DOWN)
        self.assertEqual(self.chosen(), "test_buys_nothing_808")
        self.assertIn("passed", self.find("#chosen h3").text)
        self.find("#find-test").clear()
        self.find("#find-test").send_keys("SIGKILL")
        names = [name.text for name in self.all("#list .name")]
        self.assertEqual(names, ["test_finds_nothing_83"])
        self.find("[data-kind=skipped]").click()
        self.assertEqual(self.find("#list").text, "No test matches.")

        self.open("small")
        self.find("#chosen button").click()  # zoom to it
        self.find("#labels .service").click()
        self.assertEqual(self.find("#chosen h3").text, "ShopTest.postgres")
        lane, label = self.find("#lanes canvas").rect, self.find("#labels .tests").rect
        point = round(lane["x"] + lane["width"] / 2), round(label["y"] + label["height"] / 2)
        actions = ActionBuilder(self.browser, duration=0)
        actions.pointer_action.move_to_location(*point).click()
        actions.perform()
        self.assertIn("test_counts_a_very_long_basket_of_many_teas_4", self.find("#chosen h3").text)

    def test_keys_are_enough(self) -> None:
        from selenium.webdriver import Keys

        self.open("small")
        seen = []
        for _ in range(80):
            self.press(Keys.TAB)
            seen.append(self.browser.execute_script(FOCUSED))
            if seen[-1][0] == "BODY":
                break
        self.assertEqual([name for name, visible, _ in seen[:-1] if not visible], [])
        visited = [name for name, _, _ in seen]
        ways = ["figures", "copy", "zoom-in", "labels", "lanes", "find-test", "filters", "list"]
        self.assertEqual([name for name in ways if name not in visited], [])
        self.assertEqual(visited[-1], "BODY", "the focus is trapped")
        for place in ("labels", "tab-chosen"):
            self.assertEqual(visited.count(place), 1)

        self.find("#list").send_keys(Keys.END)
        self.assertEqual(self.chosen(), "test_finds_by_card_11")
        self.find("#tab-chosen").send_keys(Keys.ARROW_RIGHT)
        self.assertIn("postgres, then migrate, then worker", self.find("#start").text)
        self.find("#labels [tabindex='0']").send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ENTER)
        self.assertEqual(self.find("#chosen h3").text, "ShopTest.redis")
        canvas = self.find("#lanes canvas")
        self.assertEqual(self.shown(), "")
        canvas.send_keys("+")
        near = self.shown()
        canvas.send_keys(Keys.ARROW_RIGHT)
        self.assertNotIn(self.shown(), ("", near))
        canvas.send_keys("0")
        self.assertEqual(self.shown(), "")

    def test_pointers_zoom_and_move(self) -> None:
        from selenium.webdriver import ActionChains
        from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

        self.open("small")
        times, lanes = self.find("#times canvas"), self.find("#lanes canvas")
        ActionChains(self.browser, duration=0).move_to_element(
            times
        ).click_and_hold().move_by_offset(200, 0).release().perform()
        first = self.shown()
        self.assertIn(" to ", first)
        ActionChains(self.browser, duration=0).drag_and_drop_by_offset(lanes, 100, 0).perform()
        second = self.shown()
        self.assertNotEqual(second, first)
        wheel = ScrollOrigin.from_element(times)
        ActionChains(self.browser, duration=0).scroll_from_origin(wheel, 0, -100).perform()
        self.assertNotEqual(self.shown(), second)
        self.find("#zoom-all").click()
        self.assertEqual(self.shown(), "")

    def test_a_search_leads_to_the_line(self) -> None:
        self.open("large")
        self.find("#tab-logs").click()
        self.find("#find-line").send_keys("Out of MEMORY")
        hits = eventually(lambda: self.all("#hits button"), "there are hits")
        self.assertEqual(self.find("#found").text, "1 line:")
        self.assertIn("ShopTest.redis · gw0", hits[0].text)
        self.assertIn("during test_finds_nothing_83", hits[0].text)
        hits[0].click()
        self.assertEqual(self.find("#chosen h3").text, "ShopTest.redis")
        self.assertEqual(self.find("#chosen mark").text, "Out of memory")
        self.assertTrue(self.find("#chosen mark").is_displayed())

    def test_the_text_for_an_issue(self) -> None:
        self.open("large")
        self.find("#copy").click()
        eventually(lambda: self.find("#said").text == "Copied", "it is copied")
        text = self.browser.execute_async_script(
            "navigator.clipboard.readText().then(arguments[0])"
        )
        self.assertIn("### 3 of 2,000 tests failed", text)
        self.assertIn("#### error: `tests/test_shop.py::BillTest::test_finds_nothing_83`", text)
        self.assertIn("**redis** was killed by SIGKILL wrote:\n\n```text\n", text)
        self.assertIn("1:M # Out of memory", text)
        self.assertIn("Python: 3.12.4", text)

    def test_dark_and_light(self) -> None:
        dark, light = (self.colours(scheme) for scheme in ("dark", "light"))
        self.assertLess(sum(dark["body"][1]), 150)
        self.assertGreater(sum(light["body"][1]), 600)
        for colours in dark, light:
            for name, (ink, ground) in colours.items():
                with self.subTest(name):
                    self.assertGreater(contrast(ink, ground), 4.5)

    def colours(self, scheme: str) -> dict[str, Any]:
        """The colours of text, and of what is behind it."""
        self.open("small", scheme=scheme)
        return self.browser.execute_script(COLOURS)

    def test_strange_output_is_text(self) -> None:
        self.open("large")
        self.find("#find-test").send_keys("_700\n")
        inside = self.find("#chosen .inside").text
        self.assertIn(r"red ␀␇\x85 \ud800 \xff </script><b>bold</b> \u202eturned 🐘", inside)
        self.assertEqual(self.all("#chosen b b, #chosen pre b"), [])

    def test_what_has_no_room_in_the_page_is_not_called_silence(self) -> None:
        self.open("small")
        logs = [log.text for log in self.all("#chosen .log") if log.text.startswith("mail")]
        self.assertIn("What it wrote is in the whole log only.", logs[0])

    def test_notes_have_their_pictures(self) -> None:
        self.open("small")
        self.find("#tab-notes").click()
        wide = "return document.querySelector('#notes img').naturalWidth"
        eventually(lambda: self.browser.execute_script(wide) == 1, "the picture is there")

    def test_nothing_was_recorded(self) -> None:
        from selenium.webdriver import Keys

        self.open("empty")
        self.assertEqual(self.find("h1").text, "Nothing was recorded")
        self.assertIn("Neither a test nor a service", self.find("#chosen").text)
        self.find("#tab-run").send_keys(Keys.ARROW_LEFT)  # there is no tab for notes
        self.assertTrue(self.find("#logs").is_displayed())

    def test_a_run_without_tests_shows_its_services(self) -> None:
        self.open("untested")
        self.assertIn("failed start: mail", self.find("#figures").text)
        self.assertNotIn("death", self.find("#figures").text)
        self.assertIn("mail is not ready at ", self.find("#chosen table").text)
        self.assertEqual(self.find("#chosen .message").text, "mail is not ready\nbut why")
        self.assertEqual(self.find("h1").text, "5 services, no tests")
        self.assertFalse(self.find("#tests").is_displayed())
        self.find("#tab-start").click()
        self.assertIn("All services were ready after", self.find("#start").text)
