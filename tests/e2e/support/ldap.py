"""As much of LDAP as the tests need: a simple bind and adding entries, each of which is answered."""

import socket


def ber(tag, data):
    size = len(data)
    if size < 128:
        return bytes([tag, size]) + data
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + data


def text(value):
    return ber(4, value if isinstance(value, bytes) else value.encode())


def integer(value, tag=2):
    return ber(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))


class Client:
    def __init__(self, address, name, password, port=389):
        self.socket = socket.create_connection((address, port), timeout=60)
        self.file = self.socket.makefile("rb")
        self.number = 0
        self.ask(ber(0x60, integer(3) + text(name) + ber(0x80, password.encode())))

    def ask(self, operation):
        """Send a request; its result code must be 0."""
        self.number += 1
        self.socket.sendall(ber(0x30, integer(self.number) + operation))
        head = self.file.read(2)
        if len(head) < 2:
            raise ConnectionError("the server has closed the connection")
        size = head[1]
        if size & 0x80:
            size = int.from_bytes(self.file.read(size & 0x7F), "big")
        answer = self.file.read(size)
        # messageID, then [APPLICATION n] { ENUMERATED result, ... }
        rest = answer[2 + answer[1] :]
        skip = 2 + (rest[1] & 0x7F if rest[1] & 0x80 else 0)
        assert rest[skip] == 10 and rest[skip + 2] == 0, f"the server refused: {answer!r}"

    def add(self, name, attributes):
        """attributes: {"cn": ["one", b"two"], ...}"""
        fields = b"".join(
            ber(0x30, text(key) + ber(0x31, b"".join(text(v) for v in values))) for key, values in attributes.items()
        )
        self.ask(ber(0x68, text(name) + ber(0x30, fields)))

    def close(self):
        self.socket.close()
