/*
 * The floor: the least an echo server can do on one thread.
 *
 * Level-triggered epoll, non-blocking sockets, one 64 KiB buffer shared by
 * all connections, TCP_NODELAY. A short write keeps its rest with the
 * connection and stops reading from it until the rest is gone.
 *
 * Usage: PROGRAM [PORT]; without, any port. Prints "listening PORT" on stdout.
 * Built by `cargo xtask bench` with `cc -O2`.
 */
#include "floor.h"

#include <string.h>

struct rest {
    char *bytes;
    size_t from, to;
};

static char shared[64 * 1024];
static struct rest *rests; /* by descriptor */
static size_t rests_len;

static void end(int fd)
{
    free(rests[fd].bytes);
    rests[fd].bytes = NULL;
    close(fd);
}

/* Writes all it can; the number written, or -1 when the connection is over. */
static ssize_t put(int fd, const char *bytes, size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = send(fd, bytes + done, len - done, MSG_NOSIGNAL);
        if (n >= 0)
            done += (size_t)n;
        else if (errno == EAGAIN)
            break;
        else if (errno != EINTR)
            return -1;
    }
    return (ssize_t)done;
}

static void readable(int fd)
{
    ssize_t got = recv(fd, shared, sizeof shared, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        end(fd);
        return;
    }
    ssize_t put_now = put(fd, shared, (size_t)got);
    if (put_now < 0) {
        end(fd);
    } else if (put_now < got) {
        struct rest *rest = &rests[fd];
        rest->from = 0;
        rest->to = (size_t)(got - put_now);
        rest->bytes = malloc(rest->to);
        if (!rest->bytes)
            die("malloc");
        memcpy(rest->bytes, shared + put_now, rest->to);
        watch(EPOLL_CTL_MOD, fd, EPOLLOUT, (epoll_data_t){.fd = fd});
    }
}

static void writable(int fd)
{
    struct rest *rest = &rests[fd];
    ssize_t put_now = put(fd, rest->bytes + rest->from, rest->to - rest->from);
    if (put_now < 0) {
        end(fd);
        return;
    }
    rest->from += (size_t)put_now;
    if (rest->from == rest->to) {
        free(rest->bytes);
        rest->bytes = NULL;
        watch(EPOLL_CTL_MOD, fd, EPOLLIN, (epoll_data_t){.fd = fd});
    }
}

static void welcome(int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        if ((size_t)fd >= rests_len) {
            close(fd);
            continue;
        }
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(EPOLL_CTL_ADD, fd, EPOLLIN, (epoll_data_t){.fd = fd});
    }
}

int main(int argc, char **argv)
{
    rests = by_descriptor(sizeof *rests, &rests_len);
    int listener = bound(SOCK_STREAM, argc > 1 ? atoi(argv[1]) : 0);
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
            else if (rests[fd].bytes)
                writable(fd);
            else
                readable(fd);
        }
    }
}
