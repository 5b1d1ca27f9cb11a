"""A chat on asyncio's Protocol, as textbooks write it: every line goes to all
others, in front of it who said it. Prints `listening PORT`."""

import asyncio
import socket


class Member(asyncio.Protocol):
    members = set()
    count = 0

    def connection_made(self, transport):
        transport.get_extra_info("socket").setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )
        Member.count += 1
        self.name = b"guest-%d" % Member.count
        self.begun = b""
        self.transport = transport
        Member.members.add(self)
        transport.write(b"* welcome, " + self.name + b"\n")

    def data_received(self, data):
        *lines, self.begun = (self.begun + data).split(b"\n")
        for line in lines:
            said = b"<" + self.name + b"> " + line + b"\n"
            for member in Member.members:
                if member is not self:
                    member.transport.write(said)

    def connection_lost(self, why):
        Member.members.discard(self)


async def serve():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Member, "127.0.0.1", 0, backlog=4096)
    print("listening", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main(run):
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    run(serve())


if __name__ == "__main__":
    main(asyncio.run)
