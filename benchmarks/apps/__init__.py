"""Applications that do the same in each framework: `GET /{name}` sends a file of the directory
ROOT, `PUT /put/{name}` writes one."""
