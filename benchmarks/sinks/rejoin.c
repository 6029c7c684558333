/* Readers of one target that join, drop and come back at random, and compare every octet.

   port= target= source= connections= seconds= drops=3 seed=1

   Each joins at a random moment of the first `seconds`, drops `drops` times at random offsets,
   and resumes with Range where it was. Its content must be that of the source, to the end. */

#include "http.h"

enum { PIECE = 256 * 1024 };

struct reader {
    int fd; /* -1 until it joins */
    struct response response;
    long long asked_from, offset, drop_at;
    int drops;
    double joins_at;
};

static char buffer[PIECE];
static unsigned short state[3];

/* Offsets where a reader drops: uniform over what is left to it. */
static long long next_drop(long long offset, long long length) {
    return offset + 1 + (long long)(erand48(state) * (double)(length - offset - 1));
}

int main(int argc, char **arguments) {
    (void)argc;
    int port = (int)number(arguments, "port", NULL);
    int connections = (int)number(arguments, "connections", NULL);
    int drops = (int)number(arguments, "drops", "3");
    double seconds = number(arguments, "seconds", NULL);
    const char *target = argument(arguments, "target", NULL);
    int source = open(argument(arguments, "source", NULL), O_RDONLY | O_CLOEXEC);
    struct stat found;
    if (source < 0 || fstat(source, &found) < 0)
        fail("the source cannot be read");
    const char *expected = mmap(NULL, (size_t)found.st_size, PROT_READ, MAP_SHARED, source, 0);
    if (expected == MAP_FAILED)
        fail("mmap: %s", strerror(errno));
    state[0] = (unsigned short)number(arguments, "seed", "1");

    struct reader *readers = calloc((size_t)connections, sizeof *readers);
    int poll = epoll_create1(0), left = connections, resumed = 0;
    long long received_in_all = 0;
    double begun_at = now(), last_at = begun_at;
    for (int i = 0; i < connections; i++) {
        readers[i].fd = -1;
        readers[i].drops = drops;
        readers[i].joins_at = begun_at + erand48(state) * seconds;
        readers[i].drop_at = next_drop(0, found.st_size);
    }
    while (left) {
        for (int i = 0; i < connections; i++)
            if (readers[i].fd < 0 && readers[i].joins_at <= now()) {
                readers[i].fd = connected(port, 0);
                readers[i].response = (struct response){.part = HEAD};
                readers[i].asked_from = readers[i].offset;
                send_get(readers[i].fd, port, target, readers[i].offset);
                set_nonblocking(readers[i].fd);
                watch(poll, readers[i].fd, EPOLLIN, (uint32_t)i);
            }
        struct epoll_event events[256];
        int ready = epoll_wait(poll, events, 256, 5);
        if (ready > 0)
            last_at = now();
        if (now() - last_at > 30)
            fail("nothing came for half a minute; %d readers wait", left);
        for (int i = 0; i < ready; i++) {
            struct reader *reader = &readers[events[i].data.u32];
            long long received = receive(reader->fd, &reader->response, buffer, PIECE);
            if (received == CUT)
                fail("the server cut a response off at offset %lld", reader->offset);
            if (received > 0) {
                if (reader->response.status != (reader->asked_from ? 206 : 200))
                    fail("status %d to a request from offset %lld", reader->response.status,
                         reader->asked_from);
                if (reader->offset + received > found.st_size ||
                    memcmp(buffer, expected + reader->offset, (size_t)received) != 0)
                    fail("wrong content at offset %lld", reader->offset);
                reader->offset += received;
                received_in_all += received;
            }
            if (reader->response.part == WHOLE || received == ENDED) {
                if (reader->offset != found.st_size)
                    fail("status %d ended in order at offset %lld", reader->response.status,
                         reader->offset);
                close(reader->fd);
                reader->fd = 0, reader->joins_at = INFINITY;
                left--;
            } else if (reader->drops && reader->offset >= reader->drop_at &&
                       reader->offset < found.st_size) {
                close(reader->fd);
                reader->fd = -1, reader->joins_at = now() + erand48(state) * seconds / 4;
                reader->drops--, resumed++;
                reader->drop_at = next_drop(reader->offset, found.st_size);
            }
        }
    }
    printf("{\"readers\": %d, \"resumed\": %d, \"bytes\": %lld, \"seconds\": %.6f}\n", connections,
           resumed, received_in_all, now() - begun_at);
    return 0;
}
