"""As much of AMQP 0-9-1 as the tests need: durable queues, publishing with confirms, consuming."""

import socket
import struct

DURABLE = 2
PERSISTENT = 0x1000, b"\x02"


def short(text):
    data = text.encode()
    return struct.pack(">B", len(data)) + data


def long(data):
    return struct.pack(">I", len(data)) + data


def table(fields):
    return long(b"".join(short(k) + b"S" + long(v.encode()) for k, v in fields.items()))


class Client:
    """One connection with one channel, on which published messages are confirmed."""

    def __init__(self, address, user="guest", password="guest", vhost="/", port=5672):
        self.socket = socket.create_connection((address, port), timeout=60)
        self.file = self.socket.makefile("rb")
        self.published = 0
        self.socket.sendall(b"AMQP\0\0\x09\x01")
        self.expect(10, 10)
        self.method(0, 10, 11, table({}) + short("PLAIN") + long(f"\0{user}\0{password}".encode()) + short("en_US"))
        channels, self.frame_max, _ = struct.unpack(">HIH", self.expect(10, 30))
        self.method(0, 10, 31, struct.pack(">HIH", channels, self.frame_max, 0))
        self.method(0, 10, 40, short(vhost) + short("") + b"\0")
        self.expect(10, 41)
        self.method(1, 20, 10, short(""))
        self.expect(20, 11)
        self.method(1, 85, 10, b"\0")
        self.expect(85, 11)

    def frame(self, kind, channel, payload):
        return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"

    def method(self, channel, cls, number, arguments):
        self.socket.sendall(self.frame(1, channel, struct.pack(">HH", cls, number) + arguments))

    def receive(self):
        """The next frame that is no heartbeat: (type, payload)."""
        while True:
            head = self.file.read(7)
            if len(head) < 7:
                raise ConnectionError("the server has closed the connection")
            kind, _, size = struct.unpack(">BHI", head)
            payload = self.file.read(size + 1)[:-1]
            if kind != 8:
                return kind, payload

    def expect(self, cls, number):
        kind, payload = self.receive()
        got = struct.unpack(">HH", payload[:4])
        assert kind == 1 and got == (cls, number), f"{got} instead of {(cls, number)}: {payload!r}"
        return payload[4:]

    def declare(self, queue, **arguments):
        """How many messages it has; made where it is not there."""
        fields = {"x-" + k.replace("_", "-"): v for k, v in arguments.items()}
        self.method(1, 50, 10, b"\0\0" + short(queue) + bytes([DURABLE]) + table(fields))
        payload = self.expect(50, 11)
        return struct.unpack(">I", payload[1 + payload[0] : 5 + payload[0]])[0]

    def send(self, queue, bodies):
        """Publish persistent messages to a queue; back when the server has confirmed all."""
        parts = []
        for body in bodies:
            parts.append(self.frame(1, 1, struct.pack(">HHH", 60, 40, 0) + short("") + short(queue) + b"\0"))
            flags, properties = PERSISTENT
            parts.append(self.frame(2, 1, struct.pack(">HHQH", 60, 0, len(body), flags) + properties))
            step = self.frame_max - 8
            parts += [self.frame(3, 1, body[i : i + step]) for i in range(0, len(body), step)]
        self.socket.sendall(b"".join(parts))
        first, self.published = self.published, self.published + len(bodies)
        waiting = set(range(first + 1, self.published + 1))
        while waiting:
            tag, multiple = struct.unpack(">QB", self.expect(60, 80))
            waiting = {w for w in waiting if (w > tag if multiple else w != tag)}

    def drain(self, queue, count):
        """So many messages, taken out."""
        self.method(1, 60, 20, b"\0\0" + short(queue) + short("drain") + b"\2" + table({}))
        self.expect(60, 21)
        bodies = []
        while len(bodies) < count:
            self.expect(60, 60)
            kind, head = self.receive()
            size, body = struct.unpack(">Q", head[4:12])[0], b""
            while len(body) < size:
                kind, part = self.receive()
                assert kind == 3
                body += part
            bodies.append(body)
        return bodies

    def close(self):
        self.socket.close()
