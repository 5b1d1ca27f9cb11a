//! The servers of these situations.

use crate::packages::{PACKAGES, has_package};
use crate::place::Program;

/// Answers every request with what the Python function `answer(path, host,
/// head)` gives, as bytes on the wire. `end` is what is done with the
/// connection `c` then.
pub(super) fn scripted(answer: &str, end: &str) -> (Program, u16) {
    Program::python(&format!(
        "import socket, struct, sys, threading
{answer}
def serve(c):
    data = b''
    while b'\\r\\n\\r\\n' not in data:
        part = c.recv(4096)
        if not part:
            return c.close()
        data += part
    head = data.split(b'\\r\\n\\r\\n')[0].decode('latin-1')
    path = head.split(' ')[1]
    host = [l[6:] for l in head.split('\\r\\n') if l.lower().startswith('host: ')][0]
    c.sendall(answer(path, host, head))
    {end}
    c.close()
s = socket.socket()
s.bind(('127.0.0.1', 0))
s.listen(64)
print(s.getsockname()[1])
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
"
    ))
}

/// The end of a server that lets the client read everything.
pub(super) const IN_ORDER: &str = "c.shutdown(1)
    while c.recv(4096): pass";

/// The end of a server that resets over what it has not read.
pub(super) const RESET: &str =
    "c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))";

/// Answers everything with the same words.
pub(super) fn saying(answer: &str) -> (Program, u16) {
    scripted(
        &format!("def answer(path, host, head): return {answer:?}.encode('latin-1')"),
        IN_ORDER,
    )
}

/// The server of the `websockets` package: an echo at `/`, and other answers
/// at other paths. `tls` is Python for its context.
pub(super) fn websockets(tls: &str) -> Option<(Program, u16)> {
    const SERVER: &str = "
import asyncio, http, ssl, websockets
from websockets.asyncio.server import serve
async def echo(ws):
    async for message in ws:
        await ws.send(message)
def route(connection, request):
    if request.path == '/login':
        return connection.respond(http.HTTPStatus.UNAUTHORIZED, 'who are you\\n')
    if request.path == '/bare':
        del request.headers['Upgrade']
async def main():
    async with serve(echo, '127.0.0.1', 0, process_request=route, ssl=context()) as server:
        print(list(server.sockets)[0].getsockname()[1])
        await asyncio.get_running_loop().create_future()
asyncio.run(main())
";
    has_package("websockets.asyncio.server")
        .then(|| Program::python(&format!("{PACKAGES}{tls}\n{SERVER}")))
}

/// Without TLS.
pub(super) const PLAIN: &str = "def context(): return None";
