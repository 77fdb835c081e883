// A person with a browser: drops a file, watches it go up, opens its page, downloads and compares, seeks in a video, and looks
// at every page in light and dark, wide and narrow. Nothing may be written to the console as an error, and axe must find
// nothing on any page. With SCREENSHOTS=folder it keeps what it saw.
import { createHash, randomBytes } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checks, complaints, launch, look as lookAt, png, want, watch as watchAt, complaints as watched } from './browse.mjs';

const [url, walrus, config] = process.argv.slice(2), shots = process.env.SCREENSHOTS;
const dir = mkdtempSync(join(tmpdir(), 'walrus-browser-'));
const sum = (b) => createHash('sha256').update(b).digest('hex');
const watch = (page) => watchAt(page, url);
const look = (page, name) => lookAt(page, name, shots);
const browser = await launch();

try {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, acceptDownloads: true, bypassCSP: false });
  const page = watch(await context.newPage());
  await page.goto(`${url}/`, { waitUntil: 'networkidle' });
  want('title', /walrus/i.test(await page.title()), await page.title());

  // drop a file
  await page.goto(`${url}/explorer/upload`, { waitUntil: 'networkidle' });
  await look(page, 'upload');
  const picture = readFileSync(makePicture());
  const drop = await page.evaluateHandle(([b64]) => {
    const t = new DataTransfer();
    t.items.add(new File([Uint8Array.from(atob(b64), (c) => c.charCodeAt(0))], 'picture.png', { type: 'image/png' }));
    return t;
  }, [picture.toString('base64')]);
  await page.dispatchEvent('[data-testid=dropzone]', 'dragenter', { dataTransfer: drop });
  await page.dispatchEvent('[data-testid=dropzone]', 'dragover', { dataTransfer: drop });
  await page.dispatchEvent('[data-testid=dropzone]', 'drop', { dataTransfer: drop });
  await page.waitForFunction(() => document.querySelector('[data-testid=price]').textContent.includes('WAL'));
  await page.evaluate(() => {
    window.seen = [];
    new MutationObserver(() => window.seen.push(document.querySelector('[data-testid=progress]').value)).observe(document.querySelector('[data-testid=progress]'), { attributes: true });
  });
  await page.click('[data-testid=upload-button]');
  await page.waitForSelector('[data-testid=result]:not([hidden])', { timeout: 60_000 });
  const seen = await page.evaluate(() => window.seen);
  want('progress', seen.length > 0 && Math.max(...seen) > 0, seen);
  const id = (await page.textContent('[data-testid=result-id]')).trim();
  const content = await page.getAttribute('[data-testid=result-content]', 'href');
  want('link to the content', sum(Buffer.from(await (await fetch(url + content)).arrayBuffer())) === sum(picture), content);
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: url });
  await page.click('#result-copy');
  want('the ID is copied', (await page.evaluate(() => navigator.clipboard.readText())) === id, id);
  want('the copy button says so', (await page.textContent('#result-copy')) === 'Copied', await page.textContent('#result-copy'));
  const token = await page.inputValue('#manage-token');
  const record = await page.getAttribute('#result-record', 'href');
  want('the owner gets a token', token.length > 20 && /^\/explorer\/records\/0x/.test(record), [token.length, record]);
  await look(page, 'uploaded');

  // its page: what it shows, and the file back
  await page.click('[data-testid=result-link]');
  await page.waitForSelector('[data-testid=heatmap]');
  await page.waitForLoadState('networkidle');
  want('address of the page', page.url() === `${url}/explorer/blobs/${id}`, page.url());
  await look(page, 'blob');
  const [download] = await Promise.all([page.waitForEvent('download'), page.click('[data-testid=download]')]);
  want('download', sum(readFileSync(await download.path())) === sum(picture), id);
  want('preview of the picture', await page.evaluate(() => { const i = document.querySelector('[data-testid=preview] img'); return i && i.complete && i.naturalWidth > 0; }), 'no picture');

  // its record, by somebody who kept the token: extended, by a wrong one refused, and deleted
  const owned = async (secret, button, says) => {
    await page.goto(url + record, { waitUntil: 'networkidle' });
    await page.fill('#manage-token', secret);
    await page.click(`form.manage button[value=${button}]`);
    await page.waitForFunction((text) => document.querySelector('.manage-status').textContent.includes(text), says, { timeout: 60_000 });
  };
  await owned(token, 'extend', 'Stored until epoch');
  await look(page, 'record');
  const owner = await page.getAttribute('dl a[href^="/explorer/owners/"]', 'href');
  const quiet = watched.length; // what is refused is a complaint of the console by itself
  await owned('not the token', 'extend', 'Not extended');
  watched.length = quiet;

  // a folder, as a quilt
  const photos = join(dir, 'photos');
  mkdirSync(join(photos, 'ice'), { recursive: true });
  writeFileSync(join(photos, 'read me.txt'), 'the walrus said');
  writeFileSync(join(photos, 'ice', 'floe.bin'), randomBytes(5000));
  await page.goto(`${url}/explorer/upload`, { waitUntil: 'networkidle' });
  await page.setInputFiles('[data-testid=folder]', photos);
  await page.waitForFunction(() => document.querySelector('[data-testid=price]').textContent.includes('a quilt of 2 files'));
  await page.click('[data-testid=upload-button]');
  await page.waitForSelector('[data-testid=result]:not([hidden])', { timeout: 60_000 });
  const files = await page.locator('[data-testid=result-files] a').allTextContents();
  want('files of the quilt', files.sort().join() === 'ice/floe.bin,read me.txt', files);
  await page.click('[data-testid=result-link]');
  await page.waitForSelector('[data-testid=quilt]');
  want('the page says that it is a quilt', (await page.textContent('h1')) === 'Quilt', await page.textContent('h1'));
  const inside = await page.locator('#quilt-table a', { hasText: 'read me.txt' }).first().getAttribute('href');
  want('a file of the quilt', (await (await fetch(url + inside)).text()) === 'the walrus said', inside);
  await look(page, 'quilt');

  // the ledger: what was stored just now is there, with its links
  for (const name of ['transactions', 'blobs', 'events', 'blocks']) {
    await page.goto(`${url}/explorer/${name}`, { waitUntil: 'networkidle' });
    want(`there are ${name}`, (await page.locator('table.cards tbody tr').count()) > 1, await page.locator('table.cards tbody tr').count());
    await look(page, name);
  }
  await page.goto(`${url}/explorer/blobs`, { waitUntil: 'networkidle' });
  want('the blob is among the recent ones', (await page.locator(`#blob-table a[href="/explorer/blobs/${id}"]`).count()) === 1, id);
  await page.goto(`${url}/explorer/transactions`, { waitUntil: 'networkidle' });
  await page.locator('#transaction-table tbody th a').first().click();
  await page.waitForSelector('#events');
  await look(page, 'transaction');
  await page.locator('dl a[href^="/explorer/blocks/"]').click();
  await page.waitForSelector('#transactions');
  want('a block has its transaction', (await page.locator('#transaction-table tbody tr').count()) > 0, page.url());
  await look(page, 'block');
  await page.fill('#q', owner.split('/').pop());
  await page.press('#q', 'Enter');
  await page.waitForSelector('#blobs');
  want('an owner is found, with the blob', page.url().endsWith(owner) && (await page.locator(`#blob-table a[href="/explorer/blobs/${id}"]`).count()) === 1, page.url());
  await look(page, 'owner');

  page.once('dialog', (d) => d.accept());
  await owned(token, 'delete', 'Deleted.');
  const gone = await fetch(`${url}${record.replace('/explorer/', '/explorer/api/')}`);
  want('the record is deleted', gone.status === 404, gone.status);
  execFileSync(walrus, ['--config', config, 'store', join(dir, 'picture.png')]); // again, for what follows

  // a node, found by search
  await page.goto(`${url}/`, { waitUntil: 'networkidle' });
  await page.fill('#q', 'node-1');
  await page.press('#q', 'Enter');
  await page.waitForSelector('#reachable');
  await look(page, 'node');
  const missing = await context.newPage(); // its 404 is a complaint of the console by itself
  const response = await missing.goto(`${url}/explorer/blobs/M4hsZGQ1oCktdzegB6HnI6Mi28S2nqOPHxK-W7_4BUk`);
  want('a blob that there is not', response.status() === 404, response.status());
  await look(missing, 'not-found');
  await missing.close();
  await page.goto(`${url}/v1/api`, { waitUntil: 'networkidle' });
  await look(page, 'api');

  await page.goto(`${url}/`, { waitUntil: 'networkidle' });
  await page.waitForSelector('#chart svg');
  await look(page, 'network');

  // A video of 100 MB that seeks: the middle is shown long before all of it could have come. FILM=no leaves it out.
  const seek = async () => {
    const film = makeFilm();
    const stored = JSON.parse(execFileSync(walrus, ['--config', config, '--json', 'store', film, '--attribute', 'content-type=video/mp4']).toString());
    const filmId = stored[0].blobStoreResult.newlyCreated.blobObject.blobId;
    let came = 0;
    const film_client = await context.newCDPSession(page);
    await film_client.send('Network.enable');
    film_client.on('Network.dataReceived', (e) => { came += e.dataLength; });
    await page.goto(`${url}/explorer/blobs/${filmId}`, { waitUntil: 'load' });
    const at = await page.evaluate(async () => {
      const v = document.querySelector('[data-testid=preview] video');
      if (!v) return 'no video';
      v.muted = true;
      if (v.readyState < 1) await new Promise((resolve, reject) => { v.onloadedmetadata = resolve; v.onerror = () => reject(new Error('video: ' + v.error?.message)); v.load(); });
      const to = async (t) => { await new Promise((resolve) => { v.onseeked = resolve; v.currentTime = t; }); return v.currentTime; };
      return { end: v.duration, shown: [await to(55), await to(30), await to(5)] };
    });
    want('video seeks', String(at.shown) === '55,30,5' && at.end >= 59, at);
    want('without all of it', came < 60e6, came);
    console.log(`browser.mjs: seeking in a film of ${statSync(film).size} bytes took ${came}`);
  };
  if (process.env.FILM !== 'no') await seek();

  // dark, narrow, and without JavaScript
  const dark = await browser.newContext({ viewport: { width: 390, height: 844 }, colorScheme: 'dark' });
  const phone = watch(await dark.newPage());
  for (const [name, path] of [['network', '/'], ['blob', `/explorer/blobs/${id}`], ['node', '/explorer/nodes/node-1'], ['upload', '/explorer/upload'], ['blocks', '/explorer/blocks'], ['owner', owner],
    ['monitors', '/explorer/monitors'], ['monitored', '/explorer/monitors/node-1'], ['seen', '/explorer/seen'], ['risk', '/explorer/risk'], ['api', '/v1/api']]) {
    await phone.goto(url + path, { waitUntil: 'networkidle' });
    await look(phone, `${name}-dark`);
  }
  const plain = await browser.newContext({ javaScriptEnabled: false });
  const bare = watch(await plain.newPage());
  await bare.goto(`${url}/`);
  want('nodes without JavaScript', (await bare.locator('#node-table tbody tr').count()) === 4, await bare.locator('#node-table tbody tr').count());
  await bare.goto(`${url}/explorer/blobs/${id}`);
  want('heat-map without JavaScript', (await bare.locator('[data-testid=heatmap] li').count()) === 31, await bare.locator('[data-testid=heatmap] li').count());
  await bare.goto(`${url}/explorer/monitors/node-1`);
  want('a monitored node without JavaScript', (await bare.locator('#verdict').count()) === 1 && (await bare.locator('img[src$=".svg"]').count()) > 0, await bare.title());
  await bare.goto(`${url}/explorer/upload`);
  const file = join(dir, 'plain.txt');
  writeFileSync(file, randomBytes(5000));
  await bare.setInputFiles('[data-testid=file]', file);
  await bare.click('[data-testid=upload-button]');
  await bare.waitForLoadState();
  want('upload without JavaScript', /\/explorer\/blobs\//.test(bare.url()), bare.url());
} finally {
  await browser.close();
  rmSync(dir, { recursive: true });
}
if (complaints.length) {
  console.error(`browser.mjs: ${complaints.length} complaints:\n${complaints.join('\n')}`);
  process.exit(1);
}
console.log(`browser.mjs: ${checks} checks passed`);

// makePicture draws a picture, large enough that its upload takes more than a moment.
function makePicture() {
  const path = join(dir, 'picture.png');
  writeFileSync(path, png(640, 480));
  return path;
}

// makeFilm makes a minute of moving noise, about 100 MB.
function makeFilm() {
  const path = join(dir, 'film.mp4');
  execFileSync('ffmpeg', ['-loglevel', 'error', '-f', 'lavfi', '-i', 'testsrc2=size=640x360:rate=25,noise=alls=60:allf=t', '-t', '60', '-c:v', 'libx264',
    '-preset', 'ultrafast', '-b:v', '14M', '-minrate', '14M', '-maxrate', '14M', '-bufsize', '14M', '-pix_fmt', 'yuv420p', '-movflags', '+faststart', path]);
  return path;
}
