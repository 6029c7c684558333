/* Small GETs again and again on kept connections, one at a time on each.

   port= target= connections=1 seconds=
   rate=   requests a second in all, begun at even moments whatever the server does: the wait
           for a free connection counts. Without it each answer is followed by the next request. */

#include "http.h"

struct connection {
    int fd;
    char octets[64 * 1024 + 1];
    size_t length, expected; /* of the response so far; of all of it, 0 until its head is there */
    double asked_at;
    int is_busy;
};

static char request[4096];
static size_t request_length;

static void ask(struct connection *connection, double asked_at) {
    connection->length = connection->expected = 0;
    connection->asked_at = asked_at;
    connection->is_busy = 1;
    send_all(connection->fd, request, request_length);
}

/* Return whether the response is whole. */
static int read_response(struct connection *connection) {
    char *octets = connection->octets;
    ssize_t received = recv(connection->fd, octets + connection->length,
                            sizeof connection->octets - 1 - connection->length, 0);
    if (received <= 0)
        fail("the server closed a kept connection, or sent more than 64 KiB");
    connection->length += (size_t)received;
    octets[connection->length] = '\0';
    if (connection->expected == 0) {
        char *end = memmem(octets, connection->length, "\r\n\r\n", 4);
        if (end == NULL)
            return 0;
        *end = '\0';
        const char *content_length = field(octets, "content-length");
        if (strncmp(octets + 8, " 200", 4) != 0 || content_length == NULL)
            fail("not a 200 with a length: %.64s", octets);
        connection->expected = (size_t)(end + 4 - octets) + strtoul(content_length, NULL, 10);
    }
    return connection->length >= connection->expected;
}

int main(int argc, char **arguments) {
    (void)argc;
    int port = (int)number(arguments, "port", NULL);
    int connections = (int)number(arguments, "connections", "1");
    double seconds = number(arguments, "seconds", NULL), rate = number(arguments, "rate", "0");
    struct connection *all = calloc((size_t)connections, sizeof *all);
    struct durations latencies = {0};
    int poll = epoll_create1(0);

    request_length = (size_t)snprintf(request, sizeof request,
                                      "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n",
                                      argument(arguments, "target", NULL), port);
    for (int i = 0; i < connections; i++) {
        all[i].fd = connected(port, 0);
        watch(poll, all[i].fd, EPOLLIN, (uint32_t)i);
    }

    double begun_at = now(), ends_at = begun_at + seconds;
    long long begun = 0, done = 0;
    int turn = 0;
    for (int i = 0; i < connections && rate == 0; i++)
        ask(&all[i], now());
    for (;;) {
        struct epoll_event events[256];
        int ready = epoll_wait(poll, events, 256, rate > 0 ? 1 : 1000);
        for (int i = 0; i < ready; i++) {
            struct connection *connection = &all[events[i].data.u32];
            if (!read_response(connection))
                continue;
            double moment = now();
            count(&latencies, moment - connection->asked_at);
            connection->is_busy = 0;
            done++;
            if (rate == 0)
                ask(connection, moment);
        }
        if (now() >= ends_at)
            break;
        /* In turn, so that none is idle for so long that the server closes it. */
        for (int tried = 0; tried < connections && rate > 0; tried++) {
            struct connection *next = &all[turn];
            double due_at = begun_at + (double)begun / rate;
            if (due_at > now())
                break;
            turn = (turn + 1) % connections;
            if (!next->is_busy) {
                ask(next, due_at);
                begun++;
            }
        }
    }
    double ended_at = now();
    /* Who still waits has waited at least so long. */
    for (int i = 0; i < connections && rate > 0; i++)
        if (all[i].is_busy)
            count(&latencies, ended_at - all[i].asked_at);
    for (double due_at; rate > 0 && (due_at = begun_at + (double)begun / rate) < ends_at; begun++)
        count(&latencies, ended_at - due_at);
    printf("{\"requests\": %lld, \"seconds\": %.6f, \"p50_ms\": %.4f, \"p99_ms\": %.4f}\n", done,
           ended_at - begun_at, quantile_ms(&latencies, 0.5), quantile_ms(&latencies, 0.99));
    return 0;
}
