/*
 * What a relay is measured against: a server that costs little.
 *
 * A client says a number in decimal digits and a newline; it gets so many
 * bytes, and then the end. Anything that is not a digit is sent back once, and
 * then the end. One thread, epoll.
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
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static char bulk[256 * 1024];
static uint64_t *owed; /* by descriptor */
static size_t owed_len;
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
        watch(EPOLL_CTL_MOD, fd, EPOLLOUT);
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
    owed_len = files.rlim_cur < 1048576 ? files.rlim_cur : 1048576;
    owed = calloc(owed_len, sizeof *owed);
    if (!owed)
        die("calloc");

    int on = 1;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in here = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                               .sin_port = htons(argc > 1 ? atoi(argv[1]) : 0)};
    socklen_t here_len = sizeof here;
    if (listener < 0 || bind(listener, (struct sockaddr *)&here, sizeof here) < 0
        || setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0
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
            else if (owed[fd] > 0)
                pay(fd);
            else
                listen_to(fd);
        }
    }
}
