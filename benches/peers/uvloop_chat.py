"""The same chat on uvloop."""

import asyncio_chat
import uvloop

if __name__ == "__main__":
    asyncio_chat.main(uvloop.run)
