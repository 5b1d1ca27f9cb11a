/*
 * The floor: the least an echo server can do on one thread.
 *
 * Level-triggered epoll, non-blocking sockets, one 64 KiB buffer shared by
 * all connections, TCP_NODELAY. A short write keeps its rest with the
 * connection and stops reading from it until the rest is gone.
 *
 * Usage: PROGRAM [PORT]; without, any port. Prints "listening PORT" on stdout. Built by `cargo xtask bench` with
 * `cc -O2`.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct rest {
    char *bytes;
    size_t from, to;
};

static char shared[64 * 1024];
static struct rest *rests; /* by descriptor */
static size_t rests_len;
static int poller;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void watch(int op, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(poller, op, fd, &event) < 0)
        die("epoll_ctl");
}

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
        watch(EPOLL_CTL_MOD, fd, EPOLLOUT);
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
        watch(EPOLL_CTL_MOD, fd, EPOLLIN);
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
        watch(EPOLL_CTL_ADD, fd, EPOLLIN);
    }
}

int main(int argc, char **argv)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        die("getrlimit");
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    rests_len = files.rlim_cur < 1048576 ? files.rlim_cur : 1048576;
    rests = calloc(rests_len, sizeof *rests);
    if (!rests)
        die("calloc");

    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in here = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                               .sin_port = htons(argc > 1 ? atoi(argv[1]) : 0)};
    socklen_t here_len = sizeof here;
    if (listener < 0 || bind(listener, (struct sockaddr *)&here, sizeof here) < 0
        || listen(listener, SOMAXCONN) < 0
        || getsockname(listener, (struct sockaddr *)&here, &here_len) < 0)
        die("listen");
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        die("epoll_create1");
    watch(EPOLL_CTL_ADD, listener, EPOLLIN);
    printf("listening %d\n", ntohs(here.sin_port));
    fflush(stdout);

    struct epoll_event events[256];
    for (;;) {
        int n = epoll_wait(poller, events, 256, -1);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
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
