"""Events to real brokers that go away for a while: every event must arrive, at least once, with an id of its own.

    python3 -m venv VENV && VENV/bin/pip install paho-mqtt nats-py confluent-kafka
    VENV/bin/python scripts/streams/brokers.py --onelook target/debug/onelook --model yolo11n.pt \\
        --clip pets09-s2l1-300.mp4 [--away 20] [mqtt] [nats] [kafka]

`onelook count` runs over the clip with many lines and writes its events to a file, and to the broker, which is ended
after the first events, started again after `--away` seconds, and asked for what it has got. mosquitto and nats-server
(JetStream) are Debian's packages; Kafka's part is played by the mock cluster inside librdkafka, which speaks the
protocol on a real port. NATS and Kafka need a build with `--features nats,kafka`.
"""

import argparse
import asyncio
import collections
import ctypes
import json
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

LINES = [f"x{x}={x},0,{x},576" for x in range(60, 720, 30)]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {seconds} s")
        time.sleep(0.1)


def is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Mosquitto:
    """Keeps the session of a subscriber that is away, also over its own end."""

    def __init__(self, place):
        import paho.mqtt.client as mqtt

        self.port, self.messages, self.other = free_port(), [], collections.Counter()
        self.settings = place / "mosquitto.conf"
        passwords = place / "passwords"
        subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "me", "a secret"], check=True, capture_output=True)
        # It runs as nobody in particular where it may not stay root.
        place.chmod(0o777)
        passwords.chmod(0o644)
        self.settings.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous false\npassword_file {passwords}\npersistence true\n"
            f"persistence_location {place}/\nautosave_interval 1\nautosave_on_changes true\nmax_queued_messages 0\n")
        self.availability = []
        self.start()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="watcher", clean_session=False)
        self.client.username_pw_set("me", "a secret")
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda client, *_: client.subscribe([("site/a/#", 1), ("homeassistant/#", 1)])
        self.client.on_message = self.take
        self.client.connect("127.0.0.1", self.port)
        self.client.loop_start()

    def take(self, client, data, message):
        what = message.topic.rsplit("/", 1)[1]
        if what == "events":
            self.messages.append(json.loads(message.payload))
        elif what == "availability":
            self.availability.append(message.payload.decode())
        else:
            self.other[what] += 1

    def words(self, place):
        secret = place / "secret"
        secret.write_text("a secret\n")
        secret.chmod(0o600)
        return ["--mqtt", f"mqtt://me@127.0.0.1:{self.port}/site/a", "--mqtt-password-file", secret,
                "--mqtt-discovery", "homeassistant"]

    def start(self):
        words = ["mosquitto", "-c", self.settings]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("mosquitto", lambda: is_open(self.port))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def received(self):
        return list(self.messages)

    def close(self):
        wait_for("the last will", lambda: self.availability[-1:] == ["offline"], 60)
        print(f"  mqtt: availability {self.availability}, others {dict(self.other)}")
        if not {"results", "counts", "config"} <= set(self.other):
            raise SystemExit("mqtt: results, counts or discovery are missing")
        self.client.loop_stop()
        self.stop()


class Nats:
    """A JetStream stream takes the events; killed without a word."""

    def __init__(self, place):
        self.port, self.place = free_port(), place
        self.start()
        asyncio.run(self.make_stream())

    async def connect(self):
        import nats

        return await nats.connect(f"nats://me:secret@127.0.0.1:{self.port}")

    async def make_stream(self):
        client = await self.connect()
        await client.jetstream().add_stream(name="events", subjects=["site.a.*.events"])
        await client.close()

    def words(self, place):
        secret = place / "secret"
        secret.write_text("secret\n")
        secret.chmod(0o600)
        address = f"nats://me@127.0.0.1:{self.port}/site/a?jetstream"
        return ["--nats", address, "--nats-password-file", secret]

    def start(self):
        words = ["nats-server", "-a", "127.0.0.1", "-p", self.port, "-js", "-sd", self.place / "store",
                 "--user", "me", "--pass", "secret"]
        self.process = subprocess.Popen(list(map(str, words)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("nats-server", lambda: is_open(self.port))

    def stop(self):
        self.process.kill()
        self.process.wait()

    def received(self):
        return asyncio.run(self.fetch())

    async def fetch(self):
        import nats

        client = await self.connect()
        reader = await client.jetstream().pull_subscribe("site.a.*.events")
        events = []
        while True:
            try:
                events += [json.loads(message.data) for message in await reader.fetch(500, timeout=2)]
            except nats.errors.TimeoutError:
                break
        await client.close()
        return events

    def close(self):
        self.stop()


class Kafka:
    """The mock cluster of librdkafka, whose one broker is taken down."""

    def __init__(self, place):
        import confluent_kafka

        libraries = pathlib.Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs"
        self.library = ctypes.CDLL(str(next(libraries.glob("librdkafka-*"))))
        pointer, calls = ctypes.c_void_p, self.library
        calls.rd_kafka_conf_new.restype = pointer
        calls.rd_kafka_new.restype = pointer
        calls.rd_kafka_new.argtypes = [ctypes.c_int, pointer, ctypes.c_char_p, ctypes.c_size_t]
        calls.rd_kafka_mock_cluster_new.restype = pointer
        calls.rd_kafka_mock_cluster_new.argtypes = [pointer, ctypes.c_int]
        calls.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        calls.rd_kafka_mock_cluster_bootstraps.argtypes = [pointer]
        calls.rd_kafka_mock_topic_create.argtypes = [pointer, ctypes.c_char_p, ctypes.c_int, ctypes.c_int]
        for name in ["rd_kafka_mock_broker_set_down", "rd_kafka_mock_broker_set_up"]:
            getattr(calls, name).argtypes = [pointer, ctypes.c_int32]
        said = ctypes.create_string_buffer(512)
        handle = calls.rd_kafka_new(0, calls.rd_kafka_conf_new(), said, 512)
        self.cluster = calls.rd_kafka_mock_cluster_new(handle, 1)
        self.address = calls.rd_kafka_mock_cluster_bootstraps(self.cluster).decode()
        for topic in [b"site.a.events", b"site.a.results"]:
            calls.rd_kafka_mock_topic_create(self.cluster, topic, 3, 1)

    def words(self, place):
        return ["--kafka", f"kafka://{self.address}/site/a"]

    def start(self):
        self.library.rd_kafka_mock_broker_set_up(self.cluster, 1)

    def stop(self):
        self.library.rd_kafka_mock_broker_set_down(self.cluster, 1)

    def received(self):
        from confluent_kafka import Consumer

        consumer = Consumer({"bootstrap.servers": self.address, "group.id": f"g{time.monotonic_ns()}",
                             "auto.offset.reset": "earliest"})
        consumer.subscribe(["site.a.events"])
        events, silent = [], 0
        while silent < 8:
            message = consumer.poll(1)
            silent = silent + 1 if message is None else 0
            if message is not None and not message.error():
                event = json.loads(message.value())
                if dict(message.headers())["event_id"].decode() != event["event_id"]:
                    raise SystemExit("kafka: the header is not that of the event")
                events.append(event)
        consumer.close()
        return events

    def close(self):
        pass


def count_lines(path):
    hidden = [path] + list(path.parent.glob(f".*{path.stem}*"))
    return max([len(it.read_text().splitlines()) for it in hidden if it.exists()] or [0])


def show(kind, broker, args, place):
    events, spool = place / "events.jsonl", place / "spool"
    words = [args.onelook, "count", "--model", args.model, "--source", args.clip, "--events", events, "--no-save",
             "--no-verbose", "--event-spool", spool, "--event-wait", 120 + args.away, *broker.words(place)]
    for line in LINES:
        words += ["--line", line]
    run = subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = []
    reader = threading.Thread(target=lambda: said.extend(run.stdout))
    reader.start()
    waiting = lambda: any(path.stat().st_size for path in spool.glob("*/*.jsonl"))
    wait_for(f"{kind}: the first event", lambda: waiting() or run.poll() is not None, 300)
    begun = time.monotonic()
    broker.stop()
    time.sleep(args.away)
    is_running = run.poll() is None
    broker.start()
    print(f"  {kind}: away for {time.monotonic() - begun:.0f} s, the run went on meanwhile: {is_running}")
    code = run.wait(timeout=900)
    reader.join()
    if code:
        raise SystemExit(f"{kind}: onelook ended with {code}: " + "".join(said)[-2000:])
    expected = [json.loads(line) for line in events.read_text().splitlines()]
    key = lambda event: (event["frame"], event["event"], event.get("place", event.get("line")), event.get("track_id"))
    missing = {key(event) for event in expected}
    deadline = time.monotonic() + 60
    while missing and time.monotonic() < deadline:
        got = broker.received()
        missing = {key(event) for event in expected} - {key(event) for event in got}
        time.sleep(0.2)
    ids = collections.Counter(event["event_id"] for event in got)
    of_id = {}
    for event in got:
        of_id.setdefault(event["event_id"], set()).add(key(event))
    twice = sum(count - 1 for count in ids.values())
    print(f"  {kind}: {len(expected)} events, {len(ids)} ids came, {twice} more than once, {len(missing)} missing")
    if missing or len(ids) != len(expected) or any(len(keys) > 1 for keys in of_id.values()):
        raise SystemExit(f"{kind}: events are missing, or ids are not unique")
    broker.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--onelook", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--clip", required=True)
    parser.add_argument("--away", type=float, default=20)
    parser.add_argument("brokers", nargs="*", default=["mqtt", "nats", "kafka"])
    args = parser.parse_args()
    kinds = {"mqtt": Mosquitto, "nats": Nats, "kafka": Kafka}
    for kind in args.brokers:
        place = pathlib.Path(tempfile.mkdtemp(prefix=f"onelook-{kind}-"))
        show(kind, kinds[kind](place), args, place)
        shutil.rmtree(place, ignore_errors=True)
    print("every event arrived")


main()
