"""The ready-made Mosquitto."""

from __future__ import annotations

import queue
import unittest

from summon_testcase import ProcessExited, SummonMixin, services

from ..needs import needs


@needs("mosquitto")
class MosquittoTest(SummonMixin, unittest.TestCase):
    """The usual client can use it."""

    broker = services.Mosquitto("max_qos 1")

    def test_a_message_arrives(self) -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        came: queue.Queue[bytes] = queue.Queue()
        client = Client(CallbackAPIVersion.VERSION2)
        client.on_message = lambda client, data, message: came.put(message.payload)
        client.on_subscribe = lambda *_: client.publish("orders", b"one cup")
        client.on_connect = lambda *_: client.subscribe("orders")
        client.connect(self.broker.host, self.broker.port)
        client.loop_start()
        self.addCleanup(client.loop_stop)
        self.assertEqual(came.get(timeout=10), b"one cup")

    def test_variables(self) -> None:
        self.assertEqual(self.broker.env(), {"MQTT_URL": f"mqtt://127.0.0.1:{self.broker.port}"})

    def test_a_wrong_configuration(self) -> None:
        with self.assertRaisesRegex(ProcessExited, "Unknown configuration variable"):
            services.Mosquitto("no such thing").start()


@needs("mosquitto")
class ForgetfulMosquittoTest(SummonMixin, unittest.TestCase):
    """Each test finds no retained message."""

    broker = services.Mosquitto(reset=True)

    def find_nothing(self) -> None:
        """A new subscriber gets no message but its own, which is retained from then on."""
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        came: queue.Queue[bytes] = queue.Queue()
        client = Client(CallbackAPIVersion.VERSION2)
        client.on_message = lambda client, data, message: came.put(message.payload)
        # retained messages come before the broker reads on
        client.on_subscribe = lambda *_: client.publish("orders", self.id(), retain=True)
        client.on_connect = lambda *_: client.subscribe("orders")
        client.connect(self.broker.host, self.broker.port)
        client.loop_start()
        self.addCleanup(client.loop_stop)
        self.assertEqual(came.get(timeout=10).decode(), self.id())

    def test_a(self) -> None:
        self.find_nothing()

    def test_b(self) -> None:
        self.find_nothing()
