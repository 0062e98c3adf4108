"""The shop's page in a real browser."""

from unittest import TestCase

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from summon_testcase import HTTPCoordinatedExecutor, SummonMixin
from summon_testcase.services import Chromedriver


class BasketTest(SummonMixin, TestCase):
    driver = Chromedriver()
    site = HTTPCoordinatedExecutor(
        "{python} -m http.server {port} --bind {host} --directory {here}/site",
        url="http://{host}:{port}/",
    )

    @classmethod
    def setUpClass(cls):
        options = cls.driver.browser_options()
        cls.browser = webdriver.Remote(cls.driver.url, options=options)
        cls.addClassCleanup(cls.browser.quit)

    def setUp(self):
        self.visit()
        self.browser.execute_script("localStorage.clear()")
        self.visit()

    def visit(self):
        self.browser.get(self.site.url)
        WebDriverWait(self.browser, 30).until(lambda browser: self.basket())

    def press(self, button):
        self.browser.find_element(By.XPATH, f"//button[.='{button}']").click()

    def basket(self):
        return self.browser.find_element(By.ID, "basket").text

    def test_adds_up(self):
        self.assertEqual(self.basket(), "nothing")
        self.press("Buy tea")
        self.press("Buy coffee")
        self.assertEqual(self.basket(), "2 things, 7.50")

    def test_keeps_the_basket(self):
        self.press("Buy tea")
        self.visit()
        self.assertEqual(self.basket(), "1 things, 3.50")

    def test_empties_the_basket(self):
        self.press("Buy tea")
        self.press("Empty the basket")
        self.visit()
        self.assertEqual(self.basket(), "nothing")
