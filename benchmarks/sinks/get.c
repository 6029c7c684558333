/* Readers of one target, each on a connection of its own, until all have all of it.

   port= target= connections=1 length=   and, where asked for:
   copy=1      receive into memory; else the kernel throws the content away
   rate=       octets a second that each reader takes, for seconds=; then all leave
   since= fed= the moment at which the content began to be written, and how many octets of it
               a second: tells how long after its writing the first octet of each piece came,
               of what was written after the reader asked
   until=      the moment at which all leave, whatever they have */

#include "http.h"

enum { PIECE = 256 * 1024, SLOW_PIECE = 64 * 1024, SLOW_BUFFER = 128 * 1024 };

struct reader {
    int fd;
    struct response response;
    long long received;
    int has_ended;
    double asked_at, due_at; /* due: when a slow reader takes its next piece */
};

static char buffer[PIECE];

int main(int argc, char **arguments) {
    (void)argc;
    int port = (int)number(arguments, "port", NULL);
    int connections = (int)number(arguments, "connections", "1");
    const char *target = argument(arguments, "target", NULL);
    long long length = (long long)number(arguments, "length", "0");
    double rate = number(arguments, "rate", "0"), seconds = number(arguments, "seconds", "0");
    double until = number(arguments, "until", "inf");
    double since = number(arguments, "since", "0"), fed = number(arguments, "fed", "0");
    char *into = number(arguments, "copy", "0") != 0 ? buffer : NULL;
    struct reader *readers = calloc((size_t)connections, sizeof *readers);
    struct durations delays = {0};
    int poll = epoll_create1(0), left = connections;
    double begun_at = now();

    for (int i = 0; i < connections; i++) {
        readers[i].fd = connected(port, rate > 0 ? SLOW_BUFFER : 0);
        send_get(readers[i].fd, port, target, 0);
        set_nonblocking(readers[i].fd);
        /* Slow readers are spread over the time that one piece takes. */
        readers[i].asked_at = now();
        readers[i].due_at = readers[i].asked_at + (rate > 0 ? SLOW_PIECE / rate * i / connections : 0);
        if (rate == 0)
            watch(poll, readers[i].fd, EPOLLIN, (uint32_t)i);
    }
    double connected_at = now();

    double last_at = connected_at;
    while (left && rate == 0 && now() < until) {
        struct epoll_event events[256];
        int ready = epoll_wait(poll, events, 256, 1000);
        if (ready > 0)
            last_at = now();
        else if (now() - last_at > 30)
            fail("nothing came for half a minute");
        for (int i = 0; i < ready; i++) {
            struct reader *reader = &readers[events[i].data.u32];
            long long received = receive(reader->fd, &reader->response, into, PIECE);
            double written_at = since + (double)reader->received / fed;
            if (received > 0 && fed > 0 && written_at >= reader->asked_at)
                count(&delays, now() - written_at);
            if (received > 0)
                reader->received += received;
            if (received == CUT)
                fail("the server cut a response off after %lld octets", reader->received);
            if (reader->response.part == WHOLE || received == ENDED) {
                if (reader->response.status != 200 || (length && reader->received != length))
                    fail("status %d, %lld octets", reader->response.status, reader->received);
                close(reader->fd);
                reader->has_ended = 1;
                left--;
            }
        }
    }

    while (rate > 0 && now() - connected_at < seconds) {
        double moment = now(), next = moment + 0.05;
        for (int i = 0; i < connections; i++) {
            struct reader *reader = &readers[i];
            /* What did not come in time is asked for again at once: a reader catches up. */
            while (reader->due_at <= moment) {
                long long received = receive(reader->fd, &reader->response, into, SLOW_PIECE);
                if (received == CUT || received == ENDED)
                    fail("a slow reader was left after %lld octets", reader->received);
                if (received == NOTHING_YET)
                    break;
                reader->received += received;
                reader->due_at += (double)received / rate;
            }
            if (reader->due_at < next)
                next = reader->due_at;
        }
        double pause = next - now();
        if (pause < 0.0005)
            pause = 0.0005;
        nanosleep(&(struct timespec){0, (long)(pause * 1e9)}, NULL);
    }

    double ended_at = now();
    long long total = 0, least = readers[0].received;
    for (int i = 0; i < connections; i++) {
        total += readers[i].received;
        least = readers[i].received < least ? readers[i].received : least;
        if (fed > 0 && !readers[i].has_ended) /* what it still waits for is this late already */
            count(&delays, ended_at - since - (double)readers[i].received / fed);
    }
    printf("{\"bytes\": %lld, \"least_bytes\": %lld, \"seconds\": %.6f, \"p50_ms\": %.4f,"
           " \"p99_ms\": %.4f, \"ended_at\": %.6f}\n",
           total, least, ended_at - (rate > 0 ? connected_at : begun_at),
           quantile_ms(&delays, 0.5), quantile_ms(&delays, 0.99), ended_at);
    return 0;
}
