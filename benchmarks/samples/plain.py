"""The code that a user of any other library has to write: ports, commands, a directory."""

import os
import shutil
import socket
import tempfile

from . import shop


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def filled(argv, port):
    return [word.replace("{port}", str(port)) for word in argv]


class Services:
    """Ports, commands and a directory for one TestCase."""

    def __init__(self):
        self.redis_port, self.app_port, self.web_port = (free_port() for _ in range(3))
        self.redis = filled(shop.REDIS, self.redis_port)
        self.app = filled(shop.APP, self.app_port)
        self.app_env = {**os.environ, "REDIS_PORT": str(self.redis_port)}
        conf = shop.NGINX_CONF.replace("{port}", str(self.web_port))
        conf = conf.replace("{app.port}", str(self.app_port))
        self.web_env = {**os.environ, "CONF": conf}
        self.web = shop.NGINX
        self.directory = tempfile.mkdtemp(prefix="summon-bench-")
        self.web_url = f"http://127.0.0.1:{self.web_port}/"
        self.app_url = f"http://127.0.0.1:{self.app_port}/"

    def remove(self):
        shutil.rmtree(self.directory, ignore_errors=True)
