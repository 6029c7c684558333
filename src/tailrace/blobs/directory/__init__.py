"""A store in a directory of the local file system: one regular file a blob.

Where things lie

    root/<first two of key>/<key>

The file has this name from its creation to its removal; there is no second name, no rename
and no record beside it. The state is in the inode: mode 0600 is growing, mode 0400 is sealed,
and growing without any name left is abandoned. So one `fstat` of an open descriptor tells the
length and the state, and a crash leaves a growing file or a sealed one, nothing between.
Whoever copies a store must copy the modes (`cp -p`, `rsync -p`, `tar`), and by content: a
hard link to a growing blob hides from other processes that it was abandoned.

One writer

The writer holds an exclusive `flock` on its descriptor. The kernel lets go of it when the
process dies, so a dead writer never blocks `resume`, while a living one does in any process.
(A child that was forked without `exec` holds the lock as well.) After `resume` has the lock,
it looks at the inode once more, which may have been sealed or removed while it came.

What is durable

When `append` returns, the bytes are with the kernel and survive the end of the process. When
`sync` or `seal` returns, they survive a power cut, and so does the name. `create` syncs the
directory, and `resume` once more, because the creator may have died before; `seal` syncs the
bytes before it sets the mode, then the mode, then the directory.

What may go wrong

- Power cut. Of what was appended after the last `sync`, the file may have lost bytes at its
  end, or, if the file system writes later blocks first, have zeros in place of some. `resume`
  goes on at the length it finds and cannot tell. A length that was acknowledged to someone
  who must survive this is one that `sync` returned; the digest shows the rest.
- A sync that failed. Linux then takes the lost pages for clean and lets the next `fsync`
  succeed (this is what made PostgreSQL panic on it). So the writer refuses to go on: what can
  be done is `abandon`, or `release` and a digest.
- Disk full. `append` keeps what fitted, raises `StorageFull`, and may be tried again.
- A store without `syncs`. What a power cut does to the last half minute of writes is up to the
  file system: a sealed blob may be shorter, or have zeros in it.
- A seal that failed after it had set the mode (a failing disk) leaves a sealed blob, all of
  whose bytes had been synced; after a power cut it may be growing again.
- A file system that keeps no modes (FAT) or knows no `flock`: `create` or `seal` refuses.
- A removal is not synced: after a power cut a removed blob may be back, as one nobody knows.
- Files of strangers in the store (links, devices, other names) are neither read nor removed.

Who waits

Followers of a writer in this process are woken by it. For blobs written by another process
the kernel is asked to tell of changes (inotify), and then the inode is looked at. One timer
looks as well, while someone waits: once a second where the kernel tells, since it does not
tell of everything everywhere (of bytes spliced into a file not before Linux 6.6, and nothing
on some file systems of user space), `poll_seconds` apart where it does not, and faster as
long as it finds what nobody told.

Blocking calls run in threads of the store's own. Four that do not wait for the disk are made
on the loop: the opening of a file whose names are all in memory, `fstat` of an open
descriptor, small reads that the page cache can answer, and the close of a file that still has
a name. A store belongs to one event loop.

The modules: `store` and what it hands out, `writer` and `reader`; under them, blocking,
`inode` (one file), `content` (its bytes) and `shards` (names); `threads` and `faults` between;
and `notices`, from the kernel.
"""

from tailrace.blobs.directory.store import DirectoryBlobs

__all__ = ["DirectoryBlobs"]
