/*
 * The floor for carrying bulk: the least a relay can do on one thread.
 *
 * Edge-triggered epoll, non-blocking sockets, a pipe of 1 MiB for each
 * direction, splice(2) from socket to pipe to socket until one of them would
 * block. A pipe is emptied before it is filled again. Half-close is kept.
 *
 * Usage: PROGRAM PORT; carries to 127.0.0.1:PORT. Prints "listening PORT"
 * on stdout. Built by `cargo xtask bench` with `cc -O2`.
 */
#include "floor.h"

#include <fcntl.h>

#define PIPE_SIZE (1 << 20)

struct way {
    int from, to, pipe[2];
    size_t held;
    int ended;
};

struct pair {
    struct way forth, back;
};

static struct sockaddr_in target = {.sin_family = AF_INET};

/* Moves what there is; 1 when this way is over, -1 when it broke. */
static int pump(struct way *way)
{
    while (!way->ended) {
        while (way->held > 0) {
            ssize_t n = splice(way->pipe[0], NULL, way->to, NULL, way->held,
                               SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
            if (n > 0)
                way->held -= (size_t)n;
            else if (n < 0 && errno == EAGAIN)
                return 0;
            else if (n == 0 || errno != EINTR)
                return -1;
        }
        ssize_t n = splice(way->from, NULL, way->pipe[1], NULL, PIPE_SIZE,
                           SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
        if (n > 0) {
            way->held = (size_t)n;
        } else if (n == 0) {
            shutdown(way->to, SHUT_WR);
            way->ended = 1;
        } else if (errno == EAGAIN) {
            return 0;
        } else if (errno != EINTR) {
            return -1;
        }
    }
    return 1;
}

static void open_pipe(struct way *way, int from, int to)
{
    *way = (struct way){.from = from, .to = to};
    if (pipe2(way->pipe, O_NONBLOCK | O_CLOEXEC) < 0)
        die("pipe2");
    fcntl(way->pipe[1], F_SETPIPE_SZ, PIPE_SIZE);
}

static void welcome(int listener)
{
    int on = 1;
    int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0)
        return;
    int server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (server < 0)
        die("socket");
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(server, (struct sockaddr *)&target, sizeof target) < 0
        && errno != EINPROGRESS)
        die("connect");
    struct pair *pair = malloc(sizeof *pair);
    if (!pair)
        die("malloc");
    open_pipe(&pair->forth, client, server);
    open_pipe(&pair->back, server, client);
    uint32_t edges = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    watch(EPOLL_CTL_ADD, client, edges, (epoll_data_t){.ptr = pair});
    watch(EPOLL_CTL_ADD, server, edges, (epoll_data_t){.ptr = pair});
}

static void end(struct pair *pair)
{
    struct way *ways[] = {&pair->forth, &pair->back};
    for (int i = 0; i < 2; i++) {
        close(ways[i]->from);
        close(ways[i]->pipe[0]);
        close(ways[i]->pipe[1]);
    }
    free(pair);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        die("usage: PROGRAM PORT");
    signal(SIGPIPE, SIG_IGN);
    target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    target.sin_port = htons((uint16_t)atoi(argv[1]));

    int listener = bound(SOCK_STREAM, 0);
    if (listen(listener, SOMAXCONN) < 0)
        die("listen");
    begin(listener, (epoll_data_t){.ptr = NULL});

    struct epoll_event events[256];
    for (;;) {
        int n = wait_for(events, 256);
        for (int i = 0; i < n; i++) {
            struct pair *pair = events[i].data.ptr;
            if (!pair) {
                welcome(listener);
                continue;
            }
            int forth = pump(&pair->forth), back = pump(&pair->back);
            if (forth < 0 || back < 0 || (forth && back)) {
                end(pair);
                /* The other socket's event may be in this batch too. */
                for (int j = i + 1; j < n; j++)
                    if (events[j].data.ptr == pair) {
                        events[j] = events[--n];
                        j--;
                    }
            }
        }
    }
}
