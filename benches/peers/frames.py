"""Messages on a stream in every framing, as Python programs make them: with
struct, json and msgpack.

frames.py client FRAMING HOST PORT   sends the messages of stdin, prints the answers
frames.py server FRAMING             prints its port, sends every message of one client back

On stdin and stdout a message is a line of hexadecimal digits. Values of json
and msgpack are read and written anew, so that the bytes are this side's own.
"""

import json
import socket
import struct
import sys
import threading

FIXED = {"len8": "B", "len16": ">H", "len16le": "<H", "len32": ">I", "len32le": "<I"}
ENDS = {"lines": b"\n", "crlf": b"\r\n", "json": b"\n"}


def exactly(file, count):
    data = file.read(count)
    if len(data) != count:
        raise SystemExit(f"the stream ended after {len(data)} of {count} bytes")
    return data


def until(file, end):
    data = b""
    while not data.endswith(end):
        byte = file.read(1)
        if not byte:
            if data:
                raise SystemExit(f"the stream ended after {data!r}")
            return None
        data += byte
    return data[: -len(end)]


def receive(file, framing):
    """Every message of a stream."""
    if framing == "msgpack":
        import msgpack

        unpacker = msgpack.Unpacker(file, read_size=1)
        for value in unpacker:
            yield msgpack.packb(value)
        return
    while True:
        if framing in ENDS:
            message = until(file, ENDS[framing])
            if message is None:
                return
            if framing == "json":
                message = json.dumps(json.loads(message), separators=(",", ":")).encode()
        elif framing == "netstring":
            digits = until(file, b":")
            if digits is None:
                return
            message = exactly(file, int(digits))
            assert exactly(file, 1) == b","
        elif framing == "varint":
            size = shift = 0
            while True:
                byte = file.read(1)
                if not byte:
                    assert shift == 0
                    return
                size |= (byte[0] & 0x7F) << shift
                shift += 7
                if byte[0] < 0x80:
                    break
            message = exactly(file, size)
        else:
            form = FIXED[framing]
            first = file.read(1)
            if not first:
                return
            (size,) = struct.unpack(form, first + exactly(file, struct.calcsize(form) - 1))
            message = exactly(file, size)
        yield message


def frame(message, framing):
    if framing == "msgpack":
        import msgpack

        return msgpack.packb(msgpack.unpackb(message))
    if framing == "json":
        return json.dumps(json.loads(message)).encode() + b"\n"
    if framing in ENDS:
        return message + ENDS[framing]
    if framing == "netstring":
        return b"%d:%s," % (len(message), message)
    if framing == "varint":
        size, header = len(message), bytearray()
        while size >= 0x80:
            header.append(size & 0x7F | 0x80)
            size >>= 7
        header.append(size)
        return bytes(header) + message
    return struct.pack(FIXED[framing], len(message)) + message


def client(framing, host, port):
    conn = socket.create_connection((host, int(port)))

    def send():
        for line in sys.stdin:
            conn.sendall(frame(bytes.fromhex(line), framing))
        conn.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    sender.start()
    for message in receive(conn.makefile("rb"), framing):
        print(message.hex(), flush=True)
    sender.join()


def server(framing):
    listener = socket.create_server(("127.0.0.1", 0))
    print("listening", listener.getsockname()[1], file=sys.stderr, flush=True)
    conn, _ = listener.accept()
    for message in receive(conn.makefile("rb"), framing):
        conn.sendall(frame(message, framing))
    conn.close()


if __name__ == "__main__":
    {"client": client, "server": server}[sys.argv[1]](*sys.argv[2:])
