/*
 * The floor: the least a UDP echo server can do on one thread.
 *
 * One socket, level-triggered epoll, recvmmsg and sendmmsg of up to 32
 * datagrams with 64 KiB of room each, as netloom has.
 *
 * Prints "listening PORT" on stdout. Built by `cargo xtask bench` with
 * `cc -O2`.
 */
#include "floor.h"

enum { BATCH = 32, ROOM = 65535 + 65 };

static char bytes[BATCH][ROOM];
static struct sockaddr_storage names[BATCH];
static struct iovec parts[BATCH];
static struct mmsghdr headers[BATCH];

int main(void)
{
    int fd = bound(SOCK_DGRAM, 0);
    begin(fd, (epoll_data_t){.fd = fd});
    struct epoll_event event;
    for (;;) {
        wait_for(&event, 1);
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
