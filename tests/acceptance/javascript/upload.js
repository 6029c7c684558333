// Uploads a file with tus-js-client as its one argument says, and prints the address of the upload.
//
// {path, as, options, stopAt}: the client gets the file as a "buffer", a "file" or a "stream";
// options are its own. With stopAt the upload is aborted when so many bytes were accepted, and
// then goes on.
import { createReadStream, readFileSync } from "node:fs";
import { PassThrough } from "node:stream";
import * as tus from "tus-js-client";

const { path, as, options, stopAt } = JSON.parse(process.argv[2]);
const sources = {
  buffer: () => readFileSync(path),
  file: () => createReadStream(path),
  stream: () => createReadStream(path).pipe(new PassThrough()),
};
let hasStopped = stopAt === undefined;

const upload = new tus.Upload(sources[as](), {
  retryDelays: null,
  ...options,
  onError(error) {
    console.error(String(error));
    process.exitCode = 1;
  },
  onChunkComplete(_, accepted) {
    if (!hasStopped && accepted >= stopAt) {
      hasStopped = true;
      upload.abort().then(() => upload.start());
    }
  },
  onSuccess() {
    console.log(upload.url);
  },
});
upload.start();
