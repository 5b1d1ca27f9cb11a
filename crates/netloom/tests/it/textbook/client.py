"""The clients of the introductions: client.py WHAT PORT."""

import asyncio
import socket
import sys

what, port = sys.argv[1], int(sys.argv[2])
there = ("127.0.0.1", port)


async def waits():
    reader, _ = await asyncio.open_connection(*there)
    print("connected", flush=True)
    print(await reader.readline())


if what == "echo-once":
    conn = socket.create_connection(there)
    conn.sendall(b"hello")
    print(conn.recv(1024).decode())
elif what == "print-1024":
    conn = socket.create_connection(there)
    print(len(conn.recv(1024)))
elif what == "udp":
    conn = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    conn.connect(there)
    conn.settimeout(30)
    conn.send(b"hello")
    print(conn.recv(1024).decode())
elif what == "waits":
    asyncio.run(waits())
elif what == "two-sends":
    conn = socket.create_connection(there)
    conn.sendall(b"one\n")
    conn.sendall(b"two\n" + b"thr")
elif what == "says-little":
    conn = socket.create_connection(there)
    conn.sendall(b"hello")
    sys.stdin.read()
elif what == "never-reads":
    conn = socket.create_connection(there)
    conn.sendall(b"say something\n")
    print("asked", flush=True)
    sys.stdin.read()
elif what == "writes":
    conn = socket.create_connection(there)
    try:
        # More than a forwarder's four queues ever hold; it would read the answers only then.
        conn.sendall(bytes(512 << 20))
    except OSError as error:
        print(type(error).__name__, flush=True)
elif what == "sendall":
    conn = socket.create_connection(there)
    conn.settimeout(1)
    try:
        conn.sendall(bytes(64 << 20))
    except TimeoutError:
        print("stuck")
