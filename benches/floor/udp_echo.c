/*
 * The floor: the least a UDP echo server can do on one thread.
 *
 * One socket, level-triggered epoll, recvmmsg and sendmmsg of up to 32
 * datagrams with 64 KiB of room each, as netloom has.
 *
 * Prints "listening PORT" on stdout. Built by `cargo xtask bench` with
 * `cc -O2`.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 32, ROOM = 65535 + 65 };

static char bytes[BATCH][ROOM];
static struct sockaddr_storage names[BATCH];
static struct iovec parts[BATCH];
static struct mmsghdr headers[BATCH];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

int main(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) < 0)
        die("bind");
    int poller = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    if (poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0)
        die("epoll");
    printf("listening %d\n", ntohs(at.sin_port));
    fflush(stdout);
    for (;;) {
        if (epoll_wait(poller, &event, 1, -1) < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < BATCH; i++) {
            parts[i].iov_base = bytes[i];
            parts[i].iov_len = ROOM;
            headers[i].msg_hdr.msg_name = &names[i];
            headers[i].msg_hdr.msg_namelen = sizeof names[i];
            headers[i].msg_hdr.msg_iov = &parts[i];
            headers[i].msg_hdr.msg_iovlen = 1;
        }
        int got = recvmmsg(fd, headers, BATCH, 0, NULL);
        if (got < 0 && errno != EAGAIN && errno != EINTR)
            die("recvmmsg");
        for (int i = 0; i < got; i++)
            parts[i].iov_len = headers[i].msg_len;
        for (int sent = 0; sent < got;) {
            int n = sendmmsg(fd, headers + sent, got - sent, 0);
            if (n < 0 && errno != EAGAIN && errno != EINTR)
                die("sendmmsg");
            sent += n > 0 ? n : 0;
        }
    }
}
