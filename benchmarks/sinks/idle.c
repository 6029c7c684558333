/* Connections that say nothing.

   port= connections=

   Prints {"held": COUNT} when all are there, and once standard input ends, how many of them
   the server has left open: {"open": COUNT}. */

#include "http.h"

static char buffer[4096];

int main(int argc, char **arguments) {
    (void)argc;
    int port = (int)number(arguments, "port", NULL);
    int connections = (int)number(arguments, "connections", NULL);
    int *held = calloc((size_t)connections, sizeof *held), open = 0;

    for (int i = 0; i < connections; i++)
        held[i] = connected(port, 0);
    printf("{\"held\": %d}\n", connections);
    fflush(stdout);
    while (read(STDIN_FILENO, buffer, sizeof buffer) > 0)
        ;
    for (int i = 0; i < connections; i++)
        open += recv(held[i], buffer, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
    printf("{\"open\": %d}\n", open);
    return 0;
}
