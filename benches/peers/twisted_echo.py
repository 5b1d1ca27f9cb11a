"""Echo on Twisted, with the epoll reactor it takes by itself on Linux. Prints `listening PORT`."""

from twisted.internet import protocol, reactor


class Echo(protocol.Protocol):
    def connectionMade(self):
        self.transport.setTcpNoDelay(True)

    def dataReceived(self, data):
        self.transport.write(data)


if __name__ == "__main__":
    port = reactor.listenTCP(
        0, protocol.Factory.forProtocol(Echo), backlog=4096, interface="127.0.0.1"
    )
    print("listening", port.getHost().port, flush=True)
    reactor.run()
