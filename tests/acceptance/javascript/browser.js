// Uploads a file from a page in Chromium, as its one argument says, and prints what came of it.
//
// {browser, origin, path, by}: the page is of the origin of the service. By "form" it prints what
// the service answered; by "uppy" the address of the upload, which loses its network in the middle.
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const { browser: executablePath, origin, path, by } = JSON.parse(process.argv[2]);
const UPPY = fileURLToPath(new URL("node_modules/uppy/dist/uppy.min.js", import.meta.url));
const PAGE = `<!doctype html><title>upload</title>
  <form method="post" enctype="multipart/form-data" action="/uploads">
    <input type="file" name="file"><input name="note" value="not a file"><button>send</button>
  </form>`;

async function byForm(page) {
  await page.setInputFiles("input[type=file]", path);
  const [answer] = await Promise.all([page.waitForNavigation(), page.click("button")]);
  return { status: answer.status(), files: await answer.json() };
}

async function byUppy(page, context) {
  await page.addScriptTag({ path: UPPY });
  await page.setInputFiles("input[type=file]", path);
  let accepted = 0;
  const isUnderWay = new Promise((resolve) =>
    page.exposeFunction("tell", (count) => {
      accepted = count;
      if (count > 1_000_000) resolve();
    }),
  );
  await page.waitForFunction(() => typeof window.tell === "function");
  await page.evaluate(() => {
    const uppy = new Uppy.Uppy().use(Uppy.Tus, {
      endpoint: "/uploads",
      chunkSize: 250_000,
      retryDelays: [0, 100, 500, 1000],
    });
    uppy.on("upload-progress", (_, progress) => window.tell(progress.bytesUploaded));
    const [data] = document.querySelector("input[type=file]").files;
    uppy.addFile({ name: data.name, type: data.type, data });
    window.ended = uppy.upload();
  });
  await isUnderWay;
  await context.setOffline(true);
  const before = accepted;
  await new Promise((resolve) => setTimeout(resolve, 500)); // as long as the network is away
  const during = accepted;
  await context.setOffline(false);
  const urls = await page.evaluate(async () =>
    (await window.ended).successful.map((file) => file.uploadURL),
  );
  return { urls, before, during };
}

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
try {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.route(`${origin}/the-page`, (route) =>
    route.fulfill({ contentType: "text/html", body: PAGE }),
  );
  await page.goto(`${origin}/the-page`);
  const found = await { form: byForm, uppy: byUppy }[by](page, context);
  console.log(JSON.stringify(found));
} finally {
  await browser.close();
}
