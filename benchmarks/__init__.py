"""How fast tailrace is beside others, in one run on one machine: `make bench`.

    rows       what is measured, each with its targets
    peers      the servers, each with its command
    sinks      the clients, in C
    trials     one server, one measurement
    running    a row: its servers started, each given its turns
    rounds     medians, ratios
    report     the tables, and what falls short; bars and chart, the picture

For Linux: it reads /proc.
"""
