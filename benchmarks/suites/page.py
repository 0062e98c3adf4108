"""The page of a report: how long until it can be used, and what is done in it takes."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path

from ..report.results import US, Result, Verdict
from ..report.stats import Table
from ..rounds import Settings
from ..samples.report import run as made_up

SIZES = {"12 tests, 7 services": (12, 7, 1), "2,000 tests, 50 services": (2000, 50, 8)}
LARGE = list(SIZES)[-1]
#: milliseconds: up to 100 ms people feel that what they do happens at once
OPENED, DONE = 1000, 100

#: in the page, before its own script: as soon as all is there, a key chooses the next test
FIRST_KEY = """
addEventListener("DOMContentLoaded", () => {
    const key = new KeyboardEvent("keydown", {key: "ArrowDown", bubbles: true});
    document.querySelector("#list").dispatchEvent(key);
    requestAnimationFrame(() => setTimeout(() => { window.usedAt = performance.now(); }));
});
"""
OPEN = """
const done = arguments[0];
(function ask() { window.usedAt ? done(usedAt) : setTimeout(ask, 5); })();
"""
#: what a person does then; each ends when the picture has been drawn
TASKS = {
    "choose the next test": """
        const key = new KeyboardEvent("keydown", {key: "ArrowDown", bubbles: true});
        document.querySelector("#list").dispatchEvent(key);""",
    "zoom": 'document.querySelector("#zoom-in").click();',
    "list the tests that match a word": """
        const input = document.querySelector("#find-test");
        input.value = "basket";
        input.dispatchEvent(new Event("input"));""",
    "search all logs": 'document.querySelector("#find-line").value = "orders"; search();',
    "show the start": 'document.querySelector("#tab-start").click();',
}
TIMED = """
const done = arguments[0], began = performance.now();
%s
document.body.offsetHeight;
draw();
done(performance.now() - began);
"""


def run(settings: Settings) -> Result:
    opened = Table(
        "From opening report.html to the first key handled and drawn",
        "ms",
        note="A file on the disk, in headless Chromium, which draws without a graphics card.",
    )
    tasks = Table(
        "What is done in a page with " + LARGE, "ms", note="Style, layout and drawing included."
    )
    result = Result([opened, tasks])
    missing = [name for name in ("selenium",) if importlib.util.find_spec(name) is None]
    if missing:
        reason = f"{missing[0]} is not installed"
        print(f"page: skipped: {reason}")
        opened.remark(LARGE, US, reason)
        result.verdicts.append(Verdict("the page of a report", "can be used", reason, False))
        return result
    _measure(settings, opened, tasks)
    result.at_most(f"a report of {LARGE} can be used", opened.samples(LARGE, US), OPENED, "ms")
    for task in TASKS:
        result.at_most(f"a report of {LARGE}: {task}", tasks.samples(task, US), DONE, "ms")
    return result


def _measure(settings: Settings, opened: Table, tasks: Table) -> None:
    from selenium import webdriver

    from summon_testcase.reports.page import page
    from summon_testcase.services import Chromedriver

    with tempfile.TemporaryDirectory() as folder, Chromedriver() as driver:
        files = {}
        for number, (name, size) in enumerate(SIZES.items()):
            files[name] = Path(folder, f"{number}.html")
            files[name].write_text(page(made_up(*size)), encoding="utf-8")
        options = driver.browser_options("--window-size=1280,800")
        with webdriver.Remote(driver.url, options=options) as browser:
            source = {"source": FIRST_KEY}
            browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", source)
            for _ in settings.rounds():
                for name, file in files.items():
                    browser.get(file.as_uri())
                    opened.add(name, US, browser.execute_async_script(OPEN))
                for task, script in TASKS.items():
                    tasks.add(task, US, browser.execute_async_script(TIMED % script))
                browser.get("about:blank")
