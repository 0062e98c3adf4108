"""Written by hand: Popen, and sleep(1)."""

import subprocess
import time
from unittest import TestCase

from . import plain, shop


def end(process):
    process.terminate()
    process.wait()


class ByHand(TestCase):
    @classmethod
    def setUpClass(cls):
        services = plain.Services()
        cls.addClassCleanup(services.remove)
        cls.redis_port, cls.web_port = services.redis_port, services.web_port
        cls.start_all(services)

    @classmethod
    def begin(cls, argv, **options):
        options.update(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        process = subprocess.Popen(argv, stderr=subprocess.DEVNULL, **options)
        cls.addClassCleanup(end, process)


class Redis(shop.RedisTests, ByHand):
    @classmethod
    def start_all(cls, services):
        cls.begin(services.redis)
        time.sleep(1)


class Shop(shop.ShopTests, ByHand):
    @classmethod
    def start_all(cls, services):
        cls.begin(services.redis)
        cls.begin(services.app, env=services.app_env)
        cls.begin(services.web, env=services.web_env, cwd=services.directory)
        time.sleep(1)
