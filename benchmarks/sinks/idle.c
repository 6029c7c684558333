/* Connections that are kept after one GET, and then say nothing.

   port= target= connections=

   Prints {"held": COUNT} when all are there, and once standard input ends, how many of them
   the server has left open: {"open": COUNT}. */

#include "http.h"

static char buffer[256 * 1024];

int main(int argc, char **arguments) {
    (void)argc;
    int port = (int)number(arguments, "port", NULL);
    int connections = (int)number(arguments, "connections", NULL);
    const char *target = argument(arguments, "target", NULL);
    int *held = calloc((size_t)connections, sizeof *held), open = 0;

    for (int i = 0; i < connections; i++) {
        struct response response = {.part = HEAD};
        held[i] = connected(port, 0);
        send_get(held[i], port, target, 0);
        while (response.part != WHOLE)
            if (receive(held[i], &response, buffer, sizeof buffer) == CUT)
                fail("connection %d was closed before its response", i);
        if (response.status != 200)
            fail("status %d", response.status);
    }
    printf("{\"held\": %d}\n", connections);
    fflush(stdout);
    while (read(STDIN_FILENO, buffer, sizeof buffer) > 0)
        ;
    for (int i = 0; i < connections; i++)
        open += recv(held[i], buffer, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
    printf("{\"open\": %d}\n", open);
    return 0;
}
