"""On summon_testcase."""

from unittest import TestCase

from summon_testcase import HTTPCoordinatedExecutor, SummonMixin, TCPCoordinatedExecutor

from . import shop


class Redis(shop.RedisTests, SummonMixin, TestCase):
    redis = TCPCoordinatedExecutor(shop.REDIS)

    @property
    def redis_port(self):
        return self.redis.port


class Shop(shop.ShopTests, SummonMixin, TestCase):
    redis = TCPCoordinatedExecutor(shop.REDIS)
    app = HTTPCoordinatedExecutor(
        shop.APP, url="http://{host}:{port}/", env={"REDIS_PORT": "{redis.port}"}
    )
    web = HTTPCoordinatedExecutor(
        shop.NGINX, url="http://{host}:{port}/", cwd="{tmpdir}", env={"CONF": shop.NGINX_CONF}
    )

    @property
    def web_port(self):
        return self.web.port
