/* Uploads of one file, each on a connection of its own, by sendfile.

   port= target= source= length= connections=1    "%d" in the target is the connection's number
   rate=     octets a second that each sends at even moments
   seconds=  with rate: how long; then all leave in the middle

   First prints {"begun_at": MOMENT}, of the monotonic clock, when content begins to be sent. */

#include "http.h"

/* A paced sender sends whole slices, so that many of them do not drown the machine in calls. */
enum { SLICE = 16 * 1024 };

struct sender {
    int fd;
    off_t sent;
    struct response response;
    int has_ended;
};

static char scrap[4096];

int main(int argc, char **arguments) {
    (void)argc;
    int port = (int)number(arguments, "port", NULL);
    int connections = (int)number(arguments, "connections", "1");
    long long length = (long long)number(arguments, "length", NULL);
    double rate = number(arguments, "rate", "0"), seconds = number(arguments, "seconds", "0");
    const char *target = argument(arguments, "target", NULL);
    int source = open(argument(arguments, "source", NULL), O_RDONLY | O_CLOEXEC);
    struct sender *senders = calloc((size_t)connections, sizeof *senders);
    int poll = epoll_create1(0), left = connections;
    struct stat found;

    if (source < 0 || fstat(source, &found) < 0 || found.st_size == 0)
        fail("the source cannot be read");
    double begun_at = now();
    for (int i = 0; i < connections; i++) {
        char before[2048] = "", head[4096];
        const char *mark = strstr(target, "%d");
        if (mark)
            snprintf(before, sizeof before, "%.*s%d%s", (int)(mark - target), target, i, mark + 2);
        int head_length = snprintf(head, sizeof head,
                                   "PUT %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: %lld\r\n\r\n",
                                   mark ? before : target, port, length);
        senders[i].fd = connected(port, 0);
        send_all(senders[i].fd, head, (size_t)head_length);
        set_nonblocking(senders[i].fd);
        watch(poll, senders[i].fd, rate > 0 ? EPOLLIN : EPOLLIN | EPOLLOUT, (uint32_t)i);
    }
    double sending_at = now();
    printf("{\"begun_at\": %.6f}\n", sending_at);
    fflush(stdout);

    while (left && (seconds == 0 || now() - sending_at < seconds)) {
        struct epoll_event events[256];
        int ready = epoll_wait(poll, events, 256, rate > 0 ? 1 : 30000);
        if (ready == 0 && rate == 0)
            fail("nothing moved for half a minute");
        for (int i = 0; i < ready; i++) {
            struct sender *sender = &senders[events[i].data.u32];
            if (!(events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                continue;
            long long received = receive(sender->fd, &sender->response, scrap, sizeof scrap);
            if (received == CUT)
                fail("the server cut an upload off after %lld octets", (long long)sender->sent);
            if (sender->response.part == WHOLE || received == ENDED) {
                if (sender->response.status / 100 != 2 || sender->sent < length)
                    fail("status %d after %lld octets", sender->response.status,
                         (long long)sender->sent);
                close(sender->fd);
                sender->has_ended = 1;
                left--;
            }
        }
        double due = rate > 0 ? (now() - sending_at) * rate : (double)length;
        for (int i = 0; i < (rate > 0 ? connections : ready); i++) {
            uint32_t which = rate > 0 ? (uint32_t)i : events[i].data.u32;
            struct sender *sender = &senders[which];
            /* Their slices are spread over the time that one takes. */
            double own = due + (double)SLICE * which / connections;
            long long until = own < (double)length ? (long long)own / SLICE * SLICE : length;
            while (!sender->has_ended && sender->sent < until) {
                off_t within = sender->sent % found.st_size; /* a short source comes again */
                long long most = until - sender->sent, there = found.st_size - within;
                ssize_t sent = sendfile(sender->fd, source, &within,
                                        (size_t)(most < there ? most : there));
                if (sent < 0 && errno == EAGAIN)
                    break;
                if (sent <= 0)
                    fail("sendfile: %s after %lld octets", strerror(errno), (long long)sender->sent);
                sender->sent += sent;
            }
            if (rate == 0 && !sender->has_ended && sender->sent == length) {
                struct epoll_event event = {.events = EPOLLIN, .data.u32 = which};
                epoll_ctl(poll, EPOLL_CTL_MOD, sender->fd, &event);
            }
        }
    }
    double ended_at = now();
    long long total = 0, least = length;
    for (int i = 0; i < connections; i++) {
        total += senders[i].sent;
        least = senders[i].sent < least ? senders[i].sent : least;
    }
    printf("{\"bytes\": %lld, \"least_bytes\": %lld, \"seconds\": %.6f}\n", total, least,
           ended_at - begun_at);
    return 0;
}
