"""A datagram echo, as asyncio's documents write it. Prints `listening PORT`."""

import asyncio


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.transport.sendto(data, addr)


async def serve():
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    print("listening", transport.get_extra_info("sockname")[1], flush=True)
    await asyncio.Event().wait()


def main(run):
    run(serve())


if __name__ == "__main__":
    main(asyncio.run)
