/*
 * What a relay is measured against: a server that costs little.
 *
 * A client says a number in decimal digits and a newline; it gets so many
 * bytes, and then the end. Anything that is not a digit is sent back once, and
 * then the end. One thread, epoll.
 *
 * Usage: PROGRAM [PORT]; without, any port. Prints "listening PORT" on stdout.
 * Built by `cargo xtask bench` with `cc -O2`.
 */
#include "floor.h"

static char bulk[256 * 1024];
static uint64_t *owed; /* by descriptor */
static size_t owed_len;

static void pay(int fd)
{
    /* A few buffers, then the next client. */
    for (int turn = 0; turn < 4 && owed[fd] > 0; turn++) {
        size_t now = owed[fd] < sizeof bulk ? owed[fd] : sizeof bulk;
        ssize_t n = send(fd, bulk, now, MSG_NOSIGNAL);
        if (n >= 0) {
            owed[fd] -= (uint64_t)n;
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR) {
            owed[fd] = 0;
        }
    }
    if (owed[fd] == 0)
        close(fd);
}

static void listen_to(int fd)
{
    char words[4096];
    ssize_t got = recv(fd, words, sizeof words, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got > 0 && words[0] >= '0' && words[0] <= '9') {
        owed[fd] = strtoull(words, NULL, 10);
        watch(EPOLL_CTL_MOD, fd, EPOLLOUT, (epoll_data_t){.fd = fd});
        return;
    }
    if (got > 0)
        send(fd, words, (size_t)got, MSG_NOSIGNAL);
    close(fd);
}

static void welcome(int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        if ((size_t)fd >= owed_len) {
            close(fd);
            continue;
        }
        owed[fd] = 0;
        watch(EPOLL_CTL_ADD, fd, EPOLLIN, (epoll_data_t){.fd = fd});
    }
}

int main(int argc, char **argv)
{
    owed = by_descriptor(sizeof *owed, &owed_len);
    int listener = bound(SOCK_STREAM, argc > 1 ? atoi(argv[1]) : 0);
    int on = 1;
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (listen(listener, SOMAXCONN) < 0)
        die("listen");
    begin(listener, (epoll_data_t){.fd = listener});

    struct epoll_event events[256];
    for (;;) {
        int n = wait_for(events, 256);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                welcome(fd);
            else if (owed[fd] > 0)
                pay(fd);
            else
                listen_to(fd);
        }
    }
}
