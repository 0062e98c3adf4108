"""The tests themselves, and the commands of the services: the same for all libraries."""

import sys
from urllib.request import urlopen

from .app import ping

REDIS = ["redis-server", "--bind", "127.0.0.1", "--save", "", "--port", "{port}"]
APP = [sys.executable, "-m", "gunicorn", "benchmarks.samples.app:app", "--bind", "127.0.0.1:{port}"]
NGINX = ["sh", "-c", 'printf "%s" "$CONF" >nginx.conf && exec nginx -p . -c nginx.conf -e stderr']
#: each library fills in {port} and {app.port}
NGINX_CONF = """
daemon off;
error_log stderr;
pid nginx.pid;
events { worker_connections 64; }
http {
    access_log off;
    server {
        listen 127.0.0.1:{port};
        location / { proxy_pass http://127.0.0.1:{app.port}; }
    }
}
"""


class RedisTests:
    """Need a ``redis_port``."""

    def test_answers(self):
        self.assertEqual(ping(self.redis_port), b"+PONG\r\n")

    def test_still_answers(self):
        self.assertEqual(ping(self.redis_port), b"+PONG\r\n")


class ShopTests:
    """Need a ``web_port``: nginx before gunicorn before redis."""

    def test_answers(self):
        with urlopen(f"http://127.0.0.1:{self.web_port}/", timeout=5) as response:
            self.assertEqual(response.read(), b"+PONG\r\n")

    test_still_answers = test_answers
