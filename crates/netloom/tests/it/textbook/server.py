"""The servers of the introductions: server.py WHAT. Tells its port on stderr."""

import asyncio
import socket
import sys

what = sys.argv[1]


def tell(listener):
    print("listening", listener.getsockname()[1], file=sys.stderr, flush=True)


def listening(kind=socket.SOCK_STREAM, port=0):
    server = socket.socket(socket.AF_INET, kind)
    server.bind(("127.0.0.1", port))
    if kind == socket.SOCK_STREAM:
        server.listen()
    tell(server)
    return server


async def reads_first(reader, writer):
    line = await reader.readline()
    writer.write(b"you said " + line)
    await writer.drain()
    writer.close()


async def waiting():
    server = await asyncio.start_server(reads_first, "127.0.0.1", 0)
    tell(server.sockets[0])
    await server.serve_forever()


if what == "echo-once":
    conn, _ = listening().accept()
    conn.sendall(conn.recv(1024))
    conn.close()
elif what == "print-1024":
    conn, _ = listening().accept()
    print(len(conn.recv(1024)), flush=True)
    conn.close()
elif what == "udp-echo":
    server = listening(socket.SOCK_DGRAM)
    data, sender = server.recvfrom(1024)
    server.sendto(data, sender)
elif what == "waiting":
    asyncio.run(waiting())
elif what == "merging":
    conn, _ = listening().accept()
    data = b""
    while part := conn.recv(1024):  # a stream has no messages: this may be any part of it
        data += part
    print(data, flush=True)
elif what == "stops-reading":
    conn, _ = listening().accept()
    conn.recv(1)
    sys.stdin.read()
elif what == "reads":
    conn, _ = listening().accept()
    print("accepted", flush=True)
    while conn.recv(65536):
        pass
elif what == "writes":
    conn, _ = listening().accept()
    try:
        conn.sendall(bytes(64 << 20))  # and would read the questions only then
    except OSError as error:
        print(error, flush=True)
    sys.stdin.read()
elif what == "closes-first":
    listener = listening(port=int(sys.argv[2]))
    conn, _ = listener.accept()
    conn.sendall(b"bye\n")
    conn.close()
