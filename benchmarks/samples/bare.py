"""The floor: Popen, and a loop that never sleeps, each service when the one before is ready."""

from ..peers import kernel
from . import by_hand


def spin(port):
    while not kernel.tcp_probe(("127.0.0.1", port)):
        pass


class Redis(by_hand.Redis):
    @classmethod
    def start_all(cls, services):
        cls.begin(services.redis)
        spin(services.redis_port)


class Shop(by_hand.Shop):
    @classmethod
    def start_all(cls, services):
        cls.begin(services.redis)
        spin(services.redis_port)
        cls.begin(services.app, env=services.app_env)
        while not kernel.http_probe(("127.0.0.1", services.app_port)):
            pass
        cls.begin(services.web, env=services.web_env, cwd=services.directory)
        spin(services.web_port)
