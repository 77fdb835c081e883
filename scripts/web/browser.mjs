// A person with a browser: drops a file, watches it go up, opens its page, downloads and compares, seeks in a video, and looks
// at every page in light and dark, wide and narrow. Nothing may be written to the console as an error, and axe must find
// nothing on any page. With SCREENSHOTS=folder it keeps what it saw.
import { createHash, randomBytes } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { mkdtempSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const [url, walrus, config] = process.argv.slice(2), shots = process.env.SCREENSHOTS;
const dir = mkdtempSync(join(tmpdir(), 'walrus-browser-'));
const complaints = [];
let checks = 0;
function want(what, condition, got) {
  checks++;
  if (!condition) complaints.push(`${what}: ${JSON.stringify(got)}`);
}
const sum = (b) => createHash('sha256').update(b).digest('hex');

const browser = await chromium.launch({
  executablePath: execFileSync('sh', ['-c', 'command -v chromium']).toString().trim(),
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

// watch notes what a page complains about.
function watch(page) {
  page.on('console', (m) => { if (m.type() === 'error' || m.type() === 'warning') complaints.push(`console of ${page.url()}: ${m.text()}`); });
  page.on('pageerror', (e) => complaints.push(`error on ${page.url()}: ${e}`));
  page.on('request', (q) => { if (!q.url().startsWith(url) && !q.url().startsWith('blob:') && !q.url().startsWith('data:')) complaints.push(`${page.url()} asks for ${q.url()}`); });
  return page;
}

// look checks accessibility and takes a picture.
async function look(page, name) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  want(`axe on ${name}`, violations.length === 0, violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(' ')}`));
  if (shots) {
    mkdirSync(shots, { recursive: true });
    await page.screenshot({ path: join(shots, `${name}.jpg`), type: 'jpeg', quality: 70, fullPage: name !== 'api' });
  }
}

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
  await page.waitForSelector('#chart canvas');
  await look(page, 'network');

  // a video of 100 MB that seeks: the middle is shown long before all of it could have come
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

  // dark, narrow, and without JavaScript
  const dark = await browser.newContext({ viewport: { width: 400, height: 800 }, colorScheme: 'dark' });
  const phone = watch(await dark.newPage());
  for (const [name, path] of [['network', '/'], ['blob', `/explorer/blobs/${id}`], ['node', '/explorer/nodes/node-1'], ['upload', '/explorer/upload']]) {
    await phone.goto(url + path, { waitUntil: 'networkidle' });
    await look(phone, `${name}-dark`);
    want(`${name} fits a phone`, await phone.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), await phone.evaluate(() => document.documentElement.scrollWidth));
  }
  const plain = await browser.newContext({ javaScriptEnabled: false });
  const bare = watch(await plain.newPage());
  await bare.goto(`${url}/`);
  want('nodes without JavaScript', (await bare.locator('#node-table tbody tr').count()) === 4, await bare.locator('#node-table tbody tr').count());
  await bare.goto(`${url}/explorer/blobs/${id}`);
  want('heat-map without JavaScript', (await bare.locator('[data-testid=heatmap] li').count()) === 31, await bare.locator('[data-testid=heatmap] li').count());
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

// png is a picture of waves and some noise, so that it is not too small.
function png(width, height) {
  const { deflateSync, crc32 } = createRequire(import.meta.url)('node:zlib');
  const raw = Buffer.alloc((width * 3 + 1) * height);
  const noise = randomBytes(raw.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const wave = [0, 1, 2].map((c) => 128 + 90 * Math.sin(x / (37 + 9 * c) + c) * Math.cos(y / (29 + 7 * c) - c));
      wave.forEach((v, c) => { const at = y * (width * 3 + 1) + 1 + 3 * x + c; raw[at] = v + (noise[at] & 31); });
    }
  }
  const chunk = (type, body) => {
    const b = Buffer.concat([Buffer.from(type), body]), out = Buffer.alloc(b.length + 8);
    out.writeUInt32BE(body.length, 0);
    b.copy(out, 4);
    out.writeUInt32BE(crc(b), out.length - 4);
    return out;
  };
  const crc = (b) => {
    if (crc32) return crc32(b) >>> 0;
    let c = ~0;
    for (const x of b) { c ^= x; for (let k = 0; k < 8; k++) c = (c >>> 1) ^ (0xedb88320 & -(c & 1)); }
    return ~c >>> 0;
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head[8] = 8;
  head[9] = 2;
  return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), chunk('IHDR', head), chunk('IDAT', deflateSync(raw)), chunk('IEND', Buffer.alloc(0))]);
}

// makeFilm makes a minute of moving noise, about 100 MB.
function makeFilm() {
  const path = join(dir, 'film.mp4');
  execFileSync('ffmpeg', ['-loglevel', 'error', '-f', 'lavfi', '-i', 'testsrc2=size=640x360:rate=25,noise=alls=60:allf=t', '-t', '60', '-c:v', 'libx264',
    '-preset', 'ultrafast', '-b:v', '14M', '-minrate', '14M', '-maxrate', '14M', '-bufsize', '14M', '-pix_fmt', 'yuv420p', '-movflags', '+faststart', path]);
  return path;
}
