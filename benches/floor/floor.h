/*
 * What the programs of the floor have in common: how each begins to listen,
 * and how each ends when that is not possible. What they do with connections
 * is their own.
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

static int poller;

static inline void die(const char *what)
{
    perror(what);
    exit(1);
}

/* A socket at this port of 127.0.0.1, or at any that is free for 0. */
static inline int bound(int type, int port)
{
    int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in here = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                               .sin_port = htons((uint16_t)port)};
    if (fd < 0 || bind(fd, (struct sockaddr *)&here, sizeof here) < 0)
        die("bind");
    return fd;
}

/* Changes what is waited for; `data` comes with the event. */
static inline void watch(int op, int fd, uint32_t events, epoll_data_t data)
{
    struct epoll_event event = {.events = events, .data = data};
    if (epoll_ctl(poller, op, fd, &event) < 0)
        die("epoll_ctl");
}

/* Begins to wait for what comes to this socket, and says at which port. */
static inline void begin(int fd, epoll_data_t data)
{
    struct sockaddr_in here;
    socklen_t here_len = sizeof here;
    if (getsockname(fd, (struct sockaddr *)&here, &here_len) < 0)
        die("getsockname");
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        die("epoll_create1");
    watch(EPOLL_CTL_ADD, fd, EPOLLIN, data);
    printf("listening %d\n", ntohs(here.sin_port));
    fflush(stdout);
}

/* The number of events, 0 when a signal came. */
static inline int wait_for(struct epoll_event *events, int most)
{
    int n = epoll_wait(poller, events, most, -1);
    if (n < 0 && errno != EINTR)
        die("epoll_wait");
    return n < 0 ? 0 : n;
}

/* As many places of `size` bytes as there may be descriptors. */
static inline void *by_descriptor(size_t size, size_t *places)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        die("getrlimit");
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    *places = files.rlim_cur < 1048576 ? files.rlim_cur : 1048576;
    void *all = calloc(*places, size);
    if (!all)
        die("calloc");
    return all;
}
