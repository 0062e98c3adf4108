"""On mirakuru, in setUpClass."""

from unittest import TestCase

from mirakuru import HTTPExecutor, TCPExecutor

from . import plain, shop


class Redis(shop.RedisTests, TestCase):
    @classmethod
    def setUpClass(cls):
        services = plain.Services()
        cls.addClassCleanup(services.remove)
        cls.redis_port = services.redis_port
        redis = TCPExecutor(services.redis, "127.0.0.1", services.redis_port, timeout=30)
        cls.addClassCleanup(redis.stop)
        redis.start()


class Shop(shop.ShopTests, TestCase):
    @classmethod
    def setUpClass(cls):
        services = plain.Services()
        cls.addClassCleanup(services.remove)
        cls.web_port = services.web_port
        for executor in (
            TCPExecutor(services.redis, "127.0.0.1", services.redis_port, timeout=30),
            HTTPExecutor(services.app, services.app_url, timeout=30, envvars=services.app_env),
            HTTPExecutor(
                services.web,
                services.web_url,
                timeout=30,
                cwd=services.directory,
                envvars=services.web_env,
            ),
        ):
            cls.addClassCleanup(executor.stop)
            executor.start()
