"""An nginx server."""

from __future__ import annotations

from typing import Any

from ..unpatched import os
from ..wording import bracketed
from .web_server import WebServer

#: where Debian has the types of files by their names
_TYPES = "/etc/nginx/mime.types"

#: Its paths begin in the directory that ``-p`` names, so that none has to be quoted.
_CONFIG = """daemon off;
pid pid;
%(user)s
events {}
http {
  access_log /dev/stdout;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  %(types)s
  server {
    listen %(host)s:{port};
    %(config)s
  }
}
"""


class Nginx(WebServer):
    """An nginx server with one virtual server.

    Ready once it answers a request, by any status below 500.

    :param config: what stands in its ``server`` block, templates filled in:
        ``"location / { proxy_pass http://{web.host}:{web.port}; }"``, or
        ``'root "{here}/static";'``, in quotes since the path may have a blank.  Relative paths
        start from ``{tmpdir}``.  By default all answers are those for an empty directory.
    :param path: what is requested until it is ready.
    :param options: further arguments.

    The other arguments are those of :class:`~summon_testcase.SimpleExecutor`.

    .. code-block:: python

        class ShopTest(SummonMixin, TestCase):
            web = WSGI("shop:app")
            front = Nginx("location / { proxy_pass http://{web.host}:{web.port}; }")
    """

    _programs = ("nginx",)

    def __init__(self, config: str = "", *, path: str = "/", **options: Any) -> None:
        text = _CONFIG % {
            "host": bracketed(str(options.get("host", "{host}"))),
            "config": config or "root www;",
            # its workers would be nobody, who may not enter the directory of the service
            "user": "user root;" if os.geteuid() == 0 else "",
            "types": f"include {_TYPES};" if os.path.exists(_TYPES) else "",
        }
        words = ["-e", "stderr", "-p", "{tmpdir}", "-c", "{tmpdir}/nginx.conf"]
        super().__init__(words, path=path, own_files={"nginx.conf": text}, **options)
