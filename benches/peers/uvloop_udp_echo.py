"""The datagram echo of asyncio_udp_echo.py on uvloop. Prints `listening PORT`."""

import asyncio_udp_echo
import uvloop

if __name__ == "__main__":
    asyncio_udp_echo.main(uvloop.run)
