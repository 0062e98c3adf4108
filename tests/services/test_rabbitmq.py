"""The ready-made RabbitMQ, which is started once: that takes some seconds."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path
from typing import Any

import pytest
import requests

from summon_testcase import InvalidArgument, ProcessExited, SummonError, SummonMixin, services

from ..doubles import put_run_directory
from ..needs import needs
from ..reliability.scene import Belongings, forget_log
from ..samples import parent
from .test_ready_made import LOOPBACK, descendants, listens_at


@needs("rabbitmq-server")
class RabbitMQTest(SummonMixin, unittest.TestCase):
    """The usual client can use it, and each test finds it without queues and exchanges."""

    broker = services.RabbitMQ(
        "channel_max = 77\ndefault_user = {name}\ndefault_pass=s3@cret  # told by its url",
        plugins=["rabbitmq_management"],
        options=["+S", "1:1"],
        env={"LANG": "C.UTF-8"},
        reset=True,
        alive=True,
    )

    @classmethod
    def setUpClass(cls) -> None:
        """Have it run in a directory with a blank, as the others do in test_ready_made."""
        patch = pytest.MonkeyPatch()
        cls.addClassCleanup(patch.undo)
        put_run_directory(tempfile.mkdtemp(prefix="\u00fc b"), patch)
        super().setUpClass()

    def setUp(self) -> None:
        import amqp

        self.connection = amqp.Connection(
            f"{self.broker.host}:{self.broker.port}", userid="broker", password="s3@cret"
        )
        self.connection.connect()
        self.addCleanup(self.connection.close)

    def declare(self) -> Any:
        """A new queue with one message, and a new exchange."""
        import amqp

        channel = self.connection.channel()
        with self.assertRaisesRegex(amqp.NotFound, "no queue 'orders'"):
            channel.queue_declare("orders", passive=True)
        channel = self.connection.channel()
        with self.assertRaisesRegex(amqp.NotFound, "no exchange 'shop'"):
            channel.exchange_declare("shop", "topic", passive=True)
        channel = self.connection.channel()
        channel.exchange_declare("shop", "topic", durable=True, auto_delete=False)
        channel.queue_declare("orders", durable=True, auto_delete=False)
        channel.queue_bind("orders", "shop", "#")
        channel.confirm_select()
        channel.basic_publish_confirm(amqp.Message("one cup"), "shop", "order.1")
        return channel

    def test_a_is_empty(self) -> None:
        channel = self.declare()
        self.assertEqual(channel.basic_get("orders").body, "one cup")
        # those that it has from the beginning stay
        self.broker.reset()
        self.connection.channel().exchange_declare("amq.topic", "topic", passive=True)

    def test_b_is_empty(self) -> None:
        self.declare()

    @needs("celery", package="celery")
    def test_a_worker_of_celery_ends_soon(self) -> None:
        """It would notice a stop at its next heartbeat, after up to ten seconds."""
        with services.Celery("tests.services.tasks", env=[self.broker], stop_timeout=5) as worker:
            self.assertIn("transport:   amqp://", "\n".join(worker.tail(100)))

    def test_purge(self) -> None:
        channel = self.declare()
        services.RabbitMQ._own_resets["purge"](self.broker)
        self.assertEqual(channel.queue_declare("orders", passive=True).message_count, 0)

    def test_purge_of_a_stream(self) -> None:
        """Is an error, since its messages stay; the other queues are emptied, and it is deleted."""
        import amqp

        channel = self.declare()
        arguments = {"x-queue-type": "stream"}
        channel.queue_declare("sales", durable=True, auto_delete=False, arguments=arguments)
        said = 'reset="purge" cannot empty sales, since .* write reset=True'
        with self.assertRaisesRegex(SummonError, said):
            services.RabbitMQ._own_resets["purge"](self.broker)
        self.assertEqual(channel.queue_declare("orders", passive=True).message_count, 0)
        self.broker.reset()
        with self.assertRaisesRegex(amqp.NotFound, "no queue 'sales'"):
            channel.queue_declare("sales", passive=True)

    def test_a_server_that_refuses(self) -> None:
        """The error has its answer."""
        with self.assertRaisesRegex(SummonError, "could not be reset: it answered 'function_clau"):
            self.broker._forget(b"repent\n")
        self.broker.reset()

    def test_config(self) -> None:
        self.assertEqual(self.connection.channel_max, 77)

    def test_management(self) -> None:
        """It serves as soon as the start is over."""
        port = self.broker.ports["management"]
        place = f"http://127.0.0.1:{port}/api/whoami"
        answer = requests.get(place, auth=("broker", "s3@cret"), timeout=20)
        self.assertEqual(answer.json()["name"], "broker")

    def test_listens_on_loopback_only(self) -> None:
        """Its epmd too, which has left it and is a child of its keeper."""
        pids = descendants(parent(self.broker.pid))
        self.assertGreater(len(pids), len(descendants(self.broker.pid)) + 1)
        self.assertLessEqual(listens_at(pids), LOOPBACK)

    def test_variables(self) -> None:
        url = f"amqp://broker:s3%40cret@127.0.0.1:{self.broker.port}/%2F"
        self.assertEqual(
            self.broker.env(), {"AMQP_URL": url, "RABBITMQ_URL": url, "CELERY_BROKER_URL": url}
        )

    def test_what_is_added(self) -> None:
        """Options and variables stand beside ours."""
        told, variables = (
            Path(f"/proc/{self.broker.pid}/{name}").read_text().split("\0")
            for name in ("cmdline", "environ")
        )
        self.assertEqual(told[told.index("-S") + 1], "1:1")
        self.assertIn(f"HOME={self.broker.tmpdir}", variables)
        self.assertIn("LANG=C.UTF-8", variables)


@needs("rabbitmq-server")
class FailingTest(unittest.TestCase):
    """Starts that fail."""

    def test_a_boot_that_fails(self) -> None:
        """It is an error at once, and leaves nothing."""
        before = Belongings()
        with self.assertRaisesRegex(ProcessExited, "tried to set nonsense") as caught:
            services.RabbitMQ("nonsense = 1").start()
        self.assertEqual(caught.exception.exit_code, 1)
        forget_log(caught.exception)
        self.assertEqual(before.lost(), {})

    def test_bad_input(self) -> None:
        with self.assertRaisesRegex(InvalidArgument, r"RabbitMQ\(\): plugins='a b': write a name"):
            services.RabbitMQ(plugins="a b")
