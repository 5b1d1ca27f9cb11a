"""The Protocol echo of asyncio_echo.py on uvloop. Prints `listening PORT`."""

import asyncio_echo
import uvloop

if __name__ == "__main__":
    asyncio_echo.main(uvloop.run)
