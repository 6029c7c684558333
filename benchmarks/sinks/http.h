/* What the clients share: arguments, clock, connections, responses, quantiles.

   Each client is one process and one thread on an epoll loop. It prints what it found as one
   line of JSON, and ends with status 1 and a sentence if the server did anything but serve. */

#ifndef HTTP_H
#define HTTP_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

__attribute__((noreturn, format(printf, 1, 2))) static inline void fail(const char *format, ...) {
    va_list values;
    va_start(values, format);
    vfprintf(stderr, format, values);
    va_end(values);
    fputc('\n', stderr);
    exit(1);
}

/* --- arguments: name=value, in any order -------------------------------------------------- */

static inline const char *argument(char **arguments, const char *name, const char *otherwise) {
    size_t length = strlen(name);
    for (char **each = arguments + 1; *each; each++)
        if (strncmp(*each, name, length) == 0 && (*each)[length] == '=')
            return *each + length + 1;
    if (otherwise == NULL)
        fail("%s= is missing", name);
    return otherwise;
}

static inline double number(char **arguments, const char *name, const char *otherwise) {
    return strtod(argument(arguments, name, otherwise), NULL);
}

/* --- the clock ---------------------------------------------------------------------------- */

/* Seconds of CLOCK_MONOTONIC, which all processes of a machine share. */
static inline double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* --- connections -------------------------------------------------------------------------- */

/* Connect to the loopback interface; `receive_buffer` of 0 leaves it to the kernel. */
static inline int connected(int port, int receive_buffer) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("socket: %s", strerror(errno));
    if (receive_buffer)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail("connect: %s", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static inline void watch(int poll, int fd, uint32_t events, uint32_t which) {
    struct epoll_event event = {.events = events, .data.u32 = which};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) < 0)
        fail("epoll_ctl: %s", strerror(errno));
}

static inline void set_nonblocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

static inline void send_all(int fd, const char *octets, size_t length) {
    while (length) {
        ssize_t sent = send(fd, octets, length, MSG_NOSIGNAL);
        if (sent < 0)
            fail("send: %s", strerror(errno));
        octets += sent, length -= (size_t)sent;
    }
}

/* Ask for a target, from `offset` on if it is above 0. */
static inline void send_get(int fd, int port, const char *target, long long offset) {
    char request[4096], range[64] = "";
    if (offset > 0)
        snprintf(range, sizeof range, "Range: bytes=%lld-\r\n", offset);
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s\r\n",
                          target, port, range);
    send_all(fd, request, (size_t)length);
}

/* --- responses ---------------------------------------------------------------------------- */

/* Return the value of a field in a head that ends in NUL, or NULL. */
static inline const char *field(const char *head, const char *name) {
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, length) == 0 && line[length] == ':')
            return line + length + 1 + strspn(line + length + 1, " \t");
    }
    return NULL;
}

enum part { HEAD, CONTENT, CHUNK_HEAD, CHUNK, CHUNK_END, LAST_END, WHOLE };

struct response {
    enum part part;
    int status;
    long long left; /* octets of content until the end, or until that of the chunk */
};

enum { NOTHING_YET = 0, ENDED = -1, CUT = -2 };

/* Take the framing that `octets` begin with; return its length, or 0 if it is incomplete. */
static inline size_t take_framing(struct response *response, char *octets, size_t length) {
    octets[length] = '\0';
    const char *mark = response->part == HEAD ? "\r\n\r\n" : "\r\n";
    char *end = memmem(octets, length, mark, strlen(mark));
    if (end == NULL)
        return 0;
    size_t taken = (size_t)(end - octets) + strlen(mark);
    switch (response->part) {
    case HEAD: {
        *end = '\0';
        response->status = length > 12 ? atoi(octets + 9) : 0;
        const char *content_length = field(octets, "content-length");
        response->left = content_length ? strtoll(content_length, NULL, 10) : 0;
        response->part = !content_length ? CHUNK_HEAD : response->left ? CONTENT : WHOLE;
        break;
    }
    case CHUNK_HEAD:
        response->left = strtoll(octets, NULL, 16);
        response->part = response->left ? CHUNK : LAST_END;
        break;
    case CHUNK_END:
        response->part = CHUNK_HEAD;
        break;
    case LAST_END: /* a trailer field, or the empty line */
        response->part = taken == 2 ? WHOLE : LAST_END;
        break;
    default:
        break;
    }
    return taken;
}

/* Receive at most `room` octets of content, into `into`, or nowhere if that is NULL: then the
   kernel does not copy them (MSG_TRUNC). Return how many, or one of the endings. */
static inline long long receive(int fd, struct response *response, char *into, size_t room) {
    while (response->part != CONTENT && response->part != CHUNK) {
        char octets[16385];
        if (response->part == WHOLE)
            return ENDED;
        ssize_t there = recv(fd, octets, sizeof octets - 1, MSG_PEEK);
        if (there <= 0)
            return there < 0 && errno == EAGAIN ? NOTHING_YET : CUT;
        size_t taken = take_framing(response, octets, (size_t)there);
        if (taken == 0)
            return NOTHING_YET;
        if (recv(fd, NULL, taken, MSG_TRUNC) != (ssize_t)taken)
            fail("what was peeked at is gone");
    }
    if ((long long)room > response->left)
        room = (size_t)response->left;
    ssize_t received = recv(fd, into, room, into ? 0 : MSG_TRUNC);
    if (received <= 0)
        return received < 0 && errno == EAGAIN ? NOTHING_YET : CUT;
    response->left -= received;
    if (response->left == 0)
        response->part = response->part == CHUNK ? CHUNK_END : WHOLE;
    return received;
}

/* --- quantiles ---------------------------------------------------------------------------- */

/* Durations, counted in classes that are 4.4 % wide: a sixteenth of a doubling. */
struct durations {
    long long counts[16 * 32], total;
};

static inline void count(struct durations *durations, double seconds) {
    double microseconds = seconds * 1e6;
    int class = microseconds > 1 ? (int)(log2(microseconds) * 16) : 0;
    durations->counts[class < 16 * 32 ? class : 16 * 32 - 1]++;
    durations->total++;
}

/* Return the upper bound of the class that holds the quantile, in milliseconds. */
static inline double quantile_ms(const struct durations *durations, double share) {
    long long seen = 0;
    for (int class = 0; class < 16 * 32; class++)
        if ((seen += durations->counts[class]) > 0 && (double)seen >= share * (double)durations->total)
            return exp2((class + 1) / 16.0) / 1e3;
    return 0;
}

#endif
