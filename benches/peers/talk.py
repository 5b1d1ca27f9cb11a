"""Sends stdin to a server and writes what comes back to stdout.

talk.py socket|asyncio HOST PORT, or PATH of a Unix socket
"""

import asyncio
import socket
import sys
import threading

PIECE = 65536


def with_sockets(place):
    if len(place) == 1:
        conn = socket.socket(socket.AF_UNIX)
        conn.connect(place[0])
    else:
        conn = socket.create_connection((place[0], int(place[1])))

    def send():
        while piece := sys.stdin.buffer.read1(PIECE):
            conn.sendall(piece)
        conn.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    sender.start()
    while piece := conn.recv(PIECE):
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()
    sender.join()


async def with_asyncio(place):
    if len(place) == 1:
        reader, writer = await asyncio.open_unix_connection(place[0])
    else:
        reader, writer = await asyncio.open_connection(place[0], int(place[1]))

    async def send():
        while piece := await asyncio.to_thread(sys.stdin.buffer.read1, PIECE):
            writer.write(piece)
            await writer.drain()
        writer.write_eof()

    async def receive():
        while piece := await reader.read(PIECE):
            await asyncio.to_thread(sys.stdout.buffer.write, piece)
        sys.stdout.buffer.flush()

    await asyncio.gather(send(), receive())
    writer.close()


if __name__ == "__main__":
    kind, *place = sys.argv[1:]
    if kind == "socket":
        with_sockets(place)
    else:
        asyncio.run(with_asyncio(place))
